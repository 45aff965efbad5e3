/*
 * stack N: goes N pages down the stack, one per call, and checks each on the way up.
 *
 * Every call is one zero-fill fault on the stack segment.
 */

#include "guest.h"

enum { MAX = 4000 };

/* stack.S: calls itself n times with a frame of exactly a page; returns the number of frames found intact */
int descend(int n);

const char *
main(int argc, char *argv[])
{
	int got, n = argc == 2 ? number(argv[1], 0, MAX) : -1;

	if (n < 0)
		usage("stack N (pages, at most 4000)");
	got = descend(n);
	if (got != n)
		fail("%d of %d stack frames intact", got, n);
	return nil;
}
