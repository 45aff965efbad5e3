/*
 * dial [-v] ADDR: calls ADDR, as tcp!localhost!echo, sends standard input and copies what comes to standard output
 * until the other side ends it; a second after standard input has ended it hangs up. -v tells both addresses on
 * standard error.
 *
 * dial -m ADDR PROG [ARGS]: calls a file server, mounts it upon /n, and becomes PROG.
 */

#include "net.h"

enum { MREPL = 0, MCREATE = 4 };

static char buf[8192];

static void
tell(const char *dir, const char *file)
{
	int n, fd = netfile(dir, file, OREAD);

	n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
	if (n < 0)
		syserr(file);
	buf[n] = 0;
	fprint(2, "%s %s", file, buf);
	close(fd);
}

static void
mountand(char *argv[])
{
	static char path[200];
	int fd = dial(argv[0], nil);

	if (fd < 0)
		syserr(argv[0]);
	if (syscall(46, fd, -1, "/n", MREPL | MCREATE, "") < 0)
		syserr("mount");
	exec(program(path, sizeof path, argv[1]), argv + 1);
	syserr(argv[1]);
}

const char *
main(int argc, char *argv[])
{
	char dir[NETPATH];
	int n, ctl, fd, pid, verbose = argc == 3 && strcmp(argv[1], "-v") == 0;

	if (argc > 3 && strcmp(argv[1], "-m") == 0)
		mountand(argv + 2);
	if (argc != 2 + verbose)
		usage("dial [-v] ADDR, or -m ADDR PROG [ARGS]");
	ctl = converse("connect", argv[argc - 1], dir);
	if (ctl < 0)
		syserr(argv[argc - 1]);
	fd = netfile(dir, "data", ORDWR);
	if (fd < 0)
		syserr("data");
	if (verbose) {
		tell(dir, "local");
		tell(dir, "remote");
	}
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		while ((n = read(0, buf, sizeof buf)) > 0)
			if (write(fd, buf, n) != n)
				syserr("write");
		sleep(1000);
		write(ctl, "hangup", 6);
		exits(nil);
	}
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, n) != n)
			syserr("standard output");
	if (n < 0)
		syserr("read");
	return nil;
}
