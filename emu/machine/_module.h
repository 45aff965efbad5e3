/*
 * What every extension has around what it is for: a module that one function fills.
 *
 *	static int
 *	fill(PyObject *m)
 *	{
 *		return addtype(m, &spec);
 *	}
 *
 *	MODULE(_mmu, "A native walk of page tables.", fill)
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/*
 * Counts up when what Python passes to an extension becomes another: as VERSION in emu/machine/lib.py, which looks at it
 * in those that are loaded before libunicorn, and so before any other is called. All are built together.
 */
#define VERSION 1

/* The type that spec describes. Like the next one: 0, or -1 with an exception set. */
static inline int
addtype(PyObject *m, PyType_Spec *spec)
{
	PyObject *type = PyType_FromSpec(spec);
	int err = type == NULL ? -1 : PyModule_AddType(m, (PyTypeObject *)type);

	Py_XDECREF(type);
	return err;
}

/* A function's address, as a number for ctypes. */
static inline int
addaddress(PyObject *m, const char *name, void *address)
{
	PyObject *number = PyLong_FromVoidPtr(address);
	int err = number == NULL ? -1 : PyModule_AddObjectRef(m, name, number);

	Py_XDECREF(number);
	return err;
}

/* For one interpreter: Unicorn's hooks take the GIL by PyGILState_Ensure, which knows no other. */
#ifdef Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED
#define ONEINTERPRETER {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#else
#define ONEINTERPRETER
#endif

#define MODULE(name, doc, fill) \
	static int \
	fillall(PyObject *m) \
	{ \
		return PyModule_AddIntConstant(m, "VERSION", VERSION) < 0 ? -1 : fill(m); \
	} \
	static PyModuleDef_Slot moduleslots[] = { \
		{Py_mod_exec, (void *)fillall}, \
		ONEINTERPRETER \
		{0, NULL}, \
	}; \
	static struct PyModuleDef module = { \
		PyModuleDef_HEAD_INIT, "emu.machine." #name, doc, 0, NULL, moduleslots, NULL, NULL, NULL, \
	}; \
	PyMODINIT_FUNC \
	PyInit_##name(void) \
	{ \
		return PyModuleDef_Init(&module); \
	}
