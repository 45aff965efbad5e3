/*
 * usertests [-l | NAME...]: many small checks of the kernel, each in a process of its own.
 *
 * Without arguments all of them run. One line per test tells "test NAME: OK" or what failed; the exit status
 * is empty, or "N tests failed". Error texts and the texts that a process dies with are compared in full:
 * they are the kernel's (port/error.h, port/chan.c, pc/trap.c).
 */

#include "net.h"

typedef void (*Func)(void);

enum { NAREA = 64 };

/* usertests.S */
#define TRAP(name) void name(void); extern const char name##_pc[]
TRAP(readnil);
TRAP(writenil);
TRAP(writetext);
TRAP(divide);
TRAP(overflow);
TRAP(invalid);
TRAP(breakpoint);
TRAP(halt);
TRAP(cli);
TRAP(inport);
TRAP(softint);
TRAP(softpf);
TRAP(loadcr);
TRAP(pushnil);
TRAP(callsp);
int readat(void *addr);
void writeat(void *addr);
extern const char readat_pc[], writeat_pc[];
int heldregs(int nr, int arg);

extern char end[], etext[];
const char *main(int argc, char *argv[], Tos *tos);

static Tos *tos;
static const char *self;   /* the last element of argv[0], which the kernel calls this program by */
static char selfpath[256]; /* what to exec to run it again */

static PAGES(area, NAREA);
static char buf[32768];
static uint initialized = 0x11223344;
static uint zeroed;

static const char NULLDEV[] = "#c/null";
static const char HELLO[] = "/bin/hello";
static const char ENVFILE[] = "#e/usertests";

/* Checks */

static NOINLINE void
good(int r, const char *call)
{
	if (r == -1)
		syserr(call);
}

static NOINLINE void
refused(int r, const char *call, const char *text)
{
	char err[ERRMAX];

	rerrstr(err, sizeof err);
	if (r != -1)
		fail("%s returned %d", call, r);
	if (strcmp(err, text) != 0)
		fail("%s: %s, not: %s", call, err, text);
}

static NOINLINE void
equal(uint got, uint want, const char *what)
{
	if (got != want)
		fail("%s: %d (0x%x) instead of %d (0x%x)", what, got, got, want, want);
}

static NOINLINE void
same(const char *got, const char *want, const char *what)
{
	if (strcmp(got, want) != 0)
		fail("%s: %s, not: %s", what, got, want);
}

static NOINLINE void
allzero(const char *p, int n, const char *what)
{
	int i;

	for (i = 0; i < n; i++)
		if (p[i] != 0)
			fail("%s: byte %d of %d is 0x%x", what, i, n, (uchar)p[i]);
}

/* Children */

static NOINLINE int
fork(int flags)
{
	int pid = rfork(RFPROC | flags);

	good(pid, "rfork");
	return pid;
}

static NOINLINE void
makepipe(int fd[2])
{
	good(pipe(fd), "pipe");
}

static NOINLINE void
message(int fd, const char *s)
{
	int n = strlen(s);

	if (write(fd, s, n) != n)
		syserr("write");
}

/* one message, which must be s */
static NOINLINE void
expect(int fd, const char *s)
{
	char got[64];
	int n = read(fd, got, sizeof got - 1);

	good(n, "read");
	got[n] = 0;
	same(got, s, "read");
}

/* everything up to end of file */
static NOINLINE void
slurp(int fd, char *p, int n)
{
	int got = readn(fd, p, n - 1);

	good(got, "read");
	p[got] = 0;
}

static NOINLINE void
ended(int pid, const char *status)
{
	char want[ERRMAX];
	Waitmsg w;

	good(waitchild(&w), "await");
	equal(w.pid, pid, "pid of await");
	want[0] = 0;
	if (status[0])
		snprint(want, sizeof want, "%s %d: %s", self, pid, status);
	same(w.msg, want, "status");
}

/* run f in a child and take what it writes to its standard error; returns its pid, already awaited */
static NOINLINE int
watch(Func f, Waitmsg *w, char *err, int nerr)
{
	int pid, fd[2];

	makepipe(fd);
	pid = fork(RFFDG);
	if (pid == 0) {
		good(dup(fd[1], 2), "dup");
		close(fd[0]);
		close(fd[1]);
		f();
		exits("survived");
	}
	close(fd[1]);
	slurp(fd[0], err, nerr);
	close(fd[0]);
	good(waitchild(w), "await");
	equal(w->pid, pid, "pid of await");
	return pid;
}

/* f must die of "TEXT pc=PC", and say so on its standard error, after before (nil: whatever) */
static NOINLINE void
dies(Func f, const char *before, const char *text, const void *pc)
{
	char err[512], want[512];
	Waitmsg w;
	int pid, n;

	pid = watch(f, &w, err, sizeof err);
	snprint(want, sizeof want, "%s %d: %s pc=%p", self, pid, text, pc);
	same(w.msg, want, "status");
	n = before ? snprint(want, sizeof want, before, self, pid) : 0;
	n += snprint(want + n, sizeof want - n, "%s %d: suicide: %s pc=%p\n", self, pid, text, pc);
	if (before == nil && (int)strlen(err) >= n)
		same(err + strlen(err) - n, want, "end of standard error");
	else
		same(err, want, "standard error");
}

/* run file with args in a child, its standard output to out; returns its wait message */
static NOINLINE void
capture(const char *file, char *const args[], char *out, int nout, Waitmsg *w)
{
	int pid, fd[2];

	makepipe(fd);
	pid = fork(RFFDG);
	if (pid == 0) {
		good(dup(fd[1], 1), "dup");
		close(fd[0]);
		close(fd[1]);
		exec(file, args);
		syserr("exec");
	}
	close(fd[1]);
	slurp(fd[0], out, nout);
	close(fd[0]);
	good(waitchild(w), "await");
	equal(w->pid, pid, "pid of await");
}

static NOINLINE int
makefile(const char *name, const char *body, int n)
{
	int fd = create(name, ORDWR, 0777);

	if (fd < 0)
		return -1;
	if (write(fd, body, n) != n)
		syserr("write");
	close(fd);
	return 0;
}

static NOINLINE int
milliseconds(uvlong start)
{
	return udiv64(nsec(tos, cycles() - start), 1000000, nil);
}

static uint
get16(const uchar *p)
{
	return p[0] | p[1] << 8;
}

static uint
get32(const uchar *p)
{
	return get16(p) | get16(p + 2) << 16;
}

/* fields of a directory entry: size[2] type[2] dev[4] qid[1+4+8] mode[4] atime[4] mtime[4] length[8] name[s] ... */
enum { QIDTYPE = 8, QIDPATH = 13, MODE = 21, LENGTH = 33, NAME = 41, QTDIR = 0x80 };

static NOINLINE void
nameis(const uchar *dir, const char *name)
{
	uint n = strlen(name);

	if (get16(dir + NAME) != n || memcmp(dir + NAME + 2, name, n) != 0)
		fail("directory entry is not that of %s", name);
}

/* Files */

static void
open_errors(void)
{
	refused(open("#c/nonexistent", OREAD), "open", "'#c/nonexistent' file does not exist");
	refused(open("#c/null/x", OREAD), "open", "'#c/null' not a directory");
	refused(open("#c/null/", OREAD), "open", "'#c/null/' not a directory");
	refused(open("", OREAD), "open", "empty file name");
	refused(open(NULLDEV, 4), "open", "bad arg in system call");
	refused(open("#Z", OREAD), "open", "unknown device in # filename");
	refused(open("#c", OWRITE), "open", "permission denied");
	refused(open("#c/zero", OWRITE), "open", "'#c/zero' permission denied");
	refused(open("a\001b", OREAD), "open", "bad character in file name: 'a\001b'");
}

static void
fd_errors(void)
{
	static const char text[] = "fd out of range or not open";
	static const int bad[] = {-1, 99, 1000000};
	uchar dir[128];
	int i, fd;

	for (i = 0; i < nelem(bad); i++) {
		fd = bad[i];
		refused(close(fd), "close", text);
		refused(dup(fd, -1), "dup", text);
		refused(read(fd, buf, 1), "pread", text);
		refused(write(fd, buf, 1), "pwrite", text);
		refused(seek(fd, 0, 0), "seek", text);
		refused(fstat(fd, dir, sizeof dir), "fstat", text);
		refused(fd2path(fd, buf, sizeof buf), "fd2path", text);
	}
	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	refused(dup(fd, -2), "dup", text);
	refused(dup(fd, 100000), "dup", text);
	good(close(fd), "close");
	refused(close(fd), "close", text);
}

static void
fd_modes(void)
{
	int fd;

	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	refused(write(fd, buf, 1), "pwrite", "inappropriate use of fd");
	equal(read(fd, buf, 1), 0, "read of null");
	close(fd);
	fd = open(NULLDEV, OWRITE);
	good(fd, "open");
	refused(read(fd, buf, 1), "pread", "inappropriate use of fd");
	equal(write(fd, buf, 1000), 1000, "write to null");
	close(fd);
}

static void
fd_dup(void)
{
	int fd, fd2, p[2];

	fd = open(HELLO, OREAD);
	good(fd, "open");
	fd2 = dup(fd, -1);
	good(fd2, "dup");
	if (fd2 == fd)
		fail("dup gave the same fd");
	equal(read(fd, buf, 4), 4, "read");
	equal(seek(fd2, 0, 1), 4, "offset of the duplicate");
	equal(dup(fd, 30), 30, "dup to 30");
	close(fd);
	close(fd2);
	equal(open(NULLDEV, OREAD), fd, "the lowest free fd");
	equal(seek(30, 0, 1), 4, "offset of 30");
	makepipe(p);
	equal(dup(30, p[1]), p[1], "dup onto a pipe");
	equal(read(p[0], buf, 1), 0, "read from a pipe that dup closed");
}

static void
file_seek(void)
{
	int fd, len;

	fd = open(HELLO, OREAD);
	good(fd, "open");
	len = seek(fd, 0, 2);
	if (len < 100)
		fail("%s has %d bytes", HELLO, len);
	equal(seek(fd, -4, 1), len - 4, "seek from here");
	equal(read(fd, buf, 100), 4, "read of the rest");
	equal(read(fd, buf, 100), 0, "read at the end");
	equal(pread(fd, buf, 4, 0), 4, "pread");
	if (memcmp(buf, "\0\0\1\353", 4) != 0)
		fail("no a.out magic in %s", HELLO);
	equal(seek(fd, 0, 1), len + 4, "offset after pread, which moves it too");
	equal(seek(fd, 10, 0), 10, "seek from the start");
	equal(seek(fd, 1000, 2), len + 1000, "seek beyond the end");
	equal(read(fd, buf, 1), 0, "read beyond the end");
	refused(seek(fd, -1, 0), "seek", "negative i/o offset");
	refused(seek(fd, -len - 2000, 1), "seek", "negative i/o offset");
	refused(seek(fd, -len - 1, 2), "seek", "negative i/o offset");
	refused(seek(fd, 0, 3), "seek", "bad arg in system call");
	refused(pread(fd, buf, 1, -2), "pread", "negative i/o offset");
	equal(seek(fd, 0, 1), len + 1000, "offset after errors");
}

static void
file_create(void)
{
	int fd;

	fd = create(ENVFILE, ORDWR, 0666);
	good(fd, "create");
	equal(write(fd, "hello", 5), 5, "write");
	equal(pwrite(fd, "LO!", 3, 3), 3, "pwrite");
	equal(seek(fd, 0, 1), 5, "offset after pwrite");
	equal(pread(fd, buf, 100, 0), 6, "pread");
	equal(memcmp(buf, "helLO!", 6), 0, "what was written");
	close(fd);
	refused(create(ENVFILE, ORDWR | OEXCL, 0666), "create", "'#e/usertests' file already exists");
	fd = open(ENVFILE, ORDWR | OTRUNC);
	good(fd, "open");
	equal(read(fd, buf, 100), 0, "read of a truncated file");
	equal(write(fd, "again", 5), 5, "write");
	close(fd);
	fd = create(ENVFILE, OREAD, 0666);
	good(fd, "create");
	equal(read(fd, buf, 100), 0, "read of a file created again");
	close(fd);
	good(remove(ENVFILE), "remove");
	refused(open(ENVFILE, OREAD), "open", "'#e/usertests' file does not exist");
	refused(remove(ENVFILE), "remove", "'#e/usertests' file does not exist");
	refused(remove(NULLDEV), "remove", "permission denied");
	refused(create("#c/new", OWRITE, 0666), "create", "'#c/new' permission denied");
	refused(create("#e/a/b", OWRITE, 0666), "create", "'#e/a' file does not exist");
	refused(create("#e/a/", OWRITE, 0666), "create", "'#e/a/' create without DMDIR");
	refused(create(ENVFILE, 4, 0666), "create", "bad arg in system call");
}

static void
file_orclose(void)
{
	int fd, fd2;

	fd = create(ENVFILE, ORDWR | ORCLOSE, 0666);
	good(fd, "create");
	fd2 = dup(fd, -1);
	close(fd);
	fd = open(ENVFILE, OREAD);
	good(fd, "open before the last close");
	close(fd);
	close(fd2);
	refused(open(ENVFILE, OREAD), "open", "'#e/usertests' file does not exist");
}

static void
file_stat(void)
{
	uchar d1[256], d2[256];
	int fd, n;

	n = stat(HELLO, d1, sizeof d1);
	good(n, "stat");
	equal(get16(d1) + 2, n, "size of the entry");
	nameis(d1, "hello");
	equal(d1[QIDTYPE], 0, "qid type");
	fd = open(HELLO, OREAD);
	good(fd, "open");
	good(fstat(fd, d2, sizeof d2), "fstat");
	equal(memcmp(d1 + QIDTYPE, d2 + QIDTYPE, MODE - QIDTYPE), 0, "qid of fstat");
	equal(get32(d1 + LENGTH), seek(fd, 0, 2), "length");
	equal(get32(d2 + LENGTH), seek(fd, 0, 2), "length of fstat");
	good(stat("/bin", d1, sizeof d1), "stat of a directory");
	equal(d1[QIDTYPE] & QTDIR, QTDIR, "qid type of a directory");
	equal(get32(d1 + MODE) & DMDIR, DMDIR, "mode of a directory");

	n = stat(NULLDEV, d1, sizeof d1);
	good(n, "stat");
	nameis(d1, "null");
	equal(get16(d1 + 2), 'c', "type of null");
	equal(get32(d1 + MODE), 0666, "mode of null");
	equal(stat(NULLDEV, d2, n), n, "stat, buffer exactly right");
	equal(stat(NULLDEV, d2, n - 1), 2, "stat, buffer too short");
	equal(get16(d2) + 2, n, "size told by a short stat");
	refused(stat(NULLDEV, d2, 1), "stat", "bad arg in system call");
	refused(stat("#c/nonexistent", d2, sizeof d2), "stat", "'#c/nonexistent' file does not exist");
}

/* read the directory dir through n-byte reads and find name in it */
static void
finddir(const char *dir, const char *name, int n)
{
	uchar *p;
	int fd, got, found = 0;

	fd = open(dir, OREAD);
	good(fd, "open");
	while ((got = read(fd, buf, n)) > 0)
		for (p = (uchar *)buf; p < (uchar *)buf + got; p += get16(p) + 2) {
			if (get16(p) < 47 || p + get16(p) + 2 > (uchar *)buf + got)
				fail("%s: a piece of an entry", dir);
			if (get16(p + NAME) == strlen(name) && memcmp(p + NAME + 2, name, strlen(name)) == 0)
				found++;
		}
	good(got, "read");
	equal(found, 1, name);
	close(fd);
}

static void
dir_read(void)
{
	char first[128];
	int fd, n;

	finddir("/bin", "hello", sizeof buf);
	finddir("/bin", "usertests", 256);
	finddir("#c", "null", 256);
	fd = open("#c", OREAD);
	good(fd, "open");
	n = read(fd, first, sizeof first);
	if (n <= 0)
		fail("read of a directory: %d", n);
	refused(pread(fd, buf, sizeof first, n + 1), "pread", "seek in directory");
	refused(seek(fd, n, 0), "seek", "file is a directory");
	refused(seek(fd, 0, 1), "seek", "file is a directory");
	refused(seek(fd, 0, 2), "seek", "file is a directory");
	equal(seek(fd, 0, 0), 0, "rewind");
	equal(read(fd, buf, sizeof first), n, "read after rewind");
	equal(memcmp(buf, first, n), 0, "entries after rewind");
}

static void
dir_names(void)
{
	int fd, p[2];

	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	good(fd2path(fd, buf, 64), "fd2path");
	same(buf, "#c/null", "fd2path");
	good(fd2path(fd, buf, 5), "fd2path");
	same(buf, "#c/n", "fd2path, buffer too short");
	makepipe(p);
	good(fd2path(p[0], buf, 64), "fd2path");
	same(buf, "#|/data", "fd2path of a pipe");
	good(fd2path(p[1], buf, 64), "fd2path");
	same(buf, "#|/data1", "fd2path of a pipe's other end");
	good(chdir("/bin"), "chdir");
	fd = open("hello", OREAD);
	good(fd, "open");
	good(fd2path(fd, buf, 64), "fd2path");
	same(buf, "/bin/hello", "fd2path after chdir");
	fd = open("../bin/./hello", OREAD);
	good(fd, "open");
	good(fd2path(fd, buf, 64), "fd2path");
	same(buf, "/bin/hello", "fd2path of a name with dots");
}

static void
dir_chdir(void)
{
	int pid, fd;

	good(chdir("/bin"), "chdir");
	refused(chdir(NULLDEV), "chdir", "'#c/null' not a directory");
	refused(chdir("#c/nonexistent"), "chdir", "'#c/nonexistent' file does not exist");
	pid = fork(0);
	if (pid == 0) {
		good(chdir("#c"), "chdir");
		good(open("null", OREAD), "open in the child's directory");
		exits(nil);
	}
	ended(pid, "");
	fd = open("hello", OREAD);
	good(fd, "open in a directory that a child left");
}

static void
dev_cons(void)
{
	int fd, pid;

	fd = open("#c/zero", OREAD);
	good(fd, "open");
	memset(area, 0x55, 3 * PG);
	equal(read(fd, area + 100, 2 * PG), 2 * PG, "read of zero");
	allzero(area + 100, 2 * PG, "zero");
	equal(area[99], 0x55, "byte before");
	equal(area[100 + 2 * PG], 0x55, "byte behind");
	fd = open("#c/pid", OREAD);
	good(fd, "open");
	equal(read(fd, buf, 100), 12, "read of pid");
	snprint(buf + 100, 20, "%11u ", tos->pid);
	equal(memcmp(buf, buf + 100, 12), 0, "pid file");
	pid = fork(0);
	if (pid == 0) {
		equal(pread(fd, buf, 100, 0), 12, "read of pid");
		snprint(buf + 100, 20, "%11u ", tos->pid);
		equal(memcmp(buf, buf + 100, 12), 0, "pid file in the child");
		exits(nil);
	}
	ended(pid, "");
}

/* System calls and bad pointers */

static void
callnumber(void)
{
	syscall(200, 0, 0, 0, 0, 0);
}

static void
sys_number(void)
{
	char before[128];

	snprint(before, sizeof before, "%%s %%d: bad sys call number 200 pc %x\n", (uint)syscall_pc);
	dies(callnumber, before, "sys: bad sys call", syscall_pc);
}

static void
openbad(void)
{
	syscall(14, 0x10, OREAD, 0, 0, 0);
}

static void
readtext(void)
{
	int fd = open("#c/zero", OREAD);

	syscall(50, fd, main, 4, -1, -1);
}

static void
writebad(void)
{
	syscall(51, open(NULLDEV, OWRITE), 0x30000000, 4, -1, -1);
}

static void
readedge(void)
{
	int fd = open("#c/zero", OREAD);

	syscall(50, fd, brk_(nil) + sizeof area + 0x100000, 4, -1, -1);
}

static void
execbad(void)
{
	syscall(7, HELLO, 0x30000000, 0, 0, 0);
}

static void
negative(void)
{
	syscall(50, open("#c/zero", OREAD), area, -1, -1, -1);
}

static void
sys_address(void)
{
	static const Func call[] = {openbad, readtext, writebad, readedge, execbad, negative};
	int i;

	for (i = 0; i < nelem(call); i++)
		dies(call[i], nil, "sys: bad address in syscall", syscall_pc);
	dies(callsp, nil, "sys: bad address in syscall", callsp_pc);
}

static void
sys_errstr(void)
{
	char text[ERRMAX];

	strcpy(text, "my own text");
	good(errstr(text, sizeof text), "errstr");
	refused(0 - 1, "errstr", "my own text");
	refused(close(-1), "close", "fd out of range or not open");
	sleep(0);
	refused(0 - 1, "a good call", "fd out of range or not open");
	memset(text, 'x', sizeof text);
	good(errstr(text, 5), "errstr");
	same(text, "fd o", "errstr, buffer too short");
	equal(text[5], 'x', "byte behind a short errstr");
	refused(0 - 1, "errstr", "xxxx");
	refused(errstr(text, 0), "errstr", "bad arg in system call");
}

static void
sys_registers(void)
{
	int i;

	equal(heldregs(17, 0), 0, "registers across sleep(0)");
	equal(heldregs(17, 20), 0, "registers across sleep(20)");
	equal(heldregs(4, -1), 0, "registers across an error");
	for (i = 0; i < 3; i++)
		fork(RFNOWAIT);
	equal(heldregs(17, 10), 0, "registers across others' calls");
}

static void
sys_buffers(void)
{
	int i, n = 2 * PG + 777, p[2];

	/* the kernel fills pages that were never touched, from the middle of one to the middle of another */
	makepipe(p);
	for (i = 0; i < n; i++)
		buf[i] = i * 7 + 1;
	equal(write(p[0], buf, n), n, "write");
	equal(read(p[1], area + PG - 300, n), n, "read");
	equal(memcmp(area + PG - 300, buf, n), 0, "what was read");
	allzero(area, PG - 300, "before it");
	allzero(area + PG - 300 + n, PG, "behind it");
	/* and reads pages that were never touched: zeros */
	memset(buf, 1, n);
	equal(write(p[0], area + 20 * PG + 5, n), n, "write");
	equal(read(p[1], buf, n), n, "read");
	allzero(buf, n, "untouched memory");
	/* and pages that both sides of a fork still share */
	memset(area + 40 * PG, 3, 4 * PG);
	i = fork(0);
	if (i == 0) {
		equal(write(p[0], "abc", 3), 3, "write");
		equal(read(p[1], area + 41 * PG - 1, 3), 3, "read");
		equal(memcmp(area + 41 * PG - 2, "\3abc\3", 5), 0, "the child's copy");
		exits(nil);
	}
	ended(i, "");
	for (i = 0; i < 4 * PG; i++)
		equal(area[40 * PG + i], 3, "the parent's memory");
}

/* Pipes */

static void
pipe_both(void)
{
	int p[2];

	makepipe(p);
	message(p[0], "to 1");
	message(p[1], "to 0");
	expect(p[0], "to 0");
	expect(p[1], "to 1");
	refused(seek(p[0], 0, 0), "seek", "seek on a stream");
}

static void
pipe_bounds(void)
{
	int p[2];

	makepipe(p);
	message(p[0], "first");
	message(p[0], "second");
	message(p[0], "third");
	expect(p[1], "first");
	equal(read(p[1], buf, 3), 3, "read of a piece");
	equal(memcmp(buf, "sec", 3), 0, "first piece");
	expect(p[1], "ond");
	equal(write(p[0], "", 0), 0, "write of nothing");
	expect(p[1], "third");
	equal(read(p[1], buf, 10), 0, "read of nothing");
	message(p[0], "more");
	expect(p[1], "more");
}

static void
pipe_eof(void)
{
	int i, p[2];

	makepipe(p);
	message(p[0], "last");
	close(p[0]);
	expect(p[1], "last");
	for (i = 0; i < 3; i++)
		equal(read(p[1], buf, 10), 0, "read at end of file");
	refused(read(p[1], buf, 10), "pread", "i/o on hungup channel");
}

static void
writeclosed(void)
{
	int p[2];

	makepipe(p);
	close(p[1]);
	syscall(51, p[0], "x", 1, -1, -1);
}

static void
pipe_closed(void)
{
	char err[256], want[ERRMAX];
	Waitmsg w;
	int pid;

	pid = watch(writeclosed, &w, err, sizeof err);
	snprint(want, sizeof want, "%s %d: sys: write on closed pipe pc=%p", self, pid, syscall_pc);
	same(w.msg, want, "status");
	same(err, "", "standard error");
}

static void
pipe_full(void)
{
	int i, j, n, pid, sum = 0, p[2];

	makepipe(p);
	pid = fork(RFFDG);
	if (pid == 0) {
		close(p[1]);
		for (i = 0; i < 100; i++) {
			memset(buf, i, 10000);
			equal(write(p[0], buf, 10000), 10000, "write");
		}
		exits(nil);
	}
	close(p[0]);
	sleep(50); /* let the child fill the pipe and block */
	for (i = 0; i < 100; i++) {
		n = read(p[1], buf, sizeof buf);
		equal(n, 10000, "read");
		for (j = 0; j < n; j++)
			if (buf[j] != i)
				fail("message %d: byte %d is %d", i, j, buf[j]);
		sum += n;
	}
	equal(sum, 1000000, "bytes");
	equal(read(p[1], buf, 1), 0, "read at end of file");
	ended(pid, "");
}

/* Processes */

static void
fork_pid(void)
{
	int pid, me = tos->pid, got, p[2];

	makepipe(p);
	pid = fork(0);
	if (pid == 0) {
		got = tos->pid;
		write(p[0], &got, sizeof got);
		exits(nil);
	}
	if (pid <= 0 || pid == me)
		fail("rfork returned %d in process %d", pid, me);
	equal(read(p[1], &got, sizeof got), sizeof got, "read");
	equal(got, pid, "the child's own pid");
	equal(tos->pid, me, "the parent's own pid");
	ended(pid, "");
}

static void
fork_errors(void)
{
	refused(rfork(RFPROC | RFFDG | RFCFDG), "rfork", "bad arg in system call");
	refused(rfork(RFPROC | RFNAMEG | RFCNAMEG), "rfork", "bad arg in system call");
	refused(rfork(RFPROC | RFENVG | RFCENVG), "rfork", "bad arg in system call");
	refused(rfork(RFMEM), "rfork", "bad arg in system call");
	refused(rfork(RFNOWAIT), "rfork", "bad arg in system call");
	equal(rfork(0), 0, "rfork(0)");
	equal(rfork(RFFDG), 0, "rfork(RFFDG)");
	refused(await(buf, 100), "await", "no living children");
}

static void
fork_memory(void)
{
	volatile uint local = 1;
	int pid;

	WORD(area) = 1;
	zeroed = 1;
	pid = fork(0);
	if (pid == 0) {
		equal(WORD(area) + zeroed + initialized + local, 3 + 0x11223344, "the child's memory");
		WORD(area) = 2;
		zeroed = 2;
		initialized = 2;
		local = 2;
		exits(nil);
	}
	ended(pid, "");
	equal(WORD(area), 1, "bss page");
	equal(zeroed, 1, "bss");
	equal(initialized, 0x11223344, "data");
	equal(local, 1, "stack");
}

static void
fork_rfmem(void)
{
	volatile uint local = 1;
	int pid;

	WORD(area) = 1;
	pid = fork(RFMEM);
	if (pid == 0) {
		WORD(area) = 2;
		WORD(area + 10 * PG) = 2; /* neither has touched it yet */
		zeroed = 2;
		initialized = 2;
		local = 2;
		exits(nil);
	}
	ended(pid, "");
	equal(WORD(area), 2, "bss page");
	equal(WORD(area + 10 * PG), 2, "new bss page");
	equal(zeroed, 2, "bss");
	equal(initialized, 2, "data");
	equal(local, 1, "stack");
}

static void
fork_generations(void)
{
	int i, j, pid, depth;

	/* each generation writes its part of pages it shares with all before it */
	for (depth = 0; depth < 6; depth++) {
		for (i = 0; i < 8; i++)
			WORD(area + i * PG + 4 * depth) = depth + 1;
		pid = fork(0);
		if (pid != 0)
			break;
	}
	for (i = 0; i < 8; i++)
		for (j = 0; j < 7; j++)
			equal(WORD(area + i * PG + 4 * j), j <= depth && j < 6 ? j + 1 : 0, "a generation's page");
	if (depth < 6)
		ended(pid, "");
}

static void
fork_fds(void)
{
	int pid, fd, other;

	fd = open(HELLO, OREAD);
	good(fd, "open");
	pid = fork(RFFDG); /* a copy of the table: the offset is shared, a close is not */
	if (pid == 0) {
		equal(seek(fd, 7, 0), 7, "seek");
		close(fd);
		exits(nil);
	}
	ended(pid, "");
	equal(seek(fd, 0, 1), 7, "offset moved by a child");
	pid = fork(RFCFDG); /* no table */
	if (pid == 0) {
		refused(close(fd), "close", "fd out of range or not open");
		refused(close(0), "close", "fd out of range or not open");
		exits(nil);
	}
	ended(pid, "");
	pid = fork(0); /* the same table */
	if (pid == 0) {
		close(fd);
		other = open(NULLDEV, OREAD);
		equal(other, fd, "fd of open");
		exits(nil);
	}
	ended(pid, "");
	good(fd2path(fd, buf, 64), "fd2path");
	same(buf, "#c/null", "fd opened by a child");
}

static void
fork_env(void)
{
	int pid;

	good(makefile(ENVFILE, "parent", 6), "create");
	pid = fork(RFENVG);
	if (pid == 0) {
		expect(open(ENVFILE, OREAD), "parent");
		good(makefile(ENVFILE, "child", 5), "create");
		expect(open(ENVFILE, OREAD), "child");
		exits(nil);
	}
	ended(pid, "");
	expect(open(ENVFILE, OREAD), "parent");
	pid = fork(RFCENVG);
	if (pid == 0) {
		refused(open(ENVFILE, OREAD), "open", "'#e/usertests' file does not exist");
		exits(nil);
	}
	ended(pid, "");
	pid = fork(0);
	if (pid == 0) {
		good(makefile(ENVFILE, "shared", 6), "create");
		exits(nil);
	}
	ended(pid, "");
	expect(open(ENVFILE, OREAD), "shared");
	remove(ENVFILE);
}

static void
fork_many(void)
{
	enum { N = 20 };
	int i, j, n, pid[N], p[2];
	char want[ERRMAX];
	Waitmsg w;

	makepipe(p);
	for (i = 0; i < N; i++) {
		pid[i] = fork(0);
		if (pid[i] == 0) {
			equal(read(p[1], buf, 1), 1, "read");
			fail("child %d", i);
		}
	}
	for (i = 0; i < N; i++)
		message(p[0], "x");
	for (i = 0; i < N; i++) {
		n = waitchild(&w);
		good(n, "await");
		for (j = 0; j < N && pid[j] != n; j++)
			;
		if (j == N)
			fail("await gave process %d, unknown or twice", n);
		snprint(want, sizeof want, "%s %d: child %d", self, n, j);
		same(w.msg, want, "status");
		pid[j] = 0;
	}
	refused(await(buf, 100), "await", "no living children");
}

static void
wait_status(void)
{
	static const char *const status[] = {"", "x", "two words", "it's", "=", "12"};
	static const char *const quoted[] = {"''", "'% x'", "'% two words'", "'% it''s'", "'% ='", "'% 12'"};
	char want[ERRMAX], prefix[64], *s, *d;
	const char *q;
	int i, field, n, pid;

	for (i = 0; i < nelem(status); i++) {
		pid = fork(0);
		if (pid == 0)
			exits(status[i][0] || i % 2 ? status[i] : nil);
		n = await(buf, 256);
		good(n, "await");
		buf[n] = 0;
		snprint(prefix, sizeof prefix, "%d ", pid);
		if (strncmp(buf, prefix, strlen(prefix)) != 0)
			fail("await: %s does not begin with %d", buf, pid);
		for (s = buf, field = 0; *s && field < 4; s++)
			if (*s == ' ')
				field++;
		snprint(prefix, sizeof prefix, "%s %d:", self, pid);
		for (q = quoted[i], d = want; *q; q++) /* % stands for the process */
			if (*q == '%')
				d = strcpy(d, prefix) + strlen(prefix);
			else
				*d++ = *q;
		*d = 0;
		same(s, want, "status of await");
	}
	pid = fork(0);
	if (pid == 0)
		exits("long enough");
	memset(buf, 'x', 20);
	n = await(buf, 8);
	equal(n, 7, "await, buffer too short");
	equal(buf[7], 0, "end of a short await");
	equal(buf[8], 'x', "byte behind a short await");
}

static void
wait_long(void)
{
	char prefix[64];
	int n, pid;

	memset(buf, 'y', 300);
	buf[300] = 0;
	pid = fork(0);
	if (pid == 0)
		exits(buf);
	n = await(buf, 512);
	good(n, "await");
	buf[n] = 0;
	/* the whole message is cut to ERRMAX, NUL included; two quotes */
	equal(strlen(strchr(buf, '\'')), ERRMAX - 1 + 2, "length of a long status");
	snprint(prefix, sizeof prefix, "'%s %d: yyyyyyyyyy", self, pid);
	equal(strncmp(strchr(buf, '\''), prefix, strlen(prefix)), 0, "start of a long status");
}

static void
wait_none(void)
{
	int pid;

	refused(await(buf, 100), "await", "no living children");
	pid = fork(RFNOWAIT);
	if (pid == 0)
		exits("not told");
	refused(await(buf, 100), "await", "no living children");
	pid = fork(0);
	if (pid == 0) {
		if (fork(RFNOWAIT) == 0)
			exits("not told");
		if (fork(0) == 0)
			exits("the parent never asks");
		exits("child");
	}
	ended(pid, "child");
	refused(await(buf, 100), "await", "no living children");
}

/* Exec */

static void
exec_args(void)
{
	static char *const args[] = {"echo", "a", "b c", "", "d", nil};
	Waitmsg w;

	capture("/bin/echo", args, buf, sizeof buf, &w);
	same(buf, "a b c  d\n", "output of echo");
	same(w.msg, "", "status of echo");
}

/* a helper behind exec: usertests -args N ARG...: ARG i is "argument i" */
static const char *
args_helper(int argc, char *argv[])
{
	char want[32];
	int i, n = number(argv[2], 0, 100000);

	equal(argc, n + 3, "argc");
	for (i = 0; i < n; i++) {
		snprint(want, sizeof want, "argument %d", i);
		same(argv[i + 3], want, "argument");
	}
	equal((uint)argv[argc], 0, "argv[argc]");
	return nil;
}

static void
exec_manyargs(void)
{
	enum { N = 1000 };
	static char *args[N + 4], text[N][16];
	Waitmsg w;
	int i;

	args[0] = (char *)self;
	args[1] = "-args";
	args[2] = "1000";
	for (i = 0; i < N; i++) {
		args[i + 3] = text[i];
		snprint(text[i], sizeof text[i], "argument %d", i);
	}
	capture(selfpath, args, buf, sizeof buf, &w);
	same(w.msg, "", "status");
}

static void
exec_status(void)
{
	static char *const args[] = {"not its name", "some message", nil};
	char want[ERRMAX];
	Waitmsg w;

	capture("/bin/false", args, buf, sizeof buf, &w);
	snprint(want, sizeof want, "false %d: some message", w.pid);
	same(w.msg, want, "status");
	chdir("/");
	capture("bin/false", args, buf, sizeof buf, &w);
	snprint(want, sizeof want, "false %d: some message", w.pid);
	same(w.msg, want, "status");
}

static void
exec_errors(void)
{
	static char *const args[] = {"x", nil};
	uchar header[36];

	refused(exec("#c/nonexistent", args), "exec", "'#c/nonexistent' file does not exist");
	refused(exec("#c", args), "exec", "cannot exec directory");
	refused(exec(NULLDEV, args), "exec", "'#c/null' permission denied");
	refused(exec("", args), "exec", "empty file name");
	memset(area, 'x', 0x10000); /* the longest name has one byte less */
	refused(exec((char *)area, args), "exec", "name too long");
	refused(open((char *)area, OREAD), "open", "name too long");
	refused(exec("a\nb", args), "exec", "bad character in file name: 'a\nb'");
	memset(header, 0, sizeof header);
	good(makefile(ENVFILE, (char *)header, 1), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	good(makefile(ENVFILE, (char *)header, sizeof header), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	header[2] = 1;
	header[3] = 0xeb;
	header[7] = 4; /* 4 bytes of text, but the entry is 0 */
	good(makefile(ENVFILE, (char *)header, sizeof header), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	header[22] = 0x10;
	header[23] = 0x24; /* the first address behind the text */
	good(makefile(ENVFILE, (char *)header, sizeof header), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	header[8] = 0xff; /* data beyond the address space */
	header[23] = 0x20;
	good(makefile(ENVFILE, (char *)header, sizeof header), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	good(makefile(ENVFILE, "#!/bin/echo no newline", 22), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	good(makefile(ENVFILE, "#!\n", 3), "create");
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	good(makefile(ENVFILE, "#!#e/usertests\n", 15), "create"); /* a script that a script runs */
	refused(exec(ENVFILE, args), "exec", "exec header invalid");
	remove(ENVFILE);
}

/* a helper: usertests -fds CLOSED OPEN */
static const char *
fds_helper(int argc, char *argv[])
{
	equal(argc, 4, "argc");
	refused(close(number(argv[2], 0, 1000)), "close", "fd out of range or not open");
	good(seek(number(argv[3], 0, 1000), 0, 0), "seek on the fd that stays open");
	return nil;
}

static void
exec_fds(void)
{
	char closed[16], stays[16], *args[] = {(char *)self, "-fds", closed, stays, nil};
	int fd;
	Waitmsg w;

	fd = open(NULLDEV, OREAD | OCEXEC);
	good(fd, "open");
	snprint(closed, sizeof closed, "%d", fd);
	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	snprint(stays, sizeof stays, "%d", fd);
	capture(selfpath, args, buf, sizeof buf, &w);
	same(w.msg, "", "status");
}

/* a helper: usertests -memory: everything is as in the file */
static const char *
memory_helper(void)
{
	equal(initialized, 0x11223344, "data");
	equal(zeroed, 0, "bss");
	allzero(area, sizeof area, "bss pages");
	refused(await(buf, 100), "await", "no living children");
	return nil;
}

static void
exec_memory(void)
{
	static char *args[] = {nil, "-memory", nil};
	Waitmsg w;

	args[0] = (char *)self;
	initialized = 0;
	zeroed = 1;
	memset(area, 1, sizeof area);
	capture(selfpath, args, buf, sizeof buf, &w);
	same(w.msg, "", "status");
	equal(zeroed, 1, "the parent's bss");
}

static char *const KEPT = (char *)0x50000000, *const DROPPED = (char *)0x51000000;

/* a helper: usertests -segments */
static const char *
segments_helper(void)
{
	equal(WORD(KEPT), 0x5e65e65e, "a segment kept across exec");
	refused(segdetach(DROPPED), "segdetach", "bad arg in system call");
	return nil;
}

static void
exec_segments(void)
{
	static char *args[] = {nil, "-segments", nil};
	Waitmsg w;

	args[0] = (char *)self;
	equal(segattach(0, "shared", KEPT, PG), (uint)KEPT, "segattach");
	equal(segattach(SG_CEXEC, "shared", DROPPED, PG), (uint)DROPPED, "segattach");
	WORD(KEPT) = 0x5e65e65e;
	WORD(DROPPED) = 1;
	capture(selfpath, args, buf, sizeof buf, &w);
	same(w.msg, "", "status");
	equal(WORD(DROPPED), 1, "the parent's segment");
}

static void
exec_script(void)
{
	static const char *const where[] = {"/tmp/usertests.sh", "#e/usertests.sh"};
	static char *const args[] = {"its argv[0] is dropped", "c", nil};
	static const char echo[] = "#!/bin/echo one  two\nnot read\n", fails[] = "#! /bin/false\n";
	char want[ERRMAX];
	int i, ran = 0;
	Waitmsg w;

	for (i = 0; i < nelem(where); i++) {
		if (makefile(where[i], echo, sizeof echo - 1) < 0)
			continue;
		capture(where[i], args, buf, sizeof buf, &w);
		snprint(want, sizeof want, "one two %s c\n", where[i]);
		same(buf, want, "output of a script");
		good(makefile(where[i], fails, sizeof fails - 1), "create");
		capture(where[i], args, buf, sizeof buf, &w);
		snprint(want, sizeof want, "usertests.sh %d: %s", w.pid, where[i]);
		same(w.msg, want, "status of a script");
		good(remove(where[i]), "remove");
		ran++;
	}
	if (!ran)
		exits("skipped: no place for a script");
}

/* Memory */

static void
mem_bss(void)
{
	allzero(area, sizeof area, "bss pages");
	equal(zeroed, 0, "bss");
	equal(initialized, 0x11223344, "data");
}

/* the program's own end, rounded up to a page */
static char *
top(void)
{
	return (char *)(((uint)end + PG - 1) & ~(PG - 1));
}

static void
readtop(void)
{
	readat(top());
}

static void
mem_brk(void)
{
	char text[64], *t = top();
	int base;

	base = brk_(nil);
	if (base % PG != 0 || (uint)base > (uint)area || (uint)base < (uint)etext)
		fail("brk_(nil) is 0x%x", base);
	snprint(text, sizeof text, "sys: trap: fault read addr=0x%x", (uint)t);
	dies(readtop, "", text, readat_pc);
	good(brk_(t + 1), "brk");
	allzero(t, PG, "a page of brk");
	good(brk_(t + 10 * PG), "brk");
	allzero(t, 10 * PG, "pages of brk");
	memset(t, 1, 10 * PG);
	good(brk_(t + 5 * PG), "brk");
	equal(t[5 * PG - 1], 1, "a page that stays");
	good(brk_(t + 10 * PG), "brk");
	equal(t[5 * PG - 1], 1, "a page that stays");
	allzero(t + 5 * PG, 5 * PG, "pages given back and got again");
	good(brk_(t), "brk");
	dies(readtop, "", text, readat_pc);
}

static void
brk_errors(void)
{
	char *t = top();
	int i, pid, p[2];

	refused(brk_((void *)UTZERO), "brk", "virtual memory allocation failed");
	equal(segattach(0, "shared", t + 16 * PG, PG), (uint)t + 16 * PG, "segattach");
	refused(brk_(t + 16 * PG), "brk", "segments overlap");
	refused(brk_((void *)(USTKTOP - PG)), "brk", "segments overlap");
	good(brk_(t + 15 * PG), "brk");
	WORD(t) = 7;
	makepipe(p);
	pid = fork(RFMEM);
	if (pid == 0) {
		expect(p[1], "go");
		exits(nil);
	}
	refused(brk_(t), "brk", "device or object already in use");
	equal(WORD(t), 7, "memory after a refused brk");
	message(p[0], "go");
	ended(pid, "");
	for (i = 0; i < 100 && brk_(t) == -1; i++) /* the child is awaited before it lets go of its memory */
		sleep(10);
	good(brk_(t), "brk");
}

static NOINLINE int
deep(int n, int sum)
{
	volatile char frame[PG];
	int i, r;

	for (i = 0; i < PG && sum > 2; i += 512) /* the first frames lie where others were before */
		if (frame[i] != 0)
			return -1000000;
	for (i = 0; i < PG; i++)
		frame[i] = 0x77;
	r = n == 0 ? sum : deep(n - 1, sum + 1);
	for (i = 0; i < PG; i += 64)
		if (frame[i] != 0x77)
			r = -1000000;
	return r;
}

static void
belowstack(void)
{
	writeat((void *)(USTKBASE - 4));
}

static void
mem_stack(void)
{
	dies(belowstack, "", "sys: trap: fault write addr=0xdeffeffc", writeat_pc);
	equal(deep(200, 0), 200, "stack frames");
	WORD(USTKBASE) = 1; /* the whole segment may be used, from anywhere */
	equal(WORD(USTKBASE), 1, "lowest word of the stack");
}

/* Segments */

static char *
attach(const char *class, int attr, char *at, int pages)
{
	int va = segattach(attr, class, at, pages * PG);

	good(va, "segattach");
	return (char *)va;
}

static void
seg_attach(void)
{
	char *a, *b, *c;

	a = attach("shared", 0, nil, 3);
	equal((uint)a, USTKBASE - 3 * PG, "first place");
	b = attach("memory", 0, nil, 5);
	equal((uint)b, USTKBASE - 8 * PG, "second place");
	c = attach("shared", 0, (char *)0x40000123, 1); /* rounded down */
	equal((uint)c, 0x40000000, "a chosen place");
	allzero(a, 3 * PG, "shared segment");
	allzero(b, 5 * PG, "memory segment");
	allzero(c, PG, "shared segment");
	memset(b, 1, 5 * PG);
	good(segdetach(b + 100), "segdetach");
	equal((uint)attach("memory", 0, nil, 5), (uint)b, "the place again");
	allzero(b, 5 * PG, "memory segment attached again");
}

static void
seg_errors(void)
{
	char *a = attach("shared", 0, (char *)0x40000000, 4);

	refused(segattach(0, "shared", a, PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", a - PG, 2 * PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", a + 3 * PG, 9 * PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", area, PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", (void *)UTZERO, PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", (void *)USTKBASE, PG), "segattach", "segments overlap");
	refused(segattach(0, "shared", nil, 0), "segattach", "bad arg in system call");
	refused(segattach(0, "shared", (void *)USTKTOP, PG), "segattach", "bad arg in system call");
	refused(segattach(0, "shared", (void *)10, PG), "segattach", "bad arg in system call");
	refused(segattach(0, "nosuch", nil, PG), "segattach", "bad arg in system call");
	refused(segattach(0, "shared", nil, 0xf0000000), "segattach", "virtual memory allocation failed");
	refused(segattach(0, "shared", (void *)0x50000000, 0x7d000000), "segattach", "virtual memory allocation failed");
	refused(segdetach((void *)0x30000000), "segdetach", "bad arg in system call");
	refused(segdetach((void *)USTKBASE), "segdetach", "bad arg in system call");
	refused(segfree((void *)0x30000000, PG), "segfree", "bad arg in system call");
	refused(segfree(a, 5 * PG), "segfree", "bad arg in system call");
	refused(segflush((void *)0x30000000, PG), "segflush", "bad arg in system call");
	refused(segbrk((void *)0x30000000, a), "segbrk", "bad arg in system call");
	refused(segbrk((void *)UTZERO, a), "segbrk", "bad arg in system call");
	refused(segbrk((void *)USTKBASE, a), "segbrk", "bad arg in system call");
	/* text, data, bss, stack, and this one: four more places are free */
	attach("shared", 0, nil, 1);
	attach("shared", 0, nil, 1);
	attach("shared", 0, nil, 1);
	attach("shared", 0, nil, 1);
	refused(segattach(0, "shared", nil, PG), "segattach", "virtual memory allocation failed");
	good(segdetach(a), "segdetach");
	attach("shared", 0, nil, 1);
}

static void
seg_fork(void)
{
	char *s = attach("shared", 0, nil, 8), *m = attach("memory", 0, nil, 8);
	int i, pid;

	for (i = 0; i < 4; i++)
		WORD(s + i * PG) = WORD(m + i * PG) = 1;
	pid = fork(0);
	if (pid == 0) {
		for (i = 0; i < 8; i++) {
			equal(WORD(s + i * PG), i < 4, "shared segment in the child");
			equal(WORD(m + i * PG), i < 4, "memory segment in the child");
			WORD(s + i * PG) = WORD(m + i * PG) = 2;
		}
		exits(nil);
	}
	ended(pid, "");
	for (i = 0; i < 8; i++) {
		equal(WORD(s + i * PG), 2, "shared segment");
		equal(WORD(m + i * PG), i < 4, "memory segment");
	}
	pid = fork(RFMEM);
	if (pid == 0) {
		WORD(m) = 3;
		good(segdetach(s), "segdetach"); /* the child's place for it, not the segment */
		exits(nil);
	}
	ended(pid, "");
	equal(WORD(m), 3, "memory segment after RFMEM");
	equal(WORD(s), 2, "shared segment that a child detached");
}

static void
readsegment(void)
{
	readat(KEPT);
}

static void
writesegment(void)
{
	writeat(KEPT);
}

static void
seg_detach(void)
{
	attach("shared", 0, KEPT, 2);
	WORD(KEPT) = 1;
	good(segdetach(KEPT), "segdetach");
	refused(segdetach(KEPT), "segdetach", "bad arg in system call");
	dies(readsegment, "", "sys: trap: fault read addr=0x50000000", readat_pc);
	attach("memory", SG_RONLY, KEPT, 2);
	equal(WORD(KEPT), 0, "read-only segment");
	dies(writesegment, "", "sys: trap: fault write addr=0x50000000", writeat_pc);
	good(segdetach(KEPT), "segdetach");
}

static void
seg_free(void)
{
	char *m = attach("memory", 0, nil, 16);
	int i;

	memset(m, 1, 16 * PG);
	memset(area, 1, sizeof area);
	good(segfree(m + 4 * PG, 8 * PG), "segfree");
	allzero(m + 4 * PG, 8 * PG, "pages freed");
	for (i = 0; i < 4 * PG; i++)
		equal(m[i] + m[12 * PG + i], 2, "pages around them");
	/* only whole pages inside the range go */
	good(segfree(area + 1, 2 * PG), "segfree");
	equal(area[PG - 1], 1, "byte before the first whole page");
	equal(area[2 * PG], 1, "byte behind the last whole page");
	allzero(area + PG, PG, "bss page freed");
	/* what a child frees its parent keeps */
	i = fork(0);
	if (i == 0) {
		good(segfree(area, sizeof area), "segfree");
		allzero(area, sizeof area, "bss pages freed");
		exits(nil);
	}
	ended(i, "");
	for (i = 2 * PG; i < (int)sizeof area; i++)
		equal(area[i], 1, "the parent's memory");
}

static void
seg_brk(void)
{
	char *m = attach("memory", 0, (char *)0x40000000, 2);

	WORD(m + PG) = 1;
	good(segbrk(m, m + 4 * PG), "segbrk");
	equal(WORD(m + PG), 1, "page before");
	allzero(m + 2 * PG, 2 * PG, "pages of segbrk");
	WORD(m + 3 * PG) = 1;
	good(segbrk(m + PG, m + PG), "segbrk");
	good(segbrk(m, m + 4 * PG), "segbrk");
	allzero(m + PG, 3 * PG, "pages given back and got again");
	attach("shared", 0, m + 8 * PG, 1);
	refused(segbrk(m, m + 8 * PG), "segbrk", "segments overlap");
	refused(segbrk(m, m - PG), "segbrk", "virtual memory allocation failed");
}

static void
seg_flush(void)
{
	uchar *code = (uchar *)area;
	int i, got;

	for (i = 0; i < 10; i++) {
		code[0] = 0xb8; /* movl $i, %eax; ret */
		code[1] = i;
		code[5] = 0xc3;
		if (i % 2)
			good(segflush(area, sizeof area), "segflush");
		got = ((int (*)(void))area)();
		equal(got, i, "the code that ran");
	}
	good(segflush((void *)UTZERO, PG), "segflush of the text");
}

/* Deaths */

static void
trap_nil(void)
{
	dies(readnil, "", "sys: trap: fault read addr=0x0", readnil_pc);
	dies(writenil, "", "sys: trap: fault write addr=0x0", writenil_pc);
	dies((Func)nil, "", "sys: trap: fault read addr=0x0", nil);
	dies(pushnil, "", "sys: trap: fault write addr=0xfc", pushnil_pc);
}

static void
trap_text(void)
{
	char text[64];

	snprint(text, sizeof text, "sys: trap: fault write addr=0x%x", (uint)writetext);
	dies(writetext, "", text, writetext_pc);
}

static void
readkernel(void)
{
	readat((void *)0xf0000000);
}

static void
readtables(void)
{
	readat((void *)0xefc00000);
}

static void
writeabove(void)
{
	writeat((void *)USTKTOP);
}

static void
readlast(void)
{
	readat((void *)0xfffffffc);
}

static void
trap_kernel(void)
{
	dies(readkernel, "", "sys: trap: fault read addr=0xf0000000", readat_pc);
	dies(readtables, "", "sys: trap: fault read addr=0xefc00000", readat_pc);
	dies(readlast, "", "sys: trap: fault read addr=0xfffffffc", readat_pc);
	dies(writeabove, "", "sys: trap: fault write addr=0xdffff000", writeat_pc);
}

static void
trap_divide(void)
{
	dies(divide, "", "sys: trap: divide error", divide_pc);
	dies(overflow, "", "sys: trap: divide error", overflow_pc);
}

static void
trap_opcode(void)
{
	dies(invalid, "", "sys: trap: invalid opcode", invalid_pc);
}

static void
trap_breakpoint(void)
{
	dies(breakpoint, "", "sys: breakpoint", breakpoint_pc);
}

static void
trap_privilege(void)
{
	static const char text[] = "sys: trap: general protection violation";

	dies(halt, "", text, halt_pc);
	dies(cli, "", text, cli_pc);
	dies(inport, "", text, inport_pc);
	dies(loadcr, "", text, loadcr_pc);
	dies(softint, "", text, softint_pc);
	dies(softpf, "", text, softpf_pc);
}

/* a process that died keeps nothing from its parent; more die than the kernel keeps broken */
static void
trap_many(void)
{
	int i;

	for (i = 0; i < 10; i++)
		dies(readnil, "", "sys: trap: fault read addr=0x0", readnil_pc);
}

/* Meeting */

static void
rend_values(void)
{
	int i, pid;

	pid = fork(0);
	if (pid == 0) {
		for (i = 0; i < 20; i++)
			equal(rendezvous(77, i), i + 1000, "value from the parent");
		exits(nil);
	}
	for (i = 0; i < 20; i++)
		equal(rendezvous(77, i + 1000), i, "value from the child");
	ended(pid, "");
}

static void
rend_tags(void)
{
	enum { N = 8 };
	int i, pid[N];

	/* they wait in one order and are met in the other; tags that differ by a hash table's size too */
	for (i = 0; i < N; i++) {
		pid[i] = fork(0);
		if (pid[i] == 0) {
			equal(rendezvous(i * 32, i), i + 100, "value from the parent");
			exits(nil);
		}
		sleep(0);
	}
	sleep(10);
	for (i = N - 1; i >= 0; i--) {
		equal(rendezvous(i * 32, i + 100), i, "value from the child");
		ended(pid[i], "");
	}
}

static void
rend_groups(void)
{
	int a, b, p[2];

	/* two groups, one tag: each pair meets in its own */
	makepipe(p);
	a = fork(RFREND);
	if (a == 0) {
		b = fork(0);
		if (b == 0) {
			equal(rendezvous(5, 1), 2, "value in the new group");
			exits(nil);
		}
		message(p[0], "ready");
		expect(p[0], "met");
		equal(rendezvous(5, 2), 1, "value in the new group");
		ended(b, "");
		exits(nil);
	}
	expect(p[1], "ready");
	sleep(10);
	b = fork(0);
	if (b == 0) {
		equal(rendezvous(5, 3), 4, "value in the old group");
		exits(nil);
	}
	equal(rendezvous(5, 4), 3, "value in the old group");
	ended(b, "");
	message(p[1], "met");
	ended(a, "");
}

static int sem, sem2;

static void
sem_values(void)
{
	equal(semacquire(&sem, 0), 0, "semacquire of 0");
	equal(semrelease(&sem, 2), 2, "semrelease");
	equal(semrelease(&sem, 0), 2, "semrelease of 0");
	equal(semacquire(&sem, 0), 1, "semacquire");
	equal(semacquire(&sem, 1), 1, "semacquire");
	equal(sem, 0, "the semaphore");
	equal(semacquire(&sem, 0), 0, "semacquire of 0");
}

static void
sembad(void)
{
	syscall(37, 0x30000000, 0, 0, 0, 0);
}

static void
semtext(void)
{
	syscall(38, main, 1, 0, 0, 0);
}

static void
sem_errors(void)
{
	refused(semrelease(&sem, -1), "semrelease", "bad arg in system call");
	sem = -1;
	refused(semrelease(&sem, 1), "semrelease", "bad arg in system call");
	refused(semacquire(&sem, 0), "semacquire", "bad arg in system call");
	refused(tsemacquire(&sem, 0), "tsemacquire", "bad arg in system call");
	equal(sem, -1, "the semaphore");
	dies(sembad, nil, "sys: bad address in syscall", syscall_pc);
	dies(semtext, nil, "sys: bad address in syscall", syscall_pc);
}

static void
sem_block(void)
{
	enum { N = 5 };
	int i, pid[N];
	Waitmsg w;

	for (i = 0; i < N; i++) {
		pid[i] = fork(RFMEM);
		if (pid[i] == 0) {
			equal(semacquire(&sem, 1), 1, "semacquire");
			semrelease(&sem2, 1);
			exits(nil);
		}
	}
	sleep(20);
	equal(sem2, 0, "processes through");
	semrelease(&sem, 2);
	semacquire(&sem2, 1);
	semacquire(&sem2, 1);
	sleep(20);
	equal(semacquire(&sem2, 0), 0, "a third process through");
	semrelease(&sem, N - 2);
	for (i = 0; i < N; i++) {
		good(waitchild(&w), "await");
		same(w.msg, "", "status");
	}
	equal(sem, 0, "the semaphore");
	equal(sem2, N - 2, "processes through");
}

static void
sem_timeout(void)
{
	uvlong start = cycles();
	int ms, pid;

	equal(tsemacquire(&sem, 0), 0, "tsemacquire at once");
	equal(tsemacquire(&sem, 100), 0, "tsemacquire of 0");
	ms = milliseconds(start);
	if (ms < 80 || ms > 1000)
		fail("a timeout of 100 ms took %d", ms);
	semrelease(&sem, 1);
	equal(tsemacquire(&sem, 100), 1, "tsemacquire of 1");
	pid = fork(RFMEM);
	if (pid == 0) {
		sleep(20);
		semrelease(&sem, 1);
		exits(nil);
	}
	equal(tsemacquire(&sem, 60000), 1, "tsemacquire released in time");
	ended(pid, "");
	equal(sem, 0, "the semaphore");
}

/* Time and state */

static void
time_sleep(void)
{
	uvlong start = cycles();
	int ms;

	equal(sleep(0), 0, "sleep(0)");
	equal(sleep(100), 0, "sleep(100)");
	ms = milliseconds(start);
	if (ms < 80 || ms > 1000)
		fail("sleep(100) took %d ms", ms);
}

static void
time_cycles(void)
{
	uvlong last = 0, now;
	int i;

	if (tos->cyclefreq == 0)
		fail("no cycle frequency");
	for (i = 0; i < 1000; i++) {
		now = cycles();
		if (now < last)
			fail("RDTSC went back");
		last = now;
		if (i % 100 == 0)
			sleep(0);
	}
}

static void
cpu_fpu(void)
{
	enum { N = 3 };
	double third, x;
	ushort control;
	int i, j, pid[N];
	Waitmsg w;

	__asm__ volatile("fnstcw %0" : "=m"(control));
	/* double precision, to nearest; invalid, zero divide and overflow trap (pc/l.s:fpinit); bit 6 means nothing */
	equal(control & 0xf3f, 0x232, "FPU control word of a new process");
	/* each keeps a number of its own in a register while the others run */
	for (i = 0; i < N; i++) {
		pid[i] = fork(0);
		if (pid[i] == 0)
			break;
	}
	third = (i + 1) / 3.0;
	for (j = 0; j < 50; j++) {
		__asm__ volatile("fldl %1; pushl $0; pushl $0; movl $17, %%eax; int $0x40; addl $8, %%esp; fstpl %0"
				 : "=m"(x)
				 : "m"(third)
				 : "eax", "memory", "cc");
		if (x != third)
			fail("a register changed in round %d", j);
	}
	if (i < N)
		exits(nil);
	for (i = 0; i < N; i++) {
		good(waitchild(&w), "await");
		same(w.msg, "", "status");
	}
}

/* locked increments by two processes, long enough that they are preempted within */
static void
cpu_atomic(void)
{
	enum { N = 200000 };
	volatile int *counter = (int *)area;
	int i, pid;

	pid = fork(RFMEM);
	for (i = 0; i < N; i++)
		__asm__ volatile("lock; incl %0" : "+m"(*counter) : : "cc");
	if (pid == 0)
		exits(nil);
	ended(pid, "");
	equal(*counter, 2 * N, "increments of two processes");
}

/* Calls that no other test here makes fail */

static void
call_errors(void)
{
	static const char badarg[] = "bad arg in system call", badfd[] = "fd out of range or not open";
	uchar dir[64];
	int fd, pid, p[2];

	refused(syscall(41, buf, 0), "errstr", badarg);
	refused(syscall(9, -1, buf, 0), "_fsession", badarg);
	refused(syscall(26, NULLDEV, dir), "_wstat", "old wstat system call - recompile");
	refused(syscall(27, 0, dir), "_fwstat", "old fwstat system call - recompile");
	refused(syscall(18, "#c/nonexistent", buf), "_stat", "'#c/nonexistent' file does not exist");
	refused(syscall(11, 99, buf), "_fstat", badfd);
	refused(syscall(15, 99, buf, 1), "_read", badfd);
	refused(syscall(20, 99, buf, 1), "_write", badfd);
	refused(syscall(16, 99, 0, 0), "oseek", badfd);
	refused(syscall(36, 0), "_wait", "no living children");

	/* wstat: an entry of 49 bytes and no name that changes nothing, and broken ones */
	memset(dir, 0xff, sizeof dir);
	dir[0] = 47;
	dir[1] = 0;
	memset(dir + NAME, 0, 8);
	refused(syscall(44, NULLDEV, dir, 48), "wstat", "malformed stat buffer");
	refused(syscall(44, NULLDEV, dir, 50), "wstat", "malformed stat buffer");
	refused(syscall(44, "#c/nonexistent", dir, 49), "wstat", "'#c/nonexistent' file does not exist");
	refused(syscall(44, NULLDEV, dir, 49), "wstat", "permission denied");
	refused(syscall(45, 99, dir, 49), "fwstat", badfd);
	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	refused(syscall(45, fd, dir, 49), "fwstat", "permission denied");
	dir[0] = 46;
	refused(syscall(45, fd, dir, 49), "fwstat", "malformed stat buffer");

	makepipe(p);
	refused(seek(p[0], 0, 0), "seek", "seek on a stream");
	refused(syscall(16, p[0], 0, 0), "oseek", "seek on a stream");

	/* name spaces and file servers */
	refused(syscall(2, "#c", "/", 8), "bind", badarg);
	refused(syscall(2, "#c/nonexistent", "/dev", 0), "bind", "'#c/nonexistent' file does not exist");
	refused(syscall(2, NULLDEV, "/dev", 0), "bind", "inconsistent mount");
	refused(syscall(35, nil, "/bin/hello"), "unmount", "not mounted");
	refused(syscall(35, "#c", "/bin"), "unmount", "not in union");
	refused(syscall(46, p[0], -1, "/dev", 8, ""), "mount", badarg);
	refused(syscall(46, 99, -1, "/dev", 0, ""), "mount", badfd);
	refused(syscall(46, fd, -1, "/dev", 0, ""), "mount", "inappropriate use of fd");
	refused(syscall(13, 99, "/dev", 0, ""), "_mount", badfd);
	refused(syscall(10, 99, ""), "fauth", badfd);
	strcpy(buf, "9P2000");
	refused(syscall(40, 99, 8192, buf, 32), "fversion", badfd);
	refused(syscall(40, p[0], 8192, buf, 3), "fversion", badarg);
	strcpy(buf, "7P1");
	refused(syscall(40, p[0], 8192, buf, 32), "fversion", "bad 9P version specification");

	pid = fork(0);
	if (pid == 0) {
		fd = open("#c/user", OWRITE);
		equal(write(fd, "none", 4), 4, "write to user");
		refused(syscall(0, 0), "sysr1", "permission denied");
		exits(nil);
	}
	ended(pid, "");
}

/* all descriptors in use */
static void
fd_full(void)
{
	static const char text[] = "no free file descriptors";
	int fd, n, p[2];

	close(2); /* where the warnings go */
	fd = open(NULLDEV, OREAD);
	good(fd, "open");
	for (n = fd; dup(fd, -1) >= 0; n++)
		;
	refused(dup(fd, -1), "dup", text);
	refused(open(NULLDEV, OREAD), "open", text);
	refused(create(ENVFILE, OWRITE, 0666), "create", text);
	refused(pipe(p), "pipe", text);
	equal(p[0], -1, "pipe's first descriptor");
	good(close(n), "close of the last");
	refused(pipe(p), "pipe", text);
	good(open(NULLDEV, OREAD), "open");
}

/* Scheduling */

static volatile uint turns[8];
static int go, stop;

/* a child that counts its turns until it is told to stop, with a request to its ctl file first */
static int
hog(int n, const char *request)
{
	int pid = fork(RFMEM);

	if (pid == 0) {
		if (request && procwrite(tos->pid, "ctl", request) < 0)
			syserr(request);
		semacquire(&go, 1);
		while (*(volatile int *)&stop == 0)
			turns[n]++;
		exits(nil);
	}
	return pid;
}

/* nobody goes without a turn */
static void
sched_share(void)
{
	enum { N = 3 };
	uint most = 0, least = ~0u;
	int i;

	for (i = 0; i < N; i++)
		hog(i, nil);
	sleep(20);
	semrelease(&go, N);
	sleep(350);
	stop = 1;
	for (i = 0; i < N; i++)
		good(waitchild(&(Waitmsg){0}), "await");
	for (i = 0; i < N; i++) {
		if (turns[i] > most)
			most = turns[i];
		if (turns[i] < least)
			least = turns[i];
	}
	if (least < most / 4)
		fail("one process had %u turns, another %u", most, least);
}

/* what has a low priority for good is there only for the time that others leave */
static void
sched_fixed(void)
{
	uvlong start;
	int i, ms, pid;

	pid = hog(0, "fixedpri 1");
	sleep(10);
	semrelease(&go, 1);
	sleep(0);
	start = cycles();
	for (i = 0; i < 10; i++)
		sleep(10);
	ms = milliseconds(start);
	if (ms > 250)
		fail("10 sleeps of 10 ms took %d beside a process of lower priority", ms);
	stop = 1;
	ended(pid, "");
	if (turns[0] < 1000)
		fail("it had %u turns meanwhile", turns[0]);
	refused(procwrite(tos->pid, "ctl", "pri"), "ctl", "wrong #args in control message \"pri\"");
}

static void
wire(int n)
{
	char request[16];

	snprint(request, sizeof request, "wired %d", n);
	if (procwrite(tos->pid, "ctl", request) < 0)
		syserr(request);
}

/* a process that only one processor may run is run, also when that one is ahead of the others */
static void
sched_wired(void)
{
	int i, p[2];

	makepipe(p);
	if (fork(RFMEM) == 0) {
		wire(0);
		expect(p[0], "go");
		exits(nil);
	}
	if (fork(RFMEM) == 0) {
		wire(0);
		semacquire(&go, 1);
		for (i = 0; i < 20000; i++)
			turns[0]++;
		exits(nil);
	}
	if (fork(RFMEM) == 0) {
		wire(1);
		semacquire(&go, 1);
		message(p[1], "go");
		exits(nil);
	}
	wire(2);
	sleep(20);
	semrelease(&go, 2);
	for (i = 0; i < 3; i++)
		good(waitchild(&(Waitmsg){0}), "await");
}

/* who has waited longest is woken first */
static void
sched_order(void)
{
	enum { N = 5 };
	int i, p[2];

	makepipe(p);
	for (i = 0; i < N; i++) {
		if (fork(RFMEM) == 0) {
			semacquire(&go, 1);
			message(p[0], (char[]){'a' + i, 0});
			exits(nil);
		}
		sleep(10);
	}
	for (i = 0; i < N; i++) {
		semrelease(&go, 1);
		expect(p[1], (char[]){'a' + i, 0});
	}
	for (i = 0; i < N; i++)
		good(waitchild(&(Waitmsg){0}), "await");
}

#include "usernet.h"

static const struct {
	const char *name;
	Func run;
} tests[] = {
#define TEST(name) {#name, name}
	TEST(open_errors),
	TEST(fd_errors),
	TEST(fd_modes),
	TEST(fd_dup),
	TEST(file_seek),
	TEST(file_create),
	TEST(file_orclose),
	TEST(file_stat),
	TEST(dir_read),
	TEST(dir_names),
	TEST(dir_chdir),
	TEST(dev_cons),
	TEST(sys_number),
	TEST(sys_address),
	TEST(sys_errstr),
	TEST(sys_registers),
	TEST(sys_buffers),
	TEST(pipe_both),
	TEST(pipe_bounds),
	TEST(pipe_eof),
	TEST(pipe_closed),
	TEST(pipe_full),
	TEST(fork_pid),
	TEST(fork_errors),
	TEST(fork_memory),
	TEST(fork_rfmem),
	TEST(fork_generations),
	TEST(fork_fds),
	TEST(fork_env),
	TEST(fork_many),
	TEST(wait_status),
	TEST(wait_long),
	TEST(wait_none),
	TEST(exec_args),
	TEST(exec_manyargs),
	TEST(exec_status),
	TEST(exec_errors),
	TEST(exec_fds),
	TEST(exec_memory),
	TEST(exec_segments),
	TEST(exec_script),
	TEST(mem_bss),
	TEST(mem_brk),
	TEST(brk_errors),
	TEST(mem_stack),
	TEST(seg_attach),
	TEST(seg_errors),
	TEST(seg_fork),
	TEST(seg_detach),
	TEST(seg_free),
	TEST(seg_brk),
	TEST(seg_flush),
	TEST(trap_nil),
	TEST(trap_text),
	TEST(trap_kernel),
	TEST(trap_divide),
	TEST(trap_opcode),
	TEST(trap_breakpoint),
	TEST(trap_privilege),
	TEST(trap_many),
	TEST(rend_values),
	TEST(rend_tags),
	TEST(rend_groups),
	TEST(sem_values),
	TEST(sem_errors),
	TEST(sem_block),
	TEST(sem_timeout),
	TEST(time_sleep),
	TEST(time_cycles),
	TEST(cpu_fpu),
	TEST(cpu_atomic),
	TEST(call_errors),
	TEST(fd_full),
	TEST(sched_share),
	TEST(sched_fixed),
	TEST(sched_wired),
	TEST(sched_order),
	TEST(net_tcp),
	TEST(net_udp),
	TEST(net_ipifc),
	TEST(net_tables),
	TEST(net_names),
	TEST(net_call),
};

/* run a test in a process of its own; returns 1 if it failed */
static int
run(int i)
{
	char prefix[64];
	const char *msg;
	Waitmsg w;
	int pid;

	pid = rfork(RFPROC | RFFDG | RFREND | RFENVG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		tests[i].run();
		exits(nil);
	}
	do {
		if (waitchild(&w) < 0)
			syserr("await");
	} while (w.pid != pid);
	snprint(prefix, sizeof prefix, "%s %d: ", self, pid);
	msg = strncmp(w.msg, prefix, strlen(prefix)) == 0 ? w.msg + strlen(prefix) : w.msg;
	print("test %s: %s\n", tests[i].name, msg[0] ? msg : "OK");
	return msg[0] && strncmp(msg, "skipped: ", 9) != 0;
}

const char *
main(int argc, char *argv[], Tos *t)
{
	int i, j, failed = 0;

	tos = t;
	self = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	program(selfpath, sizeof selfpath, argv[0]);
	if (argc > 2 && strcmp(argv[1], "-args") == 0)
		return args_helper(argc, argv);
	if (argc > 1 && strcmp(argv[1], "-fds") == 0)
		return fds_helper(argc, argv);
	if (argc == 2 && strcmp(argv[1], "-memory") == 0)
		return memory_helper();
	if (argc == 2 && strcmp(argv[1], "-segments") == 0)
		return segments_helper();
	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (i = 0; i < nelem(tests); i++)
			print("%s\n", tests[i].name);
		return nil;
	}
	for (j = 1; j < argc; j++) {
		for (i = 0; i < nelem(tests) && strcmp(argv[j], tests[i].name) != 0; i++)
			;
		if (i == nelem(tests))
			fail("no test %s; usertests -l lists them", argv[j]);
	}
	for (i = 0; i < nelem(tests); i++)
		if (argc == 1)
			failed += run(i);
		else
			for (j = 1; j < argc; j++)
				if (strcmp(argv[j], tests[i].name) == 0)
					failed += run(i);
	if (failed > 0)
		fail("%d test%s failed", failed, failed == 1 ? "" : "s");
	return nil;
}
