/*
 * Counts executed blocks and stops the guest at an exact one, for emu/machine/counter.py, in one of two ways:
 *
 * block() is a hook that Unicorn calls before each block, followed by a call of its own that looks
 * whether a stop was asked for, helper_check_exit_request.
 *
 * The function of that name below takes the place of Unicorn's: it counts, and leaves the looking to
 * the original when there is something to see. One call instead of two. It gets there as any symbol of a
 * shared library can be replaced: this one is loaded first, and globally.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"

/* As in emu/machine/counter.py. */
struct counter {
	int64_t countdown;	/* blocks that may still run */
	volatile int32_t stop;	/* to be stopped early; set at any time, by another thread too */
	int32_t stopped;	/* the counter has asked for a stop */
	int (*emustop)(void *uc);
	void *uc;		/* whose blocks are counted inline */
};

/* Subtracted from the countdown while emulation is being left, so that block boundaries are looked at. */
#define LEAVING ((int64_t)1 << 62)

typedef int Start(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
typedef void Check(void *uc, uint32_t delayslot);

static Start *emustart;
static Check *original;

/* Stands for none. */
static struct counter none;

/* What counts in this thread. An engine that is not p9emu's may run there too. */
static __thread struct counter *current __attribute__((tls_model("initial-exec"))) = &none;

/* Unicorn calls this before each block. A block it stops at has not run and is not counted. */
static void
block(void *uc, uint64_t address, uint32_t size, void *data)
{
	struct counter *c = data;

	(void)address;
	(void)size;
	if(c->countdown > 0 && !c->stop){
		c->countdown--;
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
	c->countdown++;
	leaving = c->countdown < 0 ? LEAVING : 0;
	c->countdown += leaving;
	block(uc, 0, 0, c);
	c->countdown -= leaving;
}

/*
 * Translated code calls this at the start of each block: the less it does the better. The original
 * finds the block by its return address, so it is jumped to, not called: setup.py asks for the
 * optimization that does so, and emu/machine/counter.py tries it out.
 */
void helper_check_exit_request_x86_64(void *uc, uint32_t delayslot);

void
helper_check_exit_request_x86_64(void *uc, uint32_t delayslot)
{
	struct counter *c = current;

	if(__builtin_expect(c->uc == uc && --c->countdown >= 0, 1))
		return;
	over(uc);
	original(uc, delayslot);
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
bind(void *s, void *o)
{
	emustart = (Start *)s;
	original = (Check *)o;
}

static int
fill(PyObject *m)
{
	if(addaddress(m, "hook", (void *)block) < 0 || addaddress(m, "bind", (void *)bind) < 0)
		return -1;
	if(addaddress(m, "get", (void *)get) < 0 || addaddress(m, "set", (void *)set) < 0)
		return -1;
	return addaddress(m, "start", (void *)start);
}

MODULE(_blockcount, "Native block counters.", fill)
