"""A kernel on plain memory that runs Python functions as processes: the file part without a CPU.

:class:`Rig` has a booted name space and a console in memory. ``@rig.run`` runs a function at once as a process
with a megabyte of user memory; system calls made through :meth:`Rig.call` go through that memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from greenlet import GreenletExit

from kernel.base.chandat import MCREATE, MREPL, OREAD, Abind, Amount, Atodir, Chan
from kernel.base.dat import BSEG, SG_BSS, Conf
from kernel.base.error import Error, Exited
from kernel.base.kernel import Args, Kernel
from kernel.base.mem import BY2PG, MB
from kernel.base.procdat import Mach, Proc
from kernel.base.text import kbytes
from kernel.devices.devcons import Consdev, conschan
from kernel.devices.devdup import Dupdev
from kernel.devices.devenv import Envdev
from kernel.devices.devhost import Hostdev
from kernel.devices.devmnt import Mntdev
from kernel.devices.devpipe import Pipedev
from kernel.devices.devroot import Rootdev
from kernel.files.chan import namec
from kernel.files.channel import cclone, cmount, newpath
from kernel.files.conv import Dir, convM2D, direntries, packdir
from kernel.files.dev import Dev
from kernel.files.pgrp import dupfgrp, newegrp, newpgrp, newrgrp
from kernel.main import newkernel
from kernel.memory.segment import newseg
from kernel.memory.uaccess import ufetch, ustore
from kernel.memory.vmap import machpdb
from kernel.sched.dispatch import dispatch
from kernel.sched.newproc import kproc, unwind
from kernel.syscalls import sysfile
from tests.kernel.plain import PlainCpu, PlainMemory

UBASE = 0x10000
BUF = UBASE + 0x40000  # where calls put what they read
BUFSIZE = 0x80000


class FakeConsole:
    """Streams in memory."""

    def __init__(self) -> None:
        self.input = bytearray()
        self.output: list[tuple[int, bytes]] = []
        self.israw = False

    def read(self, n: int) -> bytes:
        data = bytes(self.input[:n])
        del self.input[:n]
        return data

    def write(self, fd: int, data: bytes) -> None:
        self.output.append((fd, data))

    def raw(self, on: bool) -> None:
        self.israw = on

    def text(self, fd: int) -> bytes:
        """All that went to one stream."""
        return b"".join(data for f, data in self.output if f == fd)


def newrig() -> Iterator[Rig]:
    """Body of a fixture: a rig, shut down after the test."""
    r = Rig()
    yield r
    r.shutdown()


def err(f: Callable[..., object], *args: object) -> str:
    """The error f ends with."""
    try:
        f(*args)
    except Error as e:
        return str(e)
    raise AssertionError("no error")


class Blocked(Exception):
    """Every process waits for another."""


class Rig:
    """One kernel with its devices."""

    def __init__(self) -> None:
        mem = PlainMemory(16 * MB)
        conf = Conf(npage=15 * MB // BY2PG, upages=8 * MB // BY2PG, nproc=100, nswap=100)
        self.k = k = newkernel(conf, mem)
        m = Mach(0, PlainCpu(), machpdb(k, 0))
        k.machs.append(m)
        k.m = m
        self.console = k.console = FakeConsole()
        self.host = Hostdev(k)
        self.root = Rootdev(k)
        devs: list[Dev] = [self.root, Consdev(k), Dupdev(k), Envdev(k), Pipedev(k), Mntdev(k), self.host]
        k.devtab += devs
        self.scratch = UBASE

    def shutdown(self) -> None:
        """Give everything back. Of a kernel with stacks that are left nothing is ever garbage."""
        unwind(self.k)
        for d in self.k.devtab:
            d.shutdown()

    # Processes

    def spawn(self, body: Callable[[], object], parent: Proc | None = None) -> Proc:
        """A process that runs body; with a parent it shares its name space and has a copy of its descriptors."""
        k = self.k

        def main() -> None:
            up = k.up
            assert up is not None
            up.seg[BSEG] = newseg(k, SG_BSS, UBASE, MB // BY2PG)
            body()

        p = kproc(k, "test", main)
        p.procmode = 0o640
        p.rgrp = newrgrp(k)
        p.egrp = newegrp(k)
        if parent is not None:
            p.pgrp, p.slash = parent.pgrp, parent.slash
            assert parent.pgrp is not None and parent.slash is not None
            parent.pgrp.ref += 1
            p.fgrp = dupfgrp(k, parent.fgrp)
            p.dot = parent.dot
            assert p.dot is not None
            p.dot.ref += 1
            return p
        p.pgrp = newpgrp(k)
        p.fgrp = dupfgrp(k, None)
        old, k.up = k.up, p
        p.slash = namec(k, "#/", Atodir)
        p.slash.path = newpath("/")
        p.dot = cclone(k, p.slash)
        for dev, at, flag in (("#c", "/dev", 0), ("#d", "/fd", 0), ("#e", "/env", MCREATE)):
            self.mount(namec(k, dev, Abind), at, MREPL | flag)
        for fd in range(3):
            p.fgrp.fd[fd] = conschan(k, fd)
        p.fgrp.maxfd = 2
        k.up = old
        return p

    def settle(self) -> None:
        """Run all processes until none can go on."""
        k = self.k
        m = k.m
        m.until = 1 << 62
        while k.procs.runvec or m.proc is not None:
            dispatch(k, m)

    def run(self, body: Callable[[], None]) -> None:
        """Run body as a process to its end; what it raises is raised here."""
        done: list[BaseException | None] = []

        def main() -> None:
            try:
                body()
                done.append(None)
            except (Exited, GreenletExit):
                raise
            except BaseException as e:  # noqa: BLE001 - pytest's own too
                done.append(e)

        self.spawn(main)
        self.settle()
        if not done:
            raise Blocked
        if done[0] is not None:
            raise done[0]

    @property
    def up(self) -> Proc:
        """The current process."""
        assert self.k.up is not None
        return self.k.up

    def mount(self, new: Chan, old: str, flag: int = MREPL) -> None:
        """Mount upon a name."""
        cmount(self.k, new, namec(self.k, old, Amount), flag, None)

    # System calls

    def call(self, fn: Callable[[Kernel, Args], int], *args: int | str | bytes) -> int:
        """Make a system call; strings and bytes are put into user memory first."""
        self.scratch = UBASE
        words = []
        for a in args:
            if not isinstance(a, int):
                data = kbytes(a) + b"\0" if isinstance(a, str) else a
                ustore(self.k, self.scratch, data)
                words.append(self.scratch)
                self.scratch += len(data) + 15 & ~15
            else:
                words.append(a & 0xFFFFFFFF)
        return fn(self.k, tuple([*words, 0, 0, 0, 0, 0][:5]))

    def open(self, name: str, mode: int = OREAD) -> int:
        return self.call(sysfile.sysopen, name, mode)

    def create(self, name: str, mode: int, perm: int = 0o666) -> int:
        return self.call(sysfile.syscreate, name, mode, perm)

    def close(self, fd: int) -> None:
        self.call(sysfile.sysclose, fd)

    def pread(self, fd: int, n: int, off: int = -1) -> bytes:
        assert n <= BUFSIZE
        got = self.call(sysfile.syspread, fd, BUF, n, off, off >> 32)
        return ufetch(self.k, BUF, got)

    def pwrite(self, fd: int, data: bytes, off: int = -1) -> int:
        ustore(self.k, BUF, data)
        return self.call(sysfile.syspwrite, fd, BUF, len(data), off, off >> 32)

    def seek(self, fd: int, off: int, whence: int) -> int:
        self.call(sysfile.sysseek, BUF, fd, off, off >> 32, whence)
        return int(struct.unpack("<q", ufetch(self.k, BUF, 8))[0])

    def pipe(self) -> tuple[int, int]:
        self.call(sysfile.syspipe, BUF)
        a, b = struct.unpack("<ii", ufetch(self.k, BUF, 8))
        return a, b

    def stat(self, what: str | int, n: int = 1024) -> Dir:
        fn = sysfile.sysfstat if isinstance(what, int) else sysfile.sysstat
        d = convM2D(ufetch(self.k, BUF, self.call(fn, what, BUF, n)))
        assert d is not None
        return d[0]

    def wstat(self, what: str | int, d: Dir) -> int:
        b = packdir(d)
        fn = sysfile.sysfwstat if isinstance(what, int) else sysfile.syswstat
        return self.call(fn, what, b, len(b))

    def remove(self, name: str) -> None:
        self.call(sysfile.sysremove, name)

    def slurp(self, name: str) -> bytes:
        """All of a file."""
        fd = self.open(name)
        out = b""
        while data := self.pread(fd, 8192):
            out += data
        self.close(fd)
        return out

    def ls(self, name: str) -> list[str]:
        """The names in a directory."""
        return [d.name for d in self.dirs(name)]

    def dirs(self, name: str, n: int = 8192) -> list[Dir]:
        """The entries of a directory, read n bytes at a time."""
        fd = self.open(name)
        out = []
        while data := self.pread(fd, n):
            for e in direntries(data):
                d = convM2D(e)
                assert d is not None
                out.append(d[0])
        self.close(fd)
        return out
