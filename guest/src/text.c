/*
 * text N: runs N pages of code, then executes itself again and runs them once more.
 *
 * The first image loads each page from the file; the second finds them in the image cache. The pages are in
 * text.S: page i is a function that returns i.
 */

#include "guest.h"

enum { MAX = 256 };

extern char codepages[MAX][PG];

const char *
main(int argc, char *argv[])
{
	int i, got, n, again = argc == 3 && strcmp(argv[2], "again") == 0;
	char *args[4], file[256];

	n = argc == 2 || again ? number(argv[1], 0, MAX) : -1;
	if (n < 0)
		usage("text N (pages, at most 256)");
	for (i = 0; i < n; i++) {
		got = ((int (*)(void))codepages[i])();
		if (got != i)
			fail("code page %d returned %d", i, got);
	}
	if (again)
		return nil;
	args[0] = argv[0];
	args[1] = argv[1];
	args[2] = "again";
	args[3] = nil;
	exec(program(file, sizeof file, argv[0]), args);
	syserr("exec");
}
