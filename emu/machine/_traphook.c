/*
 * Unicorn's interrupt hook, for emu/machine/traphook.py, which says what it does and has the same in Python.
 *
 * Unicorn runs without the GIL and calls interrupt() from there. Nothing here is linked with libunicorn;
 * addresses of its functions come from Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>

/* As in emu/machine/x86.py. */
#define SYSCALL 64
/* As in emu/machine/regs.py. */
#define NONE 0xFFFFFFFFu

typedef int Copy(void *uc, void *context);

typedef struct {
	PyObject_HEAD
	PyObject *current;	/* the Regs of what runs */
	uint32_t *state;	/* what it has saved: a context of Unicorn's */
	uint32_t pdb;
	char flush, held, apart;	/* cr3, flush, held, apart of emu/machine/traphook.py */
	PyObject *service, *trapped, *ended, *flushtlb;
	void *uc;
	Copy *save, *restore;
	Py_ssize_t isint, oldexception, cr3;	/* indices of words in the state */
} Hook;

/* current = regs, whose bytearray stays where it is, for others hold views of it. */
static int
setcurrent(Hook *h, PyObject *regs)
{
	PyObject *buf, *old;

	if(regs == h->current)
		return 0;
	buf = PyObject_GetAttrString(regs, "buf");
	if(buf == NULL)
		return -1;
	if(!PyByteArray_Check(buf)){
		Py_DECREF(buf);
		PyErr_SetString(PyExc_TypeError, "the buf of a Regs is a bytearray");
		return -1;
	}
	h->state = (uint32_t *)PyByteArray_AS_STRING(buf);
	Py_DECREF(buf);
	old = h->current;
	h->current = Py_NewRef(regs);
	Py_XDECREF(old);
	return 0;
}

/* Go on with regs. */
static int
resume(Hook *h, PyObject *regs)
{
	PyObject *r;

	if(setcurrent(h, regs) < 0)
		return -1;
	h->state[h->cr3] = h->pdb;
	h->restore(h->uc, h->state);
	if(!h->flush)
		return 0;
	r = PyObject_CallNoArgs(h->flushtlb);
	Py_XDECREF(r);
	return r == NULL ? -1 : 0;
}

/* Emulation ends: an exception was raised, or the service has nothing to go on with. */
static void
end(Hook *h)
{
	PyObject *type, *value, *traceback, *r;

	PyErr_Fetch(&type, &value, &traceback);
	if(type != NULL){
		PyErr_NormalizeException(&type, &value, &traceback);
		if(traceback != NULL)
			PyException_SetTraceback(value, traceback);
	}
	r = PyObject_CallOneArg(h->ended, value != NULL ? value : Py_None);
	if(r == NULL)
		PyErr_WriteUnraisable(h->ended);
	Py_XDECREF(r);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(traceback);
}

/*
 * Serve a trap whose state was saved. A system call goes straight to the service: by way of trapped() it
 * would take 6 % longer.
 */
static void
serve(Hook *h, uint32_t intno, uint32_t isint)
{
	PyObject *new = NULL, *args[2];
	int call = intno == SYSCALL && isint && !h->apart;

	args[0] = PyLong_FromUnsignedLong(intno);
	args[1] = call ? PyLong_FromLong(0) : PyBool_FromLong(isint);
	if(args[0] != NULL && args[1] != NULL)
		new = PyObject_Vectorcall(call ? h->service : h->trapped, args, 2, NULL);
	if(new == NULL || (new == Py_None ? call : resume(h, new) < 0))
		end(h);
	Py_XDECREF(new);
	Py_XDECREF(args[0]);
	Py_XDECREF(args[1]);
}

static void
interrupt(void *uc, uint32_t intno, void *data)
{
	Hook *h = data;
	uint32_t isint;
	PyGILState_STATE gil;

	(void)uc;
	if(h->held)
		return;
	h->save(h->uc, h->state);
	isint = h->state[h->isint];
	h->state[h->isint] = 0;
	h->state[h->oldexception] = NONE;
	gil = PyGILState_Ensure();
	serve(h, intno, isint);
	PyGILState_Release(gil);
}

static PyObject *
hook_resume(PyObject *self, PyObject *regs)
{
	if(resume((Hook *)self, regs) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *
hook_getcurrent(PyObject *self, void *closure)
{
	Hook *h = (Hook *)self;

	(void)closure;
	if(h->current == NULL){
		PyErr_SetString(PyExc_AttributeError, "current");
		return NULL;
	}
	return Py_NewRef(h->current);
}

static int
hook_setcurrent(PyObject *self, PyObject *regs, void *closure)
{
	(void)closure;
	if(regs == NULL){
		PyErr_SetString(PyExc_AttributeError, "current");
		return -1;
	}
	return setcurrent((Hook *)self, regs);
}

static PyObject *
hook_callback(PyObject *self, void *closure)
{
	(void)self;
	(void)closure;
	return PyLong_FromVoidPtr((void *)interrupt);
}

static PyObject *
hook_data(PyObject *self, void *closure)
{
	(void)closure;
	return PyLong_FromVoidPtr(self);
}

static int
hook_traverse(PyObject *self, visitproc visit, void *arg)
{
	Hook *h = (Hook *)self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(h->current);
	Py_VISIT(h->service);
	Py_VISIT(h->trapped);
	Py_VISIT(h->ended);
	Py_VISIT(h->flushtlb);
	return 0;
}

/* Unicorn may not call any more. */
static int
hook_clear(PyObject *self)
{
	Hook *h = (Hook *)self;

	h->held = 1;
	Py_CLEAR(h->current);
	Py_CLEAR(h->service);
	Py_CLEAR(h->trapped);
	Py_CLEAR(h->ended);
	Py_CLEAR(h->flushtlb);
	return 0;
}

static void
hook_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	hook_clear(self);
	type->tp_free(self);
	Py_DECREF(type);
}

static int
hook_init(PyObject *self, PyObject *args, PyObject *kwds)
{
	static char *names[] = {
		"service", "trapped", "ended", "flushtlb", "uc", "save", "restore", "isint", "oldexception", "cr3", NULL,
	};
	Hook *h = (Hook *)self;
	unsigned long long uc, save, restore;

	if(h->service != NULL){
		PyErr_SetString(PyExc_TypeError, "already initialized");
		return -1;
	}
	if(!PyArg_ParseTupleAndKeywords(args, kwds, "OOOOKKKnnn", names, &h->service, &h->trapped, &h->ended,
	    &h->flushtlb, &uc, &save, &restore, &h->isint, &h->oldexception, &h->cr3)){
		h->service = h->trapped = h->ended = h->flushtlb = NULL;
		return -1;
	}
	Py_INCREF(h->service);
	Py_INCREF(h->trapped);
	Py_INCREF(h->ended);
	Py_INCREF(h->flushtlb);
	h->uc = (void *)(uintptr_t)uc;
	h->save = (Copy *)(uintptr_t)save;
	h->restore = (Copy *)(uintptr_t)restore;
	return 0;
}

static PyMethodDef methods[] = {
	{"resume", hook_resume, METH_O, "Go on with regs."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"cr3", T_UINT, offsetof(Hook, pdb), 0, NULL},
	{"flush", T_BOOL, offsetof(Hook, flush), 0, NULL},
	{"held", T_BOOL, offsetof(Hook, held), 0, NULL},
	{"apart", T_BOOL, offsetof(Hook, apart), 0, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
	{"current", hook_getcurrent, hook_setcurrent, NULL, NULL},
	{"callback", hook_callback, NULL, NULL, NULL},
	{"data", hook_data, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_init, (void *)hook_init},
	{Py_tp_new, (void *)PyType_GenericNew},
	{Py_tp_dealloc, (void *)hook_dealloc},
	{Py_tp_traverse, (void *)hook_traverse},
	{Py_tp_clear, (void *)hook_clear},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_getset, getset},
	{0, NULL},
};

static PyType_Spec spec = {
	"emu.machine._traphook.Hook", sizeof(Hook), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots,
};

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
	PyModuleDef_HEAD_INIT, "emu.machine._traphook", "A native interrupt hook.", 0, NULL, moduleslots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__traphook(void)
{
	return PyModuleDef_Init(&module);
}
