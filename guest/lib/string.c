/* Memory and strings. memset and memcpy are also what the compiler calls on its own. */

#include "guest.h"

void *
memset(void *a, int c, uint n)
{
	void *p = a;

	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	return a;
}

void *
memcpy(void *a, const void *b, uint n)
{
	void *p = a;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(b), "+c"(n) : : "memory");
	return a;
}

void *
memmove(void *a, const void *b, uint n)
{
	char *p = (char *)a + n;
	const char *q = (const char *)b + n;

	if ((uint)a - (uint)b >= n) /* also when a lies below b: the difference wraps */
		return memcpy(a, b, n);
	while (n-- > 0)
		*--p = *--q;
	return a;
}

int
memcmp(const void *a, const void *b, uint n)
{
	const uchar *p = a, *q = b;

	for (; n > 0; n--, p++, q++)
		if (*p != *q)
			return *p < *q ? -1 : 1;
	return 0;
}

uint
strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return p - s;
}

int
strcmp(const char *a, const char *b)
{
	return strncmp(a, b, ~0u);
}

int
strncmp(const char *a, const char *b, uint n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b)
			return (uchar)*a < (uchar)*b ? -1 : 1;
		if (*a == 0)
			break;
	}
	return 0;
}

char *
strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (*s == 0)
			return nil;
	}
}

char *
strrchr(const char *s, int c)
{
	const char *last = nil;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (*s == 0)
			return (char *)last;
	}
}

char *
strcpy(char *a, const char *b)
{
	return memcpy(a, b, strlen(b) + 1);
}
