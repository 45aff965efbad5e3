/*
 * interrupt [spin|group|ignore|read]: a note ends every call that waits, with the error "interrupted", after the
 * handler has run.
 *
 * A child waits in each of them in turn; the parent sees it wait, by its status, and posts the note. Then the request
 * "interrupt" of ctl, which ends a wait without a note; and what a note does not end: a computing process.
 *
 * With an argument it says that it is ready, and waits for the note that Ctrl-C is: computing, with a child, without
 * caring, or in a read.
 */

#include "guest.h"

static int sem, tag; /* shared with the child */
static int fd[2];
static volatile int handled;

static void
handler(Ureg *u, char *text)
{
	(void)u;
	if (strcmp(text, "wake") == 0)
		handled++;
	noted(NCONT);
}

static int
w_sleep(void)
{
	return sleep(100000);
}

static int
w_semacquire(void)
{
	return semacquire(&sem, 1);
}

static int
w_tsemacquire(void)
{
	return tsemacquire(&sem, 100000);
}

static int
w_rendezvous(void)
{
	return (int)rendezvous((ulong)&tag, 1);
}

static int
w_read(void)
{
	char c;

	return read(fd[0], &c, 1);
}

/* the pipe takes 32 kB or so; the rest waits */
static int
w_write(void)
{
	static char buf[8192];
	int n;

	while ((n = write(fd[1], buf, sizeof buf)) == (int)sizeof buf)
		;
	return n;
}

static int
w_await(void)
{
	char buf[256];
	int pid;

	pid = rfork(RFPROC);
	if (pid == 0) {
		sleep(100000);
		exits(nil);
	}
	if (await(buf, sizeof buf) != -1)
		return 0;
	procwrite(pid, "ctl", "kill");
	return -1;
}

/* a second reader waits for the first, in an eqlock */
static int
w_secondread(void)
{
	char c;
	int pid, n;
	char err[ERRMAX];

	pid = rfork(RFPROC | RFMEM);
	if (pid == 0) {
		read(fd[0], &c, 1);
		exits(nil);
	}
	if (!procstate(pid, "Pread"))
		fail("the first reader does not read");
	n = read(fd[0], &c, 1);
	rerrstr(err, sizeof err);
	procwrite(pid, "ctl", "kill");
	errstr(err, sizeof err);
	return n;
}

static void
wait1(int (*f)(void), const char *state, const char *request)
{
	Waitmsg w;
	char err[ERRMAX];
	int pid, r;

	sem = 0;
	handled = 0;
	if (pipe(fd) < 0)
		syserr("pipe");
	pid = rfork(RFPROC | RFMEM | RFREND | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		notify(handler);
		r = f();
		rerrstr(err, sizeof err);
		if (r != -1)
			fail("%s returned %d", state, r);
		if (f != w_rendezvous && strcmp(err, "interrupted") != 0)
			fail("%s: %s", state, err);
		if (handled != (request == nil))
			fail("%s: %d notes handled", state, handled);
		exits(nil);
	}
	if (!procstate(pid, state))
		fail("the child does not come to state %s", state);
	sleep(50);
	if (request != nil ? procwrite(pid, "ctl", request) < 0 : procwrite(pid, "note", "wake") < 0)
		syserr(state);
	if (waitchild(&w) != pid || w.msg[0])
		fail("%s", w.msg);
	close(fd[0]);
	close(fd[1]);
}

static const struct {
	int (*f)(void);
	const char *state;
} waits[] = {
	{w_sleep, "Sleep"},
	{w_semacquire, "Semacquire"},
	{w_tsemacquire, "Tsemacquire"},
	{w_rendezvous, "Rendez"},
	{w_read, "Pread"},
	{w_write, "Pwrite"},
	{w_await, "Await"},
	{w_secondread, "Pread"},
};

/* a note comes to a process that computes at the next clock tick */
static void
computing(void)
{
	Waitmsg w;
	volatile int i;
	int pid;

	handled = 0;
	pid = rfork(RFPROC | RFMEM);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		notify(handler);
		for (i = 0; !handled; i++)
			;
		exits(nil);
	}
	sleep(50);
	if (procwrite(pid, "note", "wake") < 0)
		syserr("note");
	if (waitchild(&w) != pid || w.msg[0])
		fail("computing: %s", w.msg);
}

static const char *who = "parent";
static int how; /* to go on */

static void
typed(Ureg *u, char *text)
{
	(void)u;
	if (strcmp(text, "interrupt") != 0)
		exits(text);
	handled++;
	if (how == 'g') {
		print("%s: %s\n", who, text);
		if (who[0] == 'c')
			exits(nil);
	}
	if (how == 'i')
		print("ignored\n");
	noted(NCONT);
}

static const char *
typing(const char *mode)
{
	char buf[128];
	int n, pid = 0;

	how = mode[0];
	handled = 0;
	if (how != 's')
		notify(typed);
	if (how == 'g') {
		pid = rfork(RFPROC);
		if (pid == 0)
			who = "child";
	}
	if (pid != 0 || how != 'g')
		print("ready\n");
	if (how == 'r')
		for (;;) {
			n = read(0, buf, sizeof buf - 1);
			if (n < 0)
				rerrstr(buf, sizeof buf);
			else
				buf[n] = 0;
			print("read: %s%s", buf, n < 0 ? "\n" : "");
			if (n >= 0)
				return nil;
		}
	while (how != 'g' || !handled)
		;
	if (pid > 0)
		waitgood(pid);
	return nil;
}

const char *
main(int argc, char *argv[])
{
	int i;

	if (argc == 2)
		return typing(argv[1]);
	if (argc != 1)
		usage("interrupt [spin|group|ignore|read]");
	for (i = 0; i < nelem(waits); i++) {
		wait1(waits[i].f, waits[i].state, nil);
		wait1(waits[i].f, waits[i].state, "interrupt");
	}
	computing();
	return nil;
}
