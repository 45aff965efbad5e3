/* hello: the smallest program in C: one line, one system call, exit. */

#include "guest.h"

const char *
main(void)
{
	if (write(1, "hello, world\n", 13) != 13)
		syserr("write");
	return nil;
}
