/* pwd: prints the name of the current directory. */

#include "guest.h"

static char path[8192];

const char *
main(void)
{
	int n, fd = open(".", OREAD);

	if (fd < 0)
		syserr("open");
	if (fd2path(fd, path, sizeof path - 1) < 0)
		syserr("fd2path");
	n = strlen(path);
	path[n++] = '\n';
	if (write(1, path, n) != n)
		syserr("write");
	return nil;
}
