/*
 * What the flags are where RCL, RCR or SETcc faults, for emu/machine/faultflags.py.
 *
 * Unicorn keeps the operands of the last instruction that set flags, and which kind of instruction that was. These
 * instructions have the flags worked out, which overwrites one of the operands, and the rotations put theirs there,
 * before the result is stored. If that faults only the kind is put back: the flags come out of operands that are not
 * its own. So the functions below, in place of Unicorn's, note what was there. They get there as the one in
 * _blockcount.c does.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"

#define WORKEDOUT 1	/* the kind of flags that are kept as such */
#define NOTED (1ULL << 63)
#define BITS 0xFFFFULL

typedef uint32_t Compute(void *env, int kind);
typedef void Restore(void *env, void *block, uint64_t *data);
typedef uint64_t Rotate(void *env, uint64_t value, uint64_t count);

static Compute *compute;
static Restore *restore;
static Rotate *rotate[6];

/* NOTED, the kind of what set the flags (16 bits from 32), flags worked out by now (from 16), those before a rotation */
static __thread uint64_t note __attribute__((tls_model("initial-exec")));

void restore_state_to_opc_x86_64(void *env, void *block, uint64_t *data);

/* An instruction faults: data has its address and the kind of what had set the flags before it. */
void
restore_state_to_opc_x86_64(void *env, void *block, uint64_t *data)
{
	note = (note & BITS) | NOTED | (data[1] & BITS) << 32 | (compute(env, WORKEDOUT) & BITS) << 16;
	restore(env, block, data);
}

/* Translated code calls these for RCL and RCR, with the flags worked out. They fault in nothing. */
#define ROTATION(i, name) \
	uint64_t name(void *env, uint64_t value, uint64_t count); \
	uint64_t \
	name(void *env, uint64_t value, uint64_t count) \
	{ \
		note = compute(env, WORKEDOUT) & BITS; \
		return rotate[i](env, value, count); \
	}

ROTATION(0, helper_rclb_x86_64)
ROTATION(1, helper_rclw_x86_64)
ROTATION(2, helper_rcll_x86_64)
ROTATION(3, helper_rcrb_x86_64)
ROTATION(4, helper_rcrw_x86_64)
ROTATION(5, helper_rcrl_x86_64)

/* What was noted at the last fault of this thread; 0 if that was asked already. */
static uint64_t
get(void)
{
	uint64_t v = note & NOTED ? note : 0;

	note = 0;
	return v;
}

static void
bind(void *c, void *r, void **rotations)
{
	int i;

	compute = (Compute *)c;
	restore = (Restore *)r;
	for(i = 0; i < 6; i++)
		rotate[i] = (Rotate *)rotations[i];
}

static int
fill(PyObject *m)
{
	if(addaddress(m, "get", (void *)get) < 0)
		return -1;
	return addaddress(m, "bind", (void *)bind);
}

MODULE(_faultflags, "The flags of instructions that fault.", fill)
