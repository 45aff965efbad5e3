/* wild [-w] ADDR: reads (-w: writes) the word at the hexadecimal address ADDR; dies if it may not. */

#include "guest.h"

const char *
main(int argc, char *argv[])
{
	int writing = argc == 3 && strcmp(argv[1], "-w") == 0;
	uint addr;

	if (argc != 2 + writing || !hexnumber(argv[argc - 1], &addr))
		usage("wild [-w] ADDR (hexadecimal)");
	if (writing)
		WORD(addr) = 0;
	else
		print("0x%08x: 0x%08x\n", addr, WORD(addr));
	return nil;
}
