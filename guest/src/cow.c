/*
 * cow N: dirties N pages of bss and forks; the child writes all of them and exits, then the parent reads
 * all of them and must find its own values.
 *
 * While both live, each of the child's writes copies a page. The parent's reads copy nothing.
 */

#include "guest.h"

enum { MAX = 16384 };

static PAGES(area, MAX);

const char *
main(int argc, char *argv[])
{
	int i, pid, n = argc == 2 ? number(argv[1], 0, MAX) : -1;

	if (n < 0)
		usage("cow N (pages, at most 16384)");
	for (i = 0; i < n; i++)
		WORD(area + i * PG) = i + 1;
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		for (i = 0; i < n; i++)
			WORD(area + i * PG + 4) = ~i;
		for (i = 0; i < n; i++)
			if (WORD(area + i * PG) != (uint)i + 1 || WORD(area + i * PG + 4) != (uint)~i)
				fail("the copy of page %d is not its original", i);
		exits(nil);
	}
	waitgood(pid);
	for (i = 0; i < n; i++)
		if (WORD(area + i * PG) != (uint)i + 1 || WORD(area + i * PG + 4) != 0)
			fail("the child's write to page %d shows in the parent", i);
	return nil;
}
