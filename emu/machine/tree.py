"""A Plan 9 tree of the host that is at home: what a terminal's boot leaves, up to rc.

Source: cmd/init.c, rc/bin/termrc and lib/namespace of the distributions, which are the 4th edition's or 9front's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from emu.machine.config import LoadError
from emu.machine.namespace import (
    bindname,
    binds,
    devices,
    finish,
    hostroot,
    isdir,
    isfile,
    mountpoint,
    net,
    setenv,
    start,
    variables,
)
from emu.program.aout import AoutError, load, script
from kernel.base.chandat import DMDIR, MAFTER, MCREATE, MREPL, OREAD, Acreate, Aopen
from kernel.base.error import Error
from kernel.base.text import kstr
from kernel.devices.devroot import rootdev
from kernel.devices.hostfile import Tree as Hosttree
from kernel.files.chan import namec
from kernel.files.channel import cclose

if TYPE_CHECKING:
    from emu.machine.config import Config
    from emu.machine.journal import Journal
    from kernel.base.kernel import Kernel

RC: Final = "386/bin/rc"
RCMAIN: Final = "rc/lib/rcmain"
WHATITIS: Final = (
    f"a Plan 9 tree: a directory with {RC}, as the distributions 9front (https://9front.org) and 4th edition have it"
)
USER: Final = "glenda"  # whom the distributions come with
GMT: Final = "GMT 0 GMT 0\n0\n"  # where a tree has no /adm/timezone
MAXENV: Final = 8192  # bytes of a time zone
ANYNAME: Final = ("/n", "/mnt")  # what termrc starts mntgen(4) for


def check(dir: str) -> None:
    """Raise LoadError (status 2) unless that directory of the host is a tree whose rc can be run."""
    try:
        names = sorted(os.listdir(dir))
    except FileNotFoundError:
        raise LoadError(f"{dir}: no such directory; it should be {WHATITIS}", 2) from None
    except NotADirectoryError:
        raise LoadError(f"{dir}: is no directory; it should be {WHATITIS}", 2) from None
    except OSError as e:
        raise LoadError(f"{dir}: {e.strerror}", 2) from None
    if not _lexists(dir, RC):
        others = [name for name in names if os.path.isfile(os.path.join(dir, name, "bin", "rc"))]
        if others:
            raise LoadError(f"{dir}: is a tree for {', '.join(others)}, without {RC}; only 386 is emulated", 2)
        raise LoadError(f"{dir}: has no {RC}; it should be {WHATITIS}", 2)
    for name in (RC, RCMAIN):
        _within(dir, name)
    rc = os.path.join(dir, RC)
    try:
        if script(rc) is None:
            load(rc)
    except AoutError as e:
        raise LoadError(str(e), 2) from None


def _lexists(dir: str, name: str) -> bool:
    return os.path.lexists(os.path.join(dir, name))


def _within(dir: str, name: str) -> None:
    """Raise LoadError unless the tree has that file, by names that do not lead out of it."""
    path = os.path.join(dir, name)
    if not _lexists(dir, name):
        raise LoadError(f"{path}: is missing, and rc does nothing without it", 2)
    tree = Hosttree(dir)
    try:
        place = tree.resolve([os.fsencode(elem) for elem in name.split("/")])
        place.close()
        missing = place.st is None
        odd = ""
        if place.st is not None and (place.st.isdir or not place.st.regular):
            odd = "is a directory" if place.st.isdir else "is not a regular file"
    except Error:
        missing, odd = True, ""
    finally:
        tree.close()
    if missing:
        where = "out of the tree" if os.path.exists(path) else "nowhere"
        raise LoadError(f"{path}: is a symbolic link that leads {where}", 2)
    if odd:
        raise LoadError(f"{path}: {odd}", 2)


def owner(config: Config) -> str:
    """Whose the machine is, with a tree that was looked at. Raises LoadError."""
    assert config.root is not None
    check(config.root.host)
    return user(config)


def user(config: Config) -> str:
    """Whose the machine is: who was named, or glenda if the tree has her home, else eve."""
    assert config.tree is not None and config.root is not None
    if config.tree.user is not None:
        return config.tree.user
    return USER if os.path.isdir(os.path.join(config.root.host, "usr", USER)) else "eve"


def home(k: Kernel) -> str:
    """The user's home directory."""
    return f"/usr/{k.eve}"


def namespace(k: Kernel, config: Config, journal: Journal | None = None) -> None:
    """The name space of lib/namespace, and what init(8), termrc(8) and the user's profile add. Raises LoadError."""
    assert config.tree is not None and config.root is not None
    start(k)
    try:
        dir = hostroot(k, config.root, journal)
        devices(k, config.root.host)
        for dev in ("#¤", "#P"):  # of lib/namespace, and of termrc's list
            bindname(k, dev, "/dev", MAFTER)
        for at in ANYNAME:
            _anyname(k, at)
        bindname(k, "/386/bin", "/bin", MREPL)
        _if(k, "/rc/bin", "/bin", MAFTER)
        at = home(k)
        for name in ("/usr", at):
            if isfile(k, name):
                raise LoadError(f"{config.root.host}{name}: is not a directory, and home is {at}", 2)
        _makehome(k, at)
        if not config.tree.login:  # else the profile does
            _if(k, f"{at}/bin/rc", "/bin", MAFTER)
            _if(k, f"{at}/bin/386", "/bin", MAFTER)
        bindname(k, f"{at}/tmp" if isdir(k, f"{at}/tmp") else "#//tmp", "/tmp", MREPL | MCREATE)
    except Error as e:
        raise LoadError(f"{config.root.host}: {e}", 2) from None
    net(k, config)
    binds(k, config.binds, journal)
    finish(k, dir, bool(config.swap))
    service = (("service", "con"),) if config.tree.login else ()
    setenv(k, (*variables(k.eve, at), ("timezone", _timezone(k)), *service, *config.env))


def _if(k: Kernel, new: str, old: str, flag: int) -> None:
    """Bind a directory, if there is one."""
    if isdir(k, new):
        bindname(k, new, old, flag)


def _anyname(k: Kernel, at: str) -> None:
    """A mount point for every name: in ``#/``, after what the tree has there."""
    rootdev(k).anyname(at)
    c = namec(k, at, Aopen, OREAD)
    own = c.type != 0
    cclose(k, c)
    if own:
        bindname(k, f"#/{at}", at, MAFTER)


def _makehome(k: Kernel, at: str) -> None:
    """A user who has no home gets one: in the tree's changes, or where that cannot be, in memory."""
    if isdir(k, at):
        return
    try:
        cclose(k, namec(k, at, Acreate, OREAD, DMDIR | 0o775))
    except Error:
        mountpoint(k, at, 0o775)


def _timezone(k: Kernel) -> str:
    for name in ("local", "GMT"):
        path = f"/adm/timezone/{name}"
        if isfile(k, path):
            with suppress(Error):  # init goes on without one too
                c = namec(k, path, Aopen, OREAD)
                try:
                    return kstr(k.devtab[c.type].read(c, MAXENV, 0))
                finally:
                    cclose(k, c)
    return GMT
