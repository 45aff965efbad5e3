/*
 * Four workers add up the words of 64 pages. Each notes in each page that it was there.
 *
 * It prints the right sums, and copies 64 pages for each worker. Make it copy no more than 8 in all: the output must
 * stay as it is, and so must the four workers, each a process.
 */
#include "guest.h"

enum { PAGES = 64, WORKERS = 4, WORDS = PG / sizeof(uint) };

typedef struct {
	uint word[WORDS - WORKERS];
	uint seen[WORKERS];
} Page;

static Page page[PAGES] __attribute__((aligned(PG)));

static uint
work(int me)
{
	uint sum = 0;
	int i, j;

	for (i = 0; i < PAGES; i++) {
		for (j = me; j < WORDS - WORKERS; j += WORKERS)
			sum += page[i].word[j];
		page[i].seen[me] = 1;
	}
	for (i = 0; i < PAGES; i++)
		if (!page[i].seen[me])
			fail("worker %d was not at page %d", me, i);
	return sum;
}

const char *
main(void)
{
	int i, j, pid, fd[WORKERS][2];
	Waitmsg w;
	uint sum;

	for (i = 0; i < PAGES; i++)
		for (j = 0; j < WORDS - WORKERS; j++)
			page[i].word[j] = i * 1000 + j;
	for (i = 0; i < WORKERS; i++) {
		if (pipe(fd[i]) < 0)
			syserr("pipe");
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			sum = work(i);
			write(fd[i][1], &sum, sizeof sum);
			exits(nil);
		}
	}
	for (i = 0; i < WORKERS; i++) {
		if (readn(fd[i][0], &sum, sizeof sum) != sizeof sum)
			syserr("read");
		print("worker %d: %u\n", i, sum);
	}
	for (i = 0; i < WORKERS; i++)
		waitchild(&w);
	return nil;
}
