/*
 * Notes the frames that a guest touches, for emu/machine/references.py, which has the same in Python.
 *
 * Unicorn calls these hooks before each block, and at each load and store; it runs without the GIL. Nothing here is
 * linked with libunicorn.
 */
#include "_module.h"

#define PAGE 4096u
#define VALID 0x1u
#define LARGE 0x80u
/* As in emu/machine/references.py. */
#define BEHIND 0x80000000u

struct processor;

/* As in emu/machine/references.py. */
struct notes {
	uint32_t *buf;		/* frame numbers; with BEHIND, the page behind it in the address space */
	uint64_t n, room;
	struct processor *current;	/* whose they are */
	void (*drain)(void);	/* takes them away */
	uint8_t *ram;
	uint32_t size;
	uint32_t last;		/* what was noted last */
};

struct processor {
	struct notes *notes;
	int32_t *recursion;	/* emu/machine/recursion.py */
	uint32_t pdb;
};

static inline void
note(struct processor *p, uint32_t frame)
{
	struct notes *t = p->notes;

	if(t->current != p){
		t->drain();
		t->current = p;
	}else if(t->last == frame)
		return;
	if(t->n == t->room)
		t->drain();
	t->buf[t->n++] = frame;
	t->last = frame;
}

/* A load or store; Unicorn tells the physical address of its first byte. */
static void
memory(void *uc, int type, uint64_t address, int size, int64_t value, void *data)
{
	struct processor *p = data;
	uint32_t frame = (uint32_t)(address / PAGE);

	(void)uc;
	(void)type;
	(void)value;
	if(address >= p->notes->size)
		return;
	note(p, frame);
	if(address % PAGE + (uint32_t)size > PAGE)
		note(p, frame | BEHIND);
}

static uint32_t
word(struct notes *t, uint32_t pa)
{
	return pa < t->size ? *(uint32_t *)(t->ram + pa) : 0;
}

/* The page of a virtual address. */
static void
fetch(struct processor *p, uint32_t va)
{
	struct notes *t = p->notes;
	uint32_t e;

	e = word(t, (p->pdb & ~0xFFFu) | (va >> 20 & 0xFFC));
	if((e & VALID) == 0 || (e & LARGE) != 0)
		return;
	e = word(t, (e & ~0xFFFu) | (va >> 10 & 0xFFC));
	if(e & VALID)
		note(p, e / PAGE);
}

/* A block begins. */
static void
block(void *uc, uint64_t address, uint32_t size, void *data)
{
	struct processor *p = data;
	uint32_t va = (uint32_t)address;

	(void)uc;
	*p->recursion = 0;
	fetch(p, va);
	if(va % PAGE + size > PAGE)
		fetch(p, va + PAGE);
}

static int
fill(PyObject *m)
{
	if(addaddress(m, "memory", (void *)memory) < 0)
		return -1;
	return addaddress(m, "block", (void *)block);
}

MODULE(_references, "Native notes of touched frames.", fill)
