/*
 * read N: reads N pages of initialized data and checks every word of them.
 *
 * Each page is loaded from the program's file at its first read, and never copied, for nothing writes it.
 * The pages are in read.S: word j of page i is 0x52000000 + 1024*i + j.
 */

#include "guest.h"

enum { MAX = 256 };

extern const uint datapages[MAX][PG / 4];

const char *
main(int argc, char *argv[])
{
	int i, j, n = argc == 2 ? number(argv[1], 0, MAX) : -1;
	const volatile uint *page;

	if (n < 0)
		usage("read N (pages, at most 256)");
	for (i = 0; i < n; i++) {
		page = datapages[i];
		for (j = 0; j < PG / 4; j++)
			if (page[j] != 0x52000000u + PG / 4 * i + j)
				fail("word %d of page %d is 0x%x", j, i, page[j]);
	}
	return nil;
}
