#include "hostile.h"

static int sem;

static void
forks(void)
{
	int n, me = ((Tos *)(USTKTOP - 56))->pid;

	for (n = 0; n < 2000 && rfork(RFPROC | RFNOWAIT) >= 0; n++)
		if (((Tos *)(USTKTOP - 56))->pid != (ulong)me) {
			sleep(300);
			exits(nil);
		}
	ended("processes", n);
}

static void
children(void)
{
	int n;

	for (n = 0; n < 2000 && child(0, nil) > 0; n++)
		if (n == 90)
			break; /* the table is full at 100 and a few: rfork would wait for ever */
	ended("children", n);
}

static void
zombies(void)
{
	char buf[256];
	int n, m = 0;

	for (n = 0; n < 600; n++) {
		int pid = rfork(RFPROC);

		if (pid < 0)
			break;
		if (pid == 0)
			exits("an exit status of some length that nobody will ever care to read, or to throw away");
		sleep(0);
	}
	while (await(buf, sizeof buf) > 0)
		m++;
	ended("statuses kept", m);
}

static void
meet(void)
{
	rendezvous(((Tos *)(USTKTOP - 56))->pid, 1);
}

static void
meetings(void)
{
	int n;

	for (n = 0; n < 80 && child(0, meet) > 0; n++)
		;
	sleep(10);
	ended("waiting for nobody", n);
}

static void
waitsem(void)
{
	semacquire(&sem, 1);
}

static void
sems(void)
{
	int n;

	for (n = 0; n < 80 && child(RFMEM, waitsem) > 0; n++)
		;
	sleep(10);
	semrelease(&sem, 0x7fffffff);
	ended("waiting for a semaphore", n);
}

static void
semvalues(void)
{
	static const uint ms[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
	int i, n = 0;

	sem = 0;
	for (i = 0; i < nelem(ms); i++) {
		alarm(20);
		n += tsemacquire(&sem, ms[i]) == 1;
		semrelease(&sem, ms[i]);
		sem = 0;
	}
	n += semacquire((int *)1, 1) == 1;
	n += semacquire((int *)0xf0000000, 1) == 1;
	n += semacquire((int *)(USTKTOP - 2), 1) == 1;
	ended("odd semaphores", n);
}

static void
catch(Ureg *u, char *text)
{
	(void)u;
	(void)text;
	noted(NCONT);
}

static void
sleeps(void)
{
	static const uint ms[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
	int i;

	notify(catch);
	for (i = 0; i < nelem(ms); i++) {
		alarm(20);
		sleep(ms[i]);
	}
	for (i = 0; i < nelem(ms); i++)
		alarm(ms[i]);
	alarm(0);
	ended("odd times", i);
}

static void
timers(void)
{
	notify(catch);
	sleeps();
	semvalues();
}

static void
listen(void)
{
	notify(catch);
}

static void
notes(void)
{
	int n, pid = child(0, listen), m = 0;

	sleep(10);
	for (n = 0; n < 3000; n++)
		m += procwrite(pid, "note", "a note that is as good as any other, and not the last one of its kind") > 0;
	ended("notes", m);
}

static void
longnotes(void)
{
	static char text[70000];
	int n, pid = child(0, listen), m = 0;

	memset(text, 'n', sizeof text - 1);
	for (n = 1; n < (int)sizeof text; n *= 2) {
		text[n] = 0;
		m += procwrite(pid, "note", text) > 0;
		m += procwrite(pid, "ctl", text) > 0;
		m += procwrite(pid, "args", text) > 0;
		text[n] = 'n';
	}
	ended("long texts", m);
}

static void
flags(void)
{
	char buf[256];
	int f, n = 0, me = ((Tos *)(USTKTOP - 56))->pid;

	for (f = 0; f < 0x8000; f += 37) {
		int pid = rfork(f & ~(RFNOWAIT | RFNAMEG | RFCNAMEG));

		n += pid >= 0;
		if ((int)((Tos *)(USTKTOP - 56))->pid != me)
			exits(nil);
		if (pid > 0)
			await(buf, sizeof buf);
	}
	ended("ways to fork", n);
}

static void
chain(void)
{
	int n;

	for (n = 0; n < 80; n++) {
		int pid = rfork(RFPROC);

		if (pid < 0)
			break;
		if (pid > 0) {
			await((char[256]){0}, 256);
			exits(nil);
		}
	}
	exits(nil);
}

static void
chains(void)
{
	int pid = rfork(RFPROC);

	if (pid == 0)
		chain();
	await((char[256]){0}, 256);
	ended("a chain of processes", 0);
}

static void
threads(void)
{
	int n;

	for (n = 0; n < 80 && child(RFMEM | RFFDG, nil) > 0; n++)
		;
	ended("threads", n);
}

static void
awaits(void)
{
	int n;

	for (n = 0; n < 30; n++) {
		if (rfork(RFPROC) == 0)
			exits("why");
		await((char[64]){0}, n);
	}
	await((char *)0xf0000000, 100);
	refused("await", n);
}

static void
endlessexit(void)
{
	char *p = space(PG);

	memset(p, 'e', PG);
	if (rfork(RFPROC) == 0)
		exits(p + PG - 3);
	await((char[256]){0}, 256);
	if (rfork(RFPROC) == 0)
		exits((char *)0xf0000000);
	await((char[256]){0}, 256);
	ended("exit strings", 2);
}

static void
longargs(void)
{
	char **argv = (char **)space(16 << 20), *arg = space(1 << 20);
	int i;

	memset(arg, 'a', (1 << 20) - 1);
	for (i = 0; i < 100; i++)
		argv[i] = arg;
	exec("/bin/true", argv);
	refused("100 MB of arguments", i);
	for (i = 0; i < 4000000; i++)
		argv[i] = "";
	exec("/bin/true", argv);
	refused("four million arguments", i);
	for (i = 0; i < 1 << 22; i++)
		argv[i] = "";
	exec("/bin/true", argv);
	ended("arguments without an end", i);
}

static void
wildargs(void)
{
	static const uint v[] = {0, 1, 0x1000, USTKTOP, 0xf0000000, 0xffffffff};
	int i, j;

	for (i = 0; i < nelem(v); i++)
		for (j = 0; j < nelem(v); j++)
			if (rfork(RFPROC) == 0) {
				char *argv[] = {(char *)v[i], nil};

				close(2);
				exec((char *)v[j], argv);
				exec("/bin/nosuch", (char **)v[i]);
				exits("refused");
			} else
				await((char[256]){0}, 256);
	ended("wild arguments", i * j);
}

static void
script(const char *text)
{
	char *argv[] = {"s", nil};
	int fd = create("/tmp/s", OWRITE, 0777);

	write(fd, text, strlen(text));
	close(fd);
	exec("/tmp/s", argv);
}

static void
scripts(void)
{
	script("#!/tmp/s\n");
	refused("a script of itself", 0);
	script("#!\n");
	script("#! \n");
	script("#!/bin/nosuch\n");
	script("#!/tmp\n");
	script("#!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
	script("\xeb\x01");
	script("");
	refused("scripts", 8);
}

static void
selfexec(void)
{
	int fd = create("/tmp/w", OWRITE, 0777), n;
	static uchar head[40] = {0, 0, 1, 0xeb};

	for (n = 4; n < 32; n++) {
		uchar was = head[n];

		head[n] = 0xff;
		pwrite(fd, head, 32, 0);
		exec("/tmp/w", (char *[]){"w", nil});
		head[n] = was;
	}
	refused("wild headers", n);
}

const Case procs[] = {
	{"forks", forks}, {"children", children}, {"zombies", zombies}, {"meetings", meetings}, {"sems", sems},
	{"timers", timers}, {"notes", notes}, {"longnotes", longnotes}, {"flags", flags}, {"chains", chains},
	{"threads", threads}, {"awaits", awaits}, {"endlessexit", endlessexit}, {"longargs", longargs},
	{"wildargs", wildargs}, {"scripts", scripts}, {"selfexec", selfexec}, {nil, nil},
};
