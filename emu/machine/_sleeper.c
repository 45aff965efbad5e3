/*
 * A copy of this process that sleeps until it is woken, for emu/machine/sleeper.py.
 *
 * A page that is written costs the copy one of its own, and whatever Python does writes to some two hundred: so the
 * copy sleeps here. When it is woken it makes another copy, which goes back to Python, and sleeps on.
 */
#include "_module.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The descriptor that comes with the next byte; -1 at the end. */
static int
wakened(int fd)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {0};
	struct cmsghdr *c;
	ssize_t n;
	int got;

	for(;;){
		msg.msg_iov = &iov;
		msg.msg_iovlen = 1;
		msg.msg_control = room;
		msg.msg_controllen = sizeof room;
		n = recvmsg(fd, &msg, 0);
		if(n < 0 && errno == EINTR)
			continue;
		if(n <= 0)
			return -1;
		c = CMSG_FIRSTHDR(&msg);
		if(c == NULL || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(&got, CMSG_DATA(c), sizeof got);
		return got;
	}
}

/* In the copy: sleep, and in what comes of a call return its descriptor. */
static int
asleep(int fd)
{
	pid_t me = getpid();
	int got;

	signal(SIGCHLD, SIG_IGN);	/* nobody waits for those that were woken */
	for(;;){
		got = wakened(fd);
		if(got < 0)
			_exit(0);
		if(fork() == 0){
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			if(getppid() != me)
				_exit(0);
			signal(SIGCHLD, SIG_DFL);
			close(fd);
			return got;
		}
		close(got);
	}
}

static PyObject *
fall(PyObject *self, PyObject *args)
{
	Py_buffer others;
	Py_ssize_t n, i;
	sigset_t all, old;
	const int *fds;
	int fd, got, err;
	pid_t pid;

	(void)self;
	if(!PyArg_ParseTuple(args, "iy*", &fd, &others))
		return NULL;
	fds = others.buf;
	n = others.len / (Py_ssize_t)sizeof *fds;
	sigfillset(&all);
	PyOS_BeforeFork();
	sigprocmask(SIG_BLOCK, &all, &old);	/* no signal is a copy's: who has made it ends it */
	pid = fork();
	err = errno;
	if(pid == 0){
		for(i = 0; i < n; i++)
			close(fds[i]);
		got = asleep(fd);
		PyOS_AfterFork_Child();
		PyBuffer_Release(&others);
		return Py_BuildValue("ii", 0, got);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	PyOS_AfterFork_Parent();
	PyBuffer_Release(&others);
	if(pid < 0){
		errno = err;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	return Py_BuildValue("ii", (int)pid, -1);
}

static PyMethodDef methods[] = {
	{"fall", fall, METH_VARARGS, "fall(fd, others): a copy that sleeps; (pid, -1), and in who is woken (0, descriptor)."},
	{NULL, NULL, 0, NULL},
};

static int
fill(PyObject *m)
{
	return PyModule_AddFunctions(m, methods);
}

MODULE(_sleeper, "Copies of the process that sleep.", fill)
