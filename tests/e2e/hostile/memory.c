#include "hostile.h"

static void
touchall(void)
{
	char *p = space(512 << 20);
	uint i;

	for (i = 0; i < 512u << 20; i += PG)
		p[i] = 1;
}

/* more pages than there are: the largest is killed, which is us, or our child */
static void
pages(void)
{
	Waitmsg w;

	if (rfork(RFPROC) == 0) {
		touchall();
		exits(nil);
	}
	waitchild(&w);
	if (w.msg[0] == 0)
		fail("there is memory without end");
	print("%s\n", w.msg);
}

static void
sparse(void)
{
	uint i, n = 0;
	char *p;

	for (i = 0; i < 3; i++) {
		p = (char *)0x20000000 + i * 0x30000000u;
		if (segattach(0, "memory", p, 0x2fff0000) == -1)
			break;
		for (n = 0; n < 700; n++)
			p[n << 20] = 1;
	}
	ended("segments touched once a megabyte", i);
}

static void
sparseforks(void)
{
	char *p = space(700 << 20);
	int n;

	for (n = 0; n < 600; n++)
		p[n << 20] = 1;
	for (n = 0; n < 90 && child(0, nil) > 0; n++)
		;
	ended("forks of 600 tables", n);
}

static void
attach(void)
{
	int n;

	for (n = 0; n < 100 && segattach(0, "memory", nil, PG) != -1; n++)
		;
	refused("segments", n);
}

static void
attachsizes(void)
{
	static const uint size[] = {0, 1, PG, 1 << 30, 1u << 31, 0xdffff000, 0xfffff000, 0xffffffff};
	static const uint at[] = {0, 1, PG, 0x10000000, 0x80000000, 0xdefff000, 0xdfffe000, 0xe0000000, 0xfffff000};
	int i, j, n = 0;

	for (i = 0; i < nelem(size); i++)
		for (j = 0; j < nelem(at); j++) {
			int r = segattach(i & SG_RONLY, j & 1 ? "shared" : "memory", (void *)at[j], size[i]);

			if (r != -1) {
				n++;
				segdetach((void *)r);
			}
		}
	ended("odd segments", n);
}

static void
attachloop(void)
{
	int n, r;

	for (n = 0; n < 3000; n++) {
		r = segattach(0, "shared", nil, 1 << 24);
		if (r == -1)
			break;
		*(char *)r = 1;
		segdetach((void *)r);
	}
	ended("segments come and gone", n);
}

static void
wildcalls(void)
{
	static const uint v[] = {0, 1, PG, UTZERO, 0x2000, 0x2fff, USTKBASE, USTKTOP - PG, USTKTOP, 0xefffffff, 0xffffffff};
	int i, j, n = 0;

	for (i = 0; i < nelem(v); i++)
		for (j = 0; j < nelem(v); j++) {
			n += segflush((void *)v[i], v[j]) == 0;
			n += segbrk((void *)v[i], (void *)v[j]) == 0;
			if (v[i] >= USTKTOP)
				n += segfree((void *)v[i], v[j]) == 0;
		}
	ended("wild ranges", n);
}

static void
freebss(void)
{
	if (rfork(RFPROC) == 0) {
		segfree((void *)UTZERO, 0xffffffff);
		segfree((void *)(USTKTOP - PG), PG);
		segdetach((void *)UTZERO);
		exits(nil);
	}
	await((char[256]){0}, 256);
	ended("a program that gives itself up", 0);
}

static void
brks(void)
{
	static char *const at[] = {nil, (char *)1, (char *)0x1000000, (char *)0x70000000, (char *)0xdf000000, (char *)~0};
	int i, j, n = 0;

	for (j = 0; j < 50; j++)
		for (i = 0; i < nelem(at) - 2; i++)
			n += brk_(at[i]) == 0;
	for (i = 0; i < nelem(at); i++)
		n += brk_(at[i]) == 0;
	ended("breaks", n);
}

static NOINLINE int
down(volatile char *p)
{
	volatile char a[PG];

	a[0] = p != (char *)1;
	return a[0] ? down(a) + a[0] : 0;
}

static void
stack(void)
{
	Waitmsg w;

	if (rfork(RFPROC) == 0) {
		close(2);
		down(nil);
	}
	waitchild(&w);
	if (w.msg[0] == 0)
		fail("a stack without end");
	print("%s\n", w.msg);
}

static void
shared(void)
{
	char *p = (char *)segattach(0, "shared", nil, 4 << 20);
	int i, n;

	if (p == (char *)-1)
		syserr("segattach");
	for (i = 0; i < 4 << 20; i += PG)
		p[i] = 1;
	for (n = 0; n < 90 && child(0, nil) > 0; n++)
		;
	ended("sharers", n);
}

static void
copies(void)
{
	char *p = space(2 << 20);
	int i, j;

	for (i = 0; i < 2 << 20; i += PG)
		p[i] = 1;
	for (j = 0; j < 100; j++) {
		int pid = rfork(RFPROC);

		if (pid < 0)
			break;
		if (pid == 0) {
			for (i = 0; i < 2 << 20; i += PG)
				p[i] = 2;
			for (;;)
				sleep(1000000);
		}
	}
	sleep(100);
	ended("writers", j);
	procwrite(((Tos *)(USTKTOP - 56))->pid, "notepg", "kill");
	while (await((char[256]){0}, 256) >= 0)
		;
}

const Case memory[] = {
	{"pages", pages}, {"sparse", sparse}, {"sparseforks", sparseforks}, {"attach", attach},
	{"attachsizes", attachsizes}, {"attachloop", attachloop}, {"wildcalls", wildcalls}, {"freebss", freebss},
	{"brks", brks}, {"stack", stack}, {"shared", shared}, {"copies", copies}, {nil, nil},
};
