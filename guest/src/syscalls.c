/* syscalls N: makes N system calls that do next to nothing: brk_(nil), which tells where the bss begins. */

#include "guest.h"

extern char edata[], end[];

const char *
main(int argc, char *argv[])
{
	int i, first, n = argc == 2 ? number(argv[1], 0, 99999999) : -1;

	if (n < 0)
		usage("syscalls N");
	first = brk_(nil);
	if (first == -1 || first % PG != 0 || (uint)first < (uint)edata)
		fail("brk_(nil) is 0x%x", first);
	for (i = 0; i < n; i++)
		if (brk_(nil) != first)
			fail("call %d: brk_(nil) is no longer 0x%x", i, first);
	return nil;
}
