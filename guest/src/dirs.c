/*
 * dirs [-9] [DIR]: reads of directories in DIR (/tmp) while files come and go: what stays is told exactly once, in pieces
 * of any size; rewinding, entries that grow because something is mounted there, and the errors. With -9 DIR is a file
 * server's (with no DIR one of our own is mounted on /tmp): what that tells while files come and go is its affair, and
 * is not looked at.
 */

#include "fs9p.h"

enum { N = 60 };

static char dir[64];
static int told[N];
static uchar buf[8192];

static const char *
file(int i)
{
	static char name[128];

	snprint(name, sizeof name, "%s/f%02d", dir, i);
	return name;
}

/* note the files of one read; how many */
static int
take(int n)
{
	const uchar *p;
	int files = 0;
	Dir d;

	for (p = buf; p < buf + n; files++) {
		p = getdir(p, &d);
		if (strlen(d.name) == 3 && d.name[0] == 'f')
			told[(d.name[1] - '0') * 10 + d.name[2] - '0']++;
		else if (strcmp(d.name, "new") != 0)
			fail("%s is in the directory", d.name);
	}
	if (p != buf + n)
		fail("a read ends within an entry");
	return files;
}

static void
fillup(void)
{
	int i;

	for (i = 0; i < N; i++)
		writefile(file(i), "", 0);
}

static void
all(int n, const char *what)
{
	int i, got, fd = good(open(dir, OREAD), dir);

	memset(told, 0, sizeof told);
	while ((got = good(read(fd, buf, n), what)) > 0)
		take(got);
	for (i = 0; i < N; i++)
		equal(told[i], 1, what);
	close(fd);
}

/* from the files read up to now take two away, from the others two, and add one */
static void
changes(int n)
{
	int i, got, gone[4], ngone = 0, fd = good(open(dir, OREAD), dir);
	char new[80];

	memset(told, 0, sizeof told);
	take(good(read(fd, buf, n), "read"));
	for (i = 0; i < N && ngone < 2; i++)
		if (told[i])
			gone[ngone++] = i;
	for (i = N - 1; i >= 0 && ngone < 4; i--)
		if (!told[i])
			gone[ngone++] = i;
	equal(ngone, 4, "files to remove");
	for (i = 0; i < 4; i++)
		good(remove(file(gone[i])), "remove");
	snprint(new, sizeof new, "%s/new", dir);
	writefile(new, "", 0);
	while ((got = good(read(fd, buf, n), "read")) > 0)
		take(got);
	for (i = 0; i < N; i++) {
		int was = i == gone[0] || i == gone[1], never = i == gone[2] || i == gone[3];

		if (told[i] != (never ? 0 : 1))
			fail("file %d is told %d times%s", i, told[i], was ? ", was removed after" : never ? ", was removed" : "");
	}
	/* from the beginning */
	good(seek(fd, 0, 0), "seek");
	memset(told, 0, sizeof told);
	while ((got = good(read(fd, buf, sizeof buf), "read")) > 0)
		take(got);
	for (i = 0; i < N; i++)
		equal(told[i], i != gone[0] && i != gone[1] && i != gone[2] && i != gone[3], "told after seek");
	close(fd);
	good(remove(new), "remove");
	for (i = 0; i < 4; i++)
		writefile(file(gone[i]), "", 0);
}

/* a child makes and removes files all the time; those that stay are told once in each pass */
static void
racing(void)
{
	int i, pid = good(rfork(RFPROC | RFFDG), "rfork");
	char new[80];

	if (pid == 0) {
		for (i = 0; i < 50; i++) {
			snprint(new, sizeof new, "%s/new", dir);
			writefile(new, "", 0);
			sleep(0);
			good(remove(new), "remove");
		}
		exits(nil);
	}
	for (i = 0; i < 10; i++) {
		all(150 + i, "a pass while files come and go");
		sleep(0);
	}
	waitgood(pid);
}

/* longer entries are mounted over some: what no longer fits into a read comes with the next */
static void
mounted(void)
{
	int i, server = mountserver("/mnt", MREPL | MCREATE);

	writefile("/mnt/x", "abc", 3);
	for (i = 0; i < N; i += 3)
		good(bind("/mnt/x", file(i), MREPL), "bind");
	for (i = 80; i < 400; i += 37)
		all(i, "a pass over mount points");
	all(sizeof buf, "a pass over mount points");
	for (i = 0; i < N; i += 3)
		good(unmount9(nil, file(i)), "unmount");
	good(unmount9(nil, "/mnt"), "unmount");
	waitgood(server);
}

static void
errors(int served)
{
	int fd = good(open(dir, OREAD), dir);

	if (!served)
		bad(read(fd, buf, 20), "i/o count too small", "read of 20 bytes");
	bad(pread(fd, buf, sizeof buf, 10), "seek in directory", "pread");
	bad((int)seek(fd, 10, 0), "file is a directory", "seek");
	bad((int)seek(fd, 0, 1), "file is a directory", "seek");
	bad(write(fd, buf, 1), "inappropriate use of fd", "write");
	equal(good(pread(fd, buf, 100, 0), "pread") > 0, 1, "pread at 0");
	close(fd);
}

static void
removed(int served)
{
	int i, fd;

	for (i = 0; i < N; i++)
		good(remove(file(i)), "remove");
	fd = good(open(dir, OREAD), dir);
	equal(read(fd, buf, sizeof buf), 0, "an empty directory");
	good(remove(dir), "remove of the directory");
	if (!served)
		equal(read(fd, buf, sizeof buf) > 0, 0, "a directory that is no more");
	close(fd);
}

const char *
main(int argc, char *argv[])
{
	int n, server = 0, served = argc > 1 && strcmp(argv[1], "-9") == 0;

	if (served)
		argc--, argv++;
	if (argc > 2 || (argc == 2 && (argv[1][0] == '-' || strlen(argv[1]) > 40)))
		usage("dirs [-9] [DIR]");
	if (served && argc == 1)
		server = mountserver("/tmp", MREPL | MCREATE);
	snprint(dir, sizeof dir, "%s/dirs", argc == 2 ? argv[1] : "/tmp");
	close(good(create(dir, OREAD, DMDIR | 0777), dir));
	fillup();
	for (n = 70; n < 600; n += 53) {
		all(n, "a pass");
		if (!served)
			changes(n < 150 ? 150 : n);
	}
	all(sizeof buf, "a pass");
	if (!served)
		racing();
	mounted();
	errors(served);
	removed(served);
	if (server) {
		good(unmount9(nil, "/tmp"), "unmount");
		waitgood(server);
	}
	return nil;
}
