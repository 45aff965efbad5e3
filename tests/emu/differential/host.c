/*
 * Runs sequences of instructions on this processor, as a linux/386 program without a library, for host.py.
 *
 * Input: the contents of the four pages of data, then the cases, as struct input. Each starts by the return of a
 * signal handler, which puts its registers in place, at a stub that loads FPU and SSE state; the signal of the trap
 * that ends it brings its state. Output: struct output for each, followed by the writable pages that have changed.
 */
#include <stdint.h>

/* System calls, signals and flags of linux/386. */
enum {
	READ = 3, WRITE = 4, MUNMAP = 91, FTRUNCATE = 93, MPROTECT = 125, PRCTL = 172, SIGRETURN = 173, SIGACTION = 174,
	SIGALTSTACK = 186, MMAP2 = 192, EXIT_GROUP = 252, MEMFD_CREATE = 356,
	SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11,
	SIGINFO = 4, RESTORER = 0x04000000, ONSTACK = 0x08000000, NODEFER = 0x40000000,
	SHARED = 0x11, PRIVATE = 0x32,	/* fixed; the latter without a file */
	PROT_R = 1, PROT_W = 2, PROT_X = 4,
	SECCOMP = 22, FILTER = 2, NO_NEW_PRIVS = 38,	/* of prctl */
	LOAD = 0x20, IFEQ = 0x15, RETURN = 0x06,	/* of a filter: a word of struct seccomp_data, below; a jump; a verdict */
	NUMBER = 0, ARCH = 4, I386 = 0x40000003, ALLOW = 0x7fff0000,
};

static const uint32_t KILL = 0x80000000;

/* What a signal handler finds of the processor. */
struct frame {
	uint32_t head[5], gs, fs, es, ds, di, si, bp, sp, bx, dx, cx, ax, trapno, ecode, pc, cs, flags, oldsp, ss;
	uint8_t *fpu;
	uint32_t oldmask, addr;
};

/* What the kernel calls sigaction and stack_t. */
struct action {
	void (*handler)(int, void *, struct frame *);
	uint32_t flags;
	void (*restorer)(void);
	uint32_t mask[2];
};

struct stack {
	void *at;
	uint32_t flags, size;
};

/* What the kernel calls sock_filter and sock_fprog. */
struct step {
	uint16_t code;
	uint8_t then, otherwise;	/* how many steps a jump leaves out */
	uint32_t k;
};

struct filter {
	uint16_t nsteps;
	const struct step *steps;
};

enum {
	PAGE = 4096, NDATA = 4, CODEMAX = 256, FXUSED = 288, FXSIZE = 512,
	CODE = 0x10000000, DATA = 0x20000000, READONLY = 0x21000000, STACK = 0x22000000, STUB = 0x50000000,
	ALIAS = 0x51000000,	/* of CODE, writable */
	LEGACY = 112,	/* the FPU state of old, before what FXSAVE stores, in a signal's frame */
};

struct input {
	uint32_t regs[8], flags, pc, ncode;
	uint8_t code[CODEMAX], fx[FXSIZE];
};

struct output {
	uint32_t trapno, ecode, addr, pc, flags, regs[8], changed;
	uint8_t fx[FXUSED];
};

static const uint32_t above = 0x70000000, end = 0xffffe000;	/* here the first stack is, and the kernel's pages */
static const uint32_t pages[NDATA] = {DATA, DATA + PAGE, READONLY, STACK};
static uint8_t contents[NDATA][PAGE];
static uint8_t fx[FXSIZE] __attribute__((aligned(16)));
static uint8_t altstack[65536];
static struct input in;
static int running;

static long
call(long n, long a, long b, long c, long d, long e)
{
	long r;

	/* a sixth argument, the offset of a mapping, is always 0 */
	__asm__ volatile("pushl %%ebp; xorl %%ebp, %%ebp; int $0x80; popl %%ebp"
	    : "=a"(r) : "0"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return r;
}

static void
copy(void *to, const void *from, uint32_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static int
same(const void *a, const void *b)
{
	const uint32_t *p = a, *q = b;
	int i;

	for(i = 0; i < PAGE / 4; i++)
		if(p[i] != q[i])
			return 0;
	return 1;
}

/* Read n bytes of standard input: 0 at its end. */
static int
get(void *to, uint32_t n)
{
	uint8_t *p = to;
	long got;

	for(; n > 0; p += got, n -= got)
		if((got = call(READ, 0, (long)p, n, 0, 0)) <= 0)
			return 0;
	return 1;
}

static uint8_t buffer[1 << 20];
static uint32_t used;

static void
flush(void)
{
	uint32_t done;
	long put;

	for(done = 0; done < used; done += put)
		if((put = call(WRITE, 1, (long)buffer + done, used - done, 0, 0)) <= 0)
			call(EXIT_GROUP, 2, 0, 0, 0, 0);
	used = 0;
}

static void
put(const void *from, uint32_t n)
{
	if(used + n > sizeof buffer)
		flush();
	copy(buffer + used, from, n);
	used += n;
}

static void
report(struct frame *f)
{
	const uint32_t regs[8] = {f->ax, f->cx, f->dx, f->bx, f->sp, f->bp, f->si, f->di};
	struct output out;
	int i;

	out.trapno = f->trapno;
	out.ecode = f->ecode;
	out.addr = f->addr;
	out.pc = f->pc;
	out.flags = f->flags;
	copy(out.regs, regs, sizeof regs);
	copy(out.fx, f->fpu + LEGACY, FXUSED);
	out.changed = 0;
	for(i = 0; i < NDATA; i++)
		if(!same((void *)pages[i], contents[i]))
			out.changed |= 1 << i;
	put(&out, sizeof out);
	for(i = 0; i < NDATA; i++)
		if(out.changed >> i & 1)
			put((void *)pages[i], PAGE);
}

/*
 * Before the first sequence: take away what it might read, and the system calls that this program needs no more. One
 * that makes another ends the program.
 */
static void
confine(void)
{
	static const struct step steps[] = {
	    {LOAD, 0, 0, ARCH},
	    {IFEQ, 0, 5, I386},	/* else KILL */
	    {LOAD, 0, 0, NUMBER},
	    {IFEQ, 4, 0, READ},	/* then ALLOW */
	    {IFEQ, 3, 0, WRITE},
	    {IFEQ, 2, 0, SIGRETURN},
	    {IFEQ, 1, 0, EXIT_GROUP},
	    {RETURN, 0, 0, KILL},
	    {RETURN, 0, 0, ALLOW},
	};
	static const struct filter filter = {sizeof steps / sizeof steps[0], steps};

	if(call(MUNMAP, above, end - above, 0, 0, 0) < 0
	    || call(PRCTL, NO_NEW_PRIVS, 1, 0, 0, 0) < 0
	    || call(PRCTL, SECCOMP, FILTER, (long)&filter, 0, 0) < 0)
		call(EXIT_GROUP, 6, 0, 0, 0, 0);
}

static void
handler(int sig, void *info, struct frame *f)
{
	uint32_t i;

	(void)sig;
	(void)info;
	if(running)
		report(f);
	else
		confine();
	running = 1;
	if(!get(&in, sizeof in)){
		flush();
		call(EXIT_GROUP, 0, 0, 0, 0, 0);
	}
	for(i = 0; i < NDATA; i++)
		if(pages[i] != READONLY && !same((void *)pages[i], contents[i]))
			copy((void *)pages[i], contents[i], PAGE);
	copy((void *)(in.pc - CODE + ALIAS), in.code, in.ncode);
	copy(fx, in.fx, sizeof fx);
	f->ax = in.regs[0];
	f->cx = in.regs[1];
	f->dx = in.regs[2];
	f->bx = in.regs[3];
	f->sp = in.regs[4];
	f->bp = in.regs[5];
	f->si = in.regs[6];
	f->di = in.regs[7];
	f->flags = in.flags;
	f->pc = STUB;
	*(uint32_t *)(STUB + 8) = in.pc - (STUB + 12);	/* of the stub's jump */
}

void restorer(void);
__asm__(".text; restorer: movl $173, %eax; int $0x80");	/* rt_sigreturn */

static void
map(uint32_t at, uint32_t n, int how, int flags, int fd)
{
	if((uint32_t)call(MMAP2, at, n, how, flags, fd) != at)
		call(EXIT_GROUP, 4, 0, 0, 0, 0);
}

void _start(void);

__attribute__((force_align_arg_pointer)) void
_start(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	static const uint8_t stub[] = {0x0f, 0xae, 0x0d, 0, 0, 0, 0, 0xe9};	/* fxrstor; jmp */
	struct stack stack = {altstack, 0, sizeof altstack};
	struct action action = {handler, SIGINFO | ONSTACK | NODEFER | RESTORER, restorer, {0, 0}};
	int fd = call(MEMFD_CREATE, (long)"code", 0, 0, 0, 0);
	uint32_t i;

	call(FTRUNCATE, fd, 2 * PAGE, 0, 0, 0);
	map(CODE, 2 * PAGE, PROT_R | PROT_X, SHARED, fd);
	map(ALIAS, 2 * PAGE, PROT_R | PROT_W, SHARED, fd);
	map(DATA, 2 * PAGE, PROT_R | PROT_W, PRIVATE, -1);
	map(READONLY, PAGE, PROT_R | PROT_W, PRIVATE, -1);
	map(STACK, PAGE, PROT_R | PROT_W, PRIVATE, -1);
	map(STUB, PAGE, PROT_R | PROT_W | PROT_X, PRIVATE, -1);
	if(!get(contents, sizeof contents))
		call(EXIT_GROUP, 5, 0, 0, 0, 0);
	for(i = 0; i < NDATA; i++)
		copy((void *)pages[i], contents[i], PAGE);
	call(MPROTECT, READONLY, PAGE, PROT_R, 0, 0);
	copy((void *)STUB, stub, sizeof stub);
	*(uint32_t *)(STUB + 3) = (uint32_t)fx;
	call(SIGALTSTACK, (long)&stack, 0, 0, 0, 0);
	for(i = 0; i < sizeof signals / sizeof signals[0]; i++)
		call(SIGACTION, signals[i], (long)&action, 0, 8, 0);
	__asm__ volatile("int3");
}
