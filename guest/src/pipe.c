/*
 * pipe N: sends N messages of changing length through a pipe to a child, which must read each as one
 * piece, byte for byte, answers with its length, and sees end of file when the parent closes its end.
 */

#include "guest.h"

enum { MAX = 3000 };

static uchar buf[MAX];

static int
length(int i)
{
	return 1 + i * 37 % MAX;
}

static void
child(int fd, int n)
{
	int i, j, got;

	for (i = 0; i < n; i++) {
		got = read(fd, buf, sizeof buf);
		if (got != length(i))
			fail("message %d: read %d bytes of %d", i, got, length(i));
		for (j = 0; j < got; j++)
			if (buf[j] != (uchar)(i + j))
				fail("message %d: byte %d is 0x%x", i, j, buf[j]);
		if (write(fd, &got, sizeof got) != sizeof got)
			syserr("write");
	}
	got = read(fd, buf, sizeof buf);
	if (got != 0)
		fail("read %d bytes at end of file", got);
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	int i, j, pid, got, fd[2], n = argc == 2 ? number(argv[1], 0, 10000000) : -1;

	if (n < 0)
		usage("pipe N (messages)");
	if (pipe(fd) < 0)
		syserr("pipe");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		close(fd[0]);
		child(fd[1], n);
	}
	close(fd[1]);
	for (i = 0; i < n; i++) {
		for (j = 0; j < length(i); j++)
			buf[j] = i + j;
		if (write(fd[0], buf, length(i)) != length(i))
			syserr("write");
		if (read(fd[0], &got, sizeof got) != sizeof got)
			syserr("read");
		if (got != length(i))
			fail("message %d: the child answers %d", i, got);
	}
	close(fd[0]);
	waitgood(pid);
	return nil;
}
