/*
 * A larger and quicker memory of which translated block is at which address, for emu/machine/lookup.py; and counts.
 *
 * At an indirect jump Unicorn looks into a cache of 4096 blocks, of which all in one page share 64 places, and if the
 * block is not there into a table of all blocks, by physical address, which takes some 250 instructions. Two blocks in
 * one place that are needed by turns go that way each time. The first function below, in place of Unicorn's for the
 * jump, has a cache of its own; the second one, in place of Unicorn's for the table, fills it. They get there as the
 * one in _blockcount.c does.
 *
 * The first one must know where Unicorn has the processor's registers that say what block it is. It knows that of the
 * release that it was written for, and does not rely on it: at first the original is called, and what that looks for
 * compared with what would have been looked for here. It must have been the same SURE times, and never another.
 *
 * What is kept is good as long as Unicorn's own cache would be: until addresses change their meaning, when Unicorn
 * empties that. Functions in place of those that do so begin a new generation. A block that has been done away with has
 * a mark on it; where that lies is known if all else in front of it is where it is expected.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The head of Unicorn's TranslationBlock. */
typedef struct Block Block;
struct Block {
	uint64_t pc, csbase;
	uint32_t flags;
	uint16_t size, count;
	uint32_t cflags, trace;
	void *code;
};

/* Of cflags, what is looked for, and the mark. Source: Unicorn's exec-all.h, CF_HASH_MASK and CF_INVALID. */
#define LOOKEDFOR 0xFF0EFFFFu
#define INVALID 0x00040000u

/* What is looked for. */
typedef struct Key Key;
struct Key {
	void *cpu;
	uint64_t pc, csbase;
	uint32_t flags, mask;
};

/* What of it is kept, where CS begins at 0. A processor has places of its own, and in them the mask is one and the same. */
typedef struct Place Place;
struct Place {
	uint32_t pc, flags;
	uint64_t generation;
	Block *block;
	void *code;
};

#define BITS 13

typedef Block *Look(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask);
typedef void *Jump(char *env);
typedef bool Fill(void *cpu, uint64_t addr, int size, int access, int mode, bool probe, uintptr_t pc);
typedef void Flush(void *cpu, uint16_t map);
typedef void Flushpage(void *cpu, uint64_t addr);
typedef void Flushblocks(void *cpu);

static Look *look;
static Jump *jump;
static Fill *fillentry;
static Flush *flush[3];
static Flushpage *flushpage;
static Flushblocks *flushblocks;

/* As in emu/machine/lookup.py. */
static struct {
	uint64_t flushes;	/* of all addresses; each is a generation, as is all else that ends one */
	uint64_t walks;		/* of page tables, for an entry of the TLB */
	uint64_t lookups;	/* indirect jumps, and what Unicorn's own cache did not have */
	uint64_t searches;	/* what this one did not have either */
} counts;

/* 0: no flush has come by here yet, so nothing is kept. Engines run in several threads at once: it must never go back. */
static _Atomic uint64_t generation;
static bool keeping;

/* How often keyof() was right; less than 0 once it was wrong. */
#define SURE 16
static _Atomic int known;

/* Of the processors that run in a thread, the last one first; a machine has 8 at the most. */
#define MOST 16
typedef struct Table Table;
struct Table {
	void *cpu;
	Table *next;
	Place places[1 << BITS];
};

static pthread_key_t key;
static __thread struct {
	void *cpu;
	Place *places;	/* the processor's that ran last */
	char *env;	/* its state, once that is known to be read right */
	Table *all;
	Key *asked;	/* what keyof() says, while the original is asked */
	Block *found;	/* the original's answer */
} own __attribute__((tls_model("initial-exec")));

static void
freeall(void *p)
{
	Table *t = p, *next;

	for(; t != NULL; t = next){
		next = t->next;
		free(t);
	}
}

static __attribute__((noinline)) Place *
placesof(void *cpu)
{
	Table *t, **link;
	int n = 0;

	for(link = &own.all; (t = *link) != NULL && t->cpu != cpu; link = &t->next)
		if(++n == MOST){
			memset(t->places, 0, sizeof t->places);	/* the oldest: of a processor that is gone */
			t->cpu = cpu;
			break;
		}
	if(t == NULL){
		t = calloc(1, sizeof *t);
		if(t == NULL)
			return NULL;
		t->cpu = cpu;
	}else
		*link = t->next;
	t->next = own.all;
	own.all = t;
	pthread_setspecific(key, t);
	own.cpu = cpu;
	own.places = t->places;
	own.env = NULL;
	return t->places;
}

static inline uint32_t
hash(uint32_t pc)
{
	return pc * 2654435761u >> (32 - BITS);
}

static inline Place *
placeof(void *cpu, uint32_t pc)
{
	Place *all = own.cpu == cpu ? own.places : placesof(cpu);

	return all != NULL ? &all[hash(pc)] : NULL;
}

/* What of a processor says which block comes, as Unicorn 2.1's helper_lookup_tb_ptr reads it. */
static inline Key
keyof(char *env)
{
	Key k;

	k.cpu = env - 0x8A50;
	k.csbase = *(uint64_t *)(env + 0xD8);
	k.pc = *(uint64_t *)(env + 0x80) + k.csbase;
	k.flags = (*(uint32_t *)(env + 0x88) & 0x73100) | *(uint32_t *)(env + 0xB0);
	k.mask = *(uint32_t *)(env - 0x8BC) << 24;
	return k;
}

Block *tb_htable_lookup_x86_64(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask);

Block *
tb_htable_lookup_x86_64(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask)
{
	Block *b;
	Place *p;
	Key *k = own.asked;
	bool asked = k != NULL;

	if(asked){
		own.asked = NULL;	/* look may not come back, if the page is not there */
		if(k->cpu != cpu || k->pc != pc || k->csbase != csbase || k->flags != flags || k->mask != mask)
			known = INT_MIN;
	}
	counts.lookups++;
	p = csbase == 0 && pc <= UINT32_MAX ? placeof(cpu, (uint32_t)pc) : NULL;
	if(p != NULL && p->generation == generation && p->pc == pc && p->flags == flags && !(p->block->cflags & INVALID))
		b = p->block;
	else{
		counts.searches++;
		b = look(cpu, pc, csbase, flags, mask);
		if(b != NULL && p != NULL && generation != 0 && keeping && b->pc == pc && b->csbase == csbase
		    && b->flags == flags && (b->cflags & LOOKEDFOR) == mask)
			*p = (Place){(uint32_t)pc, flags, generation, b, b->code};
	}
	if(asked)
		own.found = b;
	return b;
}

/* As long as it is not sure what an indirect jump looks for. */
static __attribute__((noinline)) void *
compare(char *env)
{
	Key k;
	void *code;

	if(known < 0 || !keeping)
		return jump(env);
	k = keyof(env);
	own.asked = &k;
	own.found = NULL;
	code = jump(env);
	own.asked = NULL;
	if(own.found != NULL && own.found->code != code)
		known = INT_MIN;
	else if(own.found != NULL)
		known++;	/* another thread may have found out meanwhile: still less than 0 then */
	return code;
}

/* The rest of what follows. */
static __attribute__((noinline)) void *
find(char *env)
{
	Block *b;
	Key k;

	if(known < SURE)
		return compare(env);
	k = keyof(env);
	b = tb_htable_lookup_x86_64(k.cpu, k.pc, k.csbase, k.flags, k.mask);
	own.env = own.cpu == k.cpu ? env : NULL;
	return b != NULL ? b->code : jump(env);
}

/* Translated code calls this for the code of the block to jump to. */
void *helper_lookup_tb_ptr_x86_64(char *env);

void *
helper_lookup_tb_ptr_x86_64(char *env)
{
	Place *p;
	Key k;

	if(__builtin_expect(own.env == env, 1)){
		k = keyof(env);
		p = &own.places[hash((uint32_t)k.pc)];
		if(__builtin_expect(k.csbase == 0 && p->pc == k.pc && p->flags == k.flags && p->generation == generation
		    && !(p->block->cflags & INVALID), 1)){
			counts.lookups++;
			return p->code;
		}
	}
	return find(env);
}

bool x86_cpu_tlb_fill_x86_64(void *cpu, uint64_t addr, int size, int access, int mode, bool probe, uintptr_t pc);

bool
x86_cpu_tlb_fill_x86_64(void *cpu, uint64_t addr, int size, int access, int mode, bool probe, uintptr_t pc)
{
	counts.walks++;
	return fillentry(cpu, addr, size, access, mode, probe, pc);
}

#define FLUSH(i, name) \
	void name(void *cpu, uint16_t map); \
	void \
	name(void *cpu, uint16_t map) \
	{ \
		counts.flushes++; \
		generation++; \
		flush[i](cpu, map); \
	}

FLUSH(0, tlb_flush_by_mmuidx_x86_64)
FLUSH(1, tlb_flush_by_mmuidx_all_cpus_x86_64)
FLUSH(2, tlb_flush_by_mmuidx_all_cpus_synced_x86_64)

void tb_flush_jmp_cache_x86_64(void *cpu, uint64_t addr);

void
tb_flush_jmp_cache_x86_64(void *cpu, uint64_t addr)
{
	generation++;
	flushpage(cpu, addr);
}

void tb_flush_x86_64(void *cpu);

void
tb_flush_x86_64(void *cpu)
{
	generation++;
	flushblocks(cpu);
}

/* Addresses of the originals, in the order of the functions above. One that Unicorn has not is not called either. */
static void
bind(void **originals)
{
	int i;

	look = (Look *)originals[0];
	jump = (Jump *)originals[1];
	fillentry = (Fill *)originals[2];
	for(i = 0; i < 3; i++)
		flush[i] = (Flush *)originals[3 + i];
	flushpage = (Flushpage *)originals[6];
	flushblocks = (Flushblocks *)originals[7];
	keeping = true;
	for(i = 0; i < 8; i++)
		keeping = keeping && originals[i] != NULL;
}

static int
fill(PyObject *m)
{
	if(pthread_key_create(&key, freeall) != 0){
		PyErr_SetString(PyExc_OSError, "no key for a thread's own data");
		return -1;
	}
	if(addaddress(m, "counts", (void *)&counts) < 0)
		return -1;
	if(addaddress(m, "known", (void *)&known) < 0)
		return -1;
	return addaddress(m, "bind", (void *)bind);
}

MODULE(_lookup, "A cache of translated blocks.", fill)
