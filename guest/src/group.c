/*
 * group: note groups. What is written to notepg reaches every process of the group but the writer, and no other;
 * rfork(RFNOTEG) begins a new group, and a number written to noteid joins one.
 */

#include "guest.h"

enum { NCHILD = 4 };

static Tos *tos;
static int ready; /* a semaphore, shared */
static int pids[NCHILD];
static int counts[NCHILD + 1]; /* notes, of each child and of us */
static int me;

/* a child that counts notes until it is killed, in a group of its own if private is RFNOTEG */
static int
child(int private)
{
	int pid;

	pid = rfork(RFPROC | RFMEM | private);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		for (;;) {
			semrelease(&ready, 1);
			sleep(100000);
		}
	}
	return pid;
}

static void
count(Ureg *u, char *text)
{
	int i;

	(void)u;
	if (strcmp(text, "all") == 0) {
		for (i = 0; i < NCHILD; i++)
			if (pids[i] == (int)tos->pid)
				counts[i]++;
		if (me == (int)tos->pid)
			counts[NCHILD]++;
	}
	noted(NCONT);
}

static void
tell(void)
{
	int i;

	for (i = 0; i <= NCHILD; i++)
		counts[i] = 0;
	if (procwrite(me, "notepg", "all") < 0)
		syserr("notepg");
	for (i = 0; i < NCHILD; i++) /* each that was told starts its sleep again */
		if (tsemacquire(&ready, 200) != 1)
			break;
}

static int
noteid(int pid)
{
	char buf[32], *s;

	if (procread(pid, "noteid", buf, sizeof buf) < 0)
		syserr("noteid");
	for (s = buf; *s == ' '; s++)
		;
	if (strchr(s, ' '))
		*strchr(s, ' ') = 0;
	return number(s, 1, 99999999);
}

static void
expect(int a, int b, int c, int d, int parent, const char *what)
{
	if (counts[0] != a || counts[1] != b || counts[2] != c || counts[3] != d || counts[4] != parent)
		fail("%s: %d %d %d %d, the writer %d", what, counts[0], counts[1], counts[2], counts[3], counts[4]);
}

const char *
main(int argc, char *argv[], Tos *t)
{
	char text[64], err[ERRMAX];
	Waitmsg w;
	int i, fd, own;

	(void)argv;
	if (argc != 1)
		usage("group");
	tos = t;
	me = tos->pid;
	notify(count);
	if (rfork(RFNOTEG) < 0)
		syserr("rfork(RFNOTEG)");
	own = noteid(me);
	for (i = 0; i < NCHILD; i++)
		pids[i] = child(i == 2 ? RFNOTEG : 0);
	for (i = 0; i < NCHILD; i++)
		semacquire(&ready, 1);
	for (i = 0; i < NCHILD; i++)
		if ((noteid(pids[i]) == own) != (i != 2))
			fail("child %d has noteid %d, we %d", i, noteid(pids[i]), own);

	tell();
	expect(1, 1, 0, 1, 0, "three of four");

	/* join by number */
	snprint(text, sizeof text, "%d", own);
	if (procwrite(pids[2], "noteid", text) < 0)
		syserr("noteid");
	tell();
	expect(1, 1, 1, 1, 0, "all four");

	/* leave for a group of its own, whose number is the pid */
	snprint(text, sizeof text, "%d", pids[0]);
	if (procwrite(pids[0], "noteid", text) < 0)
		syserr("noteid");
	tell();
	expect(0, 1, 1, 1, 0, "without the first");

	if (procwrite(pids[0], "noteid", "999999") != -1)
		fail("joined a group that is not there");
	rerrstr(err, sizeof err);
	if (strcmp(err, "bad arg in system call") != 0)
		fail("noteid: %s", err);
	fd = procopen(me, "notepg", ORDWR);
	rerrstr(err, sizeof err);
	snprint(text, sizeof text, "'/proc/%d/notepg' permission denied", me);
	if (fd >= 0 || strcmp(err, text) != 0)
		fail("notepg for reading: %s", err);

	/* the group is the one at the time of the open */
	fd = procopen(me, "notepg", OWRITE);
	if (fd < 0 || rfork(RFNOTEG) < 0)
		syserr("notepg");
	for (i = 0; i <= NCHILD; i++)
		counts[i] = 0;
	if (write(fd, "all", 3) != 3)
		syserr("write");
	for (i = 0; i < 3; i++)
		if (tsemacquire(&ready, 1000) != 1)
			fail("the old group was not reached");
	expect(0, 1, 1, 1, 0, "the group left");
	close(fd);

	for (i = 0; i < NCHILD; i++)
		if (procwrite(pids[i], "ctl", "kill") < 0)
			syserr("kill");
	for (i = 0; i < NCHILD; i++)
		if (waitchild(&w) < 0)
			syserr("await");
	return nil;
}
