/*
 * Counts executed blocks and stops the guest at an exact one: the hook that emu/counter.py
 * gives to Unicorn when this extension was built. It is not linked with libunicorn: the
 * address of uc_emu_stop comes with the counter.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* As in emu/counter.py: struct.Struct("<qiiQ"). */
struct counter {
	int64_t countdown;	/* blocks that may still run */
	volatile int32_t stop;	/* set at any time, by a signal handler too */
	int32_t stopped;	/* the hook has asked for a stop */
	int (*emustop)(void *uc);
};

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

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT, "emu._blockcount", "The native block hook.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__blockcount(void)
{
	PyObject *m, *hook;

	m = PyModule_Create(&module);
	if(m == NULL)
		return NULL;
	hook = PyLong_FromVoidPtr((void *)block);
	if(hook == NULL || PyModule_AddObject(m, "hook", hook) < 0){
		Py_XDECREF(hook);
		Py_DECREF(m);
		return NULL;
	}
	return m;
}
