/*
 * tcpecho N [CLIENTS]: a server that sends back what it gets, and CLIENTS processes that call it, send N messages of
 * changing length each and check the answers, byte for byte, and that the end of data comes through.
 *
 * tcpecho serve PROG [ARGS]: becomes PROG, while a child takes one call of tcp!*!echo and sends back what it gets.
 */

#include "net.h"

enum { MAX = 20000 };

static uchar buf[MAX], back[MAX];

/* until the end, or until it is hung up: then there is an error */
static void
echo(int fd)
{
	int n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(fd, buf, n) != n)
			syserr("write");
}

static void
serve(const char *dir, int calls)
{
	int i, pid, ctl, fd;

	for (i = 0; i < calls; i++) {
		fd = answer(dir, &ctl);
		if (fd < 0)
			syserr("listen");
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			echo(fd);
			exits(nil);
		}
		close(fd);
		close(ctl);
	}
	for (i = 0; i < calls; i++) {
		Waitmsg w;

		if (waitchild(&w) < 0 || w.msg[0])
			fail("a call: %s", w.msg);
	}
	exits(nil);
}

static void
client(int n, int me)
{
	int i, j, len, ctl, fd = dial("tcp!localhost!echo", &ctl);

	if (fd < 0)
		syserr("dial");
	for (i = 0; i < n; i++) {
		len = 1 + (i * 977 + me * 31) % MAX;
		for (j = 0; j < len; j++)
			buf[j] = i + j + me;
		if (write(fd, buf, len) != len)
			syserr("write");
		if (readn(fd, back, len) != len)
			fail("message %d: the answer ends early", i);
		if (memcmp(buf, back, len) != 0)
			fail("message %d: the answer is another", i);
	}
	if (write(ctl, "hangup", 6) != 6)
		syserr("hangup");
	if (read(fd, buf, 1) != 0)
		fail("data after the hangup");
	if (write(fd, buf, 1) != -1)
		fail("written after the hangup");
	close(fd);
	close(ctl);
	/* once more, with an end that is orderly */
	fd = dial("tcp!localhost!echo", nil);
	if (fd < 0)
		syserr("dial again");
	if (write(fd, "bye", 3) != 3 || readn(fd, back, 3) != 3)
		syserr("bye");
	exits(nil);
}

const char *
main(int argc, char *argv[])
{
	static char path[200];
	char dir[NETPATH];
	int i, pid, ctl, n, clients = argc == 3 ? number(argv[2], 1, 9) : 1;

	if (argc > 2 && strcmp(argv[1], "serve") == 0)
		n = 0;
	else {
		n = argc == 2 || argc == 3 ? number(argv[1], 0, 1000000) : -1;
		if (n < 0 || clients < 0)
			usage("tcpecho N [CLIENTS], or serve PROG [ARGS]");
	}
	ctl = converse("announce", "tcp!*!echo", dir);
	if (ctl < 0)
		syserr("announce");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (argc > 2 && strcmp(argv[1], "serve") == 0) {
		if (pid == 0) {
			i = answer(dir, &n);
			if (i < 0)
				syserr("listen");
			echo(i);
			exits(nil);
		}
		close(ctl);
		exec(program(path, sizeof path, argv[2]), argv + 2);
		syserr(argv[2]);
	}
	if (pid == 0) {
		for (i = 0; i < clients; i++) {
			pid = rfork(RFPROC | RFFDG);
			if (pid < 0)
				syserr("rfork");
			if (pid == 0)
				client(n, i);
		}
		for (i = 0; i < clients; i++) {
			Waitmsg w;

			if (waitchild(&w) < 0 || w.msg[0])
				fail("a client: %s", w.msg);
		}
		exits(nil);
	}
	i = rfork(RFPROC | RFFDG);
	if (i < 0)
		syserr("rfork");
	if (i == 0)
		serve(dir, 2 * clients);
	close(ctl);
	for (n = 0; n < 2; n++) {
		Waitmsg w;

		if (waitchild(&w) < 0 || w.msg[0])
			fail("%s", w.msg);
	}
	return nil;
}
