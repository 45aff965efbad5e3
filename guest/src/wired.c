/*
 * wired [N]: two processes, each wired to a processor of its own, wake each other N times by a pipe. Trace it: a kernel
 * before 9front's commit 7cf6a3548 runs who was just woken on the processor of who woke it, wired or not.
 *
 *	p9emu trace -e sched --cpus 2 wired
 */

#include "guest.h"

const char *
main(int argc, char **argv)
{
	int i, pid, to[2], from[2], n = argc > 1 ? number(argv[1], 1, 1000000) : 20;
	char c = 0;

	if (argc > 2 || n < 0)
		usage("[N]");
	if (pipe(to) < 0 || pipe(from) < 0)
		syserr("pipe");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		for (i = 0; i < n; i++)
			if (read(to[0], &c, 1) != 1 || write(from[1], &c, 1) != 1)
				syserr("child");
		exits(nil);
	}
	if (procwrite(pid, "ctl", "wired 1") < 0)
		syserr("wired 1");
	for (i = 0; i < n; i++)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			syserr("parent");
	waitgood(pid);
	return nil;
}
