/*
 * fp [note]: the floating point state is each process's own, over switches, forks, notes and exec, and exceptions are notes.
 *
 * The emulated FPU computes as if all exceptions but division by zero were masked; the others are brought about by
 * loading an environment in which they are pending.
 */

#include "guest.h"

enum { NPROC = 3 };

void hold(double in[8], double out[8], char xin[8][16], char xout[8][16], void (*between)(void));
void divide(void);
extern const char divide_pc[], divide_wait[];
void later(void);
void load(ulong env[7]);
void one(void);

static Tos *tos;
static char text[ERRMAX];
static volatile int notes;
static volatile ulong notepc;

static void
handler(Ureg *u, char *s)
{
	snprint(text, sizeof text, "%s", s);
	notepc = u->pc;
	notes++;
	noted(NCONT);
}

static ushort
control(void)
{
	ushort cw;

	__asm__ volatile("fnstcw %0" : "=m"(cw));
	return cw;
}

static uint
mxcsr(void)
{
	uint v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

/* what a program starts with: double precision; invalid operation, division by zero and overflow are told */
static void
fresh(void)
{
	if (control() != 0x232)
		fail("control word %x", control());
	if (mxcsr() != 0)
		fail("MXCSR %x", mxcsr());
}

static void
yield(void)
{
	int i;

	for (i = 0; i < 50; i++)
		sleep(i % 10 == 0 ? 10 : 0);
}

static void
spin(void)
{
	volatile int i;

	for (i = 0; i < 3000000; i++)
		;
}

static void
tell(void)
{
	if (procwrite(tos->pid, "note", "hello") < 0)
		syserr("note");
}

static void
kept(int seed, void (*between)(void), const char *what)
{
	double in[8], out[8];
	char xin[8][16], xout[8][16];
	int i, j;

	for (i = 0; i < 8; i++) {
		in[i] = seed * 100 + i + 0.5;
		for (j = 0; j < 16; j++)
			xin[i][j] = seed * 31 + i * 16 + j;
	}
	hold(in, out, xin, xout, between);
	for (i = 0; i < 8; i++)
		if (memcmp(&in[i], &out[i], 8) != 0 || memcmp(xin[i], xout[i], 16) != 0)
			fail("%s: register %d of process %d changed", what, i, seed);
}

static void
switches(void)
{
	int i, pid;
	Waitmsg w;

	for (i = 0; i < NPROC; i++) {
		pid = rfork(RFPROC);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			kept(i + 1, yield, "yield");
			kept(i + 1, spin, "spin");
			exits(nil);
		}
	}
	for (i = 0; i < NPROC; i++) {
		if (waitchild(&w) < 0)
			syserr("await");
		if (w.msg[0])
			fail("%s", w.msg);
	}
}

static int child;

static void
fork(void)
{
	child = rfork(RFPROC);
}

/* a child has its parent's registers */
static void
forked(void)
{
	kept(7, fork, "rfork");
	if (child < 0)
		syserr("rfork");
	if (child == 0)
		exits(nil);
	waitgood(child);
}

static void
expect(const char *want)
{
	if (notes != 1 || strncmp(text, want, strlen(want)) != 0)
		fail("%d notes: %s, not %s", notes, text, want);
	notes = 0;
}

static void
exceptions(void)
{
	static const struct {
		ulong status;
		const char *msg;
	} all[] = {
		{0x01, "invalid operation"}, {0x41, "stack underflow"}, {0x241, "stack overflow"},
		{0x02, "denormalized operand"}, {0x04, "division by zero"}, {0x08, "numeric overflow"},
		{0x10, "numeric underflow"}, {0x20, "precision loss"}, {0x0c, "division by zero"},
	};
	ulong env[7];
	char want[ERRMAX], *s;
	int i;

	notify(handler);
	notes = 0;
	__asm__ volatile("fninit; fldcw %0" : : "m"((ushort){0x232}));
	divide();
	snprint(want, sizeof want, "sys: fp: division by zero fppc=0x%x status=0xb", (uint)divide_pc);
	expect(want);
	if (notepc != (ulong)divide_wait)
		fail("note at %x instead of %x", (uint)notepc, (uint)divide_wait);
	/* to read the environment for the note has masked them all */
	if ((control() & 0x3f) != 0x3f)
		fail("control word %x after an exception", control());
	divide();
	if (notes != 0)
		fail("a masked exception was told");

	for (i = 0; i < nelem(all); i++) {
		memset(env, 0, sizeof env);
		env[0] = 0xffff0200; /* none masked */
		env[1] = 0xffff0000 | 0x8080 | all[i].status;
		env[2] = 0xffffffff;
		env[3] = 0x1234;
		load(env);
		snprint(want, sizeof want, "sys: fp: %s fppc=0x", all[i].msg);
		expect(want);
		snprint(want, sizeof want, " status=0x%x pc=", 0x8080 | all[i].status);
		for (s = text; *s && strncmp(s, want, strlen(want)) != 0; s++)
			;
		if (*s == 0)
			fail("%s, without%s", text, want);
	}

	/* no instruction of the FPU comes: the kernel finds it at the next occasion */
	__asm__ volatile("fninit; fldcw %0" : : "m"((ushort){0x232}));
	later();
	sleep(0);
	expect("sys: fp: division by zero");
	__asm__ volatile("fninit; fldcw %0" : : "m"((ushort){0x232}));
}

static void
usesfp(Ureg *u, char *s)
{
	(void)u;
	(void)s;
	one();
	noted(NCONT);
}

/* the handler is not to use it, and finds out */
static void
inhandler(void)
{
	Waitmsg w;
	int i, fd, pid;
	char *s;

	for (i = 0; i < 2; i++) { /* the FPU in use before, and not */
		pid = rfork(RFPROC | RFFDG);
		if (pid < 0)
			syserr("rfork");
		if (pid == 0) {
			char *argv[] = {"fp", "handler", nil};

			fd = open("/dev/null", OWRITE);
			dup(fd, 2);
			if (i == 1) {
				exec("/bin/fp", argv);
				syserr("exec");
			}
			one();
			notify(usesfp);
			tell();
			exits("used it");
		}
		if (waitchild(&w) != pid)
			fail("await");
		s = strchr(w.msg, ':');
		if (s == nil || strncmp(s, ": sys: floating point in note handler pc=0x", 43) != 0)
			fail("in a handler: %s", w.msg);
	}
}

static void
spoils(Ureg *u, char *s)
{
	(void)u;
	(void)s;
	notes++;
	fresh();
	__asm__ volatile("fldcw %0; fld1; fldpi; xorps %%xmm0, %%xmm0; xorps %%xmm7, %%xmm7" : : "m"((ushort){0x37f}));
	noted(NCONT);
}

/* a machine that lets handlers use it gives each note's a state of its own */
static void
allowed(void)
{
	notify(spoils);
	tell();
	fresh();
	kept(8, tell, "handler");
	if (notes != 2)
		fail("%d notes", notes);
}

static void
execs(void)
{
	char *argv[] = {"fp", "fresh", nil};
	int pid;

	pid = rfork(RFPROC);
	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		__asm__ volatile("fldcw %0" : : "m"((ushort){0x37f}));
		exec("/bin/fp", argv);
		syserr("exec");
	}
	waitgood(pid);
}

const char *
main(int argc, char *argv[], Tos *t)
{
	tos = t;
	if (argc == 2 && strcmp(argv[1], "fresh") == 0) {
		fresh();
		return nil;
	}
	if (argc == 2 && strcmp(argv[1], "handler") == 0) {
		notify(usesfp);
		tell();
		return "used it";
	}
	if (argc == 2 && strcmp(argv[1], "note") == 0) {
		allowed();
		return nil;
	}
	if (argc != 1)
		usage("fp [note]");
	fresh();
	switches();
	forked();
	notify(handler);
	kept(8, tell, "note");
	if (notes != 1)
		fail("%d notes", notes);
	exceptions();
	inhandler();
	execs();
	return nil;
}
