/* wc [FILE]: counts lines, words and bytes, of standard input without FILE; checks that the bytes are the file's length. */

#include "guest.h"

static char buf[8192];

const char *
main(int argc, char *argv[])
{
	int lines = 0, words = 0, inword = 0, fd = 0, n, i;
	vlong bytes = 0;

	if (argc > 2)
		usage("wc [FILE]");
	if (argc == 2 && (fd = open(argv[1], OREAD)) < 0)
		syserr("open");
	while ((n = read(fd, buf, sizeof buf)) > 0) {
		bytes += n;
		for (i = 0; i < n; i++) {
			lines += buf[i] == '\n';
			if (strchr(" \t\n", buf[i]) != nil && buf[i] != 0)
				inword = 0;
			else if (!inword)
				inword = 1, words++;
		}
	}
	if (n < 0)
		syserr("read");
	if (argc == 2) {
		if (seek(fd, 0, 2) > 0 && seek(fd, 0, 1) != bytes)
			fail("read %d bytes of a file of %d", (int)bytes, (int)seek(fd, 0, 1));
		print("%7d %7d %7lld %s\n", lines, words, bytes, argv[1]);
	} else
		print("%7d %7d %7lld\n", lines, words, bytes);
	return nil;
}
