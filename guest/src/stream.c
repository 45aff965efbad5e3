/*
 * stream tcp|pipe SIZE N: sends N writes of SIZE bytes each to a child, which reads SIZE bytes at a time until the
 * end; how many bytes there were, and a sum that depends on their order, must be the same at both ends. Tells both.
 */

#include "net.h"

enum { MAX = 0x10000 };

typedef struct Sum Sum;
struct Sum {
	uvlong n;
	uint a, b;
};

static uint buf[MAX / 4];

/* n bytes more, whole words: their sum, and a hash of them in their order */
static void
add(Sum *s, int n)
{
	const uint *p = buf, *e = buf + n / 4;
	uint a = s->a, b = s->b;

	for (; p < e; p++) {
		a += *p;
		b = (b ^ *p) * 0x01000193;
	}
	s->a = a;
	s->b = b;
	s->n += n;
}

/* all that comes; what a read leaves of a word waits for the next */
static void
receive(int fd, Sum *s, int size)
{
	int n, left = 0;

	while ((n = read(fd, (char *)buf + left, size - left)) > 0) {
		n += left;
		add(s, n & ~3);
		left = n & 3;
		memmove(buf, (char *)buf + n - left, left);
	}
	if (n < 0)
		syserr("read");
	if (left != 0)
		fail("%d bytes are left over", left);
}

static void
child(int fd, int back, int size)
{
	Sum s = {0, 0, 0};

	receive(fd, &s, size);
	if (write(back, &s, sizeof s) != sizeof s)
		syserr("write");
	exits(nil);
}

static void
send(int fd, Sum *s, int size, int n)
{
	int i, j;
	uint w = 1;

	for (i = 0; i < n; i++) {
		for (j = 0; j < size / 4; j++)
			buf[j] = w = w * 1664525 + 1013904223;
		add(s, size);
		if (write(fd, buf, size) != size)
			syserr("write");
	}
}

const char *
main(int argc, char *argv[])
{
	char dir[NETPATH];
	Sum mine = {0, 0, 0}, theirs;
	int pid, fd[2], back[2], ctl = -1, announced = -1;
	int tcp = argc == 4 && strcmp(argv[1], "tcp") == 0;
	int size = argc == 4 ? number(argv[2], 4, MAX) : -1;
	int n = argc == 4 ? number(argv[3], 0, 100000000) : -1;

	if (size < 0 || size % 4 != 0 || n < 0 || (!tcp && strcmp(argv[1], "pipe") != 0))
		usage("stream tcp|pipe SIZE N (SIZE a multiple of 4, up to 65536)");
	if (pipe(back) < 0 || pipe(fd) < 0)
		syserr("pipe");
	if (tcp) {
		announced = converse("announce", "tcp!*!discard", dir);
		if (announced < 0)
			syserr("announce");
	}
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		close(fd[0]);
		if (tcp) {
			fd[1] = answer(dir, &ctl);
			if (fd[1] < 0)
				syserr("listen");
		}
		child(fd[1], back[1], size);
	}
	close(fd[1]);
	if (tcp) {
		fd[0] = dial("tcp!localhost!discard", nil);
		if (fd[0] < 0)
			syserr("dial");
	}
	send(fd[0], &mine, size, n);
	close(fd[0]);
	if (read(back[0], &theirs, sizeof theirs) != sizeof theirs)
		syserr("read");
	waitgood(pid);
	if (mine.n != theirs.n || mine.a != theirs.a || mine.b != theirs.b)
		fail("%d bytes were sent, %d came", (uint)mine.n, (uint)theirs.n);
	print("%d bytes, sum %08x%08x\n", (uint)mine.n, mine.b, mine.a);
	return nil;
}
