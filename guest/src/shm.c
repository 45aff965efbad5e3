/*
 * shm N: shares memory in both of Plan 9's ways, N pages of bss by rfork(RFMEM) and N pages of a segment
 * of class "shared"; the child writes both, the parent must see it. The stack stays private all the same,
 * at the same address in both.
 */

#include "guest.h"

enum { MAX = 4096 };

static PAGES(area, MAX);

static void
share(int flags, char *mem, int n, uint key, const char *what)
{
	volatile uint local = key;
	int i, pid;

	for (i = 0; i < n; i++)
		WORD(mem + i * PG) = i;
	pid = rfork(RFPROC | flags);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		for (i = 0; i < n; i++) {
			if (WORD(mem + i * PG) != (uint)i)
				fail("%s: the child reads 0x%x in page %d", what, WORD(mem + i * PG), i);
			WORD(mem + i * PG) = i ^ key;
		}
		local = ~key;
		exits(nil);
	}
	waitgood(pid);
	for (i = 0; i < n; i++)
		if (WORD(mem + i * PG) != (i ^ key))
			fail("%s: the parent reads 0x%x in page %d", what, WORD(mem + i * PG), i);
	if (local != key)
		fail("%s: the child's stack shows in the parent", what);
}

const char *
main(int argc, char *argv[])
{
	int base, n = argc == 2 ? number(argv[1], 1, MAX) : -1;

	if (n < 0)
		usage("shm N (pages, 1 to 4096)");
	share(RFMEM, area, n, 0x5a000000, "RFMEM");
	base = segattach(0, "shared", nil, n * PG);
	if (base == -1)
		syserr("segattach");
	share(0, (char *)base, n, 0xa5000000, "shared segment");
	return nil;
}
