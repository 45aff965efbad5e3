/* exec PROG ARGS: becomes PROG, from /bin unless a path was given. */

#include "guest.h"

const char *
main(int argc, char *argv[])
{
	char file[256];

	if (argc < 2)
		usage("exec PROG ARGS");
	exec(program(file, sizeof file, argv[1]), argv + 1);
	syserr("exec");
}
