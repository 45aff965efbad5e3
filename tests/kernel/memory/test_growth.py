"""Thousands of calls leave nothing behind in the kernel."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.base.chandat import MAFTER, MCREATE, MREPL, ORCLOSE, ORDWR, OWRITE, Abind
from kernel.base.error import Error
from kernel.files.chan import namec
from kernel.syscalls.bindmount import sysunmount
from tests.kernel.procrig import ProcRig, newprocrig


@pytest.fixture
def rig() -> Iterator[ProcRig]:
    yield from newprocrig()


def files(rig: ProcRig) -> None:
    for name in ("/rw/new", "/env/x", "/rw/d/../d/new"):
        rig.close(rig.create(name, ORDWR))
        rig.slurp(name)
        rig.remove(name)
    rig.close(rig.create("/rw/gone", ORDWR | ORCLOSE))
    rig.ls("/rw")
    rig.ls("/proc")
    for name in ("/rw/none", "/rw/d/none", "/rw/link/none", "/none", "#p/99/ctl", "/rw/f/x"):
        with pytest.raises(Error):
            rig.open(name)


def renames(rig: ProcRig) -> None:
    d = rig.stat("/rw/f")
    for name in ("g", "f"):
        d.name = name
        rig.wstat("/rw/" + ("f" if name == "g" else "g"), d)


def outsiders(rig: ProcRig, top: Path) -> None:
    """Files that something else makes and removes."""
    name = f"out{os.urandom(4).hex()}"
    (top / name).write_bytes(b"x")
    rig.slurp(f"/rw/{name}")
    (top / name).unlink()
    rig.ls("/rw")


def mounts(rig: ProcRig) -> None:
    k = rig.k
    pgrp = rig.up.pgrp
    assert pgrp is not None
    for _ in range(3):
        rig.mount(namec(k, "#e", Abind), "/rw/d", MAFTER | MCREATE)
    rig.ls("/rw/d")
    rig.call(sysunmount, 0, "/rw/d")


def pipes(rig: ProcRig) -> None:
    a, b = rig.pipe()
    rig.pwrite(a, b"x" * 1000)
    rig.pread(b, 100)
    rig.close(a)
    rig.close(b)


def processes(rig: ProcRig) -> None:
    fds: list[int] = []

    def child() -> None:
        fds.append(rig.open("/rw/f"))
        rig.pipe()

    rig.spawn(child, rig.up)
    rig.others()


def services(rig: ProcRig) -> None:
    a, b = rig.pipe()
    fd = rig.create("/srv/s", OWRITE, 0o666)
    rig.pwrite(fd, b"%d" % a)
    rig.close(fd)
    rig.close(rig.open("/srv/s", ORDWR))
    rig.remove("/srv/s")
    rig.close(a)
    rig.close(b)


def links(rig: ProcRig, n: int) -> None:
    """One file by many names, not quite as many links as are followed in one."""
    rig.slurp("/rw" + "/up/./up" * (n // 2) + "/f")


def objects() -> Counter[str]:
    """The kernel's objects by class, but what is kept of files that others removed: one for each inode number."""
    gc.collect()
    names = Counter(type(o).__name__ for o in gc.get_objects() if str(type(o).__module__).startswith("kernel."))
    del names["Ident"]
    return names


def test_nothing_grows(rig: ProcRig, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_bytes(b"f")
    (tmp_path / "link").symlink_to("d")
    (tmp_path / "up").symlink_to(".")

    @rig.run
    def _() -> None:
        rig.root.mkdir("/rw")
        rig.mount(rig.host.bind(os.fspath(tmp_path), True), "/rw", MREPL | MCREATE)
        counts = []
        for n in range(30):
            if n in (5, 29):
                counts.append(objects())
            files(rig)
            renames(rig)
            outsiders(rig, tmp_path)
            mounts(rig)
            pipes(rig)
            processes(rig)
            services(rig)
            links(rig, n)
        counts.append(objects())
        assert counts[0] == counts[2], counts[2] - counts[0]
        assert len(rig.host.open_) == 0
