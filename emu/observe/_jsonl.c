/*
 * Lines of JSON, for emu/observe/jsonl.py, which makes the same ones: a trace of all events has millions of them, and a
 * kernel that is traced waits for each.
 *
 * Writer(templates, other, quote, write): a template is a class of events and a tuple, in which bytes to be copied and
 * names of attributes take turns; without a tuple other(event) makes the line. add(event) adds one, unless there is no
 * template for its class. write() is called with bytes, some at a time, and by flush() with what is left.
 */
#include "../machine/_module.h"
#include <structmember.h>

#define KEPT 65536	/* bytes that are written at a time, or a little more */
#define NUMBER 24	/* bytes that a number takes at the most */

typedef struct {
	const char *text;	/* to be copied */
	Py_ssize_t len;
	Py_ssize_t slot;	/* where in the event the value is that follows; 0: none does */
} Part;

typedef struct {
	PyTypeObject *type;
	PyObject *tuple;	/* holds the texts */
	Part *parts;
	Py_ssize_t n;	/* 0: other() makes the line */
} Template;

typedef struct {
	PyObject_HEAD
	Template *templates;
	Py_ssize_t n;
	PyObject *other, *quote, *write;
	char *buf;
	Py_ssize_t len, size;
} Writer;

/* Room for n bytes more. */
static int
room(Writer *w, Py_ssize_t n)
{
	char *buf;
	Py_ssize_t size = w->size;

	if(n <= size - w->len)
		return 0;
	while(n > size - w->len)
		size = size != 0 ? 2 * size : 2 * KEPT;
	buf = PyMem_Realloc(w->buf, size);
	if(buf == NULL){
		PyErr_NoMemory();
		return -1;
	}
	w->buf = buf;
	w->size = size;
	return 0;
}

static int
copy(Writer *w, const char *text, Py_ssize_t n)
{
	if(room(w, n) < 0)
		return -1;
	memcpy(w->buf + w->len, text, n);
	w->len += n;
	return 0;
}

/* A string that is ASCII. */
static int
copystr(Writer *w, PyObject *s)
{
	Py_ssize_t n;
	const char *text = PyUnicode_AsUTF8AndSize(s, &n);

	return text == NULL ? -1 : copy(w, text, n);
}

/* A number, in decimal. */
static int
putnumber(Writer *w, PyObject *o)
{
	char digits[NUMBER], *p = digits + NUMBER;
	PyObject *s;
	unsigned long long u;
	long long v;
	int big, err;

	v = PyLong_AsLongLongAndOverflow(o, &big);
	if(big != 0){
		s = PyObject_Str(o);
		err = s == NULL ? -1 : copystr(w, s);
		Py_XDECREF(s);
		return err;
	}
	u = v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v;
	do
		*--p = '0' + u % 10;
	while((u /= 10) != 0);
	if(v < 0)
		*--p = '-';
	return copy(w, p, digits + NUMBER - p);
}

/* A string, in quotes. */
static int
putstring(Writer *w, PyObject *s)
{
	const unsigned char *text;
	PyObject *quoted;
	Py_ssize_t i, n;
	int err;

	if(PyUnicode_IS_COMPACT_ASCII(s)){
		text = PyUnicode_1BYTE_DATA(s);
		n = PyUnicode_GET_LENGTH(s);
		for(i = 0; i < n; i++)
			if(text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
				break;
		if(i == n){
			if(room(w, n + 2) < 0)
				return -1;
			w->buf[w->len] = '"';
			memcpy(w->buf + w->len + 1, text, n);
			w->buf[w->len + n + 1] = '"';
			w->len += n + 2;
			return 0;
		}
	}
	quoted = PyObject_CallOneArg(w->quote, s);
	err = quoted == NULL ? -1 : copystr(w, quoted);
	Py_XDECREF(quoted);
	return err;
}

static int
put(Writer *w, PyObject *o)
{
	if(o == NULL){
		PyErr_SetString(PyExc_AttributeError, "an event lacks a field");
		return -1;
	}
	if(PyUnicode_Check(o))
		return putstring(w, o);
	if(PyLong_Check(o))
		return putnumber(w, o);
	if(o == Py_None)
		return copy(w, "null", 4);
	PyErr_Format(PyExc_TypeError, "a field of an event is a %s", Py_TYPE(o)->tp_name);
	return -1;
}

/* Write what is there. If that fails it is gone all the same. */
static int
written(Writer *w)
{
	PyObject *data, *r;

	data = PyBytes_FromStringAndSize(w->buf, w->len);
	w->len = 0;
	r = data == NULL ? NULL : PyObject_CallOneArg(w->write, data);
	Py_XDECREF(data);
	Py_XDECREF(r);
	return r == NULL ? -1 : 0;
}

static int
line(Writer *w, Template *t, PyObject *ev)
{
	PyObject *s;
	Part *p;
	int err;

	if(t->n == 0){
		s = PyObject_CallOneArg(w->other, ev);
		err = s == NULL ? -1 : copystr(w, s);
		Py_XDECREF(s);
		return err;
	}
	for(p = t->parts; p < t->parts + t->n; p++){
		if(copy(w, p->text, p->len) < 0)
			return -1;
		if(p->slot != 0 && put(w, *(PyObject **)((char *)ev + p->slot)) < 0)
			return -1;
	}
	return 0;
}

static PyObject *
add(PyObject *self, PyObject *ev)
{
	Writer *w = (Writer *)self;
	Py_ssize_t i, start = w->len;

	for(i = 0; i < w->n; i++)
		if(w->templates[i].type == Py_TYPE(ev)){
			if(line(w, &w->templates[i], ev) < 0){
				w->len = start;	/* a line is there as a whole, or not at all */
				return NULL;
			}
			if(w->len >= KEPT && written(w) < 0)
				return NULL;
			break;
		}
	Py_RETURN_NONE;
}

static PyObject *
flush(PyObject *self, PyObject *noargs)
{
	Writer *w = (Writer *)self;

	(void)noargs;
	if(w->len != 0 && written(w) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* Where an attribute of a class with slots is; 0 with an exception if it has none of that name. */
static Py_ssize_t
slot(PyTypeObject *type, PyObject *name)
{
	PyObject *d = PyObject_GetAttr((PyObject *)type, name);
	Py_ssize_t offset = 0;

	if(d != NULL && Py_TYPE(d) == &PyMemberDescr_Type && ((PyMemberDescrObject *)d)->d_member->type == T_OBJECT_EX)
		offset = ((PyMemberDescrObject *)d)->d_member->offset;
	else if(d != NULL)
		PyErr_Format(PyExc_TypeError, "%R is no slot of a %s", name, type->tp_name);
	Py_XDECREF(d);
	return offset;
}

/* What a template's tuple says. */
static int
compile(Template *t)
{
	Py_ssize_t i, n = PyTuple_GET_SIZE(t->tuple);
	PyObject *o;
	Part *p;

	t->parts = PyMem_Calloc(n / 2 + 1, sizeof(Part));
	if(t->parts == NULL){
		PyErr_NoMemory();
		return -1;
	}
	for(i = 0; i < n; i++){
		o = PyTuple_GET_ITEM(t->tuple, i);
		p = &t->parts[i / 2];
		if(i % 2 == 0 && PyBytes_Check(o)){
			p->text = PyBytes_AS_STRING(o);
			p->len = PyBytes_GET_SIZE(o);
		}else if(i % 2 != 0 && PyUnicode_Check(o)){
			p->slot = slot(t->type, o);
			if(p->slot == 0)
				return -1;
		}else{
			PyErr_SetString(PyExc_TypeError, "in a template bytes and names take turns");
			return -1;
		}
	}
	t->n = (n + 1) / 2;
	return 0;
}

static PyObject *
writer_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *names[] = {"templates", "other", "quote", "write", NULL};
	PyObject *dict, *other, *quote, *write, *cls, *tuple;
	Py_ssize_t pos = 0;
	Template *t;
	Writer *w;

	if(!PyArg_ParseTupleAndKeywords(args, kwds, "O!OOO:Writer", names, &PyDict_Type, &dict, &other, &quote, &write))
		return NULL;
	w = (Writer *)type->tp_alloc(type, 0);
	if(w == NULL)
		return NULL;
	w->other = Py_NewRef(other);
	w->quote = Py_NewRef(quote);
	w->write = Py_NewRef(write);
	w->templates = PyMem_Calloc(PyDict_Size(dict) + 1, sizeof(Template));
	if(w->templates == NULL){
		Py_DECREF(w);
		return PyErr_NoMemory();
	}
	while(PyDict_Next(dict, &pos, &cls, &tuple)){
		if(!PyType_Check(cls) || !(PyTuple_Check(tuple) || tuple == Py_None)){
			Py_DECREF(w);
			PyErr_SetString(PyExc_TypeError, "a template is a class and a tuple, or None");
			return NULL;
		}
		t = &w->templates[w->n++];
		t->type = (PyTypeObject *)Py_NewRef(cls);
		t->tuple = Py_NewRef(tuple);
		if(tuple != Py_None && compile(t) < 0){
			Py_DECREF(w);
			return NULL;
		}
	}
	return (PyObject *)w;
}

static int
writer_traverse(PyObject *self, visitproc visit, void *arg)
{
	Writer *w = (Writer *)self;
	Py_ssize_t i;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(w->other);
	Py_VISIT(w->quote);
	Py_VISIT(w->write);
	for(i = 0; i < w->n; i++)
		Py_VISIT(w->templates[i].type);
	return 0;
}

static int
writer_clear(PyObject *self)
{
	Writer *w = (Writer *)self;
	Py_ssize_t i, n = w->n;

	w->n = 0;
	for(i = 0; i < n; i++){
		Py_CLEAR(w->templates[i].type);
		Py_CLEAR(w->templates[i].tuple);
		PyMem_Free(w->templates[i].parts);
	}
	Py_CLEAR(w->other);
	Py_CLEAR(w->quote);
	Py_CLEAR(w->write);
	return 0;
}

static void
writer_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	Writer *w = (Writer *)self;

	PyObject_GC_UnTrack(self);
	writer_clear(self);
	PyMem_Free(w->templates);
	PyMem_Free(w->buf);
	type->tp_free(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"add", add, METH_O, "add(event)"},
	{"flush", flush, METH_NOARGS, "flush()"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, (void *)writer_new},
	{Py_tp_dealloc, (void *)writer_dealloc},
	{Py_tp_traverse, (void *)writer_traverse},
	{Py_tp_clear, (void *)writer_clear},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {
	"emu.observe._jsonl.Writer", sizeof(Writer), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots,
};

static int
fill(PyObject *m)
{
	return addtype(m, &spec);
}

MODULE(_jsonl, "Lines of JSON.", fill)
