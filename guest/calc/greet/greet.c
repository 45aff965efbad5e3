#include <u.h>
#include <libc.h>

int
greet(char *s)
{
	return print("hello, %s\n", s);
}
