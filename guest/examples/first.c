#include "guest.h"

static volatile char page[2 * PG];

char *
main(void)
{
	print("hello\n");
	page[PG] = 1; /* memory that nobody has touched */
	page[PG] = 2;
	*(volatile int *)0 = 3; /* no memory at all */
	return nil;
}
