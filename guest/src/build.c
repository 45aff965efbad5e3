/*
 * build [FILES [TIMES]]: what a build of FILES C files (8) does, TIMES over: for each a process is made and becomes
 * "build -c", which reads the source and the headers that it names, one after the other as a compiler does, takes
 * them apart into words, keeps each in a table with the places it is at, and writes an object file; then "build -l"
 * reads those and writes one file of all. The tree is made in /tmp/build first. What the last file has is checked.
 */

#include "guest.h"

enum { HEADERS = 20, HSIZE = 6000, SSIZE = 9000, HASH = 1024, TREE = 64 * 1024, MAX = 99 };

typedef struct Place Place;
struct Place {
	int line;
	Place *next;
};

typedef struct Sym Sym;
struct Sym {
	Sym *next, *left, *right;
	char *name;
	uint hash;
	int n;
	Place *places;
};

typedef struct Lex Lex;
struct Lex {
	char *word;
	int n, line;
	int (*state)(Lex *, int);
};

static Sym *table[HASH];
static int symbols, words;

static char *
file(char *buf, const char *fmt, int i)
{
	snprint(buf, 64, fmt, i);
	return buf;
}

/* the whole of a file, read by 8 kB, and a NUL */
static char *
slurp(const char *name, int *size)
{
	int fd, n, have = 0, room = 8192;
	char *text = malloc(room + 1);

	fd = open(name, OREAD);
	if (fd < 0)
		syserr(name);
	while ((n = read(fd, text + have, 8192)) > 0) {
		have += n;
		if (have + 8192 > room) {
			room *= 2;
			text = realloc(text, room + 1);
		}
		if (text == nil)
			fail("no memory for %s", name);
	}
	if (n < 0)
		syserr(name);
	close(fd);
	text[have] = 0;
	*size = have;
	return text;
}

static void
spew(const char *name, const char *text, int n)
{
	int fd = create(name, OWRITE, 0664), some;

	if (fd < 0)
		syserr(name);
	for (; n > 0; n -= some, text += some) {
		some = n < 8192 ? n : 8192;
		if (write(fd, text, some) != some)
			syserr(name);
	}
	close(fd);
}

/* The compiler */

static void
enter(const char *word, int n, int line)
{
	uint h = 2166136261u;
	int i;
	Sym *s;
	Place *p;

	for (i = 0; i < n; i++)
		h = (h ^ (uchar)word[i]) * 16777619;
	for (s = table[h % HASH]; s != nil; s = s->next)
		if (s->hash == h && strncmp(s->name, word, n) == 0 && s->name[n] == 0)
			break;
	if (s == nil) {
		s = malloc(sizeof *s);
		memset(s, 0, sizeof *s);
		s->name = malloc(n + 1);
		memcpy(s->name, word, n);
		s->name[n] = 0;
		s->hash = h;
		s->next = table[h % HASH];
		table[h % HASH] = s;
		symbols++;
	}
	p = malloc(sizeof *p);
	p->line = line;
	p->next = s->places;
	s->places = p;
	s->n++;
	words++;
}

static int space(Lex *, int);

static int
name(Lex *l, int c)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') {
		l->n++;
		return 0;
	}
	enter(l->word, l->n, l->line);
	l->state = space;
	return space(l, c);
}

static int
comment(Lex *l, int c)
{
	if (c == '\n') {
		l->line++;
		l->state = space;
	}
	return 0;
}

static int
space(Lex *l, int c)
{
	if ((c >= 'a' && c <= 'z') || c == '_') {
		l->state = name;
		l->n = 1;
		return 1;
	}
	if (c == '\n')
		l->line++;
	if (c == '#')
		l->state = comment;
	return 0;
}

static void
take(const char *path)
{
	int i, size;
	char *text = slurp(path, &size);
	Lex l = {text, 0, 1, space};

	for (i = 0; i <= size; i++)
		if (l.state(&l, text[i]))
			l.word = text + i;
	free(text);
}

/* what a tree of expressions comes to: a pass over as much memory as a function takes */
static uint
generate(uint *tree)
{
	uint i, sum = 0;

	for (i = 0; i < TREE; i++)
		tree[i] = i * 2654435761u ^ (uint)words;
	for (i = TREE / 2; i-- > 1;)
		tree[i] += tree[2 * i] ^ tree[2 * i + 1];
	for (i = 1; i < TREE; i += 7)
		sum += tree[i];
	return sum;
}

static const char *
compile(const char *src, const char *obj)
{
	int i, n = 0, room = 128 * 1024;
	char buf[64], *out = malloc(room);
	uint *tree = malloc(TREE * sizeof *tree);
	Sym *s;

	for (i = 0; i < HEADERS; i++)
		take(file(buf, "/tmp/build/h%d.h", i));
	take(src);
	if (out == nil || tree == nil)
		fail("no memory");
	n = snprint(out, room, "%d %d %x\n", symbols, words, generate(tree));
	for (i = 0; i < HASH; i++)
		for (s = table[i]; s != nil; s = s->next)
			n += snprint(out + n, room - n, "%s %d %d\n", s->name, s->n, s->places->line);
	spew(obj, out, n);
	return nil;
}

static const char *
link(int files)
{
	int i, size, n = 0;
	char buf[64], *text, *all = malloc(files * 128 * 1024);

	for (i = 0; i < files; i++) {
		text = slurp(file(buf, "/tmp/build/s%d.o", i), &size);
		memcpy(all + n, text, size);
		n += size;
		free(text);
	}
	spew("/tmp/build/out", all, n);
	return nil;
}

/* The driver */

/* words that look like C, some of them in every file */
static void
make(const char *path, int size, uint seed)
{
	char *text = malloc(size + 64);
	int n = 0, line = 0;

	while (n < size) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 28 == 0)
			n += snprint(text + n, 64, "# of line %d\n", ++line);
		else
			n += snprint(text + n, 64, "int fn_%x(x%d, tmp); ", seed >> 8 & 0x3ff, seed >> 20 & 31);
		if (seed >> 16 & 1)
			text[n++] = '\n';
	}
	spew(path, text, size);
	free(text);
}

static void
tool(char *self, char *what, char *a, char *b)
{
	char *args[5];
	int pid = rfork(RFPROC | RFFDG);

	if (pid < 0)
		syserr("rfork");
	if (pid > 0) {
		waitgood(pid);
		return;
	}
	args[0] = self;
	args[1] = what;
	args[2] = a;
	args[3] = b;
	args[4] = nil;
	exec(self, args);
	syserr("exec");
}

const char *
main(int argc, char *argv[])
{
	char self[64], a[64], b[64], *text;
	int i, t, fd, size, files, times, lines = 0;

	if (argc == 4 && strcmp(argv[1], "-c") == 0)
		return compile(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "-l") == 0)
		return link(number(argv[2], 1, MAX));
	files = argc > 1 ? number(argv[1], 1, MAX) : 8;
	times = argc > 2 ? number(argv[2], 1, 10000) : 1;
	if (files < 0 || times < 0 || argc > 3)
		usage("build [FILES [TIMES]] (at most 99 files)");
	program(self, sizeof self, argv[0]);
	fd = create("/tmp/build", OREAD, DMDIR | 0775);
	if (fd < 0)
		syserr("/tmp/build");
	close(fd);
	for (i = 0; i < HEADERS; i++)
		make(file(a, "/tmp/build/h%d.h", i), HSIZE, i + 1);
	for (i = 0; i < files; i++)
		make(file(a, "/tmp/build/s%d.c", i), SSIZE, 1000 + i);
	for (t = 0; t < times; t++) {
		for (i = 0; i < files; i++)
			tool(self, "-c", file(a, "/tmp/build/s%d.c", i), file(b, "/tmp/build/s%d.o", i));
		tool(self, "-l", file(a, "%d", files), nil);
	}
	text = slurp("/tmp/build/out", &size);
	for (i = 0; i < size; i++)
		lines += text[i] == '\n';
	print("%d files, %d bytes, %d lines\n", files, size, lines);
	return nil;
}
