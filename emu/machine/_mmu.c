/*
 * The way through a process's page tables that kernel/memory/uaccess.py:uwalk goes too, as far as there is nothing
 * to do on it, for emu/machine/memory.py: each system call and each trap needs it.
 */
#include "_module.h"

/* Bits of a page directory or page table entry, as in kernel/base/mem.py. */
#define VALID 0x1u
#define WRITE 0x2u
#define ACCESSED 0x20u
#define DIRTY 0x40u

typedef struct {
	PyObject_HEAD
	Py_buffer ram;
} Mmu;

/* The word at pa, which is a multiple of 4; 0 beyond memory. */
static uint32_t
word(Mmu *m, uint32_t pa)
{
	if(pa >= (uint64_t)m->ram.len)
		return 0;
	return ((uint32_t *)m->ram.buf)[pa >> 2];
}

/* The 32-bit number that o is. */
static int
number(PyObject *o, uint32_t *n)
{
	unsigned long value = PyLong_AsUnsignedLong(o);

	if(value == (unsigned long)-1 && PyErr_Occurred())
		return -1;
	if(value > UINT32_MAX){
		PyErr_SetString(PyExc_OverflowError, "an address has 32 bits");
		return -1;
	}
	*n = (uint32_t)value;
	return 0;
}

/* translate(pdb, va, write) */
static PyObject *
translate(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	Mmu *m = (Mmu *)self;
	uint32_t pdb, va, want, entry;
	int write;

	if(n != 3){
		PyErr_SetString(PyExc_TypeError, "translate(pdb, va, write)");
		return NULL;
	}
	if(number(args[0], &pdb) < 0 || number(args[1], &va) < 0 || (write = PyObject_IsTrue(args[2])) < 0)
		return NULL;
	want = VALID | ACCESSED;
	entry = word(m, (pdb & ~0xFFFu) | (va >> 20 & 0xFFC));
	if((entry & want) != want)
		return PyLong_FromLong(-1);
	entry = word(m, (entry & ~0xFFFu) | (va >> 10 & 0xFFC));
	if(write)
		want |= WRITE | DIRTY;
	if((entry & want) != want)
		return PyLong_FromLong(-1);
	return PyLong_FromUnsignedLong((entry & ~0xFFFu) | (va & 0xFFF));
}

/* Made whole or not at all: there is no __init__ that could be called again. */
static PyObject *
mmu_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *names[] = {"ram", NULL};
	PyObject *ram;
	Mmu *m;

	if(!PyArg_ParseTupleAndKeywords(args, kwds, "O:Mmu", names, &ram))
		return NULL;
	m = (Mmu *)type->tp_alloc(type, 0);
	if(m == NULL)
		return NULL;
	if(PyObject_GetBuffer(ram, &m->ram, PyBUF_SIMPLE) < 0){
		Py_DECREF(m);
		return NULL;
	}
	if(m->ram.len % 4 != 0 || (uintptr_t)m->ram.buf % 4 != 0){
		Py_DECREF(m);
		PyErr_SetString(PyExc_ValueError, "memory consists of 32-bit words");
		return NULL;
	}
	return (PyObject *)m;
}

static void
mmu_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyBuffer_Release(&((Mmu *)self)->ram);
	type->tp_free(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"translate", (PyCFunction)(void (*)(void))translate, METH_FASTCALL, "translate(pdb, va, write)"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, (void *)mmu_new},
	{Py_tp_dealloc, (void *)mmu_dealloc},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {"emu.machine._mmu.Mmu", sizeof(Mmu), 0, Py_TPFLAGS_DEFAULT, slots};

static int
fill(PyObject *m)
{
	return addtype(m, &spec);
}

MODULE(_mmu, "A native walk of page tables.", fill)
