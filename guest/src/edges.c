/*
 * edges WHAT: does the kernel compute rightly at the edges of segments? In 2014 it did not, and each answer is a later
 * fix of 9front's: free, flush, addr, around, past, round, text. Status 0 if it does.
 */

#include "guest.h"

enum { N = 16 };

static char *const B = (char *)0x40000000;

static int
contains(const char *s, const char *t)
{
	uint n = strlen(t);

	for (; strlen(s) >= n; s++)
		if (strncmp(s, t, n) == 0)
			return 1;
	return 0;
}

static void
attach(char *va, uint len)
{
	if (segattach(0, "memory", va, len) == -1)
		syserr("segattach");
}

/* segfree of more than there is must not free what follows */
static void
wrapfree(void)
{
	int i;

	attach(B, N * PG);
	for (i = 0; i < N; i++)
		WORD(B + i * PG) = i + 1;
	if (segfree(B + 8 * PG, -4 * PG) != -1)
		fail("segfree of %d pages from page 8 on: page 8 is %u, page 15 %u", (1 << 20) - 4, WORD(B + 8 * PG),
			WORD(B + 15 * PG));
}

/* segflush of a part of a page */
static void
partflush(void)
{
	attach(B, N * PG);
	if (segflush(B + 100, 100) == -1)
		syserr("segflush of 100 bytes");
}

/* a range that goes once around all memory is nobody's */
static void
wrapaddr(void)
{
	Waitmsg w;
	int fd, pid, n;
	char buf[4];

	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		fd = open("/env/none", OREAD);
		if (fd < 0 && (fd = create("/env/none", ORDWR, 0666)) < 0)
			syserr("create");
		n = pread(fd, buf, 0x7FFFFFFF, 0);
		fail("a buffer of 2 GB in the stack is good: %d", n);
	}
	if (waitchild(&w) != pid)
		syserr("await");
	if (!contains(w.msg, "sys: bad address"))
		fail("%s", w.msg);
}

/* a segment around another one */
static void
around(void)
{
	attach(B, N * PG);
	if (segattach(0, "memory", B - PG, (N + 2) * PG) != -1)
		fail("a segment of %d pages lies around one of %d", N + 2, N);
}

/* a bss that grows past a segment */
static void
past(void)
{
	attach(B, N * PG);
	if (brk_(B + (N + 1) * PG) != -1)
		fail("the bss goes on behind a segment at %p", B);
}

/* [va, va+len) in two pages, where va begins none */
static void
roundup(void)
{
	attach(B + 0xcb0, 0x400);
	if (segfree(B + PG, PG) == -1)
		fail("0x400 bytes at %p end before %p", B + 0xcb0, B + PG);
}

/* the child of a process whose text a debugger has changed writes to its own text */
static void
text(void)
{
	int pid, fd, child;
	char c;
	Waitmsg w;

	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		sleep(50); /* and is stopped */
		child = rfork(RFPROC);
		if (child == 0) {
			alarm(10);  /* ends it if it faults for ever */
			WORD(UTZERO + PG) = 1;
			exits("wrote");
		}
		if (waitchild(&w) != child)
			syserr("await");
		if (!contains(w.msg, "sys: trap: fault write"))
			fail("a write to the text: %s", w.msg);
		exits(nil);
	}
	if (procwrite(pid, "ctl", "stop") < 0)
		syserr("stop");
	fd = procopen(pid, "mem", ORDWR);
	if (fd < 0 || pread(fd, &c, 1, UTZERO + 0x20) != 1 || pwrite(fd, &c, 1, UTZERO + 0x20) != 1)
		syserr("mem");
	if (procwrite(pid, "ctl", "start") < 0)
		syserr("start");
	waitgood(pid);
}

static const struct {
	const char *name;
	void (*f)(void);
} what[] = {
	{"free", wrapfree}, {"flush", partflush}, {"addr", wrapaddr}, {"around", around},
	{"past", past},     {"round", roundup},   {"text", text},
};

const char *
main(int argc, char **argv)
{
	int i;

	for (i = 0; i < nelem(what); i++)
		if (argc == 2 && strcmp(argv[1], what[i].name) == 0) {
			what[i].f();
			return nil;
		}
	usage("free|flush|addr|around|past|round|text");
}
