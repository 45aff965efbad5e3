/*
 * A hundred pages in use all the time, and eight hundred that are looked at now and then, a few at a time.
 */
#include "guest.h"

enum { HOT = 100, COLD = 800, STEP = 10, ROUNDS = 320 };

static volatile char hot[HOT * PG], cold[COLD * PG];

const char *
main(void)
{
	int i, j, round, at = 0, dir = 1;

	for (i = 0; i < COLD; i++)
		cold[i * PG] = 1;
	for (round = 0; round < ROUNDS; round++) {
		for (j = 0; j < 20; j++)
			for (i = 0; i < HOT; i++)
				hot[i * PG]++;
		for (i = 0; i < STEP; i++) { /* up, and down again */
			cold[at * PG]++;
			if (at + dir < 0 || at + dir >= COLD)
				dir = -dir;
			at += dir;
		}
	}
	return nil;
}
