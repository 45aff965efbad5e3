/*
 * LOCK where it may not be, which is an undefined instruction, for emu/machine/lib.py.
 *
 * Unicorn's translator takes no notice of LOCK before most instructions, and before BTS and its like with a register
 * it aborts the whole program. So the function by which it reads the bytes of an instruction is replaced: where LOCK
 * is not allowed, it reads an opcode that it does not know in place of the one that is there. The two functions below
 * get there as the one in _blockcount.c.
 *
 * Nothing here is linked with libunicorn; addresses of its functions come from Python.
 */
#include "_module.h"
#include <stdbool.h>
#include <string.h>

#define INT1 0xF1

typedef uint32_t Read(void *env, uint64_t address);
typedef void Emit(void *context, int operation, uintptr_t a, uintptr_t b);

static Read *read_;
static Emit *emit;

/* How far an instruction has been read. */
enum state {REST, PREFIXES, LOCKED};
static __thread enum state state __attribute__((tls_model("initial-exec")));

/* Where the next one begins: before it is read its address is emitted. Other operations start with a host address. */
static __thread uint64_t start __attribute__((tls_model("initial-exec")));

uint32_t cpu_ldub_code_x86_64(void *env, uint64_t address);
void tcg_gen_op2_x86_64(void *context, int operation, uintptr_t a, uintptr_t b);

/* Whether LOCK may stand before the instruction whose opcode is b, at that address (Intel SDM vol. 2, LOCK). */
static bool
lockable(void *env, uint64_t address, uint32_t b)
{
	uint32_t modrm, regs;

	if(b == 0x0F){
		switch(read_(env, ++address)){
		case 0xAB: case 0xB3: case 0xBB:	/* BTS, BTR, BTC */
		case 0xB0: case 0xB1:	/* CMPXCHG */
		case 0xC0: case 0xC1:	/* XADD */
			regs = 0xFF;
			break;
		case 0xBA:	/* BTS, BTR, BTC */
			regs = 1 << 5 | 1 << 6 | 1 << 7;
			break;
		case 0xC7:	/* CMPXCHG8B */
			regs = 1 << 1;
			break;
		default:
			return false;
		}
	}else if((b < 0x38 && (b & 7) < 2) || b == 0x86 || b == 0x87)	/* ADD to XOR, XCHG */
		regs = 0xFF;
	else if(b >= 0x80 && b <= 0x83)	/* the same, immediate; not CMP */
		regs = 0x7F;
	else if(b == 0xF6 || b == 0xF7)	/* NOT, NEG */
		regs = 1 << 2 | 1 << 3;
	else if(b == 0xFE || b == 0xFF)	/* INC, DEC */
		regs = 1 << 0 | 1 << 1;
	else
		return false;
	modrm = read_(env, address + 1);
	return modrm < 0xC0 && regs >> (modrm >> 3 & 7) & 1;
}

static bool
prefix(uint32_t b)
{
	return b != 0 && strchr("\x26\x2E\x36\x3E\x64\x65\x66\x67\xF0\xF2\xF3", (int)b) != NULL;
}

/* The translator reads a byte of code. */
uint32_t
cpu_ldub_code_x86_64(void *env, uint64_t address)
{
	uint32_t b;

	b = read_(env, address);
	if(address == start){
		start = UINT64_MAX;
		state = PREFIXES;
	}
	if(state == REST)
		return b;
	if(prefix(b)){
		if(b == 0xF0)
			state = LOCKED;
		return b;
	}
	if(state == LOCKED && !lockable(env, address, b))
		b = INT1;
	state = REST;
	return b;
}

/* The translator emits an operation with two operands. */
void
tcg_gen_op2_x86_64(void *context, int operation, uintptr_t a, uintptr_t b)
{
	if(a <= UINT32_MAX)
		start = a;
	emit(context, operation, a, b);
}

static void
bind(void *r, void *e)
{
	read_ = (Read *)r;
	emit = (Emit *)e;
}

static int
fill(PyObject *m)
{
	return addaddress(m, "bind", (void *)bind);
}

MODULE(_lock, "LOCK where it may not be.", fill)
