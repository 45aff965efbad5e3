/*
 * killbig shared|broken [N]: memory runs out, and the kernel must kill a process.
 *
 * shared: the biggest has a segment in common with another, which must find its data there afterwards. It did not
 * before 9front's commit 82a797da7.
 * broken: a process that died of a fault is kept for a debugger, with its memory. That goes first, and nobody need be
 * killed; before commit 76f21ca71 somebody was.
 */

#include "guest.h"

enum { MAX = 4096 };

static PAGES(area, MAX);

static void
fill(int n)
{
	int i;

	for (i = 0; i < n; i++)
		WORD(area + i * PG) = i + 1;
}

static void
shared(void)
{
	char *a;
	int i, pid;
	Waitmsg w;

	a = (char *)segattach(0, "shared", nil, 10 * PG);
	if (a == (char *)-1)
		syserr("segattach");
	for (i = 0; i < 10; i++)
		WORD(a + i * PG) = i + 1;
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		fill(MAX);
		fail("there was memory enough");
	}
	if (waitchild(&w) != pid)
		syserr("await");
	if (w.msg[0] == 0 || strchr(w.msg, 'K') == nil) /* Killed: Insufficient physical memory */
		fail("it was not killed: %s", w.msg);
	for (i = 0; i < 10; i++)
		if (WORD(a + i * PG) != (uint)i + 1)
			fail("page %d of the shared segment is lost", i);
}

static void
broken(int n)
{
	int pid;

	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		fill(n);
		*(volatile int *)0 = 1;
	}
	if (!procstate(pid, "Broken"))
		fail("it is not kept");
	fill(n + n / 2); /* too much beside the broken one, not without */
}

const char *
main(int argc, char **argv)
{
	int n = argc == 3 ? number(argv[2], 1, MAX / 2) : 150;

	if (n > 0 && argc == 2 && strcmp(argv[1], "shared") == 0)
		shared();
	else if (n > 0 && argc >= 2 && argc <= 3 && strcmp(argv[1], "broken") == 0)
		broken(n);
	else
		usage("shared|broken [N]");
	return nil;
}
