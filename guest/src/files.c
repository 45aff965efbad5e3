/*
 * files open|read|stat|list N FILE: opens and closes FILE N times, or reads 8 kB of it each time as well, or asks for
 * its entry; or reads the directory FILE, all of it, N times.
 */

#include "guest.h"

static uchar buf[8192];

static int
opened(const char *file)
{
	int fd = open(file, OREAD);

	if (fd < 0)
		syserr(file);
	return fd;
}

const char *
main(int argc, char *argv[])
{
	int fd, n, got;
	char what;

	n = argc == 4 ? number(argv[2], 0, 100000000) : -1;
	if (n < 0)
		usage("files open|read|stat|list N FILE");
	what = argv[1][0];
	while (n-- > 0) {
		if (what == 's') {
			if (stat(argv[3], buf, sizeof buf) < 0)
				syserr(argv[3]);
			continue;
		}
		fd = opened(argv[3]);
		if (what != 'o') {
			do
				got = read(fd, buf, sizeof buf);
			while (got > 0 && what == 'l');
			if (got < 0)
				syserr(argv[3]);
		}
		close(fd);
	}
	return nil;
}
