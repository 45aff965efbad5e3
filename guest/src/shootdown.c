/*
 * shootdown [N]: two processes share their memory; N times one gives a page back with segfree while the other keeps
 * reading it. Once segfree has returned the other must find it zero.
 *
 * On several processors both run at once. The reader's processor has the page in its TLB, and segfree has to wait
 * until that forgot it.
 */

#include "guest.h"

static PAGES(victim, 1);
static PAGES(control, 1);

#define FILLED WORD(control)      /* round whose value is in the page */
#define SEEN WORD(control + 4)    /* round that the reader has seen it of */
#define FREED WORD(control + 8)   /* round after whose segfree we are */
#define CHECKED WORD(control + 12)
#define FAILED WORD(control + 16) /* the reader has found something */

enum { SPIN = 4096 };

static void
until(char *word, uint round)
{
	int i;

	for (i = 1; WORD(word) != round && !FAILED; i++)
		if (i % SPIN == 0)
			sleep(0); /* the other may need this processor */
}

static void
expect(uint r, uint want)
{
	uint v = WORD(victim);

	if (v != want) {
		FAILED = 1;
		fail("round %u: the page has 0x%x, not 0x%x", r, v, want);
	}
}

static NORETURN void
reader(uint rounds)
{
	uint r, i;

	for (r = 1; r <= rounds; r++) {
		until(control, r);
		expect(r, 0xf1110000 | r);
		SEEN = r;
		for (i = 1; FREED != r; i++) {
			(void)WORD(victim);
			if (i % SPIN == 0)
				sleep(0);
		}
		expect(r, 0);
		CHECKED = r;
	}
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	int pid, n = argc > 1 ? number(argv[1], 0, 100000) : 10;
	uint r;

	if (n < 0 || argc > 2)
		usage("shootdown [N] (rounds)");
	pid = rfork(RFPROC | RFMEM);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0)
		reader(n);
	for (r = 1; r <= (uint)n && !FAILED; r++) {
		WORD(victim) = 0xf1110000 | r;
		FILLED = r;
		until(control + 4, r);
		if (segfree(victim, PG) < 0)
			syserr("segfree");
		FREED = r;
		until(control + 12, r);
	}
	waitgood(pid);
	return nil;
}
