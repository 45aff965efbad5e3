/* Memory behind the bss, by brk: free blocks are kept by address and joined with their neighbours. Not for processes
 * that share their memory. */

#include "guest.h"

typedef struct Block Block;
struct Block {
	uint size; /* bytes, this header with them */
	Block *next;
};

enum { ALIGN = 8, MORE = 16 * PG };

extern char end[];
static char *top;
static Block *blocks;

void *
sbrk(uint n)
{
	char *old;

	if (top == nil)
		top = (char *)(((uint)end + ALIGN - 1) & ~(ALIGN - 1));
	if (n > (uint)USTKBASE - (uint)top || brk_(top + n) < 0)
		return (void *)-1;
	old = top;
	top += n;
	return old;
}

void *
malloc(uint n)
{
	Block **p, *b, *rest;
	uint want;

	if (n > USTKBASE)
		return nil;
	n = (n + sizeof(Block) + ALIGN - 1) & ~(ALIGN - 1);
	for (;;) {
		for (p = &blocks; (b = *p) != nil; p = &b->next) {
			if (b->size < n)
				continue;
			if (b->size - n > sizeof(Block)) {
				rest = (Block *)((char *)b + n);
				rest->size = b->size - n;
				rest->next = b->next;
				b->size = n;
				*p = rest;
			} else
				*p = b->next;
			return b + 1;
		}
		want = n < MORE ? MORE : n;
		b = sbrk(want);
		if (b == (void *)-1)
			return nil;
		b->size = want;
		free(b + 1);
	}
}

void
free(void *a)
{
	Block *b = (Block *)a - 1, *next, **p, *before = nil;

	if (a == nil)
		return;
	for (p = &blocks; (next = *p) != nil && next < b; p = &next->next)
		before = next;
	b->next = next;
	*p = b;
	if (next != nil && (char *)b + b->size == (char *)next) {
		b->size += next->size;
		b->next = next->next;
	}
	if (before != nil && (char *)before + before->size == (char *)b) {
		before->size += b->size;
		before->next = b->next;
	}
}

void *
realloc(void *a, uint n)
{
	uint had = a == nil ? 0 : ((Block *)a)[-1].size - sizeof(Block);
	void *b;

	if (a != nil && n <= had)
		return a;
	b = malloc(n);
	if (b != nil) {
		memcpy(b, a, had);
		free(a);
	}
	return b;
}
