/*
 * pressure [N [PROCS [ROUNDS]]]: PROCS processes at once; each keeps N pages, written and checked in every round.
 *
 * The pages below SHARED are written before the forks, so the processes share them until each writes its
 * own. With N beyond memory all of them page each other out.
 */

#include "guest.h"

enum { MAX = 16384, MAXPROCS = 64, SHARED = 32 };

static PAGES(area, MAX);

static uint
value(int who, int page, int round)
{
	return who << 24 ^ round << 16 ^ page * 40503;
}

static void
set(int who, int page, int round)
{
	WORD(area + page * PG) = value(who, page, round);
	WORD(area + page * PG + PG - 4) = ~value(who, page, round);
}

static void
check(int who, int page, int round)
{
	uint v = value(who, page, round), a = WORD(area + page * PG), z = WORD(area + page * PG + PG - 4);

	if (a != v || z != ~v)
		fail("process %d, round %d: page %d has 0x%x and 0x%x, not 0x%x", who, round, page, a, z, v);
}

static void
work(int who, int n, int rounds)
{
	int i, r;

	for (i = 0; i < n; i++) {
		if (i < SHARED)
			check(0, i, 0);
		set(who, i, 0);
	}
	for (r = 0; r < rounds; r++)
		for (i = 0; i < n; i++) {
			check(who, i, r);
			set(who, i, r + 1);
		}
	for (i = 0; i < n; i++)
		check(who, i, rounds);
}

const char *
main(int argc, char *argv[])
{
	int i, pid, n, procs, rounds;
	Waitmsg w;

	n = argc > 1 ? number(argv[1], 0, MAX) : 1200;
	procs = argc > 2 ? number(argv[2], 1, MAXPROCS) : 3;
	rounds = argc > 3 ? number(argv[3], 0, 255) : 2;
	if (n < 0 || procs < 0 || rounds < 0 || argc > 4)
		usage("pressure [N [PROCS [ROUNDS]]] (pages, at most 16384)");
	for (i = 0; i < SHARED && i < n; i++)
		set(0, i, 0);
	for (i = 1; i <= procs; i++) {
		pid = rfork(RFPROC);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			work(i, n, rounds);
			exits(nil);
		}
	}
	for (i = 0; i < procs; i++) {
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.msg[0])
			fail("%s", w.msg);
	}
	for (i = 0; i < SHARED && i < n; i++)
		check(0, i, 0);
	return nil;
}
