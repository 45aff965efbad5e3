/*
 * forkbomb N: forks N children that all live at once, then lets them go one by one and awaits each.
 *
 * A child reports that it runs, waits for its turn, and checks that it still has its own number and the
 * memory of the moment it was forked. (One by one, because the kernel keeps at most 128 wait records.)
 */

#include "guest.h"

static int forked;

static void
child(int number, int ready, int turn)
{
	char c;

	if (write(ready, "r", 1) != 1)
		syserr("write");
	if (read(turn, &c, 1) != 1)
		syserr("read");
	if (forked != number)
		fail("child %d sees %d forks", number, forked);
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	int i, pid, ready[2], turn[2], n = argc == 2 ? number(argv[1], 0, 100000) : -1;
	Waitmsg w;
	char c;

	if (n < 0)
		usage("forkbomb N (children)");
	if (pipe(ready) < 0 || pipe(turn) < 0)
		syserr("pipe");
	for (i = 0; i < n; i++) {
		forked = i;
		pid = rfork(RFPROC);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0)
			child(i, ready[1], turn[1]);
	}
	for (i = 0; i < n; i++)
		if (read(ready[0], &c, 1) != 1)
			syserr("read");
	for (i = 0; i < n; i++) {
		if (write(turn[0], "t", 1) != 1)
			syserr("write");
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.msg[0])
			fail("child: %s", w.msg);
	}
	if (waitchild(&w) >= 0)
		fail("process %d was never forked", w.pid);
	return nil;
}
