/* Helpers for programs that check what they did: failing, waiting, arguments, time. */

#include "guest.h"

void
fail(const char *fmt, ...)
{
	char buf[ERRMAX];
	__builtin_va_list arg;

	__builtin_va_start(arg, fmt);
	vsnprint(buf, sizeof buf, fmt, arg);
	__builtin_va_end(arg);
	exits(buf);
}

void
usage(const char *args)
{
	fail("usage: %s", args);
}

/* errstr exchanges texts, so the second call puts the first one's back */
void
rerrstr(char *buf, uint n)
{
	char text[ERRMAX];

	text[0] = 0;
	errstr(text, sizeof text);
	snprint(buf, n, "%s", text);
	errstr(text, sizeof text);
}

void
syserr(const char *what)
{
	char text[ERRMAX];

	text[0] = 0;
	errstr(text, sizeof text);
	fail("%s: %s", what, text);
}

int
number(const char *s, int min, int max)
{
	int n = 0;

	if (s == nil || *s == 0)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 99999999)
			return -1;
		n = 10 * n + *s - '0';
	}
	return n < min || n > max ? -1 : n;
}

int
hexnumber(const char *s, uint *value)
{
	uint v = 0;
	int digits = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	for (; *s; s++, digits++) {
		if (*s >= '0' && *s <= '9')
			v = 16 * v + *s - '0';
		else if (*s >= 'a' && *s <= 'f')
			v = 16 * v + *s - 'a' + 10;
		else if (*s >= 'A' && *s <= 'F')
			v = 16 * v + *s - 'A' + 10;
		else
			return 0;
	}
	*value = v;
	return digits > 0 && digits <= 8;
}

vlong
seek(int fd, vlong offset, int whence)
{
	vlong at;

	if (seek_(&at, fd, offset, whence) < 0)
		return -1;
	return at;
}

int
read(int fd, void *buf, int n)
{
	return pread(fd, buf, n, -1);
}

int
write(int fd, const void *buf, int n)
{
	return pwrite(fd, buf, n, -1);
}

int
readn(int fd, void *buf, int n)
{
	int m, got;

	for (got = 0; got < n; got += m) {
		m = read(fd, (char *)buf + got, n - got);
		if (m < 0)
			return -1;
		if (m == 0)
			break;
	}
	return got;
}

/* "pid user sys real status", the status quoted if it needs to be; a quote inside is doubled */
int
waitchild(Waitmsg *w)
{
	char buf[512], *s = buf, *d = w->msg;
	uint field[4];
	int i, n, quoted;

	n = await(buf, sizeof buf - 1);
	if (n < 0)
		return -1;
	buf[n] = 0;
	for (i = 0; i < 4; i++) {
		field[i] = 0;
		if (*s < '0' || *s > '9')
			fail("await: no number in field %d of %s", i, buf);
		for (; *s >= '0' && *s <= '9'; s++)
			field[i] = 10 * field[i] + *s - '0';
		if (*s++ != ' ')
			fail("await: no space after field %d of %s", i, buf);
	}
	w->pid = field[0];
	memcpy(w->time, field + 1, sizeof w->time);
	quoted = *s == '\'';
	for (s += quoted; *s && d < w->msg + sizeof w->msg - 1; s++) {
		if (quoted && *s == '\'' && *++s != '\'')
			break;
		*d++ = *s;
	}
	*d = 0;
	return w->pid;
}

void
waitgood(int pid)
{
	Waitmsg w;

	if (waitchild(&w) < 0)
		syserr("await");
	if (w.pid != pid)
		fail("await: got process %d instead of %d", w.pid, pid);
	if (w.msg[0])
		fail("child: %s", w.msg);
}

char *
program(char *buf, int n, const char *arg0)
{
	snprint(buf, n, "%s%s", strchr(arg0, '/') ? "" : "/bin/", arg0);
	return buf;
}

/* seconds and the rest apart, so that nothing overflows; without a frequency cycles are ns */
uvlong
nsec(const Tos *tos, uvlong cycles)
{
	uint hz = (uint)tos->cyclefreq, rest;
	uvlong s;

	if (tos->cyclefreq == 0 || tos->cyclefreq == 1000000000)
		return cycles;
	if (tos->cyclefreq >> 32) /* faster than 4 GHz: count both in sixteenths */
		return nsec(&(Tos){.cyclefreq = tos->cyclefreq >> 4}, cycles >> 4);
	s = udiv64(cycles, hz, &rest);
	return s * 1000000000 + udiv64((uvlong)rest * 1000000000, hz, nil);
}
