"""From a machine just switched on to the program's first instruction, and what is known of its end.

The kernel's first process is init, made here (pid 1). The program is its child: the machine stops when init
has the child's wait record. Source: pc/main.c:userinit, port/initcode.c, cut down to that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from emu.machine.changes import forgotten, kept
from emu.machine.config import LoadError
from emu.program.aout import AoutError, load, script
from emu.program.find import resolve
from kernel.base.chandat import MAFTER, MBEFORE, MCREATE, MREPL, ORDWR, Abind, Amount, Aopen, Atodir, Chan
from kernel.base.dat import SG_STACK, SSEG, TSEG
from kernel.base.error import Error
from kernel.base.mem import BY2PG, USTKSIZE, USTKTOP
from kernel.base.procdat import Proc, TReal, Waitmsg
from kernel.base.text import kbytes, kstr
from kernel.devices.devcons import Consdev, conschan
from kernel.devices.devdup import Dupdev
from kernel.devices.devenv import Envdev, ksetenv
from kernel.devices.devhost import Hostdev, hostdev
from kernel.devices.devmnt import Mntdev
from kernel.devices.devpipe import Pipedev
from kernel.devices.devproc import Procdev
from kernel.devices.devroot import Rootdev
from kernel.devices.devsd import Sddev
from kernel.devices.devsrv import Srvdev
from kernel.devices.hostfile import hosterror
from kernel.files.chan import namec
from kernel.files.channel import cclone, cclose, cmount, newpath
from kernel.files.pgrp import dupfgrp, newegrp, newpgrp, newrgrp
from kernel.memory.segment import newseg
from kernel.memory.swap import setswapchan
from kernel.process.proc import pexit, pwait
from kernel.sched.newproc import kproc, newproc, startproc, touser
from kernel.sched.sched import ready
from kernel.sched.sleep import sleep
from kernel.syscalls.sysexec import exec_
from kernel.trap import kexit

if TYPE_CHECKING:
    from emu.machine.config import Config, Root
    from kernel.base.hw import Disk
    from kernel.base.kernel import Kernel
    from kernel.devices.upper import Changes

DEVICES: Final = (
    ("#c", "/dev", MREPL),
    ("#d", "/fd", MREPL),
    ("#e", "/env", MREPL | MCREATE),
    ("#p", "/proc", MREPL),
    ("#s", "/srv", MREPL | MCREATE),
)


# What termrc(8) and the installation leave: the system's name, and the network database, which knows no other system.
SYSNAME: Final = "p9emu"
NDB: Final = (
    ("/lib/ndb/common", b"# nothing is common to all networks here\n"),
    ("/lib/ndb/local", f"sys={SYSNAME}\n".encode()),
)

# What the kernel, init(8) and rc(1) leave in /env before anything else runs. Source: pc/main.c:init0, cmd/init.c,
# rc/lib/rcmain. A list's elements end in NUL.
KENV: Final = (
    ("terminal", "generic p9emu"),
    ("cputype", "386"),
    ("objtype", "386"),
    ("service", "terminal"),
    ("sysname", SYSNAME),
    ("user", "eve"),
    ("home", "/usr/eve"),
    ("path", ".\0/bin\0"),
)


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
    program: tuple[str, str]

    @property
    def disk(self) -> Disk | None:
        """The swap device."""


def boot(machine: Bare, program: str, args: list[bytes]) -> First:
    """Prepare the kernel so that its loop runs program. Raises LoadError if the file cannot be run."""
    path = resolve(program)
    try:
        if script(path) is None:
            load(path)
    except AoutError as e:
        raise LoadError(str(e), e.status) from None

    k = machine.kernel
    _devices(k, {"swap": machine.disk} if machine.disk is not None else {})
    first = First(kstr(os.fsencode(os.path.basename(path))))
    machine.program = (first.name, path)

    def init() -> None:
        up = k.up
        assert up is not None
        _firstgroups(k, up)
        try:
            first.loaderror = _namespace(k, machine, path, first.name)
        except Error as e:
            first.loaderror = LoadError(str(e), 126)
        if first.loaderror is not None:
            k.halted = True
            pexit(k, None, True)
        # as a shell does: what it finds in its path goes by its name, another by a name that leads to it
        argv0 = machine.config.argv0 or (first.name if _bundled(path) else f"/bin/{first.name}")
        child = first.noteid = _child(k, up, first, [kbytes(argv0), *args], machine.config.cwd)
        while True:
            w = pwait(k)
            if w.pid == child:
                first.wait = w
                k.halted = True
                sleep(k, up.sleep, lambda: False)  # for good

    kproc(k, "init", init)
    return first


def _devices(k: Kernel, disks: dict[str, Disk]) -> None:
    # A channel's type is its device's place in this table; devroot comes first.
    k.devtab += [Rootdev(k), Consdev(k), Dupdev(k), Envdev(k), Pipedev(k), Procdev(k), Srvdev(k)]
    k.devtab += [Sddev(k, disks), Mntdev(k), Hostdev(k)]


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


def _bind(k: Kernel, new: Chan, old: str, flag: int) -> None:
    cmount(k, new, namec(k, old, Amount, 0), flag, None)


def _bundled(path: str) -> bool:
    """Whether a host file is one of the programs that come with p9emu."""
    import guest

    return os.path.dirname(os.path.abspath(path)) == str(guest.path("true").parent)


def _namespace(k: Kernel, machine: Bare, path: str, name: str) -> Exception | None:
    """What the program sees: devices, the bundled guests and itself in /bin, and the host's directories.

    The result is what is wrong with a --bind.
    """
    import guest

    k.files.sysname = SYSNAME
    root = k.devtab[0]
    host = k.devtab[-1]
    assert isinstance(root, Rootdev) and isinstance(host, Hostdev)
    for at, text in NDB:
        root.addfile(at, text)
    if machine.config.root is not None:
        try:
            dir = _hostroot(k, machine.config.root, host)
        except LoadError as e:
            return e
        except Error as e:
            return LoadError(f"--root {machine.config.root.host}: {e}", 2)
    for dev, at, flag in DEVICES:
        try:
            _bind(k, namec(k, dev, Abind, 0), at, flag)
        except Error as e:
            if machine.config.root is None:
                raise
            return LoadError(f"--root {machine.config.root.host}: {at}: {e}", 2)
    guests = str(guest.path("true").parent)
    if machine.config.root is not None or not _bundled(path):
        root.addhost(f"/bin/{name}", path)
    _bind(k, host.bind(guests, False), "/bin", MAFTER)
    for b in machine.config.binds:
        try:
            _mountpoint(k, root, b.guest)
            new = host.bind(b.host, b.writable, _forgotten() if b.cow else None, b.through)
            _bind(k, new, b.guest, MREPL | (MCREATE if b.writable or b.cow else 0))
        except Error as e:
            return LoadError(f"--bind {b.host}:{b.guest}: {e}", 2)
    if machine.config.root is not None:
        root.hide(lambda name: _has(host, dir, name))
    if machine.disk is not None:
        setswapchan(k, namec(k, "#S/swap", Aopen, ORDWR))
    for var, value in (*KENV, *machine.config.env):
        ksetenv(k, var, value)
    return None


def _hostroot(k: Kernel, dir: Root, host: Hostdev) -> Chan:
    """Make a directory of the host, which is returned, the root, before ``#/`` with the mount points it may miss.

    /bin begins with the program, and has what lib/namespace binds there; /tmp is writable in any case.
    Raises Error, LoadError.
    """
    changes = None
    if dir.changes is not None:
        changes = kept(dir.changes, dir.host)
    elif dir.cow:
        changes = _forgotten()
    writable = dir.writable or changes is not None
    c = host.bind(dir.host, dir.writable, changes)
    _bind(k, c, "/", MBEFORE | (MCREATE if writable else 0))
    _bind(k, namec(k, "#//bin", Abind, 0), "/bin", MBEFORE)
    for name in ("/386/bin", "/rc/bin"):
        if _there(k, name):
            _bind(k, namec(k, name, Abind, 0), "/bin", MAFTER)
    if not writable:
        _bind(k, namec(k, "#//tmp", Abind, 0), "/tmp", MREPL | MCREATE)
    return c


def _forgotten() -> Changes:
    try:
        return forgotten()
    except OSError as e:
        raise hosterror(e) from None


def _has(host: Hostdev, c: Chan, name: str) -> bool:
    """Whether the directory c has a file of that name."""
    try:
        return host.walk(c, None, [name]).clone is not None
    except Error:
        return False


def _there(k: Kernel, path: str) -> bool:
    """Whether that is a directory."""
    try:
        cclose(k, namec(k, path, Atodir, 0))
    except Error:
        return False
    return True


def _mountpoint(k: Kernel, root: Rootdev, path: str) -> None:
    """See to it that there is a directory to bind upon: in ``#/``, and where the root is the host's, below that."""
    root.mkdir(path)
    names = [n for n in path.split("/") if n not in ("", ".")]
    for i in range(1, len(names) + 1):
        if not _there(k, "/" + "/".join(names[:i])):
            above = "/" + "/".join(names[: i - 1])
            _bind(k, namec(k, "#/" + above, Abind, 0), above, MAFTER)


def _child(k: Kernel, up: Proc, first: First, argv: list[bytes], cwd: str) -> int:
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
            p.seg[SSEG] = newseg(k, SG_STACK, USTKTOP - USTKSIZE, USTKSIZE // BY2PG)
            for fd in range(3):
                p.fgrp.fd[fd] = conschan(k, fd)
                p.fgrp.maxfd = fd
            _chdir(k, p, first, cwd)
            path = f"/bin/{first.name}"
            p.regs.clear()
            p.regs.ax = exec_(k, kbytes(path), argv)
        except Error as e:
            first.loaderror = first.loaderror or LoadError(f"{first.name}: {e}", 126)
            pexit(k, str(e), True)
        p.insyscall = 0
        p.nerrlab = 0
        kexit(k, p)
        touser(k)

    startproc(k, p, program)
    ready(k, p)
    return p.pid


def _chdir(k: Kernel, p: Proc, first: First, cwd: str) -> None:
    if cwd == "/":
        return
    try:
        p.dot = namec(k, cwd, Atodir, 0)
    except Error as e:
        first.loaderror = LoadError(f"--cwd {cwd}: {e}", 2)
        raise


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
