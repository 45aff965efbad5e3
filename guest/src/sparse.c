/*
 * sparse N: write one page in each of N megabytes, and read them all again. Each has a page table to itself. A kernel
 * that never pages out the last page of a table, as 9front's until its commit d0b1db98b, is stuck where memory is less.
 */

#include "guest.h"

enum { MB = 1 << 20, MAX = 1900 };

const char *
main(int argc, char **argv)
{
	int i, n = argc == 2 ? number(argv[1], 1, MAX) : -1;
	char *a;

	if (n < 0)
		usage("N (megabytes, at most 1900)");
	a = (char *)segattach(0, "memory", nil, n * MB);
	if (a == (char *)-1)
		syserr("segattach");
	for (i = 0; i < n; i++)
		WORD(a + i * MB) = i + 1;
	for (i = 0; i < n; i++)
		if (WORD(a + i * MB) != (uint)i + 1)
			fail("megabyte %d has %u", i, WORD(a + i * MB));
	return nil;
}
