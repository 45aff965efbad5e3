/*
 * swapfork [N]: dirties N pages, so many that some are on swap, and forks twice; all three check every page and
 * write their own values.
 *
 * The children share the parent's swap slots until they bring the pages in. A slot freed too soon, or given out
 * twice, is another process's page.
 */

#include "guest.h"

enum { MAX = 16384, WORDS = PG / sizeof(uint) };

static PAGES(area, MAX);

static uint
value(int who, int page, int word)
{
	return (who * 0x01010101) ^ (page * 2654435761u) ^ (word * 40503);
}

static void
set(int who, int page)
{
	volatile uint *w = (uint *)(area + page * PG);
	int i;

	for (i = 0; i < WORDS; i += 31)
		w[i] = value(who, page, i);
}

static void
check(int who, int page)
{
	volatile uint *w = (uint *)(area + page * PG);
	int i;

	for (i = 0; i < WORDS; i += 31)
		if (w[i] != value(who, page, i))
			fail("word %d of page %d is 0x%x, not process %d's", i, page, w[i], who);
}

static int
child(int who, int n)
{
	int i, pid = rfork(RFPROC);

	if (pid < 0)
		syserr("rfork");
	if (pid > 0)
		return pid;
	for (i = who & 1; i < n; i += 2) {
		check(0, i);
		set(who, i);
	}
	for (i = 0; i < n; i++)
		check((i & 1) == (who & 1) ? who : 0, i);
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	int i, n = argc > 1 ? number(argv[1], 0, MAX) : 1500;
	Waitmsg w;

	if (n < 0 || argc > 2)
		usage("swapfork [N] (pages, at most 16384)");
	for (i = 0; i < n; i++)
		set(0, i);
	child(1, n);
	child(2, n);
	for (i = 0; i < n; i += 3) {
		check(0, i);
		set(3, i);
	}
	while (waitchild(&w) >= 0)
		if (w.msg[0])
			fail("%s", w.msg);
	for (i = 0; i < n; i++)
		check(i % 3 == 0 ? 3 : 0, i);
	return nil;
}
