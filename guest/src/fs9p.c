/*
 * fs9p [CLIENTS]: a file server of our own, mounted over a pipe by another process; CLIENTS processes at once read,
 * write, create, remove, list, stat and run its files. Then a server dies, and no client hangs.
 */

#include "fs9p.h"

enum { SIZE = 20000 };

static char data[SIZE], other[SIZE], text[64];

static void
files(const char *dir)
{
	char name[64], new[64];
	uchar buf[512];
	int fd;
	Dir d;

	snprint(name, sizeof name, "%s/a", dir);
	writefile(name, data, SIZE);
	checkfile(name, data, SIZE);
	fd = good(open(name, ORDWR), name);
	equal(pread(fd, other, 100, 8190), 100, "pread");
	if (memcmp(other, data + 8190, 100) != 0)
		fail("pread gives other bytes");
	equal(pread(fd, other, 100, SIZE), 0, "pread at the end");
	equal(pwrite(fd, "tail", 4, SIZE), 4, "pwrite");
	equal(seek(fd, 0, 2), SIZE + 4, "length by seek");
	good(fstat(fd, buf, sizeof buf), "fstat");
	getdir(buf, &d);
	same(d.name, "a", "name by fstat");
	close(fd);

	dirstat(name, &d);
	same(d.name, "a", "name");
	same(d.uid, "glenda", "owner");
	equal(d.length, SIZE + 4, "length");
	equal(d.mode, 0666, "mode");
	equal(d.type, 'M', "type");

	snprint(new, sizeof new, "%s/b", dir);
	good(wstat9(name, buf, nulldir(buf, "b", 0600, 10)), "wstat");
	dirstat(new, &d);
	equal(d.length, 10, "length after wstat");
	equal(d.mode, 0600, "mode after wstat");
	if (open(name, OREAD) >= 0)
		fail("the old name still exists");
	checkfile(new, data, 10);
	close(good(create(new, OWRITE, 0666), new)); /* truncates */
	checkfile(new, "", 0);
	good(remove(new), "remove");
	if (remove(new) >= 0)
		fail("removed twice");
}

static void
errors(void)
{
	uchar buf[512];

	bad(open("/mnt/none", OREAD), "'/mnt/none' file does not exist", "open");
	bad(open("/mnt/d/none/more", OREAD), "'/mnt/d/none' does not exist", "open");
	bad(open("/mnt/d/f/more", OREAD), "'/mnt/d/f' not a directory", "open");
	bad(open("/mnt/d", OWRITE), "'/mnt/d' file is a directory", "open");
	bad(open("/mnt/d/ro", OWRITE), "'/mnt/d/ro' permission denied", "open");
	bad(create("/mnt/d/f", OWRITE | OEXCL, 0666), "'/mnt/d/f' file already exists", "create");
	bad(remove("/mnt/d"), "directory not empty", "remove");
	bad(remove("/mnt"), "is a mount point", "remove");
	bad(wstat9("/mnt/d/f", buf, nulldir(buf, nil, ~0u, 1 << 30)), "no space on device", "wstat");
	bad(stat("/mnt/d/f", buf, 1), "stat buffer too small", "stat");
	equal(stat("/mnt/d/f", buf, 20), 2, "stat with little room");
}

static void
directories(void)
{
	char name[64];
	int i;

	close(good(create("/mnt/d", OREAD, DMDIR | 0777), "create d"));
	for (i = 0; i < 20; i++) {
		snprint(name, sizeof name, "/mnt/d/file%d", i);
		writefile(name, name, i);
	}
	equal(countdir("/mnt/d", "file*", 8192), 20, "files");
	equal(countdir("/mnt/d", "file*", 100), 20, "files, a few at a time");
	equal(countdir("/mnt/d/../d", "file7", 300), 1, "one file");
	for (i = 0; i < 20; i++) {
		snprint(name, sizeof name, "/mnt/d/file%d", i);
		good(remove(name), name);
	}
	equal(countdir("/mnt/d", "file*", 8192), 0, "files after remove");
	good(chdir("/mnt/d"), "chdir");
	writefile("f", "here", 4);
	writefile("ro", "", 0);
	checkfile("../d/f", "here", 4);
	good(chdir("/"), "chdir");
}

/* two processes read a file whose first reader is answered last */
static void
pairs(void)
{
	int i, pid[2], fd;

	writefile("/mnt/pair", "both", 4);
	for (i = 0; i < 2; i++) {
		pid[i] = good(rfork(RFPROC | RFFDG), "rfork");
		if (pid[i] == 0) {
			fd = good(open("/mnt/pair", OREAD), "open pair");
			equal(good(read(fd, other, 10), "read pair"), 4, "pair");
			exits(nil);
		}
	}
	for (i = 0; i < 2; i++) {
		Waitmsg w;

		good(waitchild(&w), "await");
		if (w.msg[0])
			fail("pair: %s", w.msg);
	}
}

/* a program of the server's is run, loaded page by page through the mount */
static void
programs(void)
{
	static char image[32768];
	char *argv[] = {"touch", "5", nil};
	int fd, n, pid;

	fd = good(open("/bin/touch", OREAD), "open touch");
	n = good(readn(fd, image, sizeof image), "read touch");
	close(fd);
	fd = good(create("/mnt/touch", OWRITE, 0777), "create touch");
	equal(write(fd, image, n), n, "write touch");
	close(fd);
	pid = good(rfork(RFPROC | RFFDG), "rfork");
	if (pid == 0) {
		exec("/mnt/touch", argv);
		syserr("exec");
	}
	waitgood(pid);
}

static void
dying(void)
{
	int fd, server, pid[3], i;
	Waitmsg w;

	server = mountserver("/n", MREPL | MCREATE);
	writefile("/n/die", "x", 1);
	writefile("/n/f", "x", 1);
	fd = good(open("/n/f", OREAD), "open f");
	for (i = 0; i < 3; i++) {
		pid[i] = good(rfork(RFPROC | RFFDG), "rfork");
		if (pid[i] == 0) {
			int die = good(open("/n/die", OREAD), "open die");

			sleep(10);
			if (read(die, text, 1) >= 0)
				fail("a dead server answers");
			rerrstr(text, sizeof text);
			if (strcmp(text, "mount rpc error") != 0 && strcmp(text, "i/o on hungup channel") != 0)
				fail("read from a dying server: %s", text);
			exits(nil);
		}
	}
	for (i = 0; i < 4; i++) {
		good(waitchild(&w), "await");
		if (w.pid != server && w.msg[0])
			fail("client: %s", w.msg);
		if (w.pid == server && strcmp(w.msg + strlen(w.msg) - 4, "read") != 0)
			fail("server: %s", w.msg);
	}
	if (read(fd, text, 1) >= 0)
		fail("a dead server answers");
	for (i = 0; i < 4 && open("/n/f", OREAD) < 0; i++)
		rerrstr(text, sizeof text);
	same(text, "'/n/f' i/o on hungup channel", "open");
	close(fd);
	good(unmount9(nil, "/n"), "unmount");
}

const char *
main(int argc, char *argv[])
{
	int i, server, fd, clients = argc == 2 ? number(argv[1], 1, 10) : argc == 1 ? 4 : -1;
	char dir[64], version[16];
	Waitmsg w;

	if (clients < 0)
		usage("fs9p [CLIENTS]");
	fill(data, SIZE, 1);
	server = startserver(&fd);
	bad(fauth9(fd, ""), "authentication not required", "fauth");
	strcpy(version, "9P2000");
	equal(fversion9(fd, 0, version, sizeof version), 6, "fversion");
	same(version, "9P2000", "version");
	good(mount9(fd, -1, "/mnt", MREPL | MCREATE, ""), "mount");
	files("/mnt");
	directories();
	{
		uchar buf[128];

		good(wstat9("/mnt/d/ro", buf, nulldir(buf, nil, 0444, ~0ull)), "wstat");
	}
	errors();
	pairs();
	programs();
	for (i = 0; i < clients; i++) {
		int pid = good(rfork(RFPROC | RFFDG), "rfork");

		if (pid == 0) {
			fill(data, SIZE, i + 2);
			snprint(dir, sizeof dir, "/mnt/c%d", i);
			close(good(create(dir, OREAD, DMDIR | 0777), dir));
			files(dir);
			good(remove(dir), dir);
			exits(nil);
		}
	}
	for (i = 0; i < clients; i++) {
		good(waitchild(&w), "await");
		if (w.msg[0])
			fail("client: %s", w.msg);
	}
	good(unmount9(nil, "/mnt"), "unmount");
	waitgood(server); /* sees its channel close */
	dying();
	return nil;
}
