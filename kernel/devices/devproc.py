"""Processes as files, ``#p``. Source: port/devproc.c.

    qid.path    31 ............ 5 4 .... 0      qid.vers  the pid
               | slot in table + 1 | file  |

A slot may have been given to another process since: whoever uses a channel compares the pid first.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMDIR, OREAD, OWRITE, QTDIR, QTFILE, UNKNOWN, Chan
from kernel.base.dat import TSEG, Qid
from kernel.base.error import (
    ERRMAX,
    Ebadarg,
    Ebadctl,
    Egreg,
    Einuse,
    Eisdir,
    Enochild,
    Enonexist,
    Enoreg,
    Eperm,
    Eprocdied,
    Error,
    Eshort,
    Eshortstat,
    Etoobig,
    Etoolong,
    Etoosmall,
)
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, KZERO, MASK32
from kernel.base.procdat import Dead, FPactive, NUser, Stopped
from kernel.base.text import cut, kbytes, kstr
from kernel.devices.parse import atoi
from kernel.devices.procctl import procctlreq
from kernel.devices.procinfo import STATSIZE, Mntwalk, arguments, descriptors, nextmount, segments, status
from kernel.devices.procmem import checkpid, kernelmem, procctlmemio, procstruct, profile
from kernel.files.channel import cclose
from kernel.files.conv import convM2D
from kernel.files.dev import (
    DEVDOTDOT,
    PIECE,
    Dev,
    devdir,
    devdirread,
    devopen,
    devstat,
    devwalk,
    iseve,
    openmode,
    readnum,
    readstr,
)
from kernel.process.proc import waittext
from kernel.process.ureg import UREG, packureg, setregisters
from kernel.sched.note import pgrpnote, postnote
from kernel.sched.qlock import canqlock, eqlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.sleep import sleep
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.devdat import Walkqid
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc
    from kernel.files.conv import Dir


(
    Qdir, Qtrace, Qargs, Qctl, Qfd, Qfpregs, Qkregs, Qmem, Qnote, Qnoteid, Qnotepg, Qns, Qppid, Qproc, Qregs, Qsegment,
    Qstatus, Qtext, Qwait, Qprofile, Qsyscall,
) = range(21)  # fmt: skip
FPSAVE: Final = 528  # sizeof(FPsave)

# name, file, length, permission; with permission 0 the process's own mode counts
procdir: Final = (
    ("args", Qargs, 0, 0o660),
    ("ctl", Qctl, 0, 0),
    ("fd", Qfd, 0, 0o444),
    ("fpregs", Qfpregs, FPSAVE, 0),
    ("kregs", Qkregs, UREG.size, 0o400),
    ("mem", Qmem, 0, 0),
    ("note", Qnote, 0, 0),
    ("noteid", Qnoteid, 0, 0o664),
    ("notepg", Qnotepg, 0, 0),
    ("ns", Qns, 0, 0o444),
    ("ppid", Qppid, 0, 0o444),
    ("proc", Qproc, 0, 0o400),
    ("regs", Qregs, UREG.size, 0),
    ("segment", Qsegment, 0, 0o444),
    ("status", Qstatus, STATSIZE, 0o444),
    ("text", Qtext, 0, 0),
    ("wait", Qwait, 0, 0o400),
    ("profile", Qprofile, 0, 0o400),
    ("syscall", Qsyscall, 0, 0o400),
)
QSHIFT: Final = 5
Nevents: Final = 0x4000
TRACEEVENT: Final = struct.Struct("<IIq")  # pid etype time


def file(q: Qid) -> int:
    """Which file a qid is. Source: port/devproc.c:QID."""
    return q.path & (1 << QSHIFT) - 1


class Procdev(Dev):
    """``tevents`` are what /proc/trace has not told yet. Source: port/devproc.c."""

    dc = "p"
    name = "proc"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.tevents: deque[bytes] = deque()
        self.topen = False

    def proc(self, c: Chan) -> Proc:
        """The process in c's slot of the table, whatever its pid is by now."""
        return self.k.procs.proctab[(c.qid.path >> QSHIFT) - 1]

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: port/devproc.c:procgen."""
        k = self.k
        if s == DEVDOTDOT:
            return devdir(k, c, Qid(Qdir, 0, QTDIR), "#p", 0, k.eve, 0o555)
        if c.qid.path == Qtrace or (c.qid.path == Qdir and s == 0):
            current(k).genbuf = "trace"
            return devdir(k, c, Qid(Qtrace, UNKNOWN, QTFILE), "trace", 0, k.eve, 0o444)
        if c.qid.path == Qdir:
            return self._procdir(c, name, s - 1)
        if s >= len(procdir):
            return -1
        text, q, length, perm = procdir[s]
        p = self.proc(c)
        perm = perm | p.procmode & 0o444 if perm else p.procmode
        # as in the original it is c that says which file this is, so a directory read shows 0
        if file(c.qid) == Qwait:
            length = len(p.waitq)
        elif file(c.qid) == Qprofile:
            length = len(profile(p.seg[TSEG]) or b"")
        path = c.qid.path & ~((1 << QSHIFT) - 1) | q
        return devdir(k, c, Qid(path, c.qid.vers, QTFILE), text, length, p.user, perm)

    def _procdir(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """The directory of the process in slot s, or of the one with that number."""
        k = self.k
        tab = k.procs.proctab
        if name is not None:
            # a name is the number as it is printed
            s = next((i for i, p in enumerate(tab) if p.pid != 0 and str(p.pid) == name), -1)
            if s < 0:
                return -1
        elif s >= k.conf.nproc:
            return -1
        if s >= len(tab) or tab[s].pid == 0:
            return 0
        p = tab[s]
        current(k).genbuf = str(p.pid)
        return devdir(k, c, Qid(s + 1 << QSHIFT, p.pid, QTDIR), str(p.pid), 0, p.user, DMDIR | 0o555)

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Source: port/devproc.c:procwalk."""
        return devwalk(self.k, c, nc, names, self.gen)

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devproc.c:procstat."""
        return devstat(self.k, c, n, self.gen)

    def nonone(self, p: Proc) -> None:
        """Raise Eperm if the current user is none, and p is another process. Source: port/devproc.c:nonone."""
        up = current(self.k)
        if p is not up and up.user == "none" and not iseve(self.k):
            raise Error(Eperm)

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: port/devproc.c:procopen."""
        k = self.k
        if c.qid.type & QTDIR:
            return devopen(k, c, omode, self.gen)
        if file(c.qid) == Qtrace:
            return self._opentrace(c, omode)
        p = self.proc(c)
        pid = c.qid.vers
        eqlock(k, p.debug)
        try:
            if p.pid != pid:
                raise Error(Eprocdied)
            omode = openmode(omode)
            if file(c.qid) == Qtext:
                if omode != OREAD:
                    raise Error(Eperm)
                tc = self._heldtext(c, p) if k.variant.fix_12fa017f3 else self._text(c, p)
                tc.offset = 0
            else:
                self._mayopen(c, p, omode)
                tc = devopen(k, c, omode, self.gen)
        except Error:
            qunlock(k, p.debug)
            raise
        qunlock(k, p.debug)
        if tc is not c:
            cclose(k, c)
        return tc

    def _opentrace(self, c: Chan, omode: int) -> Chan:
        """One reader at a time hears what the scheduler does with the processes that were marked for it."""
        if omode != OREAD:
            raise Error(Eperm)
        if self.topen:
            raise Error("already open")
        self.topen = True
        self.tevents.clear()
        self.k.procs.proctrace = self._traceevent
        c.mode = openmode(omode)
        c.flag |= Chan.COPEN
        c.offset = 0
        return c

    def _traceevent(self, p: Proc, etype: int) -> None:
        """Source: port/devproc.c:_proctrace."""
        if p.trace and len(self.tevents) < Nevents:
            self.tevents.append(TRACEEVENT.pack(p.pid, etype, self.k.nsec()))

    def _mayopen(self, c: Chan, p: Proc, omode: int) -> None:
        """Raise Eperm unless p and the file let themselves be opened so; prepare c."""
        q = file(c.qid)
        if q in (Qproc, Qkregs, Qsegment, Qprofile, Qfd, Qns) and omode != OREAD:
            raise Error(Eperm)
        if q in (Qnote, Qmem, Qctl) and p.privatemem:
            raise Error(Eperm)
        if q in (Qmem, Qctl, Qargs, Qnoteid, Qstatus, Qwait, Qregs, Qfpregs, Qsyscall, Qppid, Qnotepg):
            self.nonone(p)
        if q == Qns:
            c.aux = Mntwalk()
        elif q == Qnotepg:
            if p.pgrp is None:
                raise Error(Eprocdied)
            if omode != OWRITE:
                raise Error(Eperm)
            c.aux = p.noteid  # the group it is now

    def _text(self, c: Chan, p: Proc) -> Chan:
        """The channel that p's text is read from, as long as it is the image's own. Source: port/devproc.c:proctext."""
        k = self.k
        s = p.seg[TSEG]
        if s is None:
            raise Error(Enonexist)
        i = s.image
        if p.state == Dead or i is None:
            raise Error(Eprocdied)
        lock(k, i)
        tc = i.c
        if i.s is not s or tc is None:
            unlock(k, i)
            raise Error(Eprocdied)
        if incref(k, tc) == 1 or not tc.flag & Chan.COPEN or tc.mode != OREAD or p.pid != c.qid.vers:
            unlock(k, i)
            cclose(k, tc)
            raise Error(Eprocdied)
        unlock(k, i)
        return tc

    def _heldtext(self, c: Chan, p: Proc) -> Chan:
        """proctext() since 12fa017f3, with the process's segments locked."""
        k = self.k
        eqlock(k, p.seglock)
        try:
            checkpid(p, c.qid.vers)
            s = p.seg[TSEG]
            i = s.image if s is not None else None
            if i is None:
                raise Error(Enonexist)
            lock(k, i)
            tc = i.c
            if i.notext or tc is None or not tc.flag & Chan.COPEN or tc.mode != OREAD:
                unlock(k, i)
                raise Error(Enonexist)
            incref(k, tc)
            unlock(k, i)
        except Error:
            qunlock(k, p.seglock)
            raise
        qunlock(k, p.seglock)
        return tc

    def wstat(self, c: Chan, data: bytes) -> int:
        """Change the mode or the owner of a process. Source: port/devproc.c:procwstat."""
        k = self.k
        if c.qid.type & QTDIR or file(c.qid) == Qtrace:
            raise Error(Eperm)
        p = self.proc(c)
        up = current(k)
        self.nonone(p)
        eqlock(k, p.debug)
        try:
            if p.pid != c.qid.vers:
                raise Error(Eprocdied)
            if up.user not in (p.user, k.eve):
                raise Error(Eperm)
            m = convM2D(data)
            if m is None:
                raise Error(Eshortstat)
            d, n = m
            if d.uid and d.uid != p.user:
                if up.user != k.eve:
                    raise Error(Eperm)
                if len(kbytes(d.uid)) >= 128:
                    raise Error(Etoolong)
                p.user = d.uid
            if d.mode != UNKNOWN:
                p.procmode = d.mode & 0o777
        except Error:
            qunlock(k, p.debug)
            raise
        qunlock(k, p.debug)
        return n

    def close(self, c: Chan) -> None:
        """Source: port/devproc.c:procclose."""
        if file(c.qid) == Qtrace and c.flag & Chan.COPEN:
            self.topen = False
            self.k.procs.proctrace = None
            self.tevents.clear()

    # Reading

    def stores(self, c: Chan) -> str:
        """Where the store is not memmove."""
        return {Qwait: "snprint", Qns: "snprint"}.get(file(c.qid), super().stores(c))

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devproc.c:procread."""
        k = self.k
        if c.qid.type & QTDIR:
            return devdirread(k, c, n, self.gen)
        q = file(c.qid)
        if q == Qtrace:
            return b"".join(self.tevents.popleft() for _ in range(min(len(self.tevents), n // TRACEEVENT.size)))
        p = self.proc(c)
        if p.pid != c.qid.vers:
            raise Error(Eprocdied)

        if q == Qmem:
            if offset & MASK32 < KZERO:
                return procctlmemio(k, p, offset & MASK32, n, None, c.qid.vers)
            return kernelmem(k, offset & MASK32, n)
        if q == Qnote:
            return self._readnote(c, p, n)
        if q == Qwait:
            return self._readwait(c, p, n)
        if q == Qns:
            return self._readns(c, p, n)
        if q == Qfd:
            return descriptors(k, p, n, offset & MASK32)
        if q == Qsegment:
            text = segments(p)
            if n == 0 and offset == 0 and text:
                raise Error("no free segments")  # for want of room, not of segments
            return readstr(offset, n, text)
        return readstr(offset, n, self._content(p, q))

    def _content(self, p: Proc, q: int) -> bytes:
        """The whole of a file that is one text or structure."""
        k = self.k
        if q == Qstatus:
            return status(k, p)
        if q == Qnoteid:
            return readnum(p.noteid)
        if q == Qppid:
            return readnum(p.parentpid)
        if q == Qproc:
            return procstruct(k, p)
        if q == Qregs:
            if p.regs is None or p.trapno < 0:
                raise Error(Enoreg)
            return packureg(p)
        if q == Qkregs:
            # the kernel's stack is not in the machine's memory: there are no registers of it
            return bytes(UREG.size)
        if q == Qfpregs:
            if p.fpstate & FPactive and p.regs is not None:
                p.fpsave[:512] = p.regs.fpsave()
            return bytes(p.fpsave)
        if q == Qprofile:
            counters = profile(p.seg[TSEG])
            if counters is None:
                raise Error("profile is off")
            return counters
        if q in (Qargs, Qsyscall):
            eqlock(k, p.debug)
            text = arguments(p) if q == Qargs else p.syscalltrace or b""
            qunlock(k, p.debug)
            return text
        raise Error(Egreg)

    def _readnote(self, c: Chan, p: Proc, n: int) -> bytes:
        """Take the first note that waits."""
        k = self.k
        eqlock(k, p.debug)
        try:
            if p.pid != c.qid.vers:
                raise Error(Eprocdied)
            if n < 1:  # there must be room for the NUL
                raise Error(Etoosmall)
        except Error:
            qunlock(k, p.debug)
            raise
        data = b""
        if p.note:
            data = kbytes(p.note.pop(0).msg)[: n - 1] + b"\0"
        if not p.note:
            p.notepending = 0
        qunlock(k, p.debug)
        return data

    def _readwait(self, c: Chan, p: Proc, n: int) -> bytes:
        """Take a wait record from p, waiting for one."""
        k = self.k
        pid = c.qid.vers
        if not canqlock(k, p.qwaitr):
            raise Error(Einuse)
        try:
            lock(k, p.exl)
            while not p.waitq and p.pid == pid:
                if p is k.up and p.nchild == 0:
                    unlock(k, p.exl)
                    raise Error(Enochild)
                unlock(k, p.exl)
                sleep(k, p.waitr, lambda: p.pid != pid or bool(p.waitq))
                lock(k, p.exl)
            if p.pid != pid:
                unlock(k, p.exl)
                raise Error(Eprocdied)
            w = p.waitq.pop(0)
            unlock(k, p.exl)
        except Error:
            qunlock(k, p.qwaitr)
            raise
        qunlock(k, p.qwaitr)
        return waittext(k, w, n)

    def _readns(self, c: Chan, p: Proc, n: int) -> bytes:
        """One line of the name space for each read."""
        k = self.k
        eqlock(k, p.debug)
        if p.pgrp is None or p.dot is None or p.pid != c.qid.vers:
            qunlock(k, p.debug)
            raise Error(Eprocdied)
        line = nextmount(k, c.aux, p)
        qunlock(k, p.debug)
        return kbytes(cut(line, n))

    # Writing

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devproc.c:procwrite."""
        k = self.k
        if c.qid.type & QTDIR:
            raise Error(Eisdir)
        q = file(c.qid)
        n = len(data)
        if q == Qnotepg:
            if n >= ERRMAX - 1:
                raise Error(Etoobig)
            pgrpnote(k, c.aux, kstr(data[0:n].partition(b"\0")[0]), NUser)
            return n
        p = self.proc(c)
        eqlock(k, p.debug)
        try:
            if p.pid != c.qid.vers:
                raise Error(Eprocdied)
            n = self._write(p, q, data, offset, c.qid.vers)
        except Error:
            qunlock(k, p.debug)
            raise
        qunlock(k, p.debug)
        return n

    def _write(self, p: Proc, q: int, data: Data, offset: int, pid: int) -> int:
        """The same, of process p, whose debug lock is held."""
        k = self.k
        n = len(data)
        if q == Qargs:
            if n == 0:
                raise Error(Eshort)
            if n >= ERRMAX:
                raise Error(Etoobig)
            p.args = data[0:n].removesuffix(b"\0") + b"\0"
            p.setargs = True
        elif q == Qmem:
            if p.state != Stopped:
                raise Error(Ebadctl)
            return len(procctlmemio(k, p, offset & MASK32, n, data[0 : min(n, BY2PG)], pid))
        elif q == Qregs:
            n = max(min(n, UREG.size - (offset & MASK32)), 0)
            if p.regs is None or p.trapno < 0:
                raise Error(Enoreg)
            setregisters(p, offset & MASK32, data[0:n])
        elif q == Qfpregs:
            offset &= MASK32
            n = max(min(n, FPSAVE - offset), 0)
            self._content(p, Qfpregs)
            p.fpsave[offset : offset + n] = data[0:n]
            if p.fpstate & FPactive and p.regs is not None:
                p.regs.fprestore(bytes(p.fpsave[:512]))
        elif q == Qctl:
            if n > PIECE:  # the original copies it into its own memory, whatever its size
                raise Error(Etoobig)
            procctlreq(k, p, data[0:n])
        elif q == Qnote:
            if p.kp:
                raise Error(Eperm)
            if n >= ERRMAX - 1:
                raise Error(Etoobig)
            if not postnote(k, p, 0, kstr(data[0:n].partition(b"\0")[0]), NUser):
                raise Error("note not posted")
        elif q == Qnoteid:
            self._noteid(p, atoi(kstr(data[0 : min(n, 64)])))
        else:
            k.print("unknown qid in procwrite\n")
            raise Error(Egreg)
        return n

    def _noteid(self, p: Proc, id: int) -> None:
        """Give p a note group of its own, or that of a process of the same user."""
        if p.kp:
            raise Error(Eperm)
        if id <= 0:
            raise Error(Ebadarg)
        if id != p.pid:
            t = next((t for t in self.k.procs.proctab if t.state != Dead and not t.kp and t.noteid == id), None)
            if t is not None:
                self.nonone(t)
                if p.user != t.user:
                    raise Error(Eperm)
            elif p.noteid != id:
                raise Error(Ebadarg)
        p.noteid = id
