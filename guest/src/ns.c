/*
 * ns [9p]: bind, unions, mount and unmount, and name spaces that are shared, copied and empty: each as it should be, and
 * each error with its text. With 9p /tmp is a file server's.
 */

#include "fs9p.h"

enum { RFNOMNT = 1 << 14 };

static int
exists(const char *name)
{
	uchar buf[512];

	return stat(name, buf, sizeof buf) >= 0;
}

/* whether it is the root device's own: what is mounted, by 9P too, is not in an empty name space */
static int
rootdir(const char *name)
{
	Dir d;

	dirstat(name, &d);
	return d.type == '/';
}

static void
must(const char *name)
{
	uchar buf[512];

	good(stat(name, buf, sizeof buf), name);
}

static void
mustnot(const char *name)
{
	if (exists(name))
		fail("%s exists", name);
}

static void
named(const char *name, const char *path)
{
	char buf[128];
	int fd = good(open(name, OREAD), name);

	good(fd2path(fd, buf, sizeof buf), "fd2path");
	same(buf, path, name);
	close(fd);
}

static void
makedir(const char *name)
{
	close(good(create(name, OREAD, DMDIR | 0777), name));
}

static void
text(const char *name, const char *want)
{
	checkfile(name, want, strlen(want));
}

static void
prepare(void)
{
	makedir("/tmp/a");
	makedir("/tmp/b");
	makedir("/tmp/u");
	writefile("/tmp/a/one", "a1", 2);
	writefile("/tmp/a/both", "a2", 2);
	writefile("/tmp/b/both", "b2", 2);
	writefile("/tmp/b/two", "b3", 2);
	writefile("/tmp/u/own", "u", 1);
}

/* a call that must fail because the file is not there; a file server says so in its own words */
static void
absent(int n, const char *name)
{
	char buf[ERRMAX], want[ERRMAX];
	const char *end = " does not exist";

	if (n >= 0)
		fail("%s is there", name);
	rerrstr(buf, sizeof buf);
	snprint(want, sizeof want, "'%s'", name);
	if (strncmp(buf, want, strlen(want)) != 0 || strcmp(buf + strlen(buf) - strlen(end), end) != 0)
		fail("%s: %s", name, buf);
}

/* so that it can run again where /tmp stays */
static void
cleanup(void)
{
	static const char *names[] = {"a/one", "a/both", "b/both", "b/two", "u/own", "a", "b", "u"};
	char name[64];
	uint i;

	good(unmount9(nil, "/tmp/u"), "unmount"); /* it still is mounted upon itself */
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprint(name, sizeof name, "/tmp/%s", names[i]);
		good(remove(name), name);
	}
}

static void
binds(void)
{
	int id, next;

	id = good(bind("/tmp/a", "/mnt", MREPL), "bind");
	text("/mnt/one", "a1");
	named("/mnt/one", "/mnt/one");
	next = good(bind("/tmp/b", "/mnt", MREPL), "bind");
	if (next <= id)
		fail("mount id %d after %d", next, id);
	mustnot("/mnt/one");
	text("/mnt/two", "b3");
	named("/mnt/../tmp/b/two", "/tmp/b/two"); /* .. goes back the way it came */
	good(chdir("/mnt"), "chdir");
	text("two", "b3");
	named("..", "/");
	good(chdir("/"), "chdir");
	good(unmount9(nil, "/mnt"), "unmount");
	mustnot("/mnt/two");

	/* a file over a file */
	good(bind("/tmp/a/one", "/tmp/b/two", MREPL), "bind");
	text("/tmp/b/two", "a1");
	bad(remove("/tmp/b/two"), "is a mount point", "remove");
	good(unmount9("/tmp/a/one", "/tmp/b/two"), "unmount");
	text("/tmp/b/two", "b3");

	bad(bind("/tmp/a", "/tmp/b/two", MREPL), "inconsistent mount", "bind");
	bad(bind("/tmp/a/one", "/mnt", MREPL), "inconsistent mount", "bind");
	bad(bind("/tmp/a/one", "/tmp/b/two", MAFTER), "inconsistent mount", "bind");
	bad(bind("/tmp/a", "/mnt", MBEFORE | MAFTER), "bad arg in system call", "bind");
	bad(bind("/tmp/a", "/mnt", 32), "bad arg in system call", "bind");
	absent(bind("/tmp/none", "/mnt", MREPL), "/tmp/none");
	bad(bind("/tmp/a", "/none", MREPL), "'/none' file does not exist", "bind");
	bad(bind("#X", "/mnt", MREPL), "unknown device in # filename", "bind");
	bad(bind("#M", "/mnt", MREPL), "mount/attach disallowed", "bind");
	bad(unmount9(nil, "/mnt"), "not mounted", "unmount");
}

static void
unions(void)
{
	good(bind("/tmp/a", "/tmp/u", MBEFORE), "bind");
	text("/tmp/u/own", "u");
	text("/tmp/u/both", "a2");
	bad(create("/tmp/u/new", OWRITE, 0666), "'/tmp/u/new' mounted directory forbids creation", "create");
	good(bind("/tmp/b", "/tmp/u", MAFTER | MCREATE), "bind");
	text("/tmp/u/both", "a2");
	text("/tmp/u/two", "b3");
	equal(countdir("/tmp/u", "both", 8192), 2, "a name in two elements");
	equal(countdir("/tmp/u", "own", 100), 1, "a name in the middle");
	equal(countdir("/tmp/u", "two", 100), 1, "a name in the last element");
	writefile("/tmp/u/new", "n", 1);
	text("/tmp/b/new", "n");
	mustnot("/tmp/a/new");
	good(remove("/tmp/u/new"), "remove");
	mustnot("/tmp/b/new");

	/* a union bound elsewhere is copied */
	good(bind("/tmp/u", "/mnt", MREPL), "bind");
	text("/mnt/two", "b3");
	bad(unmount9("/dev", "/tmp/u"), "not in union", "unmount");
	good(unmount9("/tmp/a", "/tmp/u"), "unmount");
	text("/tmp/u/both", "b2");
	text("/mnt/both", "a2");
	good(unmount9(nil, "/tmp/u"), "unmount");
	mustnot("/tmp/u/two");
	text("/mnt/two", "b3");
	good(unmount9(nil, "/mnt"), "unmount");
}

static int
child(int flags)
{
	return good(rfork(RFPROC | RFFDG | flags), "rfork");
}

static void
groups(void)
{
	int pid, own = rootdir("/tmp");

	pid = child(0); /* shared */
	if (pid == 0) {
		good(bind("/tmp/a", "/mnt", MREPL), "bind");
		exits(nil);
	}
	waitgood(pid);
	text("/mnt/one", "a1");

	pid = child(RFNAMEG); /* a copy */
	if (pid == 0) {
		text("/mnt/one", "a1");
		good(unmount9(nil, "/mnt"), "unmount");
		mustnot("/mnt/one");
		good(bind("/tmp/b", "/mnt", MREPL), "bind");
		text("/mnt/two", "b3");
		exits(nil);
	}
	waitgood(pid);
	text("/mnt/one", "a1");

	pid = child(RFCNAMEG); /* empty */
	if (pid == 0) {
		mustnot("/mnt/one");
		mustnot("/dev/null");
		if (own)
			must("/tmp/a/one");
		good(bind("#c", "/dev", MREPL), "bind");
		must("/dev/null");
		exits(nil);
	}
	waitgood(pid);

	/* the same without a new process */
	pid = child(0);
	if (pid == 0) {
		good(rfork(RFNAMEG), "rfork");
		good(unmount9(nil, "/mnt"), "unmount");
		mustnot("/mnt/one");
		good(rfork(RFCNAMEG), "rfork");
		mustnot("/dev/null");
		bad(rfork(RFNAMEG | RFCNAMEG), "bad arg in system call", "rfork");
		exits(nil);
	}
	waitgood(pid);
	text("/mnt/one", "a1");
	good(unmount9(nil, "/mnt"), "unmount");
}

/* no mounts, and only the harmless devices */
static void
sandbox(void)
{
	int pid, fd, server;

	server = startserver(&fd);
	pid = child(RFNAMEG | RFNOMNT);
	if (pid == 0) {
		must("/dev/null");
		must("#c/null");
		must("#e");
		bad(open("#/", OREAD), "mount/attach disallowed", "open");
		bad(mount9(fd, -1, "/mnt", MREPL, ""), "mount/attach disallowed", "mount");
		good(bind("/tmp/a", "/mnt", MREPL), "bind");
		exits(nil);
	}
	waitgood(pid);
	close(fd);
	waitgood(server);
}

static void
mounts(void)
{
	int fd, null, server, pid, p[2];

	server = startserver(&fd);
	null = good(open("/dev/null", OREAD), "open");
	bad(mount9(null, -1, "/mnt", MREPL, ""), "inappropriate use of fd", "mount");
	bad(mount9(77, -1, "/mnt", MREPL, ""), "fd out of range or not open", "mount");
	bad(mount9(fd, 77, "/mnt", MREPL, ""), "fd out of range or not open", "mount");
	bad(mount9(fd, -1, "/mnt", 8, ""), "bad arg in system call", "mount");
	bad(mount9(fd, -1, "/dev/null", MREPL, ""), "inconsistent mount", "mount");
	close(null);
	good(pipe(p), "pipe");

	/* in a name space of its own, seen by nobody else; the server sees no end while another has the channel */
	pid = child(RFNAMEG);
	if (pid == 0) {
		good(oldmount9(fd, "/mnt", MREPL | MCREATE, ""), "mount");
		bad(read(fd, p, 1), "fd out of range or not open", "the descriptor of a mount");
		writefile("/mnt/file", "text", 4);
		exits(nil);
	}
	waitgood(pid);
	mustnot("/mnt/file");

	good(mount9(good(dup(fd, -1), "dup"), -1, "/mnt", MREPL, ""), "mount");
	bad(read(fd, p, 1), "inappropriate use of fd", "a channel the kernel speaks on");
	text("/mnt/file", "text");
	good(bind("/mnt", "/tmp/u", MAFTER), "bind");
	text("/tmp/u/file", "text");
	named("/tmp/u/file", "/tmp/u/file");

	/* one that leaves does not undo the others */
	pid = child(RFNAMEG);
	if (pid == 0) {
		good(unmount9(nil, "/mnt"), "unmount");
		mustnot("/mnt/file");
		text("/tmp/u/file", "text");
		exits(nil);
	}
	waitgood(pid);
	text("/mnt/file", "text");
	good(unmount9("/mnt", "/tmp/u"), "unmount");
	mustnot("/tmp/u/file");
	text("/tmp/u/own", "u");
	good(unmount9(nil, "/mnt"), "unmount");
	mustnot("/mnt/file");
	close(fd);
	waitgood(server);
	close(p[0]);
	close(p[1]);
}

const char *
main(int argc, char *argv[])
{
	int server = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "9p") != 0))
		usage("ns [9p]");
	if (argc == 2)
		server = mountserver("/tmp", MREPL | MCREATE);
	prepare();
	binds();
	unions();
	groups();
	sandbox();
	mounts();
	cleanup();
	if (server) {
		good(unmount9(nil, "/tmp"), "unmount");
		waitgood(server);
	}
	return nil;
}
