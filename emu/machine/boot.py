"""From a machine just switched on to the program's first instruction, and what is known of its end.

The kernel's first process is init, made here (pid 1). The program is its child: the machine stops when init
has the child's wait record. Source: pc/main.c:userinit, port/initcode.c, cut down to that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from emu.failure import NOTFOUND, UNLOADABLE
from emu.machine import namespace, tree
from emu.machine.config import LoadError
from emu.machine.values import blobs, number, orelse, text, truth
from emu.program.aout import AoutError, load, script
from emu.program.aout import text as istext
from emu.program.find import resolve
from kernel.base.chandat import MBEFORE, Atodir
from kernel.base.dat import SG_STACK, SSEG, TSEG
from kernel.base.error import Error
from kernel.base.event import BootEvent
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, USTKSIZE, USTKTOP
from kernel.base.procdat import Proc, TReal, Waitmsg
from kernel.base.record import constant
from kernel.base.text import kbytes, kstr
from kernel.devices.devarch import Archdev
from kernel.devices.devcap import Capdev
from kernel.devices.devcons import Consdev, conschan
from kernel.devices.devcs import Csdev
from kernel.devices.devdup import Dupdev
from kernel.devices.devenv import Envdev
from kernel.devices.devhost import Hostdev, hostdev
from kernel.devices.devip import Ipdev
from kernel.devices.devmnt import Mntdev
from kernel.devices.devpipe import Pipedev
from kernel.devices.devproc import Procdev
from kernel.devices.devroot import Rootdev
from kernel.devices.devrtc import Rtcdev
from kernel.devices.devsd import Sddev
from kernel.devices.devsrv import Srvdev
from kernel.files.chan import namec
from kernel.files.channel import cclone, cclose, newpath
from kernel.files.pgrp import dupfgrp, newegrp, newpgrp, newrgrp
from kernel.memory.segment import newseg, segevent
from kernel.process.proc import pexit, pwait
from kernel.sched.newproc import kproc, newproc, startproc, touser
from kernel.sched.sched import ready
from kernel.sched.sleep import sleep
from kernel.syscalls.sysexec import exec_
from kernel.trap import kexit

if TYPE_CHECKING:
    from collections.abc import Callable

    from emu.machine.config import Config
    from emu.machine.journal import Journal
    from emu.machine.netconfig import Net
    from emu.machine.values import Value
    from kernel.base.hw import Disk
    from kernel.base.kernel import Kernel


class First:
    """The program's process: its name, its end, or why it did not start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.noteid = 0  # its note group, once it is there
        self.wait: Waitmsg | None = None
        self.loaderror: Exception | None = None


class Bare(Protocol):
    """What of a machine takes part in its boot. ``program``: name in the guest and host path of what runs."""

    kernel: Kernel
    config: Config
    program: tuple[str, str | None]
    journal: Journal | None

    @property
    def net(self) -> Net | None:
        """The network, None for nothing but the loopback."""

    @property
    def disk(self) -> Disk | None:
        """The swap device."""


@constant
class What:
    """What is run: its name, the guest's file to execute, and the host's file if it was taken from there.

    ``bundled``: that is one of the programs that come along.
    """

    name: str
    path: str
    argv: list[bytes]
    host: str | None = None
    bundled: bool = False


def _written(v: Value) -> What:
    name, path, argv, host, own = v
    return What(text(name), text(path), blobs(argv), orelse(text)(host), truth(own))


def _ask(journal: Journal | None, what: str, about: list[Value], call: Callable[[], What | None]) -> What | None:
    """What is run, as the host has it."""
    if journal is None:
        return call()

    def values() -> list[Value] | None:
        w = call()
        return [w.name, w.path, w.argv, w.host, w.bundled] if w is not None else None

    return orelse(_written)(journal.ask(what, about, values, _checked))


def _checked(v: Value) -> list[Value] | None:
    if v is not None:
        _written(v)
    return v  # type: ignore[no-any-return]


def boot(machine: Bare, program: str, args: list[bytes]) -> First:
    """Prepare the kernel so that its loop runs program. Raises LoadError if the file cannot be run."""
    k = machine.kernel
    config, journal = machine.config, machine.journal
    what = None
    if config.tree is None:
        what = _ask(journal, "program", [program, *args], lambda: _hostprogram(config, resolve(program), args))
    else:
        k.eve = tree.owner(config) if journal is None else journal.ask("tree", [], lambda: tree.owner(config), text)
    if k.sink is not None:
        conf = k.conf
        k.emit(BootEvent(0, 0, 0, len(k.machs), k.palloc.base, k.palloc.user, conf.nswap, conf.nimage))
    _devices(k, _disks(machine), machine.net)
    first = First(kstr(os.fsencode(os.path.basename(program))))

    def setup() -> What:
        if what is not None and what.host is not None:
            namespace.namespace(k, config, what.host, first.name, what.bundled, journal)
        else:
            tree.namespace(k, config, journal)
        _chdir(k, config.cwd if config.cwd is not None else tree.home(k))
        return what or _choose(k, config, program, args, journal)

    def init() -> None:
        up = k.up
        assert up is not None
        _firstgroups(k, up)
        try:
            what = setup()
        except (Error, LoadError) as e:
            first.loaderror = e if isinstance(e, LoadError) else LoadError(str(e), UNLOADABLE)
            k.halted = True
            pexit(k, None, True)
        machine.program = (what.name, _stillthere(machine, what))
        child = first.noteid = _child(k, up, first, what)
        while True:
            w = pwait(k)
            if w.pid == child:
                first.wait = w
                k.halted = True
                sleep(k, up.sleep, lambda: False)  # for good

    kproc(k, "init", init)
    return first


def _stillthere(machine: Bare, what: What) -> str | None:
    """The host's file, for its symbols; None where a journal gives back, and it has changed since."""
    journal = machine.journal
    if journal is None or what.host is None:
        return what.host
    from emu.machine.hostjournal import signature, unchanged

    host = what.host
    sig = journal.ask("symbols", [], lambda: signature(host), lambda v: (number(v[0]), number(v[1])))
    return host if not journal.replaying or unchanged(host, sig) else None


def _hostprogram(config: Config, path: str, args: list[bytes]) -> What:
    """A file of the host, to be shown in /bin. Raises LoadError if it cannot be run.

    With a tree, a text that names no interpreter is for rc.
    """
    name = kstr(os.fsencode(os.path.basename(path)))
    try:
        if config.tree is not None and istext(path):
            return What(name, f"/{tree.RC}", [b"rc", kbytes(f"/bin/{name}"), *args], path)
        if script(path) is None:
            load(path)
    except AoutError as e:
        raise LoadError(str(e), e.status) from None
    # as a shell does: what it finds in its path goes by its name, another by a name that leads to it
    bundled = namespace.bundled(path)
    argv0 = config.argv0 or (name if bundled else f"/bin/{name}")
    return What(name, f"/bin/{name}", [kbytes(argv0), *args], path, bundled)


def _choose(k: Kernel, config: Config, program: str, args: list[bytes], journal: Journal | None) -> What:
    """With a tree: its own file if the name is from the root, else a file of the host, else a command in its /bin.

    A text of the host's that names no interpreter is for rc. Raises LoadError.
    """
    word = kstr(os.fsencode(program))
    own = word.startswith("/") and namespace.isfile(k, word)

    def outside() -> What | None:
        return _hostprogram(config, program, args) if os.path.isfile(program) else None

    what = None if own else _ask(journal, "program", [program, *args], outside)
    if what is not None:
        namespace.addhost(k, f"/bin/{what.name}", program, journal)
        namespace.bindname(k, "#//bin", "/bin", MBEFORE)
        return what
    path = word if word.startswith(("/", "./", "../", "#")) else f"/bin/{word}"
    if not namespace.isfile(k, path):
        raise LoadError(f"{program}: no such command in the guest, and no file of the host", NOTFOUND)
    name = kstr(os.fsencode(os.path.basename(program)))
    return What(name, path, [os.fsencode(config.argv0 or program), *args])


def _disks(machine: Bare) -> dict[str, Disk]:
    if machine.disk is None:
        return {}
    if machine.journal is None:
        return {"swap": machine.disk}
    from emu.machine.hostjournal import JournalDisk

    return {"swap": JournalDisk(machine.journal, machine.disk, machine.config.swapfile is not None)}


def _devices(k: Kernel, disks: dict[str, Disk], net: Net | None) -> None:
    # A channel's type is its device's place in this table; devroot comes first.
    k.devtab += [Rootdev(k), Consdev(k), Dupdev(k), Envdev(k), Pipedev(k), Procdev(k), Srvdev(k)]
    k.devtab += [Sddev(k, disks), Mntdev(k), Hostdev(k)]
    if net is None or net.on:
        faults = net.faults if net is not None else None
        k.devtab += [Ipdev(k, faults), Csdev(k)]
    k.devtab += [Capdev(k), Rtcdev(k), Archdev(k)]


def _firstgroups(k: Kernel, up: Proc) -> None:
    """The groups and the root directory that every process inherits. Source: pc/main.c:init0."""
    up.user = k.eve
    up.pgrp = newpgrp(k)
    up.egrp = newegrp(k)
    up.fgrp = dupfgrp(k, None)
    up.rgrp = newrgrp(k)
    up.slash = namec(k, "#/", Atodir, 0)
    up.slash.path = newpath("/")
    up.dot = cclone(k, up.slash)


def _chdir(k: Kernel, cwd: str) -> None:
    up = current(k)
    if cwd == "/":
        return
    try:
        new = namec(k, cwd, Atodir, 0)
    except Error as e:
        raise LoadError(f"--cwd {cwd}: {e}", 2) from None
    assert up.dot is not None
    cclose(k, up.dot)
    up.dot = new


def _child(k: Kernel, up: Proc, first: First, what: What) -> int:
    """Fork off the program's process; its pid."""
    p = newproc(k)
    p.user = k.eve
    p.text = first.name
    p.pgrp, p.egrp, p.fgrp, p.rgrp = up.pgrp, up.egrp, up.fgrp, up.rgrp
    up.pgrp = up.egrp = up.fgrp = up.rgrp = None
    p.slash = up.slash
    p.dot, up.dot = up.dot, None
    p.parent = up
    p.parentpid = up.pid
    up.nchild += 1
    p.time[TReal] = k.machs[0].ticks
    p.procmode = 0o640

    def program() -> None:
        assert p.fgrp is not None and p.regs is not None
        p.insyscall = 1
        p.nerrlab = 1
        try:
            s = p.seg[SSEG] = newseg(k, SG_STACK, USTKTOP - USTKSIZE, USTKSIZE // BY2PG)
            if k.sink is not None:
                segevent(k, "attach", s, p=p, slot=SSEG)
            for fd in range(3):
                p.fgrp.fd[fd] = conschan(k, fd)
                p.fgrp.maxfd = fd
            p.regs.clear()
            p.regs.ax = exec_(k, kbytes(what.path), what.argv)
        except Error as e:
            first.loaderror = LoadError(f"{first.name}: {e}", UNLOADABLE)
            pexit(k, str(e), True)
        p.insyscall = 0
        p.nerrlab = 0
        kexit(k, p)
        touser(k)

    startproc(k, p, program)
    ready(k, p)
    return p.pid


def hostpath(machine: Bare, p: Proc) -> str | None:
    """Where on the host the text of p lies: the machine's own program, or a file of the host's that is shown."""
    s = p.seg[TSEG]
    c = s.image.c if s is not None and s.image is not None else None
    if c is None or c.path is None:
        return None
    host = hostdev(machine.kernel)
    if machine.kernel.devtab[c.type] is host:
        return host.where(c)
    return machine.program[1] if c.path.s == f"/bin/{machine.program[0]}" else None


def shutdown(machine: Bare) -> None:
    """Close what the devices hold of the host."""
    for d in machine.kernel.devtab:
        d.shutdown()
