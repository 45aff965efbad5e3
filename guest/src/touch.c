/*
 * touch N: writes N pages of bss, once each, then looks at all of them again.
 *
 * Every first write is a zero-fill fault. The second look finds what was written and zeros around it,
 * even if the pager had the page in between.
 */

#include "guest.h"

enum { MAX = 131072 };

static PAGES(area, MAX);

const char *
main(int argc, char *argv[])
{
	int i, n = argc == 2 ? number(argv[1], 0, MAX) : -1;

	if (n < 0)
		usage("touch N (pages, at most 131072)");
	for (i = 0; i < n; i++)
		WORD(area + i * PG) = i + 1;
	for (i = 0; i < n; i++) {
		if (WORD(area + i * PG) != (uint)i + 1)
			fail("page %d holds 0x%x instead of 0x%x", i, WORD(area + i * PG), i + 1);
		if (WORD(area + i * PG + 4) != 0 || WORD(area + i * PG + PG - 4) != 0)
			fail("page %d was not zero", i);
	}
	return nil;
}
