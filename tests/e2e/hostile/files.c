#include "hostile.h"

static char big[65536];
static uchar entry[2048];

static void
fds(void)
{
	int n = 0;

	while (n < MANY && open("/dev/null", OREAD) >= 0)
		n++;
	refused("open", n);
}

static void
fill(void)
{
	int i;

	for (i = 0; i < 500; i++)
		open("/dev/null", OREAD);
}

static void
fdsofmany(void)
{
	int n = 0;

	while (n < 60 && child(RFCFDG, fill) > 0)
		n++;
	sleep(100);
	ended("processes with 500 files", n);
}

static void
tmpfull(void)
{
	char name[32];
	int i, fd, n = 0;

	for (i = 0; i < 100; i++) {
		snprint(name, sizeof name, "/tmp/f%d", i);
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
		while (n < 100000 && write(fd, big, sizeof big) == sizeof big)
			n++;
		if (n == 100000)
			break;
	}
	refused("64 kB in /tmp", n);
}

static void
tmpremoved(void)
{
	int fd, n = 0;

	for (;;) {
		fd = create("/tmp/gone", ORDWR, 0666);
		if (fd < 0 || remove("/tmp/gone") < 0)
			break;
		if (pwrite(fd, big, 1, 1 << 20) != 1)
			break;
		if (++n == MANY)
			break;
	}
	refused("1 MB in /tmp, removed", n);
}

static void
tmpbound(void)
{
	char name[32];
	int fd, n;

	for (n = 0; n < 200; n++) {
		snprint(name, sizeof name, "/tmp/b%d", n);
		fd = create(name, ORDWR, 0666);
		if (fd < 0 || pwrite(fd, big, 1, 1 << 22) != 1 || bind(name, "/dev/null", 0) < 0)
			break;
		close(fd);
		remove(name);
	}
	ended("4 MB in /tmp, removed and bound", n);
}

static void
tmpsparse(void)
{
	int i, fd = create("/tmp/s", ORDWR, 0666);

	for (i = 20; i < 63; i++)
		if (pwrite(fd, "x", 1, 1LL << i) != 1)
			break;
	refused("a byte at 2 to the", i);
}

static void
tmptiny(void)
{
	char name[32];
	int fd, n;

	for (n = 0; n < MANY; n++) {
		snprint(name, sizeof name, "/tmp/%d", n);
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
		close(fd);
	}
	ended("files in /tmp", n);
}

static void
tmplong(void)
{
	char name[220];
	int fd, n;

	for (n = 0; n < 3000; n++) {
		memset(name, 'n', sizeof name);
		snprint(name, sizeof name, "/tmp/%d", n);
		name[strlen(name)] = 'x';
		name[sizeof name - 1] = 0;
		fd = create(name, OWRITE, 0666);
		if (fd < 0)
			break;
	}
	ended("open files with long names", n);
}

static int
deeper(void)
{
	int fd = create("dddddddddddddddddddddddddddddd", OREAD, DMDIR | 0777);

	if (fd < 0)
		return -1;
	close(fd);
	return chdir("dddddddddddddddddddddddddddddd");
}

static void
deep(void)
{
	int n;

	chdir("/tmp");
	for (n = 0; n < 2000 && deeper() == 0; n++)
		;
	ended("directories deep", n);
}

static void
deepfds(void)
{
	int n, m;

	chdir("/tmp");
	for (n = 0; n < 1500 && deeper() == 0; n++)
		;
	for (m = 0; m < 4000 && open(".", OREAD) >= 0; m++)
		;
	ended("open files deep down", m);
}

static void
readtmp(void)
{
	int fd = create("/tmp/r", ORDWR, 0666);
	char *p = space(GB);

	pwrite(fd, "x", 1, 8 << 20);
	ended("bytes of a file read", pread(fd, p, GB, 0) >> 20);
}

static void
readzero(void)
{
	int fd = open("/dev/zero", OREAD);

	ended("MB of zeros read", pread(fd, space(GB), GB, 0) >> 20);
}

static void
readrandom(void)
{
	int fd = open("/dev/random", OREAD);

	ended("MB of chance read", pread(fd, space(GB), GB, 0) >> 20);
}

static void
writenull(void)
{
	int fd = open("/dev/null", OWRITE);

	ended("MB written to null", pwrite(fd, space(GB), GB, 0) >> 20);
}

static void
writetmp(void)
{
	int fd = create("/tmp/w", OWRITE, 0666);

	if (pwrite(fd, space(GB), GB, 0) == GB)
		fail("a gigabyte fits");
	refused("a gigabyte written to /tmp", 0);
}

static void
readhost(void)
{
	int fd = open("/n/host/sparse", OREAD);

	if (fd < 0)
		syserr("/n/host/sparse");
	ended("MB of the host's read", pread(fd, space(GB), GB, 0) >> 20);
}

static void
readhostmany(void)
{
	int n;

	for (n = 0; n < 4 && child(RFFDG, readhost) > 0; n++)
		;
	sleep(2000);
	ended("readers of the host's", n);
}

static void
writehost(void)
{
	int fd = create("/n/host/w", OWRITE, 0666);
	char *p = space(GB);

	if (fd < 0)
		syserr("create");
	ended("MB written to the host", pwrite(fd, p, GB, 0) >> 20);
}

static void
readdir(void)
{
	int fd = open("/", OREAD);

	ended("bytes of a directory", pread(fd, space(GB), GB, 0));
}

static void
seeks(void)
{
	static const vlong at[] = {0, -1, 1LL << 31, 1LL << 32, 1LL << 62, (vlong)(1ULL << 63), ~(vlong)(1ULL << 63)};
	int i, how, fd = open("/env/path", OREAD), n = 0;

	for (i = 0; i < nelem(at); i++)
		for (how = -1; how < 4; how++) {
			n += seek(fd, at[i], how) >= 0;
			n += pread(fd, big, 10, at[i]) >= 0;
		}
	ended("places sought", n);
}

static void
stats(void)
{
	uint n, worked = 0;

	for (n = 0; n < 200; n++)
		worked += stat("/dev/null", entry, n) > 2;
	for (n = 31; n != 0; n--)
		worked += stat("/dev/null", (uchar *)0xdfffefff - n, 1u << n) > 2;
	ended("buffers for stat", worked);
}

/* names[i] as a file's name, wherever one is made, renamed, looked for or removed */
static void
rename(const char *file, const char *name, uint len)
{
	uchar *p = entry;
	uint size = 39 + 8 + len;

	memset(entry, 0xff, sizeof entry);
	p[0] = size;
	p[1] = size >> 8;
	p += 2 + 39;
	*p++ = len;
	*p++ = len >> 8;
	memmove(p, name, len);
	p += len;
	memset(p, 0, 6);
	syscall(44, file, entry, size + 2);
}

static void
names(const char *dir)
{
	static const struct {
		const char *s;
		uint n;
	} bad[] = {
		{"a\0b", 3}, {"\0", 1}, {"", 0}, {".", 1}, {"..", 2}, {"/", 1}, {"a/b", 3}, {"../x", 4}, {"a\nb", 3},
		{"\x1b[2J", 4}, {"\xff\xfe", 2}, {"\xed\xa0\x80", 3}, {"#c", 2}, {" ", 1}, {"-rf", 3},
	};
	char name[1200], file[64];
	int i, fd, n = 0;

	snprint(file, sizeof file, "%s/plain", dir);
	for (i = 0; i < nelem(bad) + 3; i++) {
		fd = create(file, OWRITE, 0666);
		if (fd < 0)
			syserr(file);
		close(fd);
		snprint(name, sizeof name, "%s/", dir);
		if (i < nelem(bad)) {
			rename(file, bad[i].s, bad[i].n);
			memmove(name + strlen(name), bad[i].s, bad[i].n + 1);
		} else {
			uint len = 200 << (i - nelem(bad)), at = strlen(name);

			memset(name + at, 'l', len);
			name[at + len] = 0;
			rename(file, name + at, len);
		}
		fd = create(name, OWRITE, 0666);
		n += fd >= 0;
		close(fd);
		stat(name, entry, sizeof entry);
		open(name, OREAD);
		chdir(name);
		chdir("/");
		bind(name, "/dev/null", 0);
		bind("/dev/null", name, 0);
		if (i != 2 && i != 3 && i != 4 && i != 5)
			remove(name);
		remove(file);
	}
	ended("odd names", n);
}

static void
hostnames(void)
{
	names("/n/host");
}

static void
tmpnames(void)
{
	names("/tmp");
}

static void
longname(void)
{
	char *p = space(1 << 24);

	memset(p, 'x', 1 << 20);
	open(p, OREAD);
	refused("a name of a megabyte", 0);
}

static void
endlessname(void)
{
	char *p = space(1 << 16);

	memset(p, 'x', 1 << 16);
	open(p + (1 << 16) - 8, OREAD); /* no end before the segment's: a bad address, and its note */
	refused("a name without an end", 0);
}

static void
fd2paths(void)
{
	int n, fd = open("/dev/null", OREAD);

	for (n = -3; n < 40; n++)
		fd2path(fd, big, n);
	fd2path(fd, space(GB), GB);
	ended("fd2path", n);
}

static void
binds(void)
{
	int n;

	for (n = 0; n < MANY && bind("/env", "/n", 1) >= 0; n++)
		;
	ended("binds", n);
}

static void
hundredbinds(void)
{
	int n;

	for (n = 0; n < 10000 && bind("/env", "/n", 1) >= 0; n++)
		;
	for (n = 0; n < 90 && child(RFNAMEG, nil) > 0; n++)
		;
	ended("name spaces of 10000 binds", n);
}

static void
oneunion(void)
{
	int fd, n;

	for (n = 0; n < 2000 && bind("/dev", "/mnt", 2) >= 0; n++)
		;
	fd = open("/mnt", OREAD);
	n = 0;
	while (read(fd, big, sizeof big) > 0)
		n++;
	stat("/mnt/nosuch", entry, sizeof entry);
	ended("reads of a union", n);
}

static void
heads(void)
{
	char name[32];
	int n;

	for (n = 0; n < 5000; n++) {
		snprint(name, sizeof name, "/tmp/%d", n);
		close(create(name, OREAD, DMDIR | 0777));
		if (bind("/env", name, 0) < 0)
			break;
	}
	ended("places bound upon", n);
}

static void
dups(void)
{
	static const int at[] = {-2, -1, 0, 99, 100, 4999, 5000, 0x7fffffff, (int)0x80000000};
	int i, n = 0;

	for (i = 0; i < nelem(at); i++)
		n += dup(1, at[i]) >= 0;
	ended("dups", n);
}

static void
orclose(void)
{
	int n;

	for (n = 0; n < 3000; n++) {
		int fd = create("/tmp/c", ORDWR | ORCLOSE, 0666);

		if (fd < 0 || pwrite(fd, "x", 1, 1 << 16) != 1)
			break;
		if (n % 2 == 0)
			remove("/tmp/c");
		close(fd);
	}
	ended("files removed on close", n);
}

const Case files[] = {
	{"fds", fds}, {"fdsofmany", fdsofmany}, {"tmpfull", tmpfull}, {"tmpremoved", tmpremoved}, {"tmpbound", tmpbound},
	{"tmpsparse", tmpsparse}, {"tmptiny", tmptiny}, {"tmplong", tmplong}, {"deep", deep}, {"deepfds", deepfds},
	{"readtmp", readtmp}, {"readzero", readzero}, {"readrandom", readrandom}, {"writenull", writenull},
	{"writetmp", writetmp}, {"readhost", readhost}, {"readhostmany", readhostmany}, {"writehost", writehost},
	{"readdir", readdir}, {"seeks", seeks}, {"stats", stats}, {"hostnames", hostnames}, {"tmpnames", tmpnames},
	{"longname", longname}, {"endlessname", endlessname}, {"fd2paths", fd2paths}, {"binds", binds},
	{"hundredbinds", hundredbinds}, {"oneunion", oneunion}, {"heads", heads}, {"dups", dups}, {"orclose", orclose},
	{nil, nil},
};
