/*
 * pipeflow [CLIENTS [N]]: one server reads requests from a pipe and writes each back; clients write a request and read
 * an answer, N times. Where a request is large, a client whose request was read long ago waits until the pipe is empty
 * enough, and takes no answer: the server waits for it, and all wait for ever. 9front's commit ad9748422 mends that.
 */

#include "guest.h"

enum { SIZE = 0x10000 };

static char buf[SIZE];

const char *
main(int argc, char **argv)
{
	int i, pid, server, fd[2], m;
	int clients = argc > 1 ? number(argv[1], 1, 100) : 4;
	int n = argc > 2 ? number(argv[2], 1, 100000) : 10;
	Waitmsg w;

	if (argc > 3 || clients < 0 || n < 0)
		usage("[CLIENTS [N]]");
	if (pipe(fd) < 0)
		syserr("pipe");
	server = rfork(RFPROC | RFFDG);
	if (server < 0)
		syserr("rfork");
	if (server == 0) {
		close(fd[1]);
		while ((m = read(fd[0], buf, SIZE)) > 0) {
			sleep(10);
			if (write(fd[0], buf, m) != m)
				syserr("server");
		}
		exits(nil);
	}
	close(fd[0]);
	for (i = 0; i < clients; i++) {
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid > 0)
			continue;
		while (n-- > 0)
			if (write(fd[1], buf, SIZE) != SIZE || read(fd[1], buf, SIZE) <= 0)
				syserr("client");
		exits(nil);
	}
	for (i = 0; i < clients; i++)
		if (waitchild(&w) < 0 || w.msg[0] != 0)
			fail("a client ended with: %s", w.msg);
	return nil;
}
