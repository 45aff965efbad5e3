/*
 * Unicorn's interrupt hook, for emu/machine/traphook.py, which says what it does and has the same in Python.
 *
 * Unicorn runs without the GIL and calls interrupt() from there. Nothing here is linked with libunicorn;
 * addresses of its functions come from Python.
 */
#include "_module.h"
#include <structmember.h>

/* As in emu/machine/x86.py. */
#define SYSCALL 64
/* As in emu/machine/regs.py. */
#define NONE 0xFFFFFFFFu

typedef int Copy(void *uc, void *context);

typedef struct {
	PyObject_HEAD
	PyObject *current;	/* the Regs of what runs */
	Py_buffer buf;		/* of its state, which stays where it is while this is held */
	uint32_t *state;	/* what it has saved: a context of Unicorn's; NULL if nothing runs */
	uint32_t pdb;
	char flush, held, apart;	/* cr3, flush, held, apart of emu/machine/traphook.py */
	PyObject *service, *trapped, *ended, *flushtlb;
	void *uc;
	Copy *save, *restore;
	Py_ssize_t size;	/* bytes of a state */
	Py_ssize_t isint, oldexception, cr3;	/* indices of words in it */
} Hook;

/* current = regs. What is done to regs.buf meanwhile does not matter. */
static int
setcurrent(Hook *h, PyObject *regs)
{
	PyObject *bytes, *oldregs;
	Py_buffer new, old;
	int err;

	if(regs == h->current)
		return 0;
	if(h->service == NULL){
		PyErr_SetString(PyExc_RuntimeError, "the hook was collected");
		return -1;
	}
	bytes = PyObject_GetAttrString(regs, "buf");
	if(bytes == NULL)
		return -1;
	if(!PyByteArray_Check(bytes)){
		Py_DECREF(bytes);
		PyErr_SetString(PyExc_TypeError, "the buf of a Regs is a bytearray");
		return -1;
	}
	err = PyObject_GetBuffer(bytes, &new, PyBUF_WRITABLE);
	Py_DECREF(bytes);
	if(err < 0)
		return -1;
	if(new.len != h->size || (uintptr_t)new.buf % 4 != 0){
		PyBuffer_Release(&new);
		PyErr_SetString(PyExc_ValueError, "the buf of a Regs is as large as a state");
		return -1;
	}
	old = h->buf;
	oldregs = h->current;
	h->buf = new;
	h->state = new.buf;
	h->current = Py_NewRef(regs);
	PyBuffer_Release(&old);
	Py_XDECREF(oldregs);
	return 0;
}

/* Unicorn has refused what was asked of it. */
static int
refused(const char *what, int err)
{
	PyErr_Format(PyExc_RuntimeError, "%s: error %d of Unicorn", what, err);
	return -1;
}

/* Go on with regs. */
static int
resume(Hook *h, PyObject *regs)
{
	PyObject *r;
	int err;

	if(setcurrent(h, regs) < 0)
		return -1;
	h->state[h->cr3] = h->pdb;
	err = h->restore(h->uc, h->state);
	if(err != 0)
		return refused("uc_context_restore", err);
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
	uint32_t isint = 0;
	PyGILState_STATE gil;
	int err;

	(void)uc;
	if(h->held || h->state == NULL)
		return;
	err = h->save(h->uc, h->state);
	if(err == 0){
		isint = h->state[h->isint];
		h->state[h->isint] = 0;
		h->state[h->oldexception] = NONE;
	}
	gil = PyGILState_Ensure();
	Py_INCREF(h);	/* whatever the service lets go of */
	if(err == 0)
		serve(h, intno, isint);
	else{
		refused("uc_context_save", err);
		end(h);
	}
	Py_DECREF(h);
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
	Py_VISIT(h->buf.obj);
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
	h->state = NULL;
	PyBuffer_Release(&h->buf);
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

/* Made whole or not at all: there is no __init__ that could be called again. */
static PyObject *
hook_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *names[] = {
		"service", "trapped", "ended", "flushtlb", "uc", "save", "restore", "size", "isint", "oldexception", "cr3",
		NULL,
	};
	PyObject *service, *trapped, *ended, *flushtlb;
	unsigned long long uc, save, restore;
	Py_ssize_t size, isint, oldexception, cr3, words;
	Hook *h;

	if(!PyArg_ParseTupleAndKeywords(args, kwds, "OOOOKKKnnnn:Hook", names, &service, &trapped, &ended, &flushtlb,
	    &uc, &save, &restore, &size, &isint, &oldexception, &cr3))
		return NULL;
	words = size / 4;
	if(save == 0 || restore == 0){
		PyErr_SetString(PyExc_ValueError, "no function to save or restore a state");
		return NULL;
	}
	if(isint < 0 || isint >= words || oldexception < 0 || oldexception >= words || cr3 < 0 || cr3 >= words){
		PyErr_SetString(PyExc_ValueError, "no word of a state");
		return NULL;
	}
	h = (Hook *)type->tp_alloc(type, 0);
	if(h == NULL)
		return NULL;
	h->service = Py_NewRef(service);
	h->trapped = Py_NewRef(trapped);
	h->ended = Py_NewRef(ended);
	h->flushtlb = Py_NewRef(flushtlb);
	h->uc = (void *)(uintptr_t)uc;
	h->save = (Copy *)(uintptr_t)save;
	h->restore = (Copy *)(uintptr_t)restore;
	h->size = size;
	h->isint = isint;
	h->oldexception = oldexception;
	h->cr3 = cr3;
	return (PyObject *)h;
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
	{Py_tp_new, (void *)hook_new},
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
fill(PyObject *m)
{
	return addtype(m, &spec);
}

MODULE(_traphook, "A native interrupt hook.", fill)
