/*
 * CMPXCHG8B with the flags of a processor, for emu/machine/cmpxchg8b.py.
 *
 * Unicorn keeps the operands of the last instruction that set flags, and which kind of instruction that was. Its
 * function for CMPXCHG8B works out the flags from these; but the kind is known to the translator only, which does not
 * have it stored before this one call: the flags come out as if an earlier instruction had set them last.
 *
 * Unicorn notes the kind for each instruction, for the case that it faults. So the function below, in place of
 * Unicorn's, has the state of the instruction restored as for a fault and then goes on to the original. It gets there
 * as the one in _blockcount.c does; so does the other one, which learns what processor runs.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"
#include <stdbool.h>

typedef int Exec(void *uc, void *cpu);
typedef bool Restore(void *cpu, uintptr_t pc, bool exit);
typedef void Helper(void *env, uint64_t address);

static Exec *originalexec;
static Restore *restore;
static Helper *original;

/* What Unicorn's function for running a processor was given in this thread. */
static __thread void *running __attribute__((tls_model("initial-exec")));

int cpu_exec_x86_64(void *uc, void *cpu);
void helper_cmpxchg8b_unlocked_x86_64(void *env, uint64_t address);

/* Runs a processor. */
int
cpu_exec_x86_64(void *uc, void *cpu)
{
	void *outer = running;
	int r;

	running = cpu;
	r = originalexec(uc, cpu);
	running = outer;
	return r;
}

/*
 * Translated code calls this for CMPXCHG8B, with LOCK or without. The original finds the instruction by its return
 * address if it faults, so it is jumped to, as in _blockcount.c.
 */
void
helper_cmpxchg8b_unlocked_x86_64(void *env, uint64_t address)
{
	restore(running, (uintptr_t)__builtin_return_address(0), false);
	original(env, address);
}

/* For who leaves a stack in the middle of emulation, and comes back to it: what is noted here is that stack's. */
static void *
get(void)
{
	return running;
}

static void
set(void *v)
{
	running = v;
}

static void
bind(void *e, void *r, void *h)
{
	originalexec = (Exec *)e;
	restore = (Restore *)r;
	original = (Helper *)h;
}

static int
fill(PyObject *m)
{
	if(addaddress(m, "get", (void *)get) < 0 || addaddress(m, "set", (void *)set) < 0)
		return -1;
	return addaddress(m, "bind", (void *)bind);
}

MODULE(_cmpxchg8b, "CMPXCHG8B with the right flags.", fill)
