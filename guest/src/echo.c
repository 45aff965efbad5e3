/* echo [-n] ARGS: prints its arguments in one write; -n leaves the newline out. */

#include "guest.h"

static char line[8192];

const char *
main(int argc, char *argv[])
{
	int newline = argc < 2 || strcmp(argv[1], "-n") != 0;
	char *p = line, *end = line + sizeof line;
	int i, first = newline ? 1 : 2;

	for (i = first; i < argc; i++) {
		if (p + strlen(argv[i]) + 2 > end)
			fail("echo: more than %d bytes of arguments", (int)sizeof line);
		if (i > first)
			*p++ = ' ';
		p += strlen(strcpy(p, argv[i]));
	}
	if (newline)
		*p++ = '\n';
	if (write(1, line, p - line) != p - line)
		syserr("write");
	return nil;
}
