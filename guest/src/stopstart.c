/*
 * stopstart [N]: stop a child and start it again, N times. Who is told that it has stopped must find it stopped. A kernel
 * that says so too early has no child to start, and one that says it to nobody leaves us waiting for ever.
 */

#include "guest.h"

const char *
main(int argc, char **argv)
{
	int i, pid, n = argc > 1 ? number(argv[1], 1, 1000000) : 20;

	if (argc > 2 || n < 0)
		usage("[N]");
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0)
		for (;;)
			sleep(0);
	for (i = 0; i < n; i++) {
		if (procwrite(pid, "ctl", "stop") < 0)
			syserr("stop");
		if (procwrite(pid, "ctl", "start") < 0)
			syserr("start");
	}
	procwrite(pid, "ctl", "kill");
	return nil;
}
