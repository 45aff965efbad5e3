/*
 * cachefs [N]: reads files of a mount with a cache twice, the second time without a read at the server; a write
 * through the mount is in the cache, a change behind its back makes a new version, which is read anew. With N, writes N
 * pages of memory between the reads, so that the pager takes the cache; the bytes must be right all the same.
 */

#include "fs9p.h"

enum { SIZE = 30000, MAX = 16384 };

static PAGES(area, MAX);
static char data[SIZE], other[SIZE];

/* requests of a type since the last time */
static int
since(int type)
{
	static uint last[Tmax];
	int n = count[type] - last[type];

	last[type] = count[type];
	return n;
}

static void
dirty(int n)
{
	int i;

	for (i = 0; i < n; i++)
		WORD(area + i * PG) = i;
	for (i = 0; i < n; i++)
		equal(WORD(area + i * PG), i, "a page of memory");
}

static void
nothing(const char *what)
{
	equal(since(Tread), 0, what);
}

static void
some(const char *what)
{
	if (since(Tread) == 0)
		fail("%s: nothing was read at the server", what);
}

static void
versions(void)
{
	int fd, old;

	/* a write is in the cache too, also for who opens the file again */
	since(Twrite);
	fd = good(open("/mnt/f", ORDWR), "open");
	equal(pwrite(fd, "written", 7, 8190), 7, "pwrite");
	memcpy(data + 8190, "written", 7);
	since(Tread);
	/* up to its end: the page it ran into was dropped as a whole */
	equal(pread(fd, other, 47, 8150), 47, "pread");
	if (memcmp(other, data + 8150, 47) != 0)
		fail("what was written is not in the cache");
	nothing("read after write");
	close(fd);
	checkfile("/mnt/f", data, SIZE);
	equal(since(Twrite), 1, "writes");

	/* behind the cache's back */
	since(Tread);
	old = good(open("/mnt/f", OREAD), "open");
	fill(data, SIZE, 99);
	writefile("/n/f", data, SIZE);
	equal(pread(old, other, 10, 0), 10, "pread");
	if (memcmp(other, data, 10) == 0)
		fail("an old channel sees the new version: the cache was not asked");
	since(Tread);
	checkfile("/mnt/f", data, SIZE);
	some("a new version");
	equal(pread(old, other, 10, 0), 10, "pread");
	some("an old channel after the new version was opened");
	if (memcmp(other, data, 10) != 0)
		fail("the server's bytes are not read");
	close(old);
	since(Tread);
	checkfile("/mnt/f", data, SIZE);
	/* only the end of the file is asked for */
	if (since(Tread) > 2)
		fail("the new version is not cached");
}

static void
notcached(void)
{
	writefile("/n/log", "line\n", 5);
	{
		uchar buf[256];

		good(wstat9("/n/log", buf, nulldir(buf, nil, DMAPPEND | 0666, ~0ull)), "wstat");
	}
	checkfile("/mnt/log", "line\n", 5);
	since(Tread);
	checkfile("/mnt/log", "line\n", 5);
	equal(since(Tread), 2, "reads of an append-only file");
	countdir("/mnt", "f", 8192);
	since(Tread);
	countdir("/mnt", "f", 8192);
	equal(since(Tread), 2, "reads of a directory");
}

const char *
main(int argc, char *argv[])
{
	int fd, i, server, n = argc == 2 ? number(argv[1], 1, MAX) : argc == 1 ? 0 : -1;

	if (n < 0)
		usage("cachefs [N] (pages)");
	count = (uint *)segattach(0, "shared", nil, PG);
	if ((int)count == -1)
		syserr("segattach");
	fill(data, SIZE, 1);
	server = startserver(&fd);
	good(mount9(good(dup(fd, -1), "dup"), -1, "/n", MREPL | MCREATE, ""), "mount");
	good(mount9(fd, -1, "/mnt", MREPL | MCACHE | MCREATE, ""), "mount with a cache");
	writefile("/n/f", data, SIZE);

	fd = good(open("/mnt/f", OREAD), "open");
	equal(readn(fd, other, SIZE), SIZE, "first read");
	some("first read");
	for (i = 0; i < 3; i++) {
		if (n > 0)
			dirty(n);
		memset(other, 0, SIZE);
		good(seek(fd, 0, 0), "seek");
		equal(readn(fd, other, SIZE), SIZE, "second read");
		if (memcmp(other, data, SIZE) != 0)
			fail("the second read gives other bytes");
		if (n == 0)
			nothing("second read");
		equal(pread(fd, other, 1000, 12345), 1000, "pread");
		if (memcmp(other, data + 12345, 1000) != 0)
			fail("pread gives other bytes");
	}
	close(fd);
	if (n == 0) {
		versions();
		notcached();
	} else
		checkfile("/mnt/f", data, SIZE);
	good(unmount9(nil, "/mnt"), "unmount");
	good(unmount9(nil, "/n"), "unmount");
	waitgood(server);
	return nil;
}
