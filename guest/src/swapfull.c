/*
 * swapfull [N]: memory and swap run out. One process grows until it is killed; two others, with N pages each, find
 * all their own pages afterwards.
 *
 * The kernel kills the process that has most pages in memory, with "Killed: Insufficient physical memory".
 */

#include "guest.h"

enum { MAX = 4096, STEP = 256 };

static PAGES(area, MAX);
static const char KILLED[] = "Killed: Insufficient physical memory";
extern char end[];

static int ready[2], go[2];

static NORETURN void
small(int who, int n)
{
	int i, round;
	char c;

	for (i = 0; i < n; i++)
		WORD(area + i * PG) = who << 16 | i;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < n; i++)
			if (WORD(area + i * PG) != (uint)(who << 16 | i))
				fail("small process %d lost page %d", who, i);
		if (round == 0 && (write(ready[1], "r", 1) != 1 || read(go[0], &c, 1) != 1))
			syserr("pipe");
	}
	exits(nil);
}

/* Each page of the bss keeps its number while it grows. */
static NORETURN void
big(void)
{
	char *base = (char *)(((uint)end + PG - 1) & ~(PG - 1));
	int i, n;

	for (n = 0; n < 0x8000000 / STEP; n += STEP) {
		if (brk_(base + (n + STEP) * PG) < 0)
			syserr("brk");
		for (i = n; i < n + STEP; i++)
			WORD(base + i * PG) = i;
		for (i = n & 1023; i < n; i += 1024)
			if (WORD(base + i * PG) != (uint)i)
				fail("page %d of the big process is 0x%x", i, WORD(base + i * PG));
	}
	fail("%d pages and still alive", n);
}

const char *
main(int argc, char *argv[])
{
	int i, pid, bigpid, killed = 0, n = argc > 1 ? number(argv[1], 0, MAX) : 50;
	Waitmsg w;
	char c;

	if (n < 0 || argc > 2)
		usage("swapfull [N] (pages, at most 4096)");
	if (pipe(ready) < 0 || pipe(go) < 0)
		syserr("pipe");
	for (i = 1; i <= 2; i++) {
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0)
			small(i, n);
		if (read(ready[0], &c, 1) != 1)
			syserr("read");
	}
	bigpid = rfork(RFPROC | RFFDG);
	if (bigpid < 0)
		syserr("rfork");
	if (bigpid == 0)
		big();
	for (i = 0; i < 3; i++) {
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.pid == bigpid) {
			if (strlen(w.msg) < strlen(KILLED) || strcmp(w.msg + strlen(w.msg) - strlen(KILLED), KILLED) != 0)
				fail("the big process ended with: %s", w.msg);
			killed = 1;
			if (write(go[1], "gg", 2) != 2)
				syserr("write");
		} else if (w.msg[0] || !killed)
			fail("a small process ended with: %s", w.msg);
	}
	return nil;
}
