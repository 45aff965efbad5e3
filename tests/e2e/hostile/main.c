/*
 * hostile NAME: one case. hostile: their names.
 *
 * A case runs in a child, which may die of what it does; how it ended is printed. One that waits for ever is killed
 * after a minute of the machine's time.
 */

#include "hostile.h"

static const Case *const all[] = {files, ipc, memory, procs};
static int children[2000];
static int nchildren;

static void
say(const char *what, int n)
{
	char why[ERRMAX];

	rerrstr(why, sizeof why);
	print("%s %d: %s\n", what, n, why);
}

void
refused(const char *what, int n)
{
	char why[ERRMAX];

	rerrstr(why, sizeof why);
	if (why[0] == 0)
		fail("%s: refused without a reason", what);
	say(what, n);
}

void
ended(const char *what, int n)
{
	say(what, n);
}

int
child(int flags, void (*f)(void))
{
	int pid = rfork(RFPROC | flags);

	if (pid == 0) {
		if (f != nil)
			f();
		for (;;)
			sleep(1000000);
	}
	if (pid > 0 && nchildren < nelem(children))
		children[nchildren++] = pid;
	return pid;
}

void
reap(void)
{
	Waitmsg w;
	int i, n = 0;

	/* with no kernel memory left ctl cannot be opened: those go with the machine */
	for (i = 0; i < nchildren; i++)
		n += procwrite(children[i], "ctl", "kill") >= 0;
	while (n-- > 0 && waitchild(&w) >= 0)
		;
	nchildren = 0;
}

char *
space(uint n)
{
	static char *top;

	if (top == nil)
		top = (char *)0x20000000;
	if (segattach(0, "memory", top, n) != (int)top)
		syserr("segattach");
	top += n;
	return top - n;
}

static int victim;

static void
late(Ureg *u, char *text)
{
	(void)u;
	(void)text;
	print("too late\n");
	procwrite(victim, "ctl", "kill");
	noted(NCONT);
}

static void
run(const Case *c)
{
	Waitmsg w;

	victim = rfork(RFPROC | RFNAMEG | RFENVG | RFFDG);
	if (victim == 0) {
		c->f();
		reap();
		exits(nil);
	}
	if (victim < 0)
		syserr("rfork");
	notify(late);
	alarm(60000);
	while (waitchild(&w) != victim)
		;
	print("%s: %s\n", c->name, w.msg);
	exits(nil);
}

int
main(int argc, char *argv[])
{
	const Case *c;
	int i;

	for (i = 0; i < nelem(all); i++)
		for (c = all[i]; c->name != nil; c++) {
			if (argc < 2)
				print("%s\n", c->name);
			else if (strcmp(c->name, argv[1]) == 0)
				run(c);
		}
	if (argc > 1)
		fail("no case %s", argv[1]);
	exits(nil);
}
