/*
 * A small file server that speaks 9P2000, and what programs need that mount it: shared by fs9p, cachefs, ns and dirs.
 *
 * The tree is in memory. A read of a file called "die" ends the server; the first read of "pair" is answered
 * when a second one is, after it. Each request is counted in *count, if there is such an array.
 */

#include "guest.h"

#define SHARED static __attribute__((unused))

enum { MREPL, MBEFORE, MAFTER, MCREATE = 4, MCACHE = 16 }; /* bind, mount */
enum { QTDIR = 0x80, QTAPPEND = 0x40 };
#define DMAPPEND 0x40000000u

#define unmount9(name, old) syscall(35, name, old)
#define fversion9(fd, msize, buf, n) syscall(40, fd, msize, buf, n)
#define fauth9(fd, aname) syscall(10, fd, aname)
#define mount9(fd, afd, old, flag, aname) syscall(46, fd, afd, old, flag, aname)
#define oldmount9(fd, old, flag, aname) syscall(13, fd, old, flag, aname)
#define wstat9(name, buf, n) syscall(44, name, buf, n)
#define fwstat9(fd, buf, n) syscall(45, fd, buf, n)

/* Checks: each ends the program with what went wrong. */

SHARED int
good(int n, const char *what)
{
	if (n < 0)
		syserr(what);
	return n;
}

SHARED void
equal(int got, int want, const char *what)
{
	if (got != want)
		fail("%s: %d, not %d", what, got, want);
}

SHARED void
same(const char *got, const char *want, const char *what)
{
	if (strcmp(got, want) != 0)
		fail("%s: \"%s\", not \"%s\"", what, got, want);
}

/* a call that must fail, with this text */
SHARED void
bad(int n, const char *text, const char *what)
{
	char buf[ERRMAX];

	if (n >= 0)
		fail("%s: no error, but %d", what, n);
	rerrstr(buf, sizeof buf);
	same(buf, text, what);
}

/* Entries of directories (stat(5)) */

typedef struct Dir Dir;
struct Dir {
	ushort type;
	uint dev, vers, mode, atime, mtime;
	uchar qtype;
	uvlong path, length;
	char name[64], uid[28];
};

SHARED uint
get(const uchar *p, int n)
{
	uint v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

SHARED uvlong
get8(const uchar *p)
{
	return get(p, 4) | (uvlong)get(p + 4, 4) << 32;
}

SHARED uchar *
put(uchar *p, uvlong v, int n)
{
	while (n-- > 0) {
		*p++ = v;
		v >>= 8;
	}
	return p;
}

SHARED uchar *
putstr(uchar *p, const char *s)
{
	p = put(p, strlen(s), 2);
	memcpy(p, s, strlen(s));
	return p + strlen(s);
}

SHARED const uchar *
getstr(const uchar *p, char *buf, uint n)
{
	uint len = get(p, 2);

	if (len >= n)
		fail("a string of %d bytes", len);
	memcpy(buf, p + 2, len);
	buf[len] = 0;
	return p + 2 + len;
}

/* the entry at p; where the next one begins */
SHARED const uchar *
getdir(const uchar *p, Dir *d)
{
	const uchar *s;

	d->type = get(p + 2, 2);
	d->dev = get(p + 4, 4);
	d->qtype = p[8];
	d->vers = get(p + 9, 4);
	d->path = get8(p + 13);
	d->mode = get(p + 21, 4);
	d->atime = get(p + 25, 4);
	d->mtime = get(p + 29, 4);
	d->length = get8(p + 33);
	s = getstr(p + 41, d->name, sizeof d->name);
	getstr(s, d->uid, sizeof d->uid);
	return p + 2 + get(p, 2);
}

/* an entry for wstat that changes the name (if not nil), the mode and the length (if not ~0); its length */
SHARED int
nulldir(uchar *buf, const char *name, uint mode, uvlong length)
{
	uchar *p = buf + 2;

	p = put(p, ~0ull, 2);
	p = put(p, ~0ull, 4);
	p = put(p, ~0ull, 1);
	p = put(p, ~0ull, 4);
	p = put(p, ~0ull, 8);
	p = put(p, mode, 4);
	p = put(p, ~0ull, 4);
	p = put(p, ~0ull, 4);
	p = put(p, length, 8);
	p = putstr(p, name ? name : "");
	p = putstr(putstr(putstr(p, ""), ""), "");
	put(buf, p - buf - 2, 2);
	return p - buf;
}

SHARED void
dirstat(const char *name, Dir *d)
{
	uchar buf[512];

	good(stat(name, buf, sizeof buf), name);
	getdir(buf, d);
}

/* how many entries of a directory have this name; names with a prefix if it ends in "*". n bytes at a time. */
SHARED int
countdir(const char *dir, const char *name, int n)
{
	static uchar buf[8192];
	int fd = good(open(dir, OREAD), dir), got, found = 0, len = strlen(name);
	const uchar *p;
	Dir d;

	while ((got = good(read(fd, buf, n), "read of a directory")) > 0)
		for (p = buf; p < buf + got;) {
			p = getdir(p, &d);
			if (name[len - 1] == '*' ? strncmp(d.name, name, len - 1) == 0 : strcmp(d.name, name) == 0)
				found++;
		}
	close(fd);
	return found;
}

SHARED void
writefile(const char *name, const void *data, int n)
{
	int fd = good(create(name, OWRITE, 0666), name);

	equal(good(write(fd, data, n), name), n, "write");
	close(fd);
}

/* the file must have exactly these bytes */
SHARED void
checkfile(const char *name, const void *data, int n)
{
	static char buf[65536];
	int fd = good(open(name, OREAD), name);

	equal(good(readn(fd, buf, sizeof buf), name), n, name);
	if (memcmp(buf, data, n) != 0)
		fail("%s has other bytes", name);
	close(fd);
}

SHARED void
fill(char *buf, int n, uint seed)
{
	while (n-- > 0) {
		seed = seed * 1103515245 + 12345;
		*buf++ = seed >> 16;
	}
}

/* The server */

enum {
	Tversion = 100,
	Tauth = 102,
	Tattach = 104,
	Rerror = 107,
	Tflush = 108,
	Twalk = 110,
	Topen = 112,
	Tcreate = 114,
	Tread = 116,
	Twrite = 118,
	Tclunk = 120,
	Tremove = 122,
	Tstat = 124,
	Twstat = 126,
	Tmax = 128,

	MSIZE = 8216,
	NNODE = 64,
	NFID = 128,
	MAXDATA = 40960,
};

typedef struct Node Node;
struct Node {
	char name[28];
	int used;
	uint mode, vers, length;
	uvlong path;
	Node *parent;
};

typedef struct Fid Fid;
struct Fid {
	int used;
	uint fid;
	Node *node;
};

static Node node[NNODE];              /* in the order they were made; the first is the root */
static char content[NNODE][MAXDATA];
static Fid fids[NFID];
static uvlong lastpath;
static uint *count;                   /* requests by type, in memory shared with the clients */
static uchar in[MSIZE], out[MSIZE];
static const char *failure;           /* what the request came to */
static int pairtag = -1;              /* the first read of pair */

static Fid *
findfid(uint fid, int new)
{
	int i;

	for (i = 0; i < NFID; i++)
		if (fids[i].used && fids[i].fid == fid)
			return &fids[i];
	for (i = 0; new && i < NFID; i++)
		if (!fids[i].used) {
			fids[i].used = 1;
			fids[i].fid = fid;
			return &fids[i];
		}
	failure = new ? "too many fids" : "unknown fid";
	return nil;
}

static Node *
findnode(Node *dir, const char *name)
{
	int i;

	if (strcmp(name, "..") == 0)
		return dir->parent;
	for (i = 1; i < NNODE; i++)
		if (node[i].used && node[i].parent == dir && strcmp(node[i].name, name) == 0)
			return &node[i];
	failure = "file does not exist";
	return nil;
}

static Node *
newnode(Node *dir, const char *name, uint mode)
{
	Node *n;

	for (n = node + (dir != nil); n < node + NNODE && n->used; n++)
		;
	if (n == node + NNODE) {
		failure = "no space on device";
		return nil;
	}
	memset(n, 0, sizeof *n);
	snprint(n->name, sizeof n->name, "%s", name);
	n->used = 1;
	n->mode = mode;
	n->path = lastpath++;
	n->parent = dir ? dir : n;
	if (dir)
		dir->vers++;
	return n;
}

static uchar *
putqid(uchar *p, Node *n)
{
	return put(put(put(p, n->mode >> 24, 1), n->vers, 4), n->path, 8);
}

static uchar *
putnode(uchar *at, Node *n)
{
	uchar *p = at + 2;

	p = put(put(p, 0, 2), 0, 4);
	p = putqid(p, n);
	p = put(put(put(p, n->mode, 4), 1, 4), 2, 4);
	p = put(p, n->length, 8);
	p = putstr(putstr(putstr(putstr(p, n->name), "glenda"), "sys"), "rob");
	put(at, p - at - 2, 2);
	return p;
}

static uchar *
dirread(uchar *p, Node *dir, uint off, uint n)
{
	uchar *start = p, entry[256], *e;
	uint at = 0;
	int i;

	for (i = 1; i < NNODE; i++) {
		if (!node[i].used || node[i].parent != dir)
			continue;
		e = putnode(entry, &node[i]);
		if (at >= off) {
			if (p - start + (e - entry) > (int)n)
				break;
			memcpy(p, entry, e - entry);
			p += e - entry;
		}
		at += e - entry;
	}
	return p;
}

static void
freenode(Node *n)
{
	int i;

	for (i = 1; i < NNODE; i++)
		if (node[i].used && node[i].parent == n)
			failure = "directory not empty";
	if (n == node)
		failure = "permission denied";
	if (failure == nil) {
		n->used = 0;
		n->parent->vers++;
	}
}

/* answer one request; where the answer ends, nil if there is none yet */
static uchar *
serve1(int type, const uchar *p, uchar *r)
{
	char name[64];
	uint n, off, mode;
	Node *to, *next;
	Fid *f, *g;
	uchar *end;
	int i;

	if (type == Tversion) {
		n = get(p, 4);
		return putstr(put(r, n < MSIZE ? n : MSIZE, 4), "9P2000");
	}
	if (type == Tauth) {
		failure = "authentication not required";
		return r;
	}
	if (type == Tflush)
		return r;
	f = findfid(get(p, 4), type == Tattach);
	if (f == nil)
		return r;
	to = f->node;
	p += 4;
	switch (type) {
	case Tattach:
		f->node = node;
		return putqid(r, node);
	case Twalk:
		n = get(p + 4, 2);
		off = get(p, 4); /* the new fid */
		p += 6;
		for (i = 0; i < (int)n; i++) {
			p = getstr(p, name, sizeof name);
			if (!(to->mode & DMDIR)) {
				failure = "not a directory";
				next = nil;
			} else
				next = findnode(to, name);
			if (next == nil)
				break;
			to = next;
			putqid(r + 2 + 13 * i, to);
		}
		if (i > 0)
			failure = nil;
		if (failure == nil && i == (int)n) {
			g = off == f->fid ? f : findfid(off, 1);
			if (g)
				g->node = to;
		}
		put(r, i, 2);
		return r + 2 + 13 * i;
	case Topen:
		mode = p[0];
		if ((mode & 3) != OREAD && (to->mode & DMDIR))
			failure = "file is a directory";
		if ((mode & 3) != OREAD && !(to->mode & 0222))
			failure = "permission denied";
		if (failure == nil && (mode & OTRUNC)) {
			to->length = 0;
			to->vers++;
		}
		return put(putqid(r, to), 0, 4);
	case Tcreate:
		p = getstr(p, name, sizeof name);
		if (!(to->mode & DMDIR))
			failure = "not a directory";
		else if (findnode(to, name) != nil)
			failure = "file already exists";
		else {
			failure = nil;
			to = newnode(to, name, get(p, 4));
			if (to)
				f->node = to;
		}
		return failure ? r : put(putqid(r, to), 0, 4);
	case Tread:
		off = get(p, 4);
		n = get(p + 8, 4);
		if (n > MSIZE - 24)
			n = MSIZE - 24;
		if (strcmp(to->name, "die") == 0)
			exits("killed by a read");
		if (to->mode & DMDIR) {
			end = dirread(r + 4, to, off, n);
			put(r, end - r - 4, 4);
			return end;
		}
		if (off > to->length)
			off = to->length;
		if (n > to->length - off)
			n = to->length - off;
		memcpy(put(r, n, 4), content[to - node] + off, n);
		return r + 4 + n;
	case Twrite:
		off = get(p, 4);
		n = get(p + 8, 4);
		if (to->mode & DMAPPEND)
			off = to->length;
		if (off + n > MAXDATA) {
			failure = "no space on device";
			return r;
		}
		if (off > to->length)
			memset(content[to - node] + to->length, 0, off - to->length);
		memcpy(content[to - node] + off, p + 12, n);
		if (off + n > to->length)
			to->length = off + n;
		to->vers++;
		return put(r, n, 4);
	case Tremove:
		freenode(to);
		f->used = 0;
		return r;
	case Tclunk:
		f->used = 0;
		return r;
	case Tstat:
		end = putnode(r + 2, to);
		put(r, end - r - 2, 2);
		return end;
	case Twstat:
		p += 2;
		if (get8(p + 33) != ~0ull) {
			if (get8(p + 33) > MAXDATA)
				failure = "no space on device";
			else {
				to->length = get(p + 33, 4);
				to->vers++;
			}
		}
		if (failure == nil && get(p + 21, 4) != ~0u)
			to->mode = get(p + 21, 4);
		getstr(p + 41, name, sizeof name);
		if (failure == nil && name[0])
			snprint(to->name, sizeof to->name, "%s", name);
		return r;
	}
	failure = "bad request";
	return r;
}

static void
answer(int fd, int type, int tag, uchar *end)
{
	if (failure) {
		type = Rerror - 1;
		end = putstr(out + 7, failure);
	}
	put(put(put(out, end - out, 4), type + 1, 1), tag, 2);
	if (write(fd, out, end - out) != end - out)
		syserr("server's write");
}

/* serve the channel until it ends */
SHARED void
serve(int fd)
{
	int n, tag, type;
	uchar *end;
	Fid *f;

	if (!node[0].used)
		newnode(nil, "/", DMDIR | 0777);
	for (;;) {
		n = readn(fd, in, 4);
		if (n <= 0)
			return;
		n = get(in, 4);
		if (n < 7 || n > MSIZE || readn(fd, in + 4, n - 4) != n - 4)
			fail("server: a message of %d bytes", n);
		type = in[4];
		tag = get(in + 5, 2);
		if (count && type < Tmax)
			count[type]++;
		failure = nil;
		f = type == Tread ? findfid(get(in + 7, 4), 0) : nil;
		failure = nil;
		end = serve1(type, in + 7, out + 7);
		if (f && strcmp(f->node->name, "pair") == 0) {
			if (pairtag < 0) {
				pairtag = tag;
				continue;
			}
			answer(fd, type, tag, end);
			tag = pairtag;
			pairtag = -1;
		}
		answer(fd, type, tag, end);
	}
}

/* a server process; its pid and the descriptor to mount */
SHARED int
startserver(int *fd)
{
	int pid, p[2];

	good(pipe(p), "pipe");
	pid = good(rfork(RFPROC | RFFDG), "rfork");
	if (pid == 0) {
		close(p[1]);
		serve(p[0]);
		exits(nil);
	}
	close(p[0]);
	*fd = p[1];
	return pid;
}

/* a server process, mounted */
SHARED int
mountserver(const char *old, int flag)
{
	int fd, pid = startserver(&fd);

	good(mount9(fd, -1, old, flag, ""), "mount");
	return pid;
}
