/*
 * udpecho N: sends N datagrams to a child that hears them with headers, and checks each answer: one write is one
 * read, and what did not fit is gone.
 */

#include "net.h"

enum { HDR = 52, MAX = 4000 };

static uchar buf[HDR + MAX], back[MAX];

static void
server(int fd, int n)
{
	int got;

	for (; n > 0; n--) {
		got = read(fd, buf, sizeof buf);
		if (got < HDR)
			fail("a datagram of %d bytes", got);
		if (write(fd, buf, got) != got)
			syserr("answer");
	}
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	char dir[NETPATH];
	int i, j, len, pid, ctl, fd, n = argc == 2 ? number(argv[1], 0, 1000000) : -1;

	if (n < 0)
		usage("udpecho N (datagrams)");
	ctl = converse("announce", "udp!*!echo", dir);
	if (ctl < 0)
		syserr("announce");
	if (write(ctl, "headers", 7) != 7)
		syserr("headers");
	fd = netfile(dir, "data", ORDWR);
	if (fd < 0)
		syserr("data");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0)
		server(fd, n + 1);
	fd = dial("udp!localhost!echo", nil);
	if (fd < 0)
		syserr("dial");
	for (i = 0; i < n; i++) {
		len = i * 37 % MAX;
		for (j = 0; j < len; j++)
			buf[j] = i + j;
		if (write(fd, buf, len) != len)
			syserr("write");
		j = read(fd, back, sizeof back);
		if (j != len || memcmp(buf, back, len) != 0)
			fail("datagram %d: %d bytes of %d came back", i, j, len);
	}
	if (write(fd, "cut off", 7) != 7 || read(fd, back, 3) != 3 || memcmp(back, "cut", 3) != 0)
		syserr("the last");
	waitgood(pid);
	close(ctl);
	return nil;
}
