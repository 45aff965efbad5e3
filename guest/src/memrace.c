/*
 * memrace shrink|text|slot [N]: a process reads or writes the memory of another one, N times, which gives it up
 * meanwhile. 9front's devproc took years to get that right: commits 655ec332a (shrink, text) and 12fa017f3 (slot).
 *
 * shrink: the other frees the pages of a segment and fills them again.
 * text: one reads the text of a stopped process, another writes there, which makes it the process's own.
 * slot: the other ends, and one more takes its slot in the table: its memory must not be seen by the old name.
 */

#include "guest.h"

static PAGES(area, 4);

static int
start(void)
{
	int pid = rfork(RFPROC | RFFDG);

	if (pid < 0)
		syserr("rfork");
	return pid;
}

static void
finish(int pid)
{
	Waitmsg w;

	procwrite(pid, "ctl", "kill");
	if (waitchild(&w) < 0)
		syserr("await");
}

static void
shrink(int n)
{
	int i, pid, fd;
	uint word;

	pid = start();
	if (pid == 0)
		for (;;) {
			for (i = 0; i < 4; i++)
				WORD(area + i * PG) = 1;
			segfree(area, 4 * PG);
		}
	fd = procopen(pid, "mem", OREAD);
	if (fd < 0)
		syserr("mem");
	for (i = 0; i < n; i++)
		pread(fd, &word, 4, (uint)(area + i % 4 * PG)); /* may fail: the page is gone */
	finish(pid);
}

static void
text(int n)
{
	static char *const argv[] = {"spin", "100000", nil};
	int i, pid, reader, fd;
	uint word;
	char err[ERRMAX];
	Waitmsg w;

	for (i = 0; i < n; i++) {
		pid = start();
		if (pid == 0) {
			exec("/bin/spin", argv);
			syserr("exec");
		}
		sleep(10);
		if (procwrite(pid, "ctl", "stop") < 0)
			syserr("stop");
		fd = procopen(pid, "mem", ORDWR);
		if (fd < 0)
			syserr("mem");
		reader = start();
		if (reader == 0) {
			while (pread(fd, &word, 4, UTZERO + 0x20) != 4) {
				rerrstr(err, sizeof err);
				if (strcmp(err, "the front fell off") != 0) /* look again: the segment is another */
					fail("read while another writes: %s", err);
			}
			exits(nil);
		}
		while (pwrite(fd, "", 1, UTZERO + 0x40) != 1) {
			rerrstr(err, sizeof err);
			if (strcmp(err, "bad process or channel control request") != 0) /* it is about to be stopped */
				fail("write while another reads: %s", err);
		}
		close(fd);
		waitgood(reader);
		procwrite(pid, "ctl", "kill");
		if (waitchild(&w) < 0)
			syserr("await");
	}
}

static void
slot(int n)
{
	int i, pid, next, fd;
	uint word;
	Waitmsg w;

	for (i = 0; i < n; i++) {
		WORD(area) = 1;
		pid = start();
		if (pid == 0)
			for (;;)
				sleep(0);
		fd = procopen(pid, "mem", OREAD);
		if (fd < 0)
			syserr("mem");
		next = start();
		if (next == 0) {
			WORD(area) = 2;
			procwrite(pid, "ctl", "kill");
			sleep(0);
			pid = rfork(RFPROC | RFNOWAIT); /* in the slot that is free now */
			sleep(1);
			exits(nil);
		}
		while (pread(fd, &word, 4, (uint)area) == 4)
			if (word != 1)
				fail("memory of a process that is gone has %d", word);
		close(fd);
		if (waitchild(&w) < 0 || waitchild(&w) < 0)
			syserr("await");
	}
}

const char *
main(int argc, char **argv)
{
	int n = argc == 3 ? number(argv[2], 1, 1000000) : 20;

	if (n > 0 && argc >= 2 && strcmp(argv[1], "shrink") == 0)
		shrink(n);
	else if (n > 0 && argc >= 2 && strcmp(argv[1], "text") == 0)
		text(n);
	else if (n > 0 && argc >= 2 && strcmp(argv[1], "slot") == 0)
		slot(n);
	else
		usage("shrink|text|slot [N]");
	return nil;
}
