/*
 * selfmod: runs code out of memory that changes, and must always run the newest: code written by stores, by
 * read(2) from a pipe and from a file, by a forked child into its own copy, by another process into a
 * shared segment, and code on a page that was freed and used again.
 *
 * The code is a function that returns a number: b8 NUMBER c3, movl $NUMBER,%eax and ret.
 */

#include "guest.h"

enum { CODESIZE = 6, ROUNDS = 20 };

static PAGES(area, 1);
static char tmpfile[] = "#e/selfmod";

static void
assemble(uchar *p, int value)
{
	p[0] = 0xb8;
	memcpy(p + 1, &value, sizeof value);
	p[5] = 0xc3;
}

static void
run(void *code, int want, const char *what)
{
	int got;

	__asm__ volatile("call *%1" : "=a"(got) : "r"(code) : "ecx", "edx", "memory", "cc");
	if (got != want)
		fail("%s: ran the code of %d, not of %d", what, got, want);
}

static void
bystore(uchar *code)
{
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		assemble(code, i);
		run(code, i, "store");
		*(volatile uchar *)(code + 1) = i + 100; /* a single byte inside the instruction */
		run(code, i + 100, "store of a byte");
	}
}

static void
bypipe(uchar *code)
{
	uchar buf[CODESIZE];
	int i, fd[2];

	if (pipe(fd) < 0)
		syserr("pipe");
	for (i = 1000; i < 1000 + ROUNDS; i++) {
		assemble(buf, i);
		if (write(fd[0], buf, CODESIZE) != CODESIZE)
			syserr("write");
		if (read(fd[1], code, CODESIZE) != CODESIZE)
			syserr("read");
		run(code, i, "read from a pipe");
	}
	close(fd[0]);
	close(fd[1]);
}

static void
byfile(uchar *code)
{
	uchar buf[CODESIZE];
	int i, fd;

	fd = create(tmpfile, ORDWR | ORCLOSE, 0600);
	if (fd < 0)
		syserr("create");
	for (i = 2000; i < 2000 + ROUNDS; i++) {
		assemble(buf, i);
		if (pwrite(fd, buf, CODESIZE, 0) != CODESIZE)
			syserr("write");
		if (pread(fd, code, CODESIZE, 0) != CODESIZE)
			syserr("read");
		run(code, i, "read from a file");
	}
	close(fd);
}

static void
byfork(uchar *code)
{
	int pid;

	assemble(code, 3000);
	run(code, 3000, "before fork");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		run(code, 3000, "in the child");
		assemble(code, 3001);
		run(code, 3001, "in the child's copy");
		exits(nil);
	}
	waitgood(pid);
	run(code, 3000, "after the child changed its copy");
}

static void
byother(void)
{
	int i, pid, seg;
	uchar *code;

	seg = segattach(0, "shared", nil, PG);
	if (seg == -1)
		syserr("segattach");
	code = (uchar *)seg;
	for (i = 4000; i < 4000 + ROUNDS; i++) {
		assemble(code, i);
		run(code, i, "in a shared segment");
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			assemble(code, -i);
			exits(nil);
		}
		waitgood(pid);
		run(code, -i, "written by another process");
	}
	if (segdetach(code) < 0)
		syserr("segdetach");
}

/* segfree gives the frame back; what the next page's frame held before must not run */
static void
byreuse(uchar *code)
{
	int i;

	for (i = 5000; i < 5000 + ROUNDS; i++) {
		if (segfree(code, PG) < 0)
			syserr("segfree");
		if (code[0] != 0)
			fail("a freed page was not zero");
		assemble(code, i);
		run(code, i, "on a fresh page");
	}
}

const char *
main(void)
{
	uchar *code = (uchar *)area;

	bystore(code);
	bypipe(code);
	byfile(code);
	byfork(code);
	byother();
	byreuse(code);
	if (segflush(code, PG) < 0)
		syserr("segflush");
	run(code, 5000 + ROUNDS - 1, "after segflush");
	return nil;
}
