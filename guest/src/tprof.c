/*
 * tprof [CPU]: profile a child that computes on one processor, the last one if not told: its time must be counted. Up
 * to 9front's commit d15aca053 only what ran on processor 0 was.
 */

#include "guest.h"

static uint counts[1024];

const char *
main(int argc, char **argv)
{
	int cpu = argc > 1 ? number(argv[1], 0, 7) : 1;
	volatile int i;
	int fd, pid, n;
	char msg[16];
	uint all = 0;

	if (argc > 2 || cpu < 0)
		usage("[CPU]");
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		sleep(10);
		for (;;)
			for (i = 0; i < 1000; i++)
				;
	}
	snprint(msg, sizeof msg, "wired %d", cpu);
	if (procwrite(pid, "ctl", msg) < 0 || procwrite(pid, "ctl", "profile") < 0)
		syserr("ctl");
	sleep(300);
	fd = procopen(pid, "profile", OREAD);
	if (fd < 0 || (n = read(fd, counts, sizeof counts)) < 0)
		syserr("profile");
	if (procwrite(pid, "ctl", "kill") < 0)
		syserr("kill");
	for (n = n / 4 - 1; n > 0; n--)
		all += counts[n];
	if (all < 50)
		fail("%d ms counted of 290", all);
	return nil;
}
