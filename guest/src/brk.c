/*
 * brk N: grows the bss by N pages, which must be zero; writes them, shrinks, and grows again: zero again.
 */

#include "guest.h"

extern char end[];

static void
zero(const char *base, int n, const char *when)
{
	int i;

	for (i = 0; i < n; i++)
		if (WORD(base + i * PG) != 0 || WORD(base + i * PG + PG - 4) != 0)
			fail("page %d is not zero after brk %s", i, when);
}

const char *
main(int argc, char *argv[])
{
	int i, n = argc == 2 ? number(argv[1], 0, 65536) : -1;
	char *base = (char *)(((uint)end + PG - 1) & ~(PG - 1));

	if (n < 0)
		usage("brk N (pages, at most 65536)");
	if (brk_(base + n * PG) < 0)
		syserr("brk");
	zero(base, n, "grew");
	for (i = 0; i < n; i++) {
		WORD(base + i * PG) = i + 1;
		WORD(base + i * PG + PG - 4) = ~i;
	}
	for (i = 0; i < n; i++)
		if (WORD(base + i * PG) != (uint)i + 1 || WORD(base + i * PG + PG - 4) != (uint)~i)
			fail("page %d lost what was written to it", i);
	if (brk_(base) < 0)
		syserr("brk, shrinking");
	if (brk_(base + n * PG) < 0)
		syserr("brk, growing again");
	zero(base, n, "shrank and grew");
	return nil;
}
