/*
 * agewalk [N [HOT]]: writes N cold pages once each, and HOT pages again and again meanwhile; then tells by the time
 * a read takes which of them are in memory.
 *
 * The pager takes a page that no fault has marked for 16 of its rounds. Hot pages are marked in between, so
 * they stay while cold ones go: of the hot at most one in ten may be out, and no larger a part than of the oldest
 * half of the cold. A read from swap waits for the device; everything else is much faster.
 */

#include "guest.h"

enum { MAX = 16384, SLOW = 80000 /* ns */ };

static PAGES(hotarea, 256);
static PAGES(area, MAX);

static int
slow(const Tos *tos, char *page, uint want)
{
	uvlong t = cycles();
	uint got = WORD(page);

	t = nsec(tos, cycles() - t);
	if (got != want)
		fail("a page has 0x%x, not 0x%x", got, want);
	return t > SLOW;
}

const char *
main(int argc, char *argv[], Tos *tos)
{
	int i, j, n, hot, hotout = 0, coldout = 0;

	n = argc > 1 ? number(argv[1], 0, MAX) : 1200;
	hot = argc > 2 ? number(argv[2], 0, 256) : 60;
	if (n < 0 || hot < 0 || argc > 3)
		usage("agewalk [N [HOT]] (pages, at most 16384 and 256)");
	for (j = 0; j < hot; j++)
		WORD(hotarea + j * PG) = ~j;
	for (i = 0; i < n; i++) {
		WORD(area + i * PG) = i;
		if (i % 8 == 0)
			for (j = 0; j < hot; j++)
				if (WORD(hotarea + j * PG) != (uint)~j)
					fail("hot page %d changed", j);
	}
	for (j = 0; j < hot; j++)
		hotout += slow(tos, hotarea + j * PG, ~j);
	for (i = 0; i < n / 2; i++)
		coldout += slow(tos, area + i * PG, i);
	print("out: %d of %d hot, %d of %d cold pages\n", hotout, hot, coldout, n / 2);
	if (hotout > hot / 10)
		fail("%d of %d hot pages were paged out", hotout, hot);
	if (hotout * (n / 2) > coldout * hot)
		fail("hot pages were paged out, and cold ones stayed");
	return nil;
}
