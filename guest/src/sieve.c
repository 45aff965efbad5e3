/*
 * sieve N [TIMES]: counts the primes up to N with Eratosthenes' sieve, in memory from brk, and checks the counts
 * at powers of ten; TIMES over, if more than once is asked for.
 */

#include "guest.h"

extern char end[];

static const int known[] = {0, 4, 25, 168, 1229, 9592, 78498, 664579, 5761455};

#define composite end

static int
count(int n)
{
	int i, j, count = 0, power = 0, ten = 1;

	for (i = 1; i <= n; i++) {
		if (i > 1 && !composite[i]) {
			count++;
			if (i <= n / i)
				for (j = i * i; j <= n; j += i)
					composite[j] = 1;
		}
		if (i == ten) {
			if (count != known[power])
				fail("counted %d primes up to %d instead of %d", count, ten, known[power]);
			power++;
			ten *= 10;
		}
	}
	return count;
}

const char *
main(int argc, char *argv[])
{
	int n = argc == 2 || argc == 3 ? number(argv[1], 1, 99999999) : -1;
	int times = argc == 3 ? number(argv[2], 1, 1000) : 1;

	if (n < 0 || times < 0)
		usage("sieve N (1 to 99999999) [TIMES]");
	if (brk_(end + n + 1) < 0)
		syserr("brk");
	while (--times > 0) {
		count(n);
		memset(composite, 0, n + 1);
	}
	print("%d primes up to %d\n", count(n), n);
	return nil;
}
