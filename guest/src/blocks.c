/* blocks K N: runs N blocks of K instructions each, 4 or 16, that touch no memory. */

#include "guest.h"

#define ADDS "addl $1, %0\n\taddl $3, %1\n\t"

const char *
main(int argc, char *argv[])
{
	int a = 0, b = 0;
	int k = argc == 3 ? number(argv[1], 4, 16) : -1;
	int i, n = argc == 3 ? number(argv[2], 1, 999999999) : -1;

	if (n < 0 || (k != 4 && k != 16))
		usage("blocks K N (K: 4 or 16 instructions)");
	i = n;
	if (k == 4) {
		asm volatile("1:\t" ADDS "decl %2\n\tjnz 1b" : "+r"(a), "+r"(b), "+r"(i));
		if (a != n)
			fail("%d blocks ran instead of %d", a, n);
	} else {
		asm volatile("1:\t" ADDS ADDS ADDS ADDS ADDS ADDS ADDS "decl %2\n\tjnz 1b" : "+r"(a), "+r"(b), "+r"(i));
		if (a != (int)(7u * n))
			fail("%d instructions ran instead of %d", a, (int)(7u * n));
	}
	return nil;
}
