/*
 * stopwait [N]: N times a process ends while a second one waits for it to stop, and a third one interrupts that. The
 * kernel of 2014 let the second forget about it at a moment when the first was about to wake it, and then followed a
 * nil pointer; 9front's commit a0e001a23 mends that.
 */

#include "guest.h"

const char *
main(int argc, char **argv)
{
	int i, j, target, waiter, n = argc > 1 ? number(argv[1], 1, 100000) : 20;
	volatile int k;
	Waitmsg w;

	if (argc > 2 || n < 0)
		usage("[N]");
	for (i = 0; i < n; i++) {
		target = rfork(RFPROC);
		if (target < 0)
			syserr("rfork");
		if (target == 0) {
			sleep(0);
			for (k = 0; k < 200; k++)
				;
			exits(nil);
		}
		waiter = rfork(RFPROC);
		if (waiter < 0)
			syserr("rfork");
		if (waiter == 0) {
			procwrite(target, "ctl", "waitstop");
			exits(nil);
		}
		sleep(0);
		procwrite(waiter, "note", "interrupt"); /* too late if it is gone */
		for (j = 0; j < 2; j++)
			if (waitchild(&w) < 0)
				syserr("await");
	}
	return nil;
}
