/*
 * thrash [N [ROUNDS]]: N pages of bss, each filled and checksummed, then in each of ROUNDS rounds checked word by
 * word and filled anew.
 *
 * With N beyond memory every page goes to swap and comes back once a round. The words depend on the page and
 * on the round, so a page that is another's, or an old one, is found out.
 */

#include "guest.h"

enum { MAX = 65536, WORDS = PG / sizeof(uint) };

static PAGES(area, MAX);

/* The last word is the sum of all others. */
static void
fill(int page, uint round)
{
	volatile uint *w = (uint *)(area + page * PG);
	uint i, v = page * 2654435761u + round, sum = 0;

	for (i = 0; i < WORDS - 1; i++) {
		w[i] = v;
		sum += v;
		v = v * 1664525 + 1013904223;
	}
	w[i] = sum;
}

static void
check(int page, uint round)
{
	volatile uint *w = (uint *)(area + page * PG);
	uint i, v = page * 2654435761u + round, sum = 0;

	for (i = 0; i < WORDS - 1; i++) {
		if (w[i] != v)
			fail("round %d: word %d of page %d is 0x%x, not 0x%x", round, i, page, w[i], v);
		sum += v;
		v = v * 1664525 + 1013904223;
	}
	if (w[i] != sum)
		fail("round %d: the sum of page %d is 0x%x, not 0x%x", round, page, w[i], sum);
}

const char *
main(int argc, char *argv[])
{
	int i, r, n, rounds;

	n = argc > 1 ? number(argv[1], 0, MAX) : 3000;
	rounds = argc > 2 ? number(argv[2], 0, 1000) : 2;
	if (n < 0 || rounds < 0 || argc > 3)
		usage("thrash [N [ROUNDS]] (pages, at most 65536)");
	for (i = 0; i < n; i++)
		fill(i, 0);
	for (r = 0; r < rounds; r++)
		for (i = 0; i < n; i++) {
			check(i, r);
			fill(i, r + 1);
		}
	return nil;
}
