/*
 * Unicorn's hook before each instruction, for emu/machine/probe.py: it notes where the guest is, and calls on only when
 * there is something to tell. In Python each instruction would take some fifty times as long.
 *
 * Nothing here is linked with libunicorn.
 */
#include "_module.h"

/* As in emu/machine/probe.py. */
struct place {
	uint64_t pc;	/* of the instruction that is executed */
	uint64_t wanted;	/* call on before the next one */
	void (*call)(void *uc, uint64_t pc);
};

static void
instruction(void *uc, uint64_t pc, uint32_t size, void *data)
{
	struct place *p = data;

	(void)size;
	if(__builtin_expect(p->wanted != 0, 0))
		p->call(uc, pc);
	p->pc = pc;
}

static int
fill(PyObject *m)
{
	return addaddress(m, "hook", (void *)instruction);
}

MODULE(_probe, "A native hook before each instruction.", fill)
