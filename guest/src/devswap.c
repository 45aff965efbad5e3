/*
 * devswap [FILE [N]]: takes /dev/swap apart and tries what it must refuse. With FILE, makes that file the swap
 * device, dirties N pages and finds them again, and is refused another device while slots are in use.
 *
 * "device or object already in use" is the answer while anything is on swap.
 */

#include "guest.h"

enum { MAX = 16384 };

static PAGES(area, MAX);

typedef struct Swap Swap;
struct Swap {
	uvlong memory;
	uint pagesize, kernel, user, maxuser, swap, maxswap, malloc, maxmalloc, draw, maxdraw;
};

static char text[512], *at;

static uvlong
num(int after)
{
	uvlong n = 0;

	if (*at < '0' || *at > '9')
		fail("/dev/swap: a number is missing at: %s", at);
	while (*at >= '0' && *at <= '9')
		n = n * 10 + (*at++ - '0');
	if (*at++ != after)
		fail("/dev/swap: no %c behind a number at: %s", after, at - 1);
	return n;
}

static void
word(const char *s)
{
	if (strncmp(at, s, strlen(s)) != 0 || at[strlen(s)] != '\n')
		fail("/dev/swap: %s is missing at: %s", s, at);
	at += strlen(s) + 1;
}

static Swap
readswap(void)
{
	int n, fd = open("/dev/swap", OREAD);
	Swap s;

	if (fd < 0)
		syserr("open /dev/swap");
	n = readn(fd, text, sizeof text - 1);
	if (n < 0)
		syserr("read /dev/swap");
	close(fd);
	text[n] = 0;
	at = text;
	s.memory = num(' '), word("memory");
	s.pagesize = num(' '), word("pagesize");
	s.kernel = num(' '), word("kernel");
	s.user = num('/'), s.maxuser = num(' '), word("user");
	s.swap = num('/'), s.maxswap = num(' '), word("swap");
	s.malloc = num('/'), s.maxmalloc = num(' '), word("kernel malloc");
	s.draw = num('/'), s.maxdraw = num(' '), word("kernel draw");
	if (*at)
		fail("/dev/swap: more text: %s", at);
	if (s.pagesize != PG || s.memory != (uvlong)(s.kernel + s.maxuser) * PG)
		fail("/dev/swap: memory, page size and pages do not agree");
	if (s.user > s.maxuser || s.swap > s.maxswap)
		fail("/dev/swap: more is used than there is");
	return s;
}

/* Write s to /dev/swap; the answer must be want, nil for success. */
static void
tell(const char *s, const char *want)
{
	char err[ERRMAX];
	int fd = open("/dev/swap", OWRITE);

	if (fd < 0)
		syserr("open /dev/swap");
	err[0] = 0;
	if (write(fd, s, strlen(s)) < 0)
		errstr(err, sizeof err);
	else if (want != nil)
		fail("/dev/swap took %s", s);
	if (strcmp(err, want ? want : "") != 0)
		fail("/dev/swap answered %s: %s", s, err);
	close(fd);
}

const char *
main(int argc, char *argv[])
{
	int i, fd, n = argc > 2 ? number(argv[2], 0, MAX) : 1500;
	char *file = argc > 1 ? argv[1] : nil, desc[16];
	Swap before, full;

	if (n < 0 || argc > 3)
		usage("devswap [FILE [N]] (pages, at most 16384)");
	before = readswap();
	tell("none", "bad arg in system call");
	tell("99", "fd out of range or not open");
	tell("start", nil);
	if (file == nil)
		return nil;
	if (before.swap != 0)
		fail("%d slots are in use already", before.swap);

	fd = create(file, ORDWR, 0600);
	if (fd < 0)
		syserr(file);
	snprint(desc, sizeof desc, "%d\n", fd);
	tell(desc, nil);
	close(fd); /* the kernel has a reference of its own */

	for (i = 0; i < n; i++)
		WORD(area + i * PG) = ~i;
	full = readswap();
	if (full.swap == 0 || full.maxswap != before.maxswap)
		fail("%d of %d slots in use", full.swap, full.maxswap);
	fd = open(file, ORDWR);
	if (fd < 0)
		syserr(file);
	snprint(desc, sizeof desc, "%d", fd);
	tell(desc, "device or object already in use");
	for (i = 0; i < n; i++)
		if (WORD(area + i * PG) != (uint)~i)
			fail("page %d is 0x%x", i, WORD(area + i * PG));
	/* pages given back give their slots back */
	if (segfree(area, sizeof area) < 0)
		syserr("segfree");
	if (readswap().swap >= 8)
		fail("%d slots in use for nothing", readswap().swap);
	return nil;
}
