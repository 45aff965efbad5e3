/*
 * notes: what a process is told, when, and what its handler may do about it.
 *
 * Traps of all kinds with their texts, the frame and registers a handler gets, going on behind the trap, notes that
 * come while one is being handled, NSAVE and NRSTR, NDFLT, and everything that ends a process instead.
 */

#include "guest.h"

enum { MAXNOTES = 16 };
#define NONE 0xffffffffu

const char *main(int argc, char *argv[], Tos *t);

/* notes.S: each traps at NAME_pc with marks in all registers, and returns behind what trapped */
#define TRAP(name) void name(void); extern const char name##_pc[], name##_end[]
TRAP(trapread);
TRAP(trapwrite);
TRAP(trapdivide);
TRAP(trapbreak);
TRAP(trapinvalid);
TRAP(trapprotect);
TRAP(trapcall);

static Tos *tos;
static struct {
	char text[ERRMAX];
	Ureg u;
} got[MAXNOTES];
static volatile int ngot;
static volatile int depth, deepest;
static ulong skipto; /* where to go on, if not where the note came */
static int how = NCONT;

static void
handler(Ureg *u, char *text)
{
	if (++depth > deepest)
		deepest = depth;
	if (ngot < MAXNOTES) {
		snprint(got[ngot].text, ERRMAX, "%s", text);
		got[ngot].u = *u;
		ngot++;
	}
	if (skipto)
		u->pc = skipto;
	depth--;
	noted(how);
	exits("noted returned");
}

static void
reset(void)
{
	ngot = 0;
	deepest = 0;
	skipto = 0;
	how = NCONT;
	notify(handler);
}

static void
post(int pid, const char *text)
{
	if (procwrite(pid, "note", text) < 0)
		syserr(text);
}

/* what the kernel says of a suicide goes nowhere */
static void
mute(void)
{
	int fd = open("/dev/null", OWRITE);

	if (fd < 0 || dup(fd, 2) != 2)
		syserr("/dev/null");
	close(fd);
}

/*
 * Where the processor pushes no error code lies the address that the vector's entry calls from, in the kernel's image:
 * 6 bytes for each vector from wherever the table is.
 */
static ulong
entry(uint number)
{
	static ulong vector0;

	if (vector0 == 0)
		vector0 = got[0].u.ecode - 6 * number;
	if (vector0 < 0xf0000000)
		fail("vector 0 at %x, not in the kernel", vector0);
	return vector0 + 6 * number;
}

static void
self(void)
{
	reset();
	post(tos->pid, "hello");
	if (ngot != 1 || strcmp(got[0].text, "hello") != 0)
		fail("%d notes, the first is %s", ngot, got[0].text);
	if (got[0].u.trap != 64 || got[0].u.ecode != entry(64) || got[0].u.cs != 0x23 || got[0].u.ss != 0x1b)
		fail("trap %d ecode %d cs %x ss %x", got[0].u.trap, got[0].u.ecode, got[0].u.cs, got[0].u.ss);
	if (got[0].u.ax != 5)
		fail("the call's result is %d in the Ureg", got[0].u.ax);
}

static void
trap(void (*f)(void), const char *pc, const char *end, const char *text, uint number, uint ecode)
{
	char want[ERRMAX];
	Ureg *u = &got[0].u;

	reset();
	skipto = (ulong)end;
	f();
	snprint(want, sizeof want, "%s pc=%p", text, pc);
	if (ngot != 1 || strcmp(got[0].text, want) != 0)
		fail("%d notes, the first is %s, not %s", ngot, got[0].text, want);
	if (ecode == NONE)
		ecode = entry(number);
	if (u->pc != (ulong)pc || u->trap != number || u->ecode != ecode)
		fail("%s: pc %x trap %d ecode %x", text, u->pc, u->trap, u->ecode);
	if (u->bx != 0xb0b0b0b0 || u->si != 0x51515151 || u->di != 0xd1d1d1d1 || u->bp != 0xbebebebe)
		fail("%s: bx %x si %x di %x bp %x", text, u->bx, u->si, u->di, u->bp);
}

static void
traps(void)
{
	char text[ERRMAX];

	trap(trapread, trapread_pc, trapread_end, "sys: trap: fault read addr=0x10", 14, 4);
	trap(trapwrite, trapwrite_pc, trapwrite_end, "sys: trap: fault write addr=0x14", 14, 6);
	trap(trapdivide, trapdivide_pc, trapdivide_end, "sys: trap: divide error", 0, NONE);
	trap(trapbreak, trapbreak_pc, trapbreak_end, "sys: breakpoint", 3, NONE);
	trap(trapinvalid, trapinvalid_pc, trapinvalid_end, "sys: trap: invalid opcode", 6, NONE);
	trap(trapprotect, trapprotect_pc, trapprotect_end, "sys: trap: general protection violation", 13, 0);
	mute(); /* the kernel says bad sys call number there */
	trap(trapcall, trapcall_pc, trapcall_end, "sys: bad sys call", 64, NONE);

	reset();
	if (fstat(0, (uchar *)0x10, 100) != -1)
		fail("fstat into page zero succeeded");
	rerrstr(text, sizeof text);
	if (strcmp(text, "bad arg in system call") != 0)
		fail("errstr %s", text);
	if (ngot != 1 || strncmp(got[0].text, "sys: bad address in syscall pc=0x", 33) != 0)
		fail("%d notes, the first is %s", ngot, got[0].text);
}

static void
second(Ureg *u, char *text)
{
	(void)u;
	depth++;
	if (depth > deepest)
		deepest = depth;
	snprint(got[ngot++].text, ERRMAX, "%s", text);
	if (strcmp(text, "first") == 0) {
		post(tos->pid, "second");
		post(tos->pid, "third");
		if (ngot != 1)
			fail("a note came into the handler");
	}
	depth--;
	noted(NCONT);
}

/* notes that come meanwhile wait until the handler is done, and then come in order */
static void
nested(void)
{
	reset();
	notify(second);
	post(tos->pid, "first");
	if (ngot != 3 || deepest != 1)
		fail("%d notes, %d deep", ngot, deepest);
	if (strcmp(got[1].text, "second") != 0 || strcmp(got[2].text, "third") != 0)
		fail("then %s, then %s", got[1].text, got[2].text);
}

static ulong saved, resumed;
static Ureg *savedureg;

static void
aside(Ureg *u)
{
	savedureg = u;
	notify(handler);
	post(tos->pid, "inside");
	resumed++;
	u->pc = saved;
	noted(NRSTR);
	exits("noted(NRSTR) returned");
}

static void
saver(Ureg *u, char *text)
{
	(void)text;
	saved = u->pc;
	u->pc = (ulong)aside;
	noted(NSAVE);
	exits("noted(NSAVE) returned");
}

/* NSAVE goes on in a function that may itself be sent notes; NRSTR goes back to where the first one came */
static void
saving(void)
{
	reset();
	notify(saver);
	post(tos->pid, "outside");
	if (resumed != 1 || ngot != 1 || strcmp(got[0].text, "inside") != 0)
		fail("resumed %d, %d notes, %s", resumed, ngot, got[0].text);
	if (savedureg == nil || got[0].u.sp >= (ulong)savedureg)
		fail("the inner frame is not below the saved one");
}

static void
flagger(Ureg *u, char *text)
{
	(void)text;
	u->flags = ~0u;
	u->cs = u->ds = u->es = u->ss = 0;
	noted(NCONT);
}

static ulong
flags(void)
{
	ulong f;

	__asm__ volatile("pushfl; popl %0; cld" : "=r"(f));
	return f & ~0x100; /* the trap flag has done its work */
}

static void
ignore(Ureg *u, char *text)
{
	(void)text;
	u->flags &= ~0x100;
	noted(NCONT);
}

/* the flags that are the system's stay as they were: IOPL, NT, interrupts on */
static void
systemflags(void)
{
	ulong f;

	notify(flagger);
	procwrite(tos->pid, "note", "flags");
	notify(ignore);
	f = flags();
	if ((f & 0x7200) != 0x200)
		fail("flags %x", f);
}

static void
full(void)
{
	char text[ERRMAX];
	int i, fd;

	reset();
	notify(second); /* posts two more while it handles the first */
	fd = procopen(tos->pid, "note", OWRITE);
	if (fd < 0)
		syserr("note");
	write(fd, "first", 5);
	if (ngot != 3)
		fail("%d notes", ngot);
	for (i = 0; i < (int)sizeof got[0].text; i++)
		text[i] = 'x';
	if (write(fd, text, ERRMAX - 1) != -1)
		fail("a note of %d bytes was posted", ERRMAX - 1);
	rerrstr(text, sizeof text);
	if (strcmp(text, "read or write too large") != 0)
		fail("too long: %s", text);
	close(fd);
}

/* Children: what ends them */

static void
c_unhandled(void)
{
	notify(nil);
	post(tos->pid, "nobody home");
}

static void
c_default(void)
{
	reset();
	how = NDFLT;
	post(tos->pid, "no thanks");
}

static void
c_defaulttrap(void)
{
	reset();
	how = NDFLT;
	trapread();
}

static void
c_badhow(void)
{
	reset();
	how = 17;
	post(tos->pid, "what now");
}

static void
c_notnoted(void)
{
	reset();
	noted(NCONT);
}

static void
c_twice(Ureg *u, char *text)
{
	(void)u;
	(void)text;
	trapread();
	noted(NCONT);
}

static void
c_trapinhandler(void)
{
	notify(c_twice);
	post(tos->pid, "start");
}

/* data that the kernel lets be a handler, until it has to be called: then its page is gone */
static void
c_badhandler(void)
{
	char *page = (char *)segattach(0, "memory", nil, PG);
	void (*nowhere)(Ureg *, char *) = (void (*)(Ureg *, char *))page;

	if (page == (char *)-1 || notify(nowhere) < 0 || segdetach(page) < 0)
		exits("segattach, notify, segdetach");
	post(tos->pid, "anyone");
}

static void
movepc(Ureg *u, char *text)
{
	(void)text;
	u->pc = 0x10;
	noted(NCONT);
}

static void
c_badpc(void)
{
	notify(movepc);
	post(tos->pid, "go");
}

static void
movesp(Ureg *u, char *text)
{
	(void)text;
	u->sp = 0x10;
	noted(NCONT);
}

static void
c_badsp(void)
{
	notify(movesp);
	post(tos->pid, "go");
}

/* up->ureg comes out of user memory: a forged one must not lead the kernel astray */
static void
forge(Ureg *u, char *text)
{
	(void)text;
	((ulong *)u)[-1] = (ulong)main;
	noted(NCONT);
}

static void
c_forged(void)
{
	notify(forge);
	post(tos->pid, "go");
	noted(NRSTR);
}

static void
forget(Ureg *u, char *text)
{
	(void)u;
	(void)text;
}

static void
c_returns(void)
{
	notify(forget);
	post(tos->pid, "go");
}

static void
dies(void (*f)(void), const char *what, const char *text, int whole)
{
	Waitmsg w;
	char *s;
	int pid;

	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		mute();
		f();
		exits("still alive");
	}
	if (waitchild(&w) != pid)
		fail("%s: await", what);
	s = strchr(w.msg, ':');
	s = s == nil ? w.msg : s + 2;
	if (whole ? strcmp(s, text) != 0 : strncmp(s, text, strlen(text)) != 0)
		fail("%s: died of %s", what, w.msg);
}

static void
endings(void)
{
	dies(c_unhandled, "unhandled", "nobody home", 1);
	dies(c_default, "NDFLT", "no thanks", 1);
	dies(c_defaulttrap, "NDFLT of a trap", "sys: trap: fault read addr=0x10 pc=0x0000", 0);
	dies(c_badhow, "noted(17)", "what now", 1);
	dies(c_notnoted, "noted outside", "Suicide", 1);
	dies(c_trapinhandler, "trap in a handler", "sys: trap: fault read addr=0x10 pc=0x0000", 0);
	dies(c_badhandler, "handler that is not there", "Suicide", 1);
	dies(c_badpc, "pc that is not there", "Suicide", 1);
	dies(c_badsp, "sp that is not there", "Suicide", 1);
	dies(c_forged, "forged ureg", "Suicide", 1);
	dies(c_returns, "handler that returns", "sys: trap: fault read addr=0x0 pc=0x00000000", 0);
}

static void
quiet(Ureg *u, char *text)
{
	(void)u;
	(void)text;
	ngot++;
	noted(NCONT);
}

/* a child starts with its parent's handler, and with the notes that waited */
static void
inherited(void)
{
	Waitmsg w;
	int pid, me;

	reset();
	notify(quiet);
	me = tos->pid;
	pid = rfork(RFPROC | RFFDG);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		if ((int)tos->pid == me)
			exits("the child has its parent's pid");
		procwrite(tos->pid, "note", "x");
		exits(ngot == 1 ? nil : "no note in the child");
	}
	if (waitchild(&w) != pid || w.msg[0])
		fail("child: %s", w.msg);
	if (ngot != 0)
		fail("the parent got the child's note");
}

static int forked;

/* the child has the note that waits, and handles it on its own */
static void
forker(Ureg *u, char *text)
{
	(void)u;
	if (strcmp(text, "fork") == 0) {
		post(tos->pid, "sys: later");
		forked = rfork(RFPROC);
		if (forked == 0)
			noted(NRSTR); /* the child is in no handler, for the kernel */
	} else
		snprint(got[ngot++].text, ERRMAX, "%s", text);
	noted(NCONT);
}

static void
waiting(void)
{
	Waitmsg w;

	reset();
	notify(forker);
	post(tos->pid, "fork");
	/* a pc more for each trap since; the system's own notes end a process in a handler instead */
	if (ngot != 1 || strncmp(got[0].text, "sys: later pc=0x0000", 20) != 0)
		fail("%d notes, %s", ngot, got[0].text);
	if (forked < 0)
		syserr("rfork");
	if (forked == 0)
		exits(nil);
	if (waitchild(&w) != forked || w.msg[0])
		fail("child: %s", w.msg);
}

const char *
main(int argc, char *argv[], Tos *t)
{
	(void)argv;
	if (argc != 1)
		usage("notes");
	tos = t;
	self();
	nested();
	saving();
	systemflags();
	full();
	inherited();
	waiting();
	endings();
	traps();
	return nil;
}
