/* Formatted printing: %d %u %x %c %s %p %%, with l or ll, a width, and the flags 0 and -. */

#include "guest.h"

typedef struct Out Out;
struct Out {
	char *p, *end; /* end leaves room for the NUL */
};

static void
put(Out *o, char c)
{
	if (o->p < o->end)
		*o->p++ = c;
}

static void
field(Out *o, const char *s, int n, int width, int left, char fill)
{
	int pad = width - n;

	if (!left)
		for (; pad > 0; pad--)
			put(o, fill);
	while (n-- > 0)
		put(o, *s++);
	for (; pad > 0; pad--)
		put(o, ' ');
}

static void
integer(Out *o, uvlong v, uint base, int negative, int width, int left, char fill)
{
	char digits[24], *s = digits + sizeof digits;
	uint digit;

	do {
		v = udiv64(v, base, &digit);
		*--s = "0123456789abcdef"[digit];
	} while (v != 0);
	if (negative && fill == '0') { /* the sign comes before the zeros */
		put(o, '-');
		width--;
	} else if (negative)
		*--s = '-';
	field(o, s, digits + sizeof digits - s, width, left, fill);
}

int
vsnprint(char *buf, int n, const char *fmt, __builtin_va_list arg)
{
	Out o = {buf, buf + n - 1};
	int width, left, longs;
	const char *s;
	char c, fill;
	vlong v;

	for (; (c = *fmt) != 0; fmt++) {
		if (c != '%') {
			put(&o, c);
			continue;
		}
		left = 0;
		fill = ' ';
		for (fmt++; *fmt == '-' || *fmt == '0'; fmt++) {
			if (*fmt == '-')
				left = 1;
			else
				fill = '0';
		}
		if (left)
			fill = ' ';
		width = 0;
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = 10 * width + *fmt - '0';
		longs = 0;
		for (; *fmt == 'l'; fmt++)
			longs++;
		switch (*fmt) {
		case 'd':
			v = longs > 1 ? __builtin_va_arg(arg, vlong) : __builtin_va_arg(arg, int);
			integer(&o, v < 0 ? -(uvlong)v : (uvlong)v, 10, v < 0, width, left, fill);
			break;
		case 'u':
		case 'x':
			v = longs > 1 ? __builtin_va_arg(arg, uvlong) : __builtin_va_arg(arg, uint);
			integer(&o, v, *fmt == 'x' ? 16 : 10, 0, width, left, fill);
			break;
		case 'p':
			field(&o, "0x", 2, 0, 0, ' ');
			integer(&o, (uint)__builtin_va_arg(arg, void *), 16, 0, 8, 0, '0');
			break;
		case 'c':
			c = __builtin_va_arg(arg, int);
			field(&o, &c, 1, width, left, ' ');
			break;
		case 's':
			s = __builtin_va_arg(arg, const char *);
			field(&o, s, strlen(s), width, left, ' ');
			break;
		case 0:
			fmt--;
			break;
		default:
			put(&o, *fmt);
		}
	}
	*o.p = 0;
	return o.p - buf;
}

int
snprint(char *buf, int n, const char *fmt, ...)
{
	__builtin_va_list arg;

	__builtin_va_start(arg, fmt);
	n = vsnprint(buf, n, fmt, arg);
	__builtin_va_end(arg);
	return n;
}

int
fprint(int fd, const char *fmt, ...)
{
	char buf[512];
	__builtin_va_list arg;
	int n;

	__builtin_va_start(arg, fmt);
	n = vsnprint(buf, sizeof buf, fmt, arg);
	__builtin_va_end(arg);
	return write(fd, buf, n);
}

int
print(const char *fmt, ...)
{
	char buf[512];
	__builtin_va_list arg;
	int n;

	__builtin_va_start(arg, fmt);
	n = vsnprint(buf, sizeof buf, fmt, arg);
	__builtin_va_end(arg);
	return write(1, buf, n);
}
