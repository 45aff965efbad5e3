/*
 * unionbind [N [bind|ns|list|open]]: one process makes and undoes a union, N times; another one meanwhile looks at
 * it. Before 9front's commit 55c3138c6 nobody who looked took its lock.
 *
 * bind: bind it upon another directory, which copies it; so it is if nothing is told.
 * ns: read the name space's file in /proc.
 * list: read the directory that it is in.
 * open: open it.
 */

#include "guest.h"

enum { MREPL, MBEFORE, MAFTER, UNMOUNT = 35 };

const char *main(int argc, char *argv[], Tos *tos);

static Tos *tos;
static char buf[8192];

static void
add(const char *dir)
{
	if (bind(dir, "/n", MAFTER) < 0)
		syserr("bind");
}

static void
look(const char *what)
{
	int fd;

	if (strcmp(what, "bind") == 0)
		bind("/n", "/tmp", MREPL); /* union or not */
	else if (strcmp(what, "ns") == 0)
		procread(tos->pid, "ns", buf, sizeof buf);
	else {
		fd = open(strcmp(what, "list") == 0 ? "/" : "/n", OREAD);
		if (fd < 0)
			syserr("open");
		if (strcmp(what, "list") == 0)
			while (read(fd, buf, sizeof buf) > 0)
				;
		close(fd);
	}
}

const char *
main(int argc, char *argv[], Tos *t)
{
	int i, pid, n = argc > 1 ? number(argv[1], 1, 1000000) : 20;
	const char *what = argc > 2 ? argv[2] : "bind";

	if (argc > 3 || n < 0)
		usage("[N [bind|ns|list|open]]");
	tos = t;
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	for (i = 0; i < n; i++) {
		if (pid == 0)
			look(what);
		else {
			add("#e"); /* channels of their own */
			add("#d");
			add("#c");
			if (syscall(UNMOUNT, nil, "/n") < 0)
				syserr("unmount");
		}
	}
	if (pid == 0)
		exits(nil);
	waitgood(pid);
	return nil;
}
