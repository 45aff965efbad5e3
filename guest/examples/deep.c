#include "guest.h"

static volatile char page[4 * PG];

static int NOINLINE
leaf(int i)
{
	return page[i * PG] = 1;
}

static int NOINLINE
middle(int i)
{
	int n = i > 0 ? middle(i - 1) : 0;

	return n + leaf(i);
}

char *
main(void)
{
	return middle(1) == 2 ? nil : "lost";
}
