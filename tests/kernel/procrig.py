"""A rig with /proc and /srv, whose processes are users' as far as those can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kernel.base.chandat import MCREATE, MREPL, OWRITE, Abind
from kernel.base.dat import SG_RONLY, SG_TEXT, TSEG, Segment
from kernel.base.error import Error
from kernel.base.procdat import NUser, Proc, Proc_stopme, Stopped
from kernel.devices.devproc import Procdev
from kernel.devices.devsrv import Srvdev
from kernel.files.chan import namec
from kernel.memory.segment import attachimage
from kernel.process.notify import notify
from kernel.sched.note import postnote
from kernel.sched.sched import sched
from kernel.sched.sleep import sleep
from kernel.sched.taslock import unlock
from tests.kernel.fakes import Rig

CODE = 0x1000  # where a text segment lies


def newprocrig() -> Iterator[ProcRig]:
    """Body of a fixture."""
    r = ProcRig()
    yield r
    r.shutdown()


class ProcRig(Rig):
    """``dev`` is #p, ``srv`` #s."""

    def __init__(self) -> None:
        super().__init__()
        self.dev = Procdev(self.k)
        self.srv = Srvdev(self.k)
        self.k.devtab += [self.dev, self.srv]

    def spawn(self, body: Callable[[], object], parent: Proc | None = None) -> Proc:
        p = super().spawn(body, parent)
        p.kp = False
        p.psstate = None
        if parent is None:
            old, self.k.up = self.k.up, p
            self.mount(namec(self.k, "#p", Abind), "/proc", MREPL)
            self.mount(namec(self.k, "#s", Abind), "/srv", MREPL | MCREATE)
            self.k.up = old
        return p

    def target(self) -> Proc:
        """A process that waits for nothing, and comes by the end of a system call whenever a note wakes it."""
        k = self.k

        def body() -> None:
            up = self.up
            up.trapno = 64
            while True:
                try:
                    sleep(k, up.sleep, lambda: False)
                except Error:
                    pass
                notify(k, up)

        p = self.spawn(body, self.up)
        self.others()
        return p

    def stop(self, p: Proc) -> None:
        """Have p stop: it is asked to, and woken."""
        p.procctl = Proc_stopme
        postnote(self.k, p, 1, None, NUser)
        self.others()
        assert p.state == Stopped

    def others(self) -> None:
        """Let all others run until they wait."""
        k = self.k
        while k.procs.runvec:
            sched(k)

    def text(self, p: Proc, data: bytes) -> Segment:
        """Give p a text segment of one page from a file of these bytes."""
        k = self.k
        fd = self.create("/tmp/prog", OWRITE, 0o777)
        self.pwrite(fd, data)
        self.close(fd)
        fgrp = self.up.fgrp
        assert fgrp is not None
        fd = self.open("/tmp/prog")
        c = fgrp.fd[fd]
        assert c is not None
        i = attachimage(k, SG_TEXT | SG_RONLY, c, CODE, 1)
        s = i.s
        assert s is not None
        unlock(k, i)
        s.flushme = True
        s.flen = len(data)
        p.seg[TSEG] = s
        self.close(fd)
        return s

    def ctl(self, p: Proc, request: str | bytes) -> None:
        """Write to a process's ctl file."""
        self.echo(f"/proc/{p.pid}/ctl", request)

    def echo(self, name: str, text: str | bytes) -> None:
        """Write to a file."""
        fd = self.open(name, OWRITE)
        try:
            self.pwrite(fd, text.encode() if isinstance(text, str) else text)
        finally:
            self.close(fd)
