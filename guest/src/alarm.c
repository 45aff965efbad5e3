/*
 * alarm: the note "alarm" comes when it was asked for, once, to the process that asked.
 *
 * Alarms interrupt a sleep, are told what is left of, replaced, cancelled, kept over exec and not inherited; many
 * processes with alarms in any order each get their own.
 */

#include "guest.h"

enum { SLACK = 30 }; /* ms: three ticks */

static const Tos *tos;
static volatile int alarms;
static volatile uvlong last;

static uvlong
ms(void)
{
	return udiv64(nsec(tos, cycles()), 1000000, nil);
}

static void
handler(Ureg *u, char *text)
{
	(void)u;
	if (strcmp(text, "alarm") != 0)
		exits(text);
	alarms++;
	last = ms();
	noted(NCONT);
}

static void
near(uint got, uint want, const char *what)
{
	if (got + SLACK < want || got > want + SLACK)
		fail("%s: %d ms instead of %d", what, got, want);
}

static void
interrupts(void)
{
	char err[ERRMAX];
	uvlong t = ms();

	alarms = 0;
	if (alarm(200) != 0)
		fail("there was an alarm already");
	if (sleep(5000) != -1)
		fail("slept through the alarm");
	rerrstr(err, sizeof err);
	if (strcmp(err, "interrupted") != 0)
		fail("sleep: %s", err);
	if (alarms != 1)
		fail("%d alarms", alarms);
	near(last - t, 200, "alarm(200)");
	if (sleep(500) != 0)
		fail("a second alarm came");
}

static void
remains(void)
{
	alarms = 0;
	alarm(1000);
	sleep(300);
	near(alarm(2000), 700, "left of 1000 after 300");
	sleep(300);
	near(alarm(0), 1700, "left of 2000 after 300");
	if (alarm(0) != 0)
		fail("a cancelled alarm is left");
	if (sleep(3000) != 0 || alarms != 0)
		fail("a cancelled alarm came");
	/* a time shorter than a tick, or none that anybody would wait for */
	alarm(1);
	sleep(1000);
	if (alarms != 1)
		fail("alarm(1): %d alarms", alarms);
	alarm(0xfffffff0);
	near(alarm(0) / 1000, 4294967, "alarm of 49 days, s");
}

/* in user mode too */
static void
computing(void)
{
	uvlong t = ms();
	volatile int i;

	alarms = 0;
	alarm(100);
	while (alarms == 0) {
		for (i = 0; i < 10000; i++)
			;
		if (ms() - t > 1000)
			fail("computed for a second, and no alarm");
	}
	near(last - t, 100, "alarm(100) while computing");
}

static void
inherited(void)
{
	int pid;

	alarms = 0;
	alarm(300);
	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		if (alarm(0) != 0)
			exits("the child has its parent's alarm");
		exits(sleep(1000) == 0 && alarms == 0 ? nil : "the child got its parent's alarm");
	}
	while (sleep(1000) == 0)
		;
	if (alarms != 1)
		fail("the parent got %d alarms", alarms);
	waitgood(pid);
}

static void
overexec(const char *self)
{
	char path[128];
	char *argv[] = {(char *)self, "sleep", nil};
	Waitmsg w;
	int pid;

	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		alarm(200);
		exec(program(path, sizeof path, self), argv);
		syserr("exec");
	}
	if (waitchild(&w) != pid)
		fail("await");
	if (strlen(w.msg) < 7 || strcmp(w.msg + strlen(w.msg) - 7, ": alarm") != 0)
		fail("after exec: %s", w.msg);
}

/* i-th of n: every one waits a different time, in an order of their own */
static void
many(int n)
{
	int i, pid, want;
	uvlong t;
	Waitmsg w;

	for (i = 0; i < n; i++) {
		pid = rfork(RFPROC);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			want = 100 + i * 7 % n * 50;
			alarms = 0;
			t = ms();
			alarm(want);
			if (i % 5 == 4) {
				alarm(0);
				exits(sleep(want + 100) == 0 ? nil : "cancelled, and came");
			}
			while (alarms == 0)
				sleep(10000);
			near(last - t, want, "one of many");
			exits(nil);
		}
	}
	for (i = 0; i < n; i++) {
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.msg[0])
			fail("%s", w.msg);
	}
}

const char *
main(int argc, char *argv[], Tos *t)
{
	if (argc == 2 && strcmp(argv[1], "sleep") == 0) {
		sleep(10000);
		return "slept";
	}
	if (argc != 1)
		usage("alarm");
	tos = t;
	notify(handler);
	interrupts();
	remains();
	computing();
	inherited();
	overexec(argv[0]);
	many(20);
	return nil;
}
