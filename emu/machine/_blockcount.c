/*
 * Counts executed blocks and stops the guest at an exact one, for emu/machine/counter.py, in one of three ways:
 *
 * block() is a hook that Unicorn calls before each block, followed by a call of its own that looks
 * whether a stop was asked for, helper_check_exit_request.
 *
 * The function of that name below takes the place of Unicorn's: it counts, and leaves the looking to
 * the original when there is something to see. One call instead of two. It gets there as any symbol of a
 * shared library can be replaced: this one is loaded first, and globally.
 *
 * tcg_gen_callN, by which the translator emits a call of that function, is replaced too: it emits a countdown
 * in place of the call. When it is over the block goes to its end, where it has, always, an exit for a block that
 * was not to begin; tcg_gen_exit_tb, which emits that, has it call the function first.
 *
 * That countdown lies in eight bytes in front of the processor's state, which Unicorn leaves free: translated code has
 * the state's address in a register, and today's processors pass on what is stored at a fixed distance from one and
 * loaded again without going through memory. At any other address each block waits for the one before it.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"
#include <stdbool.h>
#include <string.h>

/* As in emu/machine/counter.py. */
struct counter {
	int64_t *countdown;	/* blocks that may still run */
	volatile int32_t stop;	/* to be stopped early; set at any time, by another thread too */
	int32_t stopped;	/* the counter has asked for a stop */
	int (*emustop)(void *uc);
	void *uc;		/* whose blocks are counted without a hook */
	int64_t jump;		/* and, but where the countdown is over, without a call: it is in front of the state */
	int64_t own;		/* the countdown, if it is not */
};

/* Subtracted from the countdown while emulation is being left, so that block boundaries are looked at. */
#define LEAVING ((int64_t)1 << 62)

/* Numbers of operations, types and conditions in Unicorn 2.0 and 2.1 (qemu/include/tcg/tcg-opc.h, tcg.h). */
enum {SETLABEL = 1, LD = 73, ST = 77};
enum {I64 = 1};
enum {LT = 2};
enum {REQUESTED = 3};

/* The first bit of a label that has its place. */
#define PRESENT 1u

typedef int Start(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
typedef void Check(void *uc, uint32_t delayslot);

/* A value of the translator's: where its Temp lies, from the Context. */
typedef uintptr_t Value;
typedef void Context;
typedef void Temp;
typedef uint32_t Label;

typedef Value Const(Context *ctx, int64_t v);
typedef Temp *Newtemp(Context *ctx, int type, bool local);
typedef Label *Newlabel(Context *ctx);
typedef void Emit1(Context *ctx, int op, uintptr_t a);
typedef void Emit3(Context *ctx, int op, uintptr_t a, uintptr_t b, uintptr_t c);
typedef void Addi(Context *ctx, Value r, Value a, int64_t b);
typedef void Branch(Context *ctx, int cond, Value a, int64_t b, Label *l);
typedef void Call(Context *ctx, void *func, Temp *ret, int nargs, Temp **args);
typedef void Begin(Context *ctx);
typedef void Exit(Context *ctx, void *block, unsigned how);
typedef void Jump(Context *ctx);

static Start *emustart;
static Check *original;

/* In the order of bind()'s array. */
static struct {
	Const *const64;
	Call *call;
	Begin *begin;
	Exit *exit;
	Jump *jump;
	Newtemp *newtemp;
	Newlabel *newlabel;
	Emit1 *emit1;
	Emit3 *emit3;
	Addi *addi;
	Branch *branch;
} tcg;

/* Stands for none. */
static struct counter none = {.countdown = &none.own};

/* What counts in this thread. An engine that is not p9emu's may run there too. */
static __thread struct counter *current __attribute__((tls_model("initial-exec"))) = &none;

/* Unicorn calls this before each block. A block it stops at has not run and is not counted. */
static void
block(void *uc, uint64_t address, uint32_t size, void *data)
{
	struct counter *c = data;

	(void)address;
	(void)size;
	if(*c->countdown > 0 && !c->stop){
		(*c->countdown)--;
		return;
	}
	c->stopped = 1;
	c->emustop(uc);
}

/* The countdown is over, or emulation is to be left: a block may still be counted, but the original looks. */
static __attribute__((noinline)) void
over(void *uc)
{
	struct counter *c = current;
	int64_t leaving;

	if(c->uc != uc)
		return;
	(*c->countdown)++;
	leaving = *c->countdown < 0 ? LEAVING : 0;
	*c->countdown += leaving;
	block(uc, 0, 0, c);
	*c->countdown -= leaving;
}

/* A block has counted down by itself, and the countdown is over. If somebody else runs this engine it is never over. */
static __attribute__((noinline)) void
ended(struct counter *c)
{
	if(current == c)
		over(c->uc);
	else
		*c->countdown = LEAVING;
}

/*
 * Translated code calls this at the start of each block: the less it does the better. The original
 * finds the block by its return address, so it is jumped to, not called: setup.py asks for the
 * optimization that does so, and emu/machine/counter.py tries it out.
 *
 * Or it calls it, with a counter and 1, where it has counted down by itself. No processor here has delay slots.
 */
void helper_check_exit_request_x86_64(void *uc, uint32_t delayslot);

void
helper_check_exit_request_x86_64(void *uc, uint32_t delayslot)
{
	struct counter *c = current;

	if(delayslot){
		ended(uc);
		return;
	}
	if(__builtin_expect(c->uc == uc && --*c->countdown >= 0, 1))
		return;
	over(uc);
	original(uc, 0);
}

/* What the translator has begun in this thread. */
static __thread struct {
	Temp *temp;		/* the constant that it has made last */
	uint64_t value;
	bool beginning;		/* nothing has been emitted of a block yet */
	bool jump;		/* it is at an indirect jump */
	Label *over;		/* where the block goes when the countdown is over */
	struct counter *counter;
} begun __attribute__((tls_model("initial-exec")));

/* The translator's value for the address of the processor's state, once that is known: the same in every context. */
static _Atomic Value state;

/* Where the countdown and EIP lie from there. */
#define INFRONT ((uintptr_t)-8)
#define EIP 0x80

static Temp *
temp(Context *ctx, Value v)
{
	return (char *)ctx + v;
}

Value tcg_const_i64_x86_64(Context *ctx, int64_t v);

Value
tcg_const_i64_x86_64(Context *ctx, int64_t v)
{
	Value r = tcg.const64(ctx, v);

	begun.temp = temp(ctx, r);
	begun.value = (uint64_t)v;
	return r;
}

void tcg_func_start_x86_64(Context *ctx);

void
tcg_func_start_x86_64(Context *ctx)
{
	begun.beginning = true;
	begun.over = NULL;
	tcg.begin(ctx);
}

void tcg_gen_lookup_and_goto_ptr_x86_64(Context *ctx);

/* The function that an indirect jump calls is given the processor's state. */
void
tcg_gen_lookup_and_goto_ptr_x86_64(Context *ctx)
{
	begun.jump = true;
	tcg.jump(ctx);
	begun.jump = false;
}

void tcg_gen_callN_x86_64(Context *ctx, void *func, Temp *ret, int nargs, Temp **args);

/*
 * A branch ends what TCG calls a basic block, and with it the life of temporaries: at the start of a block there are
 * none but the arguments of this call.
 */
void
tcg_gen_callN_x86_64(Context *ctx, void *func, Temp *ret, int nargs, Temp **args)
{
	struct counter *c = current;
	Value v;

	if(begun.jump && nargs == 1 && state == 0)
		state = (Value)((char *)args[0] - (char *)ctx);
	if(func != (void *)helper_check_exit_request_x86_64 || !begun.beginning || nargs != 2){
		tcg.call(ctx, func, ret, nargs, args);
		return;
	}
	begun.beginning = false;
	if(c->uc == NULL || !c->jump || state == 0 || args[0] != begun.temp || begun.value != (uint64_t)(uintptr_t)c->uc){
		tcg.call(ctx, func, ret, nargs, args);
		return;
	}
	v = (Value)((char *)tcg.newtemp(ctx, I64, false) - (char *)ctx);
	begun.over = tcg.newlabel(ctx);
	begun.counter = c;
	tcg.emit3(ctx, LD, (uintptr_t)temp(ctx, v), (uintptr_t)temp(ctx, state), INFRONT);
	tcg.addi(ctx, v, v, -1);
	tcg.emit3(ctx, ST, (uintptr_t)temp(ctx, v), (uintptr_t)temp(ctx, state), INFRONT);
	tcg.branch(ctx, LT, v, 0, begun.over);
}

void tcg_gen_exit_tb_x86_64(Context *ctx, void *block, unsigned how);

/*
 * At its end a block has, always, the exit of one that was not to begin: Unicorn goes on as if it had not. EIP is set
 * here, as Unicorn does so only if there are no hooks for instructions and none of any kind has set it.
 */
void
tcg_gen_exit_tb_x86_64(Context *ctx, void *block, unsigned how)
{
	uint64_t *address = block;	/* linear, and where CS begins */
	Label *l = begun.over;
	Temp *args[2];
	Value eip;

	if(how == REQUESTED && l != NULL){
		begun.over = NULL;
		*l |= PRESENT;
		tcg.emit1(ctx, SETLABEL, (uintptr_t)l);
		eip = tcg.const64(ctx, (int64_t)(address[0] - address[1]));
		tcg.emit3(ctx, ST, (uintptr_t)temp(ctx, eip), (uintptr_t)temp(ctx, state), EIP);
		args[0] = temp(ctx, tcg.const64(ctx, (int64_t)(intptr_t)begun.counter));
		args[1] = temp(ctx, tcg.const64(ctx, 1));
		tcg.call(ctx, (void *)helper_check_exit_request_x86_64, NULL, 2, args);
	}
	tcg.exit(ctx, block, how);
}

/* uc_emu_start with a counter. */
static int
start(struct counter *c, void *uc, uint64_t begin)
{
	struct counter *outer = current;
	int err;

	current = c;
	err = emustart(uc, begin, 0, 0, 0);
	current = outer;
	return err;
}

/* For who leaves a stack in the middle of emulation, and comes back to it: what is noted here is that stack's. */
static void *
get(void)
{
	return current;
}

static void
set(void *v)
{
	current = v;
}

static void
bind(void *s, void *o, void **translator)
{
	emustart = (Start *)s;
	original = (Check *)o;
	memcpy(&tcg, translator, sizeof tcg);
}

static int
fill(PyObject *m)
{
	if(addaddress(m, "hook", (void *)block) < 0 || addaddress(m, "bind", (void *)bind) < 0)
		return -1;
	if(addaddress(m, "get", (void *)get) < 0 || addaddress(m, "set", (void *)set) < 0)
		return -1;
	if(addaddress(m, "state", (void *)&state) < 0)
		return -1;
	return addaddress(m, "start", (void *)start);
}

MODULE(_blockcount, "Native block counters.", fill)
