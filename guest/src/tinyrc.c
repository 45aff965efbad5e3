/*
 * tinyrc [-iIl] [-c CMDS | FILE [ARGS]]: a shell as small as the tests of `p9emu shell` allow, in the place of rc.
 *
 * It reads CMDS, FILE or standard input. A line is pipelines with ; or & behind them; a word may hold '...', $* and
 * $NAME, a variable, whose value stays one word; > FILE and < FILE redirect. Builtin are cd, exit and #. With -i it
 * prompts, and the note "interrupt" ends what runs and the line; without, the shell too. -l and -I mean nothing.
 */

#include "guest.h"

enum { MAXLINE = 8192, MAXTOK = 512 };

typedef struct Tok Tok;
struct Tok {
	char op;    /* one of | & ; < >, or 0: a word */
	char *word;
};

static int iflag;
static volatile int interrupted;
static char **star; /* $* */
static char status[ERRMAX];
static char text[2 * MAXLINE], *textend;
static Tok tok[MAXTOK + 1];

static void
handler(Ureg *u, char *note)
{
	(void)u;
	if (strcmp(note, "interrupt") != 0)
		noted(NDFLT);
	interrupted = 1;
	noted(NCONT);
}

static void
put(int c)
{
	if (textend == text + sizeof text)
		fail("line too long");
	*textend++ = c;
}

/* the value of a variable, up to its first NUL */
static void
putvar(const char *name)
{
	char path[128], buf[1024];
	int fd, n, i;

	for (i = 0; strcmp(name, "status") == 0 && status[i]; i++)
		put(status[i]);
	snprint(path, sizeof path, "/env/%s", name);
	fd = open(path, OREAD);
	if (fd < 0)
		return;
	n = read(fd, buf, sizeof buf);
	close(fd);
	for (i = 0; i < n && buf[i]; i++)
		put(buf[i]);
}

/* one word of s; where it ends */
static char *
word(char *s)
{
	char name[64];
	int n;

	while (*s && !strchr(" \t\n|&;<>", *s))
		if (*s == '\'') {
			for (s++; *s && (*s != '\'' || *++s == '\''); s++)
				put(*s);
		} else if (*s == '$') {
			for (n = 0, s++; *s && n < nelem(name) - 1 && !strchr(" \t\n|&;<>'/$.", *s); s++)
				name[n++] = *s;
			name[n] = 0;
			putvar(name);
		} else
			put(*s++);
	put(0);
	return s;
}

/* the words and operators of a line; how many */
static int
split(char *s)
{
	int n = 0, i;

	textend = text;
	for (;;) {
		while (*s && strchr(" \t\n", *s))
			s++;
		if (*s == 0 || *s == '#')
			return n;
		if (n == MAXTOK)
			fail("too many words");
		if (strchr("|&;<>", *s)) {
			tok[n++] = (Tok){*s++, nil};
			continue;
		}
		if (strncmp(s, "$*", 2) == 0 && (!s[2] || strchr(" \t\n|&;<>", s[2]))) {
			for (i = 0; star[i] && n < MAXTOK; i++)
				tok[n++] = (Tok){0, star[i]};
			s += 2;
			continue;
		}
		tok[n++] = (Tok){0, textend};
		s = word(s);
	}
}

/* in a process of its own: become the command of n tokens */
NORETURN static void
command(Tok *t, int n)
{
	char *argv[MAXTOK + 1], path[256];
	int i, fd, argc = 0;

	for (i = 0; i < n; i++) {
		if (!t[i].op) {
			argv[argc++] = t[i].word;
			continue;
		}
		if (++i == n || t[i].op)
			fail("syntax error");
		fd = t[i - 1].op == '<' ? open(t[i].word, OREAD) : create(t[i].word, OWRITE, 0666);
		if (fd < 0) {
			fprint(2, "tinyrc: cannot open %s\n", t[i].word);
			syserr(t[i].word);
		}
		dup(fd, t[i - 1].op == '>');
		close(fd);
	}
	argv[argc] = nil;
	if (argc == 0)
		exits(nil);
	exec(program(path, sizeof path, argv[0]), argv);
	rerrstr(path, sizeof path);
	fprint(2, "tinyrc: %s: %s\n", argv[0], path);
	exits(path);
}

static int
fork(void)
{
	int pid = rfork(RFPROC | RFFDG | RFREND);

	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		notify(nil);
		if (interrupted) /* since the fork, or just before */
			exits("interrupt");
	}
	return pid;
}

/* in a process of its own: commands with pipes between them; this process becomes the last */
NORETURN static void
pipeline(Tok *t, int n)
{
	int i, fd[2];

	for (;;) {
		for (i = 0; i < n && t[i].op != '|'; i++)
			;
		if (i == n)
			command(t, n);
		if (pipe(fd) < 0)
			syserr("pipe");
		if (fork() == 0) {
			dup(fd[1], 1);
			close(fd[0]);
			close(fd[1]);
			command(t, i);
		}
		dup(fd[0], 0);
		close(fd[0]);
		close(fd[1]);
		t += i + 1;
		n -= i + 1;
	}
}

/* one pipeline, or a builtin; the shell waits for it unless it is to be in the background */
static void
run(Tok *t, int n, int background)
{
	Waitmsg w;
	char *dir = textend;
	int pid;

	if (n == 0)
		return;
	if (!t[0].op && strcmp(t[0].word, "exit") == 0)
		exits(n > 1 ? t[1].word : status);
	if (!t[0].op && strcmp(t[0].word, "cd") == 0) {
		if (n == 1) {
			putvar("home");
			put(0);
		}
		strcpy(status, chdir(n > 1 ? t[1].word : dir) < 0 ? "can't cd" : "");
		if (status[0])
			fprint(2, "can't cd\n");
		return;
	}
	pid = fork();
	if (pid == 0)
		pipeline(t, n);
	if (background)
		return;
	do {
		w.pid = waitchild(&w);
		if (w.pid == pid)
			strcpy(status, w.msg);
	} while (w.pid != pid); /* interrupts don't get us out */
}

static void
line(char *s)
{
	int i, from = 0, n = split(s);

	interrupted = 0;
	for (i = 0; i <= n && !interrupted; i++)
		if (i == n || tok[i].op == ';' || tok[i].op == '&') {
			run(tok + from, i - from, i < n && tok[i].op == '&');
			from = i + 1;
		}
	if (interrupted && !iflag)
		exits("interrupt");
}

/* all lines of a file, as they come */
static void
lines(int fd)
{
	static char buf[MAXLINE];
	char *end;
	int n, have = 0;

	for (;;) {
		if (iflag)
			fprint(2, "%% ");
		n = read(fd, buf + have, sizeof buf - 1 - have);
		if (n < 0 && iflag) {
			fprint(2, "\n");
			continue;
		}
		if (n <= 0)
			break;
		have += n;
		buf[have] = 0;
		while ((end = strchr(buf, '\n')) != nil) {
			*end = 0;
			line(buf);
			have -= end + 1 - buf;
			memmove(buf, end + 1, have + 1);
		}
	}
	buf[have] = 0;
	line(buf);
}

const char *
main(int argc, char *argv[])
{
	const char *flag;
	int fd = 0;

	notify(handler);
	for (argc--, argv++; argc > 0 && argv[0][0] == '-'; argc--, argv++)
		for (flag = argv[0] + 1; *flag; flag++) {
			if (*flag == 'c' && argc > 1) {
				star = argv + 2;
				line(argv[1]);
				return status;
			}
			if (!strchr("iIl", *flag))
				usage("tinyrc [-iIl] [-c CMDS | FILE [ARGS]]");
			iflag |= *flag == 'i';
		}
	star = argc > 0 ? argv + 1 : argv;
	if (argc > 0)
		fd = open(argv[0], OREAD);
	if (fd < 0)
		syserr(argv[0]);
	lines(fd);
	return status;
}
