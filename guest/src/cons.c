/*
 * cons HOW [ARGS]: a process and its console, and a process that uses much.
 *
 * relay: standard input through a pipe and a second process to standard output.
 * both: one process reads a line of standard input, the other computes until that has come.
 * ticks: one process reads a line, the other sleeps and tells three times that it has.
 * raw [die|spin|wait]: raw mode: tells the value of each byte as it comes. q ends raw mode, then a line is echoed; or
 * with q it dies, computes, or waits for nothing, with raw mode on.
 * churn N: N times a file opened, a pipe made, a child forked that becomes true, all of it given back.
 * hog N PROG ARGS: become PROG while a child has N pages, all written.
 */

#include "guest.h"

static char buf[8192];
static volatile int done;

static const char *
relay(void)
{
	int pid, n, fd[2];

	if (pipe(fd) < 0)
		syserr("pipe");
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		close(fd[0]);
		while ((n = read(fd[1], buf, sizeof buf)) > 0)
			if (write(1, buf, n) != n)
				syserr("write");
		exits(n < 0 ? "read" : nil);
	}
	close(fd[1]);
	while ((n = read(0, buf, sizeof buf)) > 0)
		if (write(fd[0], buf, n) != n)
			syserr("pipe");
	if (n < 0)
		syserr("read");
	close(fd[0]);
	waitgood(pid);
	return nil;
}

static const char *
reader(int ticks)
{
	int i, n, pid = rfork(RFPROC | RFMEM);

	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		n = read(0, buf, sizeof buf - 1);
		if (n < 0)
			syserr("read");
		buf[n] = 0;
		print("read: %s", buf);
		done = 1;
		exits(nil);
	}
	sleep(0);
	if (!ticks) {
		print("computing\n");
		while (!done)
			;
	} else
		for (i = 1; i <= 3; i++) {
			sleep(50);
			print("tick %d\n", i);
		}
	waitgood(pid);
	return nil;
}

static const char *
raw(const char *how)
{
	int n, fd = open("/dev/consctl", OWRITE);

	if (fd < 0 || write(fd, "rawon", 5) != 5)
		syserr("/dev/consctl");
	print("raw\n");
	do {
		n = read(0, buf, 1);
		if (n != 1)
			fail("read %d bytes", n);
		print("%d\n", buf[0] & 0xff);
	} while (buf[0] != 'q');
	if (strcmp(how, "die") == 0)
		*(volatile int *)0 = 0;
	while (strcmp(how, "spin") == 0)
		;
	if (strcmp(how, "wait") == 0)
		rendezvous((ulong)&done, 0);
	close(fd);
	print("cooked\n");
	n = read(0, buf, sizeof buf);
	if (write(1, buf, n) != n)
		syserr("write");
	return nil;
}

static const char *
churn(int n)
{
	static char path[64];
	char *argv[] = {"true", nil};
	int fd[2], pid;

	while (n-- > 0) {
		fd[0] = open("/dev/null", OREAD);
		if (fd[0] < 0)
			syserr("/dev/null");
		close(fd[0]);
		if (pipe(fd) < 0)
			syserr("pipe");
		if (write(fd[0], path, sizeof path) != sizeof path)
			syserr("write");
		pid = rfork(RFPROC | RFFDG | RFREND | RFENVG | RFNAMEG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			exec("/bin/true", argv);
			syserr("/bin/true");
		}
		waitgood(pid);
		close(fd[0]);
		close(fd[1]);
	}
	return nil;
}

enum { MAXHOG = 4096 };
static PAGES(hogged, MAXHOG);

static const char *
hog(int n, char *argv[])
{
	static char path[64];
	int i, fd[2];

	if (pipe(fd) < 0)
		syserr("pipe");
	switch (rfork(RFPROC | RFNOWAIT | RFNOTEG | RFFDG | RFREND)) {
	case -1:
		syserr("rfork");
	case 0:
		for (i = 0; i < n; i++)
			WORD(hogged + i * PG) = i;
		write(fd[0], "", 1);
		rendezvous((ulong)&done, 0);
		exits("rendezvous");
	}
	if (read(fd[1], path, 1) != 1)
		syserr("read");
	close(fd[0]);
	close(fd[1]);
	exec(program(path, sizeof path, argv[0]), argv);
	syserr(argv[0]);
}

const char *
main(int argc, char *argv[])
{
	const char *how = argc > 1 ? argv[1] : "";

	if (argc == 2 && strcmp(how, "relay") == 0)
		return relay();
	if (argc == 2 && (strcmp(how, "both") == 0 || strcmp(how, "ticks") == 0))
		return reader(how[0] == 't');
	if (argc <= 3 && strcmp(how, "raw") == 0)
		return raw(argc == 3 ? argv[2] : "");
	if (argc == 3 && strcmp(how, "churn") == 0 && number(argv[2], 0, 1000000) >= 0)
		return churn(number(argv[2], 0, 1000000));
	if (argc >= 4 && strcmp(how, "hog") == 0 && number(argv[2], 0, MAXHOG) >= 0)
		return hog(number(argv[2], 0, MAXHOG), argv + 3);
	usage("cons relay|both|ticks|raw [HOW]|churn N|hog N PROG");
}
