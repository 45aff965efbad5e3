/*
 * mhead [N]: one process looks up names below a mount point, N times, while another binds there and unmounts. A kernel
 * that gives a mount head back while a walk still uses it panics; 9front's did until its commit 3af236b5e, and so does
 * this one, under --sched random with the right seed.
 */

#include "guest.h"

enum { MREPL, UNMOUNT = 35 };

int
main(int argc, char **argv)
{
	uchar buf[256];
	int n = argc > 1 ? number(argv[1], 1, 1000000) : 20;
	int i, pid;

	if (argc > 2 || n < 0)
		usage("[N]");
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	for (i = 0; i < n; i++) {
		if (pid == 0)
			stat("/n/../n/.", buf, sizeof buf); /* there, mounted or not */
		else {
			if (bind("/env", "/n", MREPL) < 0)
				syserr("bind");
			if (syscall(UNMOUNT, nil, "/n") < 0)
				syserr("unmount");
		}
	}
	if (pid == 0)
		exits(0);
	waitgood(pid);
	return 0;
}
