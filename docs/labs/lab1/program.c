/* What page faults does this program take, and of which classes? */
#include "guest.h"

enum { WORDS = PG / sizeof(int) };

static volatile int table[4 * WORDS] __attribute__((aligned(PG))) = {1}; /* in the file: four pages */
static volatile char space[6 * PG] __attribute__((aligned(PG)));         /* in no file: six pages */

const char *
main(void)
{
	int i, pid, sum = 0;

	for (i = 0; i < 3; i++)
		sum += table[i * WORDS];
	table[3 * WORDS] = sum;
	for (i = 0; i < 5; i++)
		space[i * PG] = sum;
	for (i = 0; i < 5; i++)
		space[i * PG + 100] = sum;
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		sum = space[0];
		space[PG] = sum;
		space[5 * PG] = sum;
		exits(nil);
	}
	waitgood(pid);
	space[0] = 1;
	return nil;
}
