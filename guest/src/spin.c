/* spin MS: keeps the processor busy for MS milliseconds of the machine's own time. */

#include "guest.h"

const char *
main(int argc, char *argv[], Tos *tos)
{
	int ms = argc == 2 ? number(argv[1], 0, 1000000) : -1;
	uvlong start, last, now, limit;
	volatile int i;

	if (ms < 0)
		usage("spin MS (milliseconds, at most 1000000)");
	limit = (uvlong)ms * 1000000;
	start = last = cycles();
	do {
		for (i = 0; i < 100; i++)
			;
		now = cycles();
		if (now < last)
			fail("the clock went back");
		last = now;
	} while (nsec(tos, now - start) < limit);
	return nil;
}
