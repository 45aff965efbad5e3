/*
 * textpressure [N [ROUNDS]]: large programs in turn: N pages of code of its own, then "text N" and "read N" as
 * children, ROUNDS times.
 *
 * Memory fills with cached pages of three files. When it is short they are dropped and loaded again, those of
 * the code that runs as well as those nobody has. Page i of the code is a function that returns ~i.
 */

#include "guest.h"

enum { MAX = 256 };

extern char presspages[MAX][PG];

static void
own(int n)
{
	int i, got;

	for (i = 0; i < n; i++) {
		got = ((int (*)(void))presspages[i])();
		if (got != ~i)
			fail("code page %d returned %d", i, got);
	}
}

/* Start /bin/name n; its pid. */
static int
start(char *name, char *n)
{
	char file[32], *args[3];
	int pid = rfork(RFPROC);

	if (pid < 0)
		syserr("rfork");
	if (pid > 0)
		return pid;
	snprint(file, sizeof file, "/bin/%s", name);
	args[0] = name;
	args[1] = n;
	args[2] = nil;
	exec(file, args);
	syserr("exec");
}

const char *
main(int argc, char *argv[])
{
	int r, n, rounds;
	char arg[16];
	Waitmsg w;

	n = argc > 1 ? number(argv[1], 0, MAX) : 240;
	rounds = argc > 2 ? number(argv[2], 0, 1000) : 4;
	if (n < 0 || rounds < 0 || argc > 3)
		usage("textpressure [N [ROUNDS]] (pages, at most 256)");
	snprint(arg, sizeof arg, "%d", n);
	for (r = 0; r < rounds; r++) {
		own(n);
		waitgood(start("text", arg));
		own(n);
		waitgood(start("read", arg));
		/* and both at once */
		start("read", arg);
		start("text", arg);
		own(n);
		while (waitchild(&w) >= 0)
			if (w.msg[0])
				fail("%s", w.msg);
	}
	return nil;
}
