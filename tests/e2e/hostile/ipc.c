#include "hostile.h"

static char big[65536];

static void
pipes(void)
{
	int fd[2], n;

	for (n = 0; n < MANY && pipe(fd) >= 0; n++)
		;
	refused("pipes", n);
}

static void
manypipes(void)
{
	int fd[2], i;

	for (i = 0; i < 2000 && pipe(fd) >= 0; i++)
		;
}

static void
pipesofmany(void)
{
	int n;

	for (n = 0; n < 40 && child(RFCFDG, manypipes) > 0; n++)
		;
	sleep(1000);
	ended("processes with 2000 pipes", n);
}

static void
fillpipe(void)
{
	int fd[2];

	if (pipe(fd) >= 0)
		while (write(fd[0], big, sizeof big) > 0)
			;
}

static void
fullpipes(void)
{
	int n;

	for (n = 0; n < 80 && child(0, fillpipe) > 0; n++)
		;
	sleep(1000);
	ended("full pipes", n);
}

static void
smallblocks(void)
{
	int fd[2], i, j, n = 0;

	for (i = 0; i < 40; i++) {
		if (pipe(fd) < 0)
			break;
		for (j = 0; j < 1000; j++)
			n += write(fd[0], "", 0) == 0;
		for (j = 0; j < 1000; j++)
			n += write(fd[0], "x", 1) == 1;
	}
	ended("blocks of nothing and of a byte", n);
}

static void
hugewrite(void)
{
	char *p = space(GB);
	int fd[2];

	pipe(fd);
	if (rfork(RFPROC | RFFDG) == 0) {
		int i;

		close(fd[1]);
		for (i = 0; i < 20; i++)
			read(fd[0], big, sizeof big);
		exits(nil);
	}
	close(fd[0]);
	write(fd[1], p, GB); /* sys: write on closed pipe: its note ends us, or the error comes back */
	ended("a gigabyte into a pipe", 0);
}

static void
closedpipe(void)
{
	Waitmsg w;

	if (rfork(RFPROC | RFFDG) == 0) {
		close(2);
		hugewrite();
		exits(nil);
	}
	waitchild(&w);
	print("%s\n", w.msg);
}

static void
variables(void)
{
	char name[32];
	int fd, n;

	for (n = 0; n < 2000; n++) {
		snprint(name, sizeof name, "/env/v%d", n);
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
		close(fd);
	}
	ended("variables", n);
}

static void
values(void)
{
	char name[32];
	int fd, n, i, m = 0;

	for (n = 0; n < 2000; n++) {
		snprint(name, sizeof name, "/env/v%d", n);
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
		for (i = 0; i < 4 && write(fd, big, 16384) > 0; i++)
			m++;
		close(fd);
		if (i == 0)
			break;
	}
	ended("16 kB of values", m);
}

static void
environments(void)
{
	char name[32];
	int fd, n;

	for (n = 0; n < 500; n++) {
		snprint(name, sizeof name, "/env/v%d", n);
		fd = create(name, OWRITE, 0666);
		write(fd, big, 16384);
		close(fd);
	}
	for (n = 0; n < 80 && child(RFENVG, nil) > 0; n++)
		;
	ended("environments", n);
}

static void
services(void)
{
	char name[64], no[16];
	int fd, n, p[2];

	pipe(p);
	snprint(no, sizeof no, "%d", p[0]);
	for (n = 0; n < 3000; n++) {
		snprint(name, sizeof name, "/srv/a-service-with-a-name-%d", n);
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
		write(fd, no, strlen(no));
		close(fd);
	}
	ended("services", n);
}

static void
servicenames(void)
{
	static const char *const name[] = {"/srv/", "/srv/.", "/srv/..", "/srv/a/b", "/srv/\n", "/srv/#s", "#s/x", "#s/../y"};
	int i, fd, n = 0;

	for (i = 0; i < nelem(name); i++) {
		fd = create(name[i], OWRITE, 0666);
		n += fd >= 0;
		write(fd, "99999999999999999999", 20);
		write(fd, "-1", 2);
		write(fd, "x", 1);
		write(fd, big, 1000);
	}
	ended("names of services", n);
}

static void
versions(void)
{
	static const uint msize[] = {0, 1, 7, 256, 8216, 0x7fffffff, 0x80000000, 0xffffffff};
	int i, j, fd[2], n = 0;

	for (i = 0; i < nelem(msize); i++)
		for (j = 0; j < 3; j++) {
			pipe(fd);
			write(fd[1], "\xff\xff\xff\x7f\x65\xff\xff", 7 * j); /* an answer of 2 GB, or none */
			close(fd[1]);
			n += syscall(40, fd[0], msize[i], "9P2000", 0) >= 0;
			close(fd[0]);
		}
	ended("versions", n);
}

static void
rudeserver(void)
{
	static const char version[] = "\x13\0\0\0\x65\xff\xff\x18\x20\0\0\6\0009P2000";
	int i, fd[2];

	for (i = 0; i < 40; i++) {
		pipe(fd);
		if (rfork(RFPROC | RFFDG | RFNOWAIT) == 0) {
			uint rand = i * 2654435761u + 1;
			int k;

			close(fd[0]);
			read(fd[1], big, sizeof big);
			write(fd[1], version, 19);
			for (k = 0; k < 200; k++) {
				if (read(fd[1], big, sizeof big) <= 0)
					break;
				rand = rand * 1103515245u + 12345;
				big[k % 40] = rand >> 16;
				write(fd[1], big, rand >> 24);
			}
			exits(nil);
		}
		close(fd[1]);
		syscall(46, fd[0], -1, "/n", 4, "");
		open("/n/x", OREAD);
		close(fd[0]);
	}
	ended("rude file servers", i);
}

static void
mounts(void)
{
	int n;

	for (n = 0; n < 200; n++) {
		int fd[2];

		pipe(fd);
		close(fd[1]);
		syscall(46, fd[0], -1, "/n", 1, "");
		close(fd[0]);
	}
	ended("mounts of the dead", n);
}

static void
procfiles(void)
{
	static const char *const file[] = {
		"args", "ctl", "fd", "fpregs", "kregs", "mem", "note", "noteid", "notepg", "ns", "proc", "profile", "regs",
		"segment", "status", "syscall", "text", "wait", "ppid", "nosuch",
	};
	static const vlong at[] = {0, 1, 4095, 1LL << 31, 0xf0000000LL, 1LL << 40, (vlong)(1ULL << 62)};
	int i, j, n = 0, pid = child(0, nil);

	for (i = 0; i < nelem(file); i++) {
		int fd = procopen(pid, file[i], strcmp(file[i], "wait") == 0 ? OWRITE : ORDWR);

		if (fd < 0)
			fd = procopen(pid, file[i], OREAD);
		for (j = 0; j < nelem(at) && strcmp(file[i], "wait") != 0; j++) {
			n += pread(fd, big, sizeof big, at[j]) > 0;
			n += pwrite(fd, big, 37, at[j]) > 0;
		}
		close(fd);
	}
	ended("answers of /proc", n);
}

static void
longns(void)
{
	int n, m = 0;
	int fd;

	for (n = 0; n < 3000 && bind("/env", "/n", 1) >= 0; n++)
		;
	fd = procopen(2, "ns", OREAD);
	while (read(fd, big, 200) > 0)
		m++;
	ended("lines of a name space", m);
}

static void
controls(void)
{
	static const char *const text[] = {
		"", "\n", "kill -1", "pri 99999999999", "pri -1", "wired 99", "period 1", "trace 9", "startstop\n\n",
		"profile", "noswap", "hang", "nohang", "closefiles", "close -1", "close 99999", "event", "stop x y z",
		"'unterminated", "''''''''''''''''''''''''''''''''''''''''''''''''''''''",
	};
	int i, n = 0, pid = child(0, nil);

	for (i = 0; i < nelem(text); i++)
		n += procwrite(pid, "ctl", text[i]) > 0;
	ended("requests", n);
}

static void
consctl(void)
{
	static const char *const file[] = {"/dev/consctl", "/dev/swap", "/dev/reboot", "/dev/user", "/dev/hostowner", "/dev/sysname"};
	int i, fd, n = 0;

	for (i = 0; i < nelem(file); i++) {
		fd = open(file[i], OWRITE);
		n += write(fd, big, sizeof big) > 0;
		n += write(fd, "start", 5) > 0;
		n += write(fd, "999999999", 9) > 0;
		close(fd);
	}
	ended("writes to #c", n);
}

static void
errstrs(void)
{
	uint n;

	for (n = 0; n < 300; n++)
		errstr(big, n);
	errstr(space(PG) + PG - 10, 300);
	ended("error strings", n);
}

const Case ipc[] = {
	{"pipes", pipes}, {"pipesofmany", pipesofmany}, {"fullpipes", fullpipes}, {"smallblocks", smallblocks},
	{"closedpipe", closedpipe}, {"variables", variables}, {"values", values}, {"environments", environments},
	{"services", services}, {"servicenames", servicenames}, {"versions", versions}, {"rudeserver", rudeserver},
	{"mounts", mounts}, {"procfiles", procfiles}, {"longns", longns}, {"controls", controls}, {"consctl", consctl},
	{"errstrs", errstrs}, {nil, nil},
};
