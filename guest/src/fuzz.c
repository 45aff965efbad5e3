/*
 * fuzz SEED [N [PROCS [net]]]: PROCS processes at a time, some of which share memory, do N random things each, system
 * calls with arguments that are random or nearly right; with net, in /net alone. All of it follows from SEED. Afterwards
 * whatever still runs is killed; the status is empty if that could be done.
 *
 * The calls concern files in /rw and /ro if there are such, the devices, the network, other processes, name spaces,
 * file servers of the program's own that answer nonsense, memory and notes.
 */

#include "fs9p.h"

enum {
	RFNOMNT = 1 << 14,
	NAREA = 24,       /* pages all processes use as buffers */
	MAXPROC = 40,     /* no forks while there are more */
	MAXNAME = 900,
	GENERATIONS = 8,  /* processes that follow one another */
	NPROTO = 5,       /* of netfiles, the first are protocols */
	PATIENCE = 20,    /* times 20 ms that they have before they are killed */
};

typedef struct Fuzz Fuzz;
struct Fuzz {
	uint state;
	int left;             /* calls to make */
	int depth;            /* of forks */
	int net;              /* the network alone */
	char name[MAXNAME];
	char text[64];
};

static PAGES(area, NAREA);
static int nproc;         /* shared by those with RFMEM: a rough count */
static int nsem;

static uint
rnd(Fuzz *z, uint n)
{
	z->state ^= z->state << 13;
	z->state ^= z->state >> 17;
	z->state ^= z->state << 5;
	return (z->state >> 3) % n;
}

static int
one(Fuzz *z, int in)
{
	return rnd(z, in) == 0;
}

#define PICK(z, a) (a)[rnd(z, nelem(a))]

static uint
word(Fuzz *z)
{
	static const uint some[] = {
		0, 1, 2, 3, 4, 7, 8, 16, 47, 48, 49, 64, 116, 128, 256, 4095, 4096, 8192, 0x10000, 0x10001, 0x7fffffff,
		0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, UTZERO, USTKTOP, USTKTOP - 1, USTKBASE, 0xe0000000,
		0xf0000000, 0xfffff000,
	};

	return one(z, 4) ? rnd(z, 0x1fffffff) << 3 | rnd(z, 8) : PICK(z, some);
}

/* memory to use; now and then it is not there, or may not be written */
static void *
addr(Fuzz *z)
{
	if (!one(z, 150))
		return area + rnd(z, sizeof area - 8300);
	switch (rnd(z, 6)) {
	case 0:
		return area + sizeof area - rnd(z, 16);
	case 1:
		return (char *)UTZERO + rnd(z, 100);
	case 2:
		return (char *)&z->left + 2048 + rnd(z, 8);
	case 3:
		return (char *)USTKTOP - rnd(z, 16);
	case 4:
		return (char *)0x40000000 + rnd(z, PG);
	default:
		return (char *)word(z);
	}
}

static int
size(Fuzz *z)
{
	static const ushort some[] = {0, 1, 2, 12, 24, 48, 49, 60, 100, 116, 128, 512, 4096, 8000, 8192};

	return one(z, 150) ? (int)word(z) : one(z, 3) ? (int)rnd(z, 300) : PICK(z, some);
}

static int
fd(Fuzz *z)
{
	return one(z, 50) ? (int)word(z) : (int)rnd(z, one(z, 4) ? 40 : 10);
}

static int
pid(Fuzz *z)
{
	return one(z, 60) ? 1 + (int)rnd(z, 2) : one(z, 60) ? (int)word(z) : 3 + (int)rnd(z, 30);
}

static const char *const procfiles[] = {
	"args", "ctl", "fd", "fpregs", "kregs", "mem", "note", "noteid", "notepg", "ns", "ppid", "proc", "profile", "regs",
	"segment", "status", "syscall", "text", "wait", "..", "x", "ctl/x",
};

/* a name; it ends up in z->name, or in memory that others may change meanwhile */
static char *
name(Fuzz *z)
{
	static const char *const start[] = {
		"/", "", ".", "..", "/rw", "/rw", "/rw", "/rw/d", "/rw/swap", "/rw/swap/x", "/ro", "/ro", "/ro/out", "/rw/m", "/bin",
		"/dev", "/proc", "/env", "/fd", "/srv", "/tmp", "a", "d", "#/", "#c", "#d", "#e", "#ec", "#p", "#s", "#S", "#|", "#I",
		"/net/tcp", "/net/udp/0", "#P/archctl", "#r/rtc", "#r/nvram", "#\xc2\xa4/caphash", "#\xc2\xa4/capuse",
		"/proc/1", "/proc/trace", "/rw/deep", "//.//rw",
	};
	static const char *const elem[] = {
		"a", "b", "c", "d", "f", "g", "m", "x", "..", "..", "..", ".", "out", "up", "abs", "loop", "swap", "secret", "fifo",
		"link", "chain", "sock", "deep", "null", "cons", "pid", "swap", "user", "random", "zero", "0", "1", "2", "3", "1ctl",
		"data", "data1", "hello", "ctl", "\xff\xfe", "\xc3", "\xe2\x98\xba", "\x01", " ", "'", "fuzz", "sysstat", "bintime",
		"hostowner", "sysname", "kmesg", "drivers", "ctl ", "sdC0", "raw", "partition",
	};
	static const char *const host[] = {
		"a", "b", "d", "d", "d", "f", "g", "m", "x", "..", ".", "out", "up", "abs", "loop", "swap", "swap", "secret", "fifo",
		"link", "chain", "sock", "deep", "dangling", "\xff\xfe", "y",
	};
	static const char *const plain[] = {
		"/rw/a", "/rw/b", "/rw/f", "/rw/x", "/rw/d", "/rw", "/rw/d/a", "/rw/d/b", "/rw/d/a/x", "/rw/d/c", "/rw/swap/x", "/rw/swap",
		"/rw/link", "/rw/chain", "/ro/d/b", "/ro/f", "/ro/d", "/ro/link", "/rw/out/a", "/rw/d/out", "/rw/m",
	};
	char *s = z->name, *shared;
	int i, n;

	n = rnd(z, 24);
	if (n == 0)
		s += snprint(s, 64, "#%c%s", 1 + rnd(z, 255), one(z, 2) ? "" : PICK(z, elem));
	else if (n < 4)
		s += snprint(s, 64, "%s/%d/%s", one(z, 2) ? "#p" : "/proc", pid(z), PICK(z, procfiles));
	else if (n < 11)
		s += snprint(s, 64, "%s", PICK(z, plain));
	else if (n < 16) {
		s += snprint(s, 64, one(z, 4) ? "/ro" : "/rw");
		for (i = 1 + rnd(z, 3); i > 0; i--)
			s += snprint(s, 64, "/%s", PICK(z, host));
	} else {
		s += snprint(s, 64, "%s", PICK(z, start));
		for (i = rnd(z, 4); i > 0; i--)
			s += snprint(s, 64, "/%s", PICK(z, elem));
	}
	if (one(z, 60)) {
		*s++ = '/';
		for (n = rnd(z, 400); n > 0; n--)
			*s++ = one(z, 3) ? '/' : 'y';
		*s = 0;
	}
	if (one(z, 3))
		return z->name;
	shared = area + rnd(z, sizeof area - 8300);
	if (one(z, 100))
		shared = area + sizeof area - 1 - rnd(z, 10);
	for (i = 0; i < MAXNAME && shared + i < area + sizeof area; i++) {
		shared[i] = z->name[i];
		if (z->name[i] == 0)
			break;
	}
	return shared;
}

static int
mode(Fuzz *z)
{
	static const ushort some[] = {
		OREAD, OREAD, OREAD, OWRITE, ORDWR, ORDWR, OEXEC, ORDWR | OTRUNC, OREAD | OCEXEC, ORDWR | ORCLOSE, OREAD | OTRUNC,
		ORDWR | OEXCL,
	};

	return one(z, 30) ? (int)word(z) : PICK(z, some);
}

static uint
perm(Fuzz *z)
{
	static const uint some[] = {0666, 0777, 0600, 0, DMDIR | 0777, DMDIR | 0777, DMAPPEND | 0666, 1u << 29 | 0666};

	return one(z, 30) ? word(z) : PICK(z, some);
}

static void
tell(const char *file, const char *text)
{
	int f = open(file, OWRITE);

	if (f >= 0) {
		write(f, text, strlen(text));
		close(f);
	}
}

/* Actions */

static void
files(Fuzz *z)
{
	uchar dir[256];
	int f, i;

	f = one(z, 2) ? open(name(z), mode(z)) : create(name(z), mode(z), perm(z));
	if (f < 0 && !one(z, 4))
		return;
	for (i = rnd(z, 6); i > 0; i--)
		switch (rnd(z, 7)) {
		case 0:
			pread(f, addr(z), size(z), -1);
			break;
		case 1:
			pread(f, addr(z), size(z), rnd(z, 10000) - 1000);
			break;
		case 2:
			pwrite(f, addr(z), size(z) % 9000, -1);
			break;
		case 3:
			pwrite(f, addr(z), size(z) % 9000, rnd(z, 10000) - 100);
			break;
		case 4:
			seek(f, (vlong)word(z) - 100, rnd(z, 4));
			break;
		case 5:
			fstat(f, addr(z), size(z));
			break;
		case 6:
			fwstat9(f, dir, nulldir(dir, one(z, 2) ? "x" : nil, one(z, 2) ? ~0u : perm(z), one(z, 2) ? ~0ull : rnd(z, 5000)));
			break;
		}
	if (!one(z, 3))
		close(f);
}

static void
entries(Fuzz *z)
{
	static const char *const names[] = {"a", "b", "f", "x", "..", ".", "", "a/b", "/", "../out", "\xff", "swap", "out", "y\x01"};
	uchar dir[256];
	int n = nulldir(dir, PICK(z, names), one(z, 2) ? ~0u : perm(z), one(z, 2) ? ~0ull : word(z));

	if (one(z, 4))
		put(dir + 29, word(z), 4); /* mtime */
	if (one(z, 6))
		dir[rnd(z, n)] = rnd(z, 256);
	if (one(z, 10))
		n = rnd(z, 256);
	wstat9(name(z), dir, n);
}

static void
control(Fuzz *z)
{
	static const char *const req[] = {
		"stop", "start", "start", "start", "startstop", "startsyscall", "waitstop", "hang", "nohang", "closefiles", "noswap",
		"private", "profile", "interrupt", "nointerrupt", "event", "trace", "trace 1", "period 10ms", "admit", "expel", "",
		"stop stop", "\xff", "cost 1",
	};
	static const char *const numbered[] = {"close", "pri", "fixedpri", "wired", "trace", "deadline", "sporadic"};
	char file[32];

	if (one(z, 20))
		strcpy(z->text, "kill");
	else if (one(z, 3))
		snprint(z->text, sizeof z->text, "%s %d", PICK(z, numbered), one(z, 4) ? (int)word(z) : (int)rnd(z, 24));
	else
		snprint(z->text, sizeof z->text, "%s", PICK(z, req));
	snprint(file, sizeof file, "#p/%d/ctl", pid(z));
	tell(file, z->text);
}

static void
processes(Fuzz *z)
{
	char file[48];
	int f, i;

	snprint(file, sizeof file, "#p/%d/%s", pid(z), PICK(z, procfiles));
	f = open(file, mode(z) & 3);
	for (i = rnd(z, 3); i >= 0 && f >= 0; i--)
		if (one(z, 3))
			pwrite(f, addr(z), size(z) % 300, one(z, 2) ? 0 : word(z));
		else
			pread(f, addr(z), size(z), one(z, 2) ? 0 : word(z));
	close(f);
}

static void
note(Fuzz *z)
{
	static const char *const text[] = {"alarm", "interrupt", "hangup", "x", "sys: fake", "sys: trap: fault", "", "x"};
	char file[32];

	snprint(file, sizeof file, "#p/%d/%s", pid(z), one(z, 4) ? "notepg" : "note");
	tell(file, PICK(z, text));
}

static void
handler(Ureg *u, char *s)
{
	(void)s;
	if (nsem++ > 2000)
		noted(NDFLT);
	if (nsem % 50 == 0)
		noted(NSAVE);
	if (u->trap != 64 && u->trap != 32)
		noted(NDFLT);
	noted(NCONT);
}

static void
notes(Fuzz *z)
{
	switch (rnd(z, 30)) {
	case 0:
		notify((void (*)(Ureg *, char *))addr(z));
		break;
	case 1:
		notify(nil);
		break;
	case 2 ... 5:
		noted(rnd(z, 5));
		break;
	case 6 ... 16:
		alarm(rnd(z, 30));
		break;
	default:
		notify(handler);
	}
}

static void
bindings(Fuzz *z)
{
	static const uint flag[] = {MREPL, MBEFORE, MAFTER, MBEFORE | MCREATE, MAFTER | MCREATE, MCACHE, 3, 7, 23, 8, ~0u};
	char other[MAXNAME];
	int i, n;

	strcpy(other, name(z) ? z->name : "");
	switch (rnd(z, 8)) {
	case 0:
		unmount9(one(z, 3) ? nil : other, name(z));
		break;
	case 1: /* deep nests */
		n = one(z, 20) ? 400 : 5;
		for (i = 0; i < n; i++)
			syscall(2, one(z, 2) ? "/rw/d" : "/rw", one(z, 2) ? "/rw/d" : "/rw/m", i % 3 | MCREATE);
		break;
	case 2: /* many levels of . and .. and of directories */
		for (i = 0; i < 40; i++) {
			close(create("deep", OREAD, DMDIR | 0777));
			if (chdir("deep") < 0)
				break;
		}
		break;
	default:
		syscall(2, other, name(z), PICK(z, flag));
	}
}

static void
services(Fuzz *z)
{
	char file[32];
	uchar dir[256];
	int f;

	snprint(file, sizeof file, "%s/%c", one(z, 2) ? "/srv" : "#s", 'a' + rnd(z, 4));
	switch (rnd(z, 4)) {
	case 0:
		f = create(file, OWRITE | (one(z, 4) ? ORCLOSE : 0), perm(z));
		snprint(z->text, sizeof z->text, "%d", fd(z));
		write(f, z->text, strlen(z->text));
		close(f);
		break;
	case 1:
		open(file, mode(z));
		break;
	case 2:
		remove(file);
		break;
	case 3:
		wstat9(file, dir, nulldir(dir, one(z, 2) ? "b" : nil, perm(z), ~0ull));
		break;
	}
}

/* an entry of a directory as a careless server might make it */
static uchar *
entry(Fuzz *z, uchar *at)
{
	static const char *const names[] = {"a", "b", "file", "", "..", "/", "a/b", "\xff\xfe", "\x02"};
	uchar *p = at + 2;

	p = put(put(p, rnd(z, 3), 2), rnd(z, 3), 4);
	p = put(put(put(p, one(z, 2) ? 0x80 : rnd(z, 256), 1), rnd(z, 5), 4), rnd(z, 20), 8);
	p = put(put(put(p, perm(z), 4), 1, 4), 2, 4);
	p = put(p, one(z, 9) ? ~0ull : rnd(z, 9000), 8);
	p = putstr(putstr(putstr(putstr(p, PICK(z, names)), "u"), "g"), "m");
	put(at, p - at - 2, 2);
	if (one(z, 30))
		at[rnd(z, p - at)] = rnd(z, 256);
	return p;
}

static uchar *
answerto(Fuzz *z, const uchar *t, uchar *r)
{
	int i, n;

	switch (t[4]) {
	case Tversion:
		n = one(z, 8) ? word(z) : get(t + 7, 4);
		return putstr(put(r, n, 4), one(z, 10) ? "9P1999" : one(z, 10) ? "9P" : "9P2000");
	case Tattach:
		return put(put(put(r, one(z, 10) ? 0 : 0x80, 1), 0, 4), rnd(z, 3), 8);
	case Twalk:
		n = get(t + 15, 2);
		if (one(z, 5) && n > 0)
			n = rnd(z, n + 2);
		r = put(r, n, 2);
		for (i = 0; i < n && i < 40; i++)
			r = put(put(put(r, i < n - 1 || one(z, 2) ? 0x80 : 0, 1), rnd(z, 3), 4), rnd(z, 9), 8);
		return r;
	case Topen:
	case Tcreate:
		r = put(put(put(r, one(z, 3) ? 0x80 : 0, 1), rnd(z, 3), 4), rnd(z, 9), 8);
		return put(r, one(z, 9) ? word(z) : 0, 4);
	case Tread:
		n = get(t + 19, 4);
		if (one(z, 2)) {
			uchar *start = r;

			for (r += 4, i = rnd(z, 4); i > 0; i--)
				r = entry(z, r);
			put(start, r - start - 4, 4);
			return r;
		}
		if (n > 4000)
			n = 4000;
		if (!one(z, 20))
			n = rnd(z, n + 1);
		return put(r, n, 4) + (one(z, 20) ? 5 : n);
	case Twrite:
		return put(r, one(z, 8) ? word(z) : get(t + 19, 4), 4);
	case Tstat: {
		uchar *end = entry(z, r + 2);

		put(r, end - r - 2, 2);
		return end;
	}
	}
	return r;
}

/* serve 9P badly */
static void
server(Fuzz *z, int f)
{
	static const char longtext[] = "a rather long error text that goes on and on for more than the one hundred and twenty eight "
		"bytes that the kernel has room for, so that it must be cut somewhere";
	static const char *const texts[] = {"", "no", "file does not exist", "\xff", longtext};
	uchar msg[8300], rep[8300], *end;
	int n, type;

	for (;;) {
		if (readn(f, msg, 4) != 4)
			break;
		n = get(msg, 4);
		if (n < 7 || n > (int)sizeof msg || readn(f, msg + 4, n - 4) != n - 4)
			break;
		if (one(z, 80))
			break;
		if (one(z, 60))
			continue;
		type = msg[4] + 1;
		if (type == 103 || (type != 101 && type != 105 && one(z, 6))) {
			type = Rerror;
			end = putstr(rep + 7, PICK(z, texts));
		} else
			end = answerto(z, msg, rep + 7);
		if (one(z, 50))
			type = rnd(z, 256);
		put(put(put(rep, end - rep, 4), type, 1), one(z, 60) ? word(z) : get(msg + 5, 2), 2);
		if (one(z, 60))
			put(rep, word(z), 4);
		if (write(f, rep, end - rep) < 0)
			break;
	}
}

static void
mounts(Fuzz *z)
{
	static const uint flag[] = {MREPL, MBEFORE, MAFTER, MREPL | MCREATE, MREPL | MCACHE, MAFTER | MCREATE | MCACHE};
	char where[MAXNAME];
	int p[2], child;

	if (one(z, 3)) {
		mount9(fd(z), one(z, 5) ? fd(z) : -1, name(z), PICK(z, flag), one(z, 4) ? addr(z) : "");
		return;
	}
	if (pipe(p) < 0)
		return;
	child = rfork(RFPROC | RFFDG);
	if (child == 0) {
		close(p[1]);
		server(z, p[0]);
		exits(nil);
	}
	close(p[0]);
	strcpy(where, one(z, 2) ? "/rw/m" : "/tmp");
	alarm(50);
	if (mount9(p[1], -1, where, PICK(z, flag), "") >= 0) {
		static const char *const in[] = {"", "/a", "/a/b", "/a/../b/c", "/x/y/z"};
		char path[64];
		int i, f;

		for (i = 0; i < 12; i++) {
			uchar dir[256];

			snprint(path, sizeof path, "%s%s", where, PICK(z, in));
			switch (rnd(z, 5)) {
			case 0:
				stat(path, addr(z), 300);
				break;
			case 1:
				remove(path);
				break;
			case 2:
				wstat9(path, dir, nulldir(dir, "q", ~0u, ~0ull));
				break;
			default:
				f = one(z, 3) ? create(path, mode(z), perm(z)) : open(path, mode(z));
				pread(f, addr(z), size(z), one(z, 2) ? -1 : rnd(z, 9000));
				pwrite(f, addr(z), size(z) % 9000, -1);
				pread(f, addr(z), size(z), -1);
				fstat(f, addr(z), 200);
				if (one(z, 2))
					close(f);
			}
		}
		if (one(z, 2))
			unmount9(nil, where);
	}
	alarm(0);
	close(p[1]);
}

static void
memory(Fuzz *z)
{
	static const char *const class[] = {"shared", "memory", "", "text", "\xff", "shared "};
	char *at = (char *)0x40000000 + rnd(z, 4) * 8 * PG, *got;

	switch (rnd(z, 8)) {
	case 0:
	case 1:
		got = (char *)syscall(30, one(z, 3) ? word(z) : 0, PICK(z, class), one(z, 3) ? nil : at, one(z, 8) ? word(z) : rnd(z, 8 * PG));
		if ((int)got != -1 && one(z, 2))
			*got = 1;
		break;
	case 2:
		segdetach(one(z, 3) ? addr(z) : at);
		break;
	case 3:
		segfree(one(z, 2) ? at : area + 20 * PG, one(z, 8) ? word(z) : rnd(z, 4 * PG));
		break;
	case 4:
		segflush(addr(z), size(z));
		break;
	case 5:
		segbrk(at, at + rnd(z, 16 * PG));
		break;
	case 6:
		brk_((void *)(one(z, 3) ? word(z) : (uint)area + sizeof area + rnd(z, 64 * PG)));
		break;
	case 7:
		memset(area + rnd(z, sizeof area - 5000), rnd(z, 256), rnd(z, 5000));
	}
}

static void
meetings(Fuzz *z)
{
	switch (rnd(z, 5)) {
	case 0:
		alarm(5 + rnd(z, 20));
		rendezvous(rnd(z, 3), rnd(z, 100));
		alarm(0);
		break;
	case 1:
		tsemacquire((int *)(area + rnd(z, 8)), rnd(z, 15));
		break;
	case 2:
		semrelease((int *)(area + rnd(z, 8)), one(z, 9) ? word(z) : rnd(z, 4));
		break;
	case 3:
		semacquire((int *)addr(z), 0);
		break;
	case 4:
		sleep(rnd(z, 15));
		break;
	}
}

static void run(Fuzz *z);

static void
forks(Fuzz *z)
{
	static const uint bits[] = {RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFMEM, RFMEM, RFNOWAIT, RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT};
	int i, flags = 0, child;

	for (i = rnd(z, 5); i > 0; i--)
		flags |= PICK(z, bits);
	if (!one(z, 3) && nproc < MAXPROC && z->depth < 3)
		flags |= RFPROC;
	child = rfork(flags);
	if (child == 0 && (flags & RFPROC)) {
		nproc++;
		z->depth++;
		z->left /= 3;
		z->state ^= 0x9e3779b9;
		if (z->state == 0)
			z->state = 1;
		run(z);
	}
	if (child > 0 && one(z, 3)) {
		alarm(20);
		await((char *)addr(z), size(z));
		alarm(0);
	}
}

static void
others(Fuzz *z)
{
	char *args[4];
	int p[2];

	switch (rnd(z, 12)) {
	case 0:
		pipe(p);
		break;
	case 1:
		pipe((int *)addr(z));
		break;
	case 2:
	case 3:
		dup(fd(z), one(z, 2) ? -1 : fd(z));
		break;
	case 4:
	case 5:
		close(fd(z));
		break;
	case 6:
		fd2path(fd(z), addr(z), size(z));
		break;
	case 7:
		chdir(name(z));
		break;
	case 8:
		remove(name(z));
		break;
	case 9:
		stat(name(z), addr(z), size(z));
		break;
	case 10:
		errstr(addr(z), size(z));
		break;
	case 11:
		args[0] = one(z, 3) ? addr(z) : "fuzz";
		args[1] = "1";
		args[2] = addr(z);
		args[3] = nil;
		if (one(z, 30))
			exec(one(z, 2) ? "/bin/true" : "/bin/echo", one(z, 9) ? (char **)addr(z) : args);
		else
			exec(name(z), args);
		break;
	}
}

static void
any(Fuzz *z)
{
	uint a[5];
	int i, nr;

	nr = one(z, 30) ? (int)word(z) : (int)rnd(z, 56);
	for (i = 0; i < 5; i++)
		switch (rnd(z, 4)) {
		case 0:
			a[i] = word(z);
			break;
		case 1:
			a[i] = fd(z);
			break;
		case 2:
			a[i] = (uint)addr(z);
			break;
		case 3:
			a[i] = (uint)name(z);
			break;
		}
	if (nr == 8 && !one(z, 20))
		return;
	if (nr == 19)
		a[0] &= ~RFPROC;
	if (nr == 28)
		return;
	alarm(20);
	syscall(nr, a[0], a[1], a[2], a[3], a[4]);
	alarm(0);
}

/*
 * Messages to each file of /net, nearly right. A letter stands for: A address and port, I address, M mask, P port,
 * N number, W word, D device, H host, S service, Q pair.
 */
typedef struct Netfile Netfile;
struct Netfile {
	const char *name;
	const char *forms[24];
};

static const Netfile netfiles[] = {
	{"tcp", {"connect A", "connect A", "connect A P", "connect A A", "announce A", "announce A", "announce P", "bind P",
		"bind A", "hangup", "close", "keepalive", "keepalive N", "checksum N", "tcpporthogdefense W", "ttl N", "tos N",
		"ignoreadvice", "accept", "reject W"}},
	{"udp", {"connect A", "connect A P", "announce A", "announce P", "bind P", "headers", "headers", "headers4", "hangup",
		"ignoreadvice", "addmulti I", "addmulti I I", "remmulti I", "ttl N", "tos", "maxfragsize N"}},
	{"ipifc", {"bind loopback D", "bind W D", "bind loopback", "add I", "add I M", "add I M I", "add I M I N", "add I M I N W",
		"try I M", "remove I M", "remove I", "connect I M", "unbind", "mtu N", "iprouting N", "iprouting", "addmulti I I",
		"remmulti I", "joinmulti I", "leavemulti I", "reassemble", "add6 I N", "ra6 W N", "announce A"}},
	{"icmp", {"connect I", "connect I", "connect A", "announce I", "headers", "bind P", "hangup", "ttl N", "ignoreadvice"}},
	{"icmpv6", {"connect I", "connect I!N", "announce I", "headers", "bind P", "addmulti I I", "ignoreadvice"}},
	{"iproute", {"add I M I", "add I M I", "add I M", "remove I M", "remove I", "flush", "flush W", "tag W", "tag", "add I I I W"}},
	{"arp", {"flush", "add I W", "add loopback I W", "add ether I W", "del I", "del I W"}},
	{"ndb", {"Q Q\n\tQ", "Q\n", ""}},
	{"log", {"set W", "set W W", "clear W", "clear", "only I", "only I I", "set tcp", "set udp"}},
	{"cs", {"tcp!H!S", "udp!H!S", "net!H!S", "W!H!S!P", "tcp!H", "H", "!Q", "!Q Q", "!Q W=*", "tcp!A", "tcp!H!A", "refresh", "debug W"}},
	{"dns", {"H ip", "H ipv6", "H ptr", "I ptr", "H W", "I.in-addr.arpa ptr", "H", "refresh", "dump"}},
	{"bootp", {""}},
	{"ipselftab", {"W"}},
	{"tcp/stats", {"W"}},
};

static const char *
netword(Fuzz *z, int what)
{
	static const char *const ips[] = {
		"127.0.0.1", "127.0.0.1", "::1", "*", "127.0.0.2", "127.1", "10.0.0.1", "1.2.3.4", "224.0.0.1", "239.255.0.9",
		"ff02::1", "::", "0", "255.255.255.255", "fe80::1", "0x7f.1", "1.2.3.4.5", "1:2:3:4:5:6:7:8:9", ":::", "999.0.0.1", "x",
	};
	static const char *const masks[] = {
		"255.255.255.0", "255.0.0.0", "/64", "/128", "/0", "/104", "/999", "/-1", "255.0.255.0", "0", "ffff::", "x", "/",
	};
	static const char *const ports[] = {
		"7", "7", "7", "8", "*", "0", "65536", "-1", "99999999999", "80!r", "600", "echo", "", "1e9", "0x10",
	};
	static const char *const numbers[] = {"0", "1", "-1", "1000", "65535", "65536", "4294967295", "99999999999", "on", "off", "x"};
	static const char *const words[] = {
		"tcp", "udp", "on", "off", "loopback", "ether", "null", "ifc", "x", "''", "'a b'", "'", "\xff\xfe", "\xe2\x98\xba", "ipmsg",
		"00112233", "none", "a=b", "longerthanfour", "\t", "\x01", "mflag", "all",
	};
	static const char *const devices[] = {"/dev/null", "/net/ether0", "#l0", "/nosuch", ""};
	static const char *const hosts[] = {
		"localhost", "127.0.0.1", "*", "::", "[::1]", "$ip", "$fs", "$", "nobody", "a.b.c", "[", "]", "", "-", "\xff", "1.0.0.127",
	};
	static const char *const services[] = {"echo", "http", "discard", "7", "*", "0", "-1", "70000", "login", "nosuch", "", "a b", "!"};
	static const char *const pairs[] = {
		"ip=127.0.0.1", "sys=localhost", "dom=*", "tcp=echo", "port=7", "a=", "=b", "=", "sys", "ip='1 2'", "tcp=\"x",
	};

	switch (what) {
	case 'I':
		return PICK(z, ips);
	case 'M':
		return PICK(z, masks);
	case 'P':
		return PICK(z, ports);
	case 'N':
		return PICK(z, numbers);
	case 'W':
		return PICK(z, words);
	case 'D':
		return PICK(z, devices);
	case 'H':
		return PICK(z, hosts);
	case 'S':
		return PICK(z, services);
	case 'Q':
		return PICK(z, pairs);
	default:
		return nil;
	}
}

/* a message of the file in text, which has room for n bytes; how long it is */
static int
netmessage(Fuzz *z, const Netfile *f, char *text, int n)
{
	char *s = text, *e = text + n - 32;
	const char *p, *w;
	int forms = 0;

	while (forms < nelem(f->forms) && f->forms[forms] != nil)
		forms++;
	for (p = f->forms[rnd(z, forms)]; *p != 0 && s < e; p++) {
		w = *p >= 'A' && *p <= 'Z' && *p != 'A' ? netword(z, *p) : nil;
		if (*p == 'A')
			s += snprint(s, e - s, "%s!%s", netword(z, 'I'), netword(z, 'P'));
		else if (w != nil)
			s += snprint(s, e - s, "%s", w);
		else
			*s++ = *p;
	}
	while (one(z, 6) && s < e)
		s += snprint(s, e - s, " %s", netword(z, "AIMPNWDHSQ"[1 + rnd(z, 9)]));
	if (one(z, 10))
		text[rnd(z, s - text + 1)] = rnd(z, 256);
	if (one(z, 10) && s > text)
		s = text + rnd(z, s - text);
	return s - text;
}

/* write a message, or something else, to a file of /net */
static void
nettell(Fuzz *z, int fd, const Netfile *f)
{
	char text[200];
	int n;

	if (one(z, 12)) { /* of any length, and mostly zeros */
		n = one(z, 3) ? 65536 + (int)rnd(z, 3) - 1 : size(z);
		pwrite(fd, one(z, 2) ? (void *)area : addr(z), n, one(z, 2) ? 0 : word(z));
		return;
	}
	n = netmessage(z, f, text, sizeof text);
	pwrite(fd, text, n, one(z, 20) ? word(z) : 0);
}

/* a conversation of the network, or one of its other files */
static void
network(Fuzz *z)
{
	static const char *const files[] = {"data", "data", "data", "listen", "ctl", "status", "local", "remote", "err", "snoop"};
	const Netfile *f = &netfiles[one(z, 3) ? rnd(z, nelem(netfiles)) : rnd(z, NPROTO)];
	char path[64], text[16];
	int i, n, conv;

	alarm(20);
	if (f >= netfiles + NPROTO) {
		snprint(path, sizeof path, "/net/%s", f->name);
		i = open(path, one(z, 6) ? (int)rnd(z, 64) : ORDWR);
		for (n = 1 + rnd(z, 3); n > 0; n--) {
			nettell(z, i, f);
			if (one(z, 2))
				pread(i, addr(z), size(z), one(z, 2) ? 0 : rnd(z, 200));
		}
		if (!one(z, 4))
			close(i);
		alarm(0);
		return;
	}
	snprint(path, sizeof path, one(z, 30) ? "#I1/%s/clone" : "/net/%s/clone", f->name);
	i = one(z, 2) ? open(path, ORDWR) : fd(z);
	conv = rnd(z, 6);
	if (i >= 0 && (n = pread(i, text, 8, 0)) > 0 && n < 8 && text[0] >= '0' && text[0] <= '9')
		conv = text[0] - '0';
	for (n = 1 + rnd(z, 3); n > 0; n--)
		nettell(z, i, f);
	for (n = rnd(z, 3); n > 0; n--) {
		snprint(path, sizeof path, "/net/%s/%d/%s", f->name, one(z, 3) ? (int)rnd(z, 20) : conv, PICK(z, files));
		i = open(path, one(z, 4) ? (int)rnd(z, 4) : ORDWR);
		if (one(z, 2))
			write(i, addr(z), size(z));
		if (one(z, 2))
			read(i, addr(z), size(z));
		if (one(z, 2))
			close(i);
	}
	alarm(0);
}

static void
run(Fuzz *z)
{
	notify(handler);
	while (z->left-- > 0)
		switch (z->net ? 24 : rnd(z, 26)) {
		case 24:
		case 25:
			network(z);
			break;
		case 0 ... 4:
			files(z);
			break;
		case 5:
			entries(z);
			break;
		case 6:
			control(z);
			break;
		case 7:
			processes(z);
			break;
		case 8:
			note(z);
			break;
		case 9:
			notes(z);
			break;
		case 10:
		case 11:
			bindings(z);
			break;
		case 12:
			services(z);
			break;
		case 13:
			mounts(z);
			break;
		case 14:
		case 15:
			memory(z);
			break;
		case 16:
			meetings(z);
			break;
		case 17:
			forks(z);
			break;
		case 18 ... 20:
			others(z);
			break;
		default:
			any(z);
		}
	exits(nil);
}

/* Afterwards */

static void
ignore(Ureg *u, char *s)
{
	(void)u;
	(void)s;
	noted(NCONT);
}

/* one of the kernel's own processes, which nothing ends */
static int
kproc(int pid)
{
	static const char *const names[] = {"init", "alarm", "closeproc", "pager"};
	char file[32], buf[32];
	int i, f, n;

	snprint(file, sizeof file, "#p/%d/status", pid);
	f = open(file, OREAD);
	n = read(f, buf, 27);
	close(f);
	for (i = 0; n == 27 && i < nelem(names); i++)
		if (strncmp(buf, names[i], strlen(names[i])) == 0 && buf[strlen(names[i])] == ' ')
			return 1;
	return 0;
}

/* how many processes there are that can be killed, but for us and the kernel's; kill them if asked to */
static int
remaining(int self, int kill)
{
	char buf[2048], file[32];
	uchar mode[256];
	const uchar *p;
	int f, ctl, n, id, found = 0;
	Dir d;

	f = open("#p", OREAD);
	if (f < 0)
		syserr("#p");
	while ((n = read(f, buf, sizeof buf)) > 0)
		for (p = (uchar *)buf; p < (uchar *)buf + n;) {
			p = getdir(p, &d);
			id = number(d.name, 0, 99999999);
			if (id <= 1 || id == self || kproc(id))
				continue;
			snprint(file, sizeof file, "#p/%d/ctl", id);
			wstat9(file, mode, nulldir(mode, nil, 0666, ~0ull));
			ctl = open(file, OWRITE);
			if (ctl < 0) { /* a private one: it can be asked, no more */
				snprint(file, sizeof file, "#p/%d/notepg", id);
				if (kill)
					tell(file, "kill");
				continue;
			}
			found++;
			if (kill)
				write(ctl, "kill", 4);
			close(ctl);
		}
	close(f);
	return found;
}

const char *
main(int argc, char *argv[], Tos *tos)
{
	char ctl[32];
	uchar mode[256];
	Fuzz z;
	int i, seed, n, procs, child, fds[2], net = argc == 5 && strcmp(argv[4], "net") == 0;

	seed = argc > 1 ? number(argv[1], 0, 99999999) : -1;
	n = argc > 2 ? number(argv[2], 1, 99999999) : 100;
	procs = argc > 3 ? number(argv[3], 1, 30) : 4;
	if (argc > 4 + net || seed < 0 || n < 0 || procs < 0)
		usage("fuzz SEED [N [PROCS [net]]]");
	notify(ignore);
	snprint(ctl, sizeof ctl, "#p/%d/ctl", tos->pid);
	if (pipe(fds) < 0)
		syserr("pipe");
	child = rfork(RFPROC | RFNAMEG | RFENVG | RFFDG | RFREND | RFNOTEG);
	if (child == 0) {
		close(fds[1]);
		read(fds[0], ctl, 1); /* until our parent is private: before that we would be, too */
		close(fds[0]);
		notify(nil);
		for (i = 0; i < procs * GENERATIONS; i++) {
			z.state = seed * 2654435761u + i * 40503 + 12345;
			if (z.state == 0)
				z.state = 1;
			z.left = n;
			z.depth = 0;
			z.net = net;
			child = rfork(RFPROC | RFNAMEG | RFFDG | RFNOTEG | (i % 3 ? RFMEM : 0));
			if (child == 0)
				run(&z);
			if (i >= procs - 1 && await(area, 1) < 0)
				break;
		}
		for (;;)
			sleep(1000);
	}
	close(fds[0]);
	tell(ctl, "private"); /* or they would stop us */
	wstat9(ctl, mode, nulldir(mode, nil, 0, ~0ull)); /* or write our registers */
	close(fds[1]);
	i = 0;
	do
		sleep(20);
	while (++i < PATIENCE && remaining(tos->pid, 0) > 1);
	for (i = 0; i < 50 && remaining(tos->pid, 1) > 0; i++)
		sleep(20);
	i = remaining(tos->pid, 0);
	if (i > 0)
		fail("%d processes do not die", i);
	return nil;
}
