/*
 * The way through a process's page tables that kernel/memory/uaccess.py:uwalk goes too, as far as there is nothing
 * to do on it, for emu/machine/memory.py: each system call and each trap needs it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* Bits of a page directory or page table entry, as in kernel/base/mem.py. */
#define VALID 0x1u
#define WRITE 0x2u
#define ACCESSED 0x20u
#define DIRTY 0x40u

typedef struct {
	PyObject_HEAD
	Py_buffer ram;
} Mmu;

/* The word at pa, 0 beyond memory. */
static uint32_t
word(Mmu *m, uint32_t pa)
{
	if(pa >= (uint64_t)m->ram.len)
		return 0;
	return ((uint32_t *)m->ram.buf)[pa >> 2];
}

/* translate(pdb, va, write) */
static PyObject *
translate(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	Mmu *m = (Mmu *)self;
	unsigned long pdb, va;
	uint32_t want, entry;
	int write;

	if(n != 3){
		PyErr_SetString(PyExc_TypeError, "translate(pdb, va, write)");
		return NULL;
	}
	pdb = PyLong_AsUnsignedLong(args[0]);
	va = PyLong_AsUnsignedLong(args[1]);
	write = PyObject_IsTrue(args[2]);
	if(PyErr_Occurred())
		return NULL;
	want = VALID | ACCESSED;
	entry = word(m, (uint32_t)(pdb | (va >> 20 & 0xFFC)));
	if((entry & want) != want)
		return PyLong_FromLong(-1);
	entry = word(m, (uint32_t)((entry & ~0xFFFu) | (va >> 10 & 0xFFC)));
	if(write)
		want |= WRITE | DIRTY;
	if((entry & want) != want)
		return PyLong_FromLong(-1);
	return PyLong_FromUnsignedLong((entry & ~0xFFFu) | (va & 0xFFF));
}

static int
mmu_init(PyObject *self, PyObject *args, PyObject *kwds)
{
	static char *names[] = {"ram", NULL};
	Mmu *m = (Mmu *)self;
	PyObject *ram;

	if(m->ram.obj != NULL){
		PyErr_SetString(PyExc_TypeError, "already initialized");
		return -1;
	}
	if(!PyArg_ParseTupleAndKeywords(args, kwds, "O", names, &ram))
		return -1;
	return PyObject_GetBuffer(ram, &m->ram, PyBUF_SIMPLE);
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
	{Py_tp_init, (void *)mmu_init},
	{Py_tp_new, (void *)PyType_GenericNew},
	{Py_tp_dealloc, (void *)mmu_dealloc},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {"emu.machine._mmu.Mmu", sizeof(Mmu), 0, Py_TPFLAGS_DEFAULT, slots};

static int
exec(PyObject *m)
{
	PyObject *type = PyType_FromSpec(&spec);
	int err = type == NULL ? -1 : PyModule_AddType(m, (PyTypeObject *)type);

	Py_XDECREF(type);
	return err;
}

static PyModuleDef_Slot moduleslots[] = {
	{Py_mod_exec, (void *)exec},
	{0, NULL},
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT, "emu.machine._mmu", "A native walk of page tables.", 0, NULL, moduleslots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__mmu(void)
{
	return PyModuleDef_Init(&module);
}
