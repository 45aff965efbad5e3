/*
 * sema N: four processes sharing memory add 1 to a counter N times each, a semaphore keeping them apart.
 *
 * The counter is read and written back in two steps with a chance to be preempted between them, so that
 * a semaphore that lets two in at once loses counts.
 */

#include "guest.h"

enum { NPROC = 4 };

static int mutex, done;
static volatile int counter, inside;

static void
work(int n)
{
	int i, c;

	for (i = 0; i < n; i++) {
		if (semacquire(&mutex, 1) != 1)
			syserr("semacquire");
		if (++inside != 1)
			fail("%d processes inside at once", inside);
		c = counter;
		if (i % 16 == 0)
			sleep(0);
		counter = c + 1;
		inside--;
		if (semrelease(&mutex, 1) < 1)
			syserr("semrelease");
	}
}

const char *
main(int argc, char *argv[])
{
	int i, pid, n = argc == 2 ? number(argv[1], 0, 1000000) : -1;
	Waitmsg w;

	if (n < 0)
		usage("sema N (rounds)");
	for (i = 0; i < NPROC; i++) {
		pid = rfork(RFPROC | RFMEM);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			work(n);
			semrelease(&done, 1);
			exits(nil);
		}
	}
	semrelease(&mutex, 1);
	for (i = 0; i < NPROC; i++) {
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.msg[0])
			fail("child: %s", w.msg);
	}
	for (i = 0; i < NPROC; i++)
		if (semacquire(&done, 0) != 1)
			fail("%d of %d processes finished", i, NPROC);
	if (counter != NPROC * n)
		fail("counted %d instead of %d", counter, NPROC * n);
	if (semacquire(&mutex, 0) != 1 || semacquire(&mutex, 0) != 0)
		fail("the semaphore does not end at 1");
	return nil;
}
