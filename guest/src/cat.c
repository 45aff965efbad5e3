/* cat [FILE...]: copies the files, or standard input without any, to standard output. */

#include "guest.h"

static char buf[8192];

static void
copy(int fd, const char *name)
{
	int n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, n) != n)
			syserr("write");
	if (n < 0)
		syserr(name);
}

const char *
main(int argc, char *argv[])
{
	int i, fd;

	if (argc < 2)
		copy(0, "stdin");
	for (i = 1; i < argc; i++) {
		fd = open(argv[i], OREAD);
		if (fd < 0)
			syserr("open");
		copy(fd, argv[i]);
		close(fd);
	}
	return nil;
}
