/* pingpong N: two processes exchange N values each way by rendezvous and check every one. */

#include "guest.h"

enum { TAG = 0x1234 };

static void
play(int n, uint mine, uint other)
{
	uint i, got;

	for (i = 0; i < (uint)n; i++) {
		got = rendezvous(TAG, mine + i);
		if (got != other + i)
			fail("round %d: got 0x%x instead of 0x%x", i, got, other + i);
	}
}

const char *
main(int argc, char *argv[])
{
	int pid, n = argc == 2 ? number(argv[1], 0, 10000000) : -1;

	if (n < 0)
		usage("pingpong N (rounds)");
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		play(n, 0x20000000, 0x10000000);
		exits(nil);
	}
	play(n, 0x10000000, 0x20000000);
	waitgood(pid);
	return nil;
}
