/*
 * segs: the system calls on segments: segattach at a chosen and at a free place, overlaps refused with
 * their error text, segfree gives zero pages back, segflush, segbrk, segdetach.
 */

#include "guest.h"

enum { N = 16 };

static void
refused(int r, const char *call, const char *text)
{
	char err[ERRMAX];

	if (r != -1)
		fail("%s was not refused", call);
	rerrstr(err, sizeof err);
	if (strcmp(err, text) != 0)
		fail("%s: error %s", call, err);
}

static void
good(int r, const char *call)
{
	if (r == -1)
		syserr(call);
}

static void
fill(char *seg, int n)
{
	int i;

	for (i = 0; i < n; i++)
		WORD(seg + i * PG) = i + 1;
}

static void
check(char *seg, int from, int to, int zero, const char *when)
{
	int i;

	for (i = from; i < to; i++)
		if (WORD(seg + i * PG) != (zero ? 0 : (uint)i + 1))
			fail("page %d is 0x%x after %s", i, WORD(seg + i * PG), when);
}

const char *
main(void)
{
	char *a, *b = (char *)0x40000000;
	int r;

	/* below the stack is the first free place */
	r = segattach(0, "shared", nil, N * PG);
	good(r, "segattach");
	a = (char *)r;
	if (a != (char *)(USTKBASE - N * PG))
		fail("segattach chose %p", a);
	check(a, 0, N, 1, "segattach");
	fill(a, N);

	if (segattach(0, "memory", b, N * PG) != (int)b)
		syserr("segattach at a chosen place");
	check(b, 0, N, 1, "segattach at a chosen place");
	fill(b, N);
	check(a, 0, N, 0, "the second segattach");

	refused(segattach(0, "shared", a, PG), "segattach inside a segment", "segments overlap");
	refused(segattach(0, "shared", b - PG, 2 * PG), "segattach across a segment's base", "segments overlap");
	refused(segattach(0, "shared", b + (N - 1) * PG, 2 * PG), "segattach across a segment's top", "segments overlap");
	refused(segattach(0, "shared", (void *)UTZERO, PG), "segattach on the text", "segments overlap");
	refused(segattach(0, "shared", (void *)(USTKTOP - PG), PG), "segattach on the stack", "segments overlap");
	refused(segattach(0, "shared", nil, 0), "segattach of nothing", "bad arg in system call");
	refused(segattach(0, "shared", (void *)USTKTOP, PG), "segattach above the stack", "bad arg in system call");
	refused(segattach(0, "nosuch", nil, PG), "segattach of an unknown class", "bad arg in system call");

	good(segfree(b + 4 * PG, 8 * PG), "segfree");
	check(b, 0, 4, 0, "segfree of others");
	check(b, 4, 12, 1, "segfree");
	check(b, 12, N, 0, "segfree of others");
	refused(segfree(b + 8 * PG, N * PG), "segfree past the top", "bad arg in system call");
	refused(segfree((void *)0x30000000, PG), "segfree of nothing", "bad arg in system call");

	good(segflush(b, N * PG), "segflush");
	check(b, 0, 4, 0, "segflush");
	refused(segflush((void *)0x30000000, PG), "segflush of nothing", "bad arg in system call");

	good(segbrk(b, b + 2 * N * PG), "segbrk");
	check(b, N, 2 * N, 1, "segbrk");
	refused(segbrk((void *)UTZERO, b), "segbrk of the text", "bad arg in system call");

	good(segdetach(b), "segdetach");
	refused(segdetach(b), "segdetach of what is gone", "bad arg in system call");
	refused(segdetach((void *)(USTKTOP - PG)), "segdetach of the stack", "bad arg in system call");
	if (segattach(0, "memory", b, N * PG) != (int)b)
		syserr("segattach again");
	check(b, 0, N, 1, "segattach again");
	check(a, 0, N, 0, "all of it");
	return nil;
}
