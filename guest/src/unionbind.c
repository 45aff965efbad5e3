/*
 * unionbind [N]: one process binds a union upon another directory, N times, which copies it; another one makes and
 * undoes the union meanwhile. Before 9front's commit 55c3138c6 it was copied without its lock.
 */

#include "guest.h"

enum { MREPL, MBEFORE, MAFTER, UNMOUNT = 35 };

static void
add(const char *dir)
{
	if (bind(dir, "/n", MAFTER) < 0)
		syserr("bind");
}

const char *
main(int argc, char **argv)
{
	int i, pid, n = argc > 1 ? number(argv[1], 1, 1000000) : 20;

	if (argc > 2 || n < 0)
		usage("[N]");
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	for (i = 0; i < n; i++) {
		if (pid == 0)
			bind("/n", "/tmp", MREPL); /* union or not */
		else {
			add("#e"); /* channels of their own */
			add("#d");
			add("#c");
			if (syscall(UNMOUNT, nil, "/n") < 0)
				syserr("unmount");
		}
	}
	if (pid == 0)
		exits(nil);
	waitgood(pid);
	return nil;
}
