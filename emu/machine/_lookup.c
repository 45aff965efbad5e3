/*
 * A larger memory of which translated block is at which address, for emu/machine/lookup.py; and counts.
 *
 * At an indirect jump Unicorn looks into a cache of 4096 blocks, of which all in one page share 64 places, and if the
 * block is not there into a table of all blocks, by physical address, which takes some 250 instructions. Two blocks in
 * one place that are needed by turns go that way each time. The function below, in place of Unicorn's for the table, has
 * a cache of its own between the two. It gets there as the one in _blockcount.c does.
 *
 * What it keeps is good as long as Unicorn's own cache would be: until addresses change their meaning, when Unicorn
 * empties that. Functions in place of those that do so begin a new generation. A block that has been done away with has
 * a mark on it; where that lies is known if all else in front of it is where it is expected.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* The head of Unicorn's TranslationBlock. */
typedef struct Block Block;
struct Block {
	uint64_t pc, csbase;
	uint32_t flags;
	uint16_t size, count;
	uint32_t cflags;
};

/* Bits of cflags that are part of what is looked for. Source: Unicorn's exec-all.h, CF_HASH_MASK and CF_INVALID. */
#define LOOKEDFOR 0xFF0EFFFFu

typedef struct Place Place;
struct Place {
	void *cpu;
	uint64_t pc, csbase, generation;
	uint32_t flags, mask, cflags;
	Block *block;
};

#define BITS 13

typedef Block *Look(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask);
typedef bool Fill(void *cpu, uint64_t addr, int size, int access, int mode, bool probe, uintptr_t pc);
typedef void Flush(void *cpu, uint16_t map);
typedef void Flushpage(void *cpu, uint64_t addr);
typedef void Flushblocks(void *cpu);

static Look *look;
static Fill *fillentry;
static Flush *flush[3];
static Flushpage *flushpage;
static Flushblocks *flushblocks;

/* As in emu/machine/lookup.py. */
static struct {
	uint64_t flushes;	/* of all addresses; each is a generation, as is all else that ends one */
	uint64_t walks;		/* of page tables, for an entry of the TLB */
	uint64_t lookups;	/* what Unicorn's own cache did not have */
	uint64_t searches;	/* what this one did not have either */
} counts;

/* 0: no flush has come by here yet, so nothing is kept. Engines run in several threads at once: it must never go back. */
static _Atomic uint64_t generation;
static bool keeping;

static pthread_key_t key;
static __thread Place *places __attribute__((tls_model("initial-exec")));

static Place *
place(uint64_t pc)
{
	if(places == NULL){
		places = calloc((size_t)1 << BITS, sizeof *places);
		if(places == NULL)
			return NULL;
		pthread_setspecific(key, places);
	}
	return &places[(uint32_t)pc * 2654435761u >> (32 - BITS)];
}

Block *tb_htable_lookup_x86_64(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask);

Block *
tb_htable_lookup_x86_64(void *cpu, uint64_t pc, uint64_t csbase, uint32_t flags, uint32_t mask)
{
	Place *p = place(pc);
	Block *b;

	counts.lookups++;
	if(p != NULL && p->generation == generation && p->pc == pc && p->cpu == cpu && p->csbase == csbase
	    && p->flags == flags && p->mask == mask && p->block->cflags == p->cflags)
		return p->block;
	counts.searches++;
	b = look(cpu, pc, csbase, flags, mask);
	if(b == NULL || p == NULL || generation == 0 || !keeping)
		return b;
	if(b->pc == pc && b->csbase == csbase && b->flags == flags && (b->cflags & LOOKEDFOR) == mask)
		*p = (Place){cpu, pc, csbase, generation, flags, mask, b->cflags, b};
	return b;
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
	fillentry = (Fill *)originals[1];
	for(i = 0; i < 3; i++)
		flush[i] = (Flush *)originals[2 + i];
	flushpage = (Flushpage *)originals[5];
	flushblocks = (Flushblocks *)originals[6];
	keeping = true;
	for(i = 0; i < 7; i++)
		keeping = keeping && originals[i] != NULL;
}

static int
fill(PyObject *m)
{
	if(pthread_key_create(&key, free) != 0){
		PyErr_SetString(PyExc_OSError, "no key for a thread's own data");
		return -1;
	}
	if(addaddress(m, "counts", (void *)&counts) < 0)
		return -1;
	return addaddress(m, "bind", (void *)bind);
}

MODULE(_lookup, "A cache of translated blocks.", fill)
