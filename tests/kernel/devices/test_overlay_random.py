"""Random sequences of calls on an overlay and on a copy of its tree that is written: nobody can tell which is which.

Results, errors and qids of each call are the same, and what is there at the end; the lower layer is unchanged, and the
same changes shown anew are the same files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.base.chandat import DMDIR, MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from kernel.base.error import Error
from kernel.devices.upper import META, Changes
from kernel.files.channel import cclose
from kernel.files.conv import Dir
from tests.kernel.fakes import Rig

OLD = 1_000_000_000
FILES = {
    "a": b"first",
    "b": b"second, longer",
    "d/a": b"x" * 5000,
    "d/b": b"",
    "d/d/a": b"deep",
    "d/d/c/b": b"deeper",
    "c/a": b"another",
}
LINKS = {"l": "d", "d/l": "../a", "m": "nothing", "d/up": "../../secret", "d/d/l": "../b"}
MODES = {"b": 0o444, "c": 0o555, "d/d": 0o750, "d/b": 0o600}


def plant(root: Path) -> None:
    """The tree both begin with."""
    root.mkdir(mode=0o755)
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    for name, mode in MODES.items():
        (root / name).chmod(mode)
    for p in [*root.rglob("*"), root]:
        os.utime(p, (OLD, OLD), follow_symlinks=False)


def snapshot(root: Path) -> list[tuple[object, ...]]:
    """All there is to know of a tree of the host."""
    out: list[tuple[object, ...]] = []
    for p in sorted([root, *root.rglob("*")]):
        s = p.lstat()
        data = os.readlink(p) if p.is_symlink() else p.read_bytes() if p.is_file() else b""
        out.append((str(p.relative_to(root)), s.st_mode, s.st_ino, s.st_mtime_ns, s.st_nlink, data))
    return out


def told(d: Dir) -> tuple[object, ...]:
    """What a guest sees, a time of now being like another."""
    mtime = 0 if abs(d.mtime - time.time()) < 3600 else d.mtime
    return d.name, d.qid, d.mode, d.length, mtime


def content(rig: Rig, top: str, name: str = "") -> list[tuple[object, ...]]:
    """Names, attributes and contents below a directory of the guest's."""
    out: list[tuple[object, ...]] = []
    for d in rig.dirs(top + name):
        at = f"{name}/{d.name}"
        out.append((at, d.mode, d.length, told(d)[4]))
        if d.mode & DMDIR:
            if d.mode & 0o500 == 0o500 and at.count("/") < 6:
                out += content(rig, top, at)
        elif d.mode & 0o400:
            out.append((at, rig.slurp(top + at)))
    return out


class Side:
    """One of the two: where it is mounted, and its descriptors."""

    def __init__(self, rig: Rig, top: str) -> None:
        self.rig = rig
        self.top = top
        self.fds: list[int] = []

    def do(self, op: str, name: str, arg: int, data: bytes) -> object:
        """One step; what came of it."""
        try:
            return getattr(self, op)(f"{self.top}/{name}", arg, data)
        except Error as e:
            return str(e).replace(self.top, "")

    def _fd(self, arg: int) -> int:
        if not self.fds:
            raise Error("none is open")
        return self.fds[arg % len(self.fds)]

    def create(self, name: str, arg: int, data: bytes) -> object:
        fd = self.rig.create(name, ORDWR, (0o666, 0o600, 0o444, 0o777)[arg % 4])
        try:
            return self.rig.pwrite(fd, data), told(self.rig.stat(fd))
        finally:
            self.rig.close(fd)

    def mkdir(self, name: str, arg: int, data: bytes) -> object:
        fd = self.rig.create(name, OREAD, DMDIR | (0o777, 0o700, 0o755, 0o555)[arg % 4])
        try:
            return told(self.rig.stat(fd)), self.rig.pread(fd, 1000)
        finally:
            self.rig.close(fd)

    def change(self, name: str, arg: int, data: bytes) -> object:
        fd = self.rig.open(name, (OWRITE, ORDWR, OWRITE | OTRUNC, OREAD | OTRUNC)[arg % 4])
        try:
            return self.rig.pwrite(fd, data, arg) if arg % 4 < 3 else b"", told(self.rig.stat(fd))
        finally:
            self.rig.close(fd)

    def keep(self, name: str, arg: int, data: bytes) -> object:
        if len(self.fds) < 5:
            self.fds.append(self.rig.open(name, (OREAD, ORDWR, OREAD, OREAD | ORCLOSE)[arg % 4]))
            return told(self.rig.stat(self.fds[-1]))
        return None

    def use(self, name: str, arg: int, data: bytes) -> object:
        fd = self._fd(arg)
        d = self.rig.stat(fd)
        if d.qid.type & QTDIR:
            self.rig.seek(fd, 0, 0)
            got: list[tuple[object, ...]] = []
            while more := self.rig.pread(fd, 2000):
                got.append((len(more),))
            return got, told(d)
        return self.rig.pread(fd, 9000, 0), told(d)

    def put(self, name: str, arg: int, data: bytes) -> object:
        fd = self._fd(arg)
        return self.rig.pwrite(fd, data, arg * 3), told(self.rig.stat(fd))

    def drop(self, name: str, arg: int, data: bytes) -> object:
        fd = self._fd(arg)
        self.fds.remove(fd)
        self.rig.close(fd)
        return None

    def read(self, name: str, arg: int, data: bytes) -> object:
        if self.rig.stat(name).qid.type & QTDIR:
            raise Error("a directory")
        return self.rig.slurp(name)

    def ls(self, name: str, arg: int, data: bytes) -> object:
        if not self.rig.stat(name).qid.type & QTDIR:
            raise Error("no directory")
        return [told(d) for d in self.rig.dirs(name)]

    def stat(self, name: str, arg: int, data: bytes) -> object:
        return told(self.rig.stat(name))

    def remove(self, name: str, arg: int, data: bytes) -> object:
        self.rig.remove(name)
        return None

    def wstat(self, name: str, arg: int, data: bytes) -> object:
        d = self.rig.stat(name)
        change = (
            Dir(name="abcde"[arg % 5]),
            Dir(mode=d.mode & DMDIR | (0o644, 0o755, 0o500, 0o777)[arg % 4]),
            Dir(length=arg),
            Dir(mtime=OLD + arg),
            Dir(name="abcde"[arg % 5], mtime=OLD + 2 * arg),
        )[arg % 5]
        self.rig.wstat(name, change)
        return told(self.rig.stat(name)) if not change.name else None


OPS = ("create", "mkdir", "change", "keep", "use", "put", "drop", "read", "ls", "stat", "remove", "wstat")
# what is not there most of the time is drawn less
NAMES = st.lists(st.sampled_from("aabbccddddle"), min_size=1, max_size=4).map("/".join)
STEPS = st.lists(st.tuples(st.sampled_from(OPS), NAMES, st.integers(0, 40), st.binary(max_size=8)), max_size=40)


@contextmanager
def rigged() -> Iterator[Rig]:
    """A rig, shut down afterwards."""
    rig = Rig()
    try:
        yield rig
    finally:
        rig.shutdown()


def show(rig: Rig, path: Path, at: str, changes: Changes | None) -> None:
    """Mount a tree of the host."""
    c = rig.host.bind(os.fsencode(path), True, changes)
    rig.mount(c, at, MREPL | MCREATE)
    cclose(rig.k, c)


def compare(work: Path, steps: list[tuple[str, str, int, bytes]]) -> None:
    """One sequence."""
    lower, plain, upper = work / "lower", work / "plain", work / "upper"
    plant(lower)
    plant(plain)
    upper.mkdir()
    before = snapshot(lower)
    views: list[Any] = []

    def both(changes: Changes, body: Callable[[Rig, list[Side]], None]) -> None:
        with rigged() as rig:

            def main() -> None:
                show(rig, plain, "/n", None)
                show(rig, lower, "/mnt", changes)
                body(rig, [Side(rig, "/n"), Side(rig, "/mnt")])

            rig.run(main)

    def first(rig: Rig, sides: list[Side]) -> None:
        for step in steps:
            a, b = (side.do(*step) for side in sides)
            assert a == b, step
        views.append([content(rig, side.top) for side in sides])
        for side in sides:
            while side.fds:
                side.do("drop", "", 0, b"")

    def second(rig: Rig, sides: list[Side]) -> None:
        views.append([content(rig, side.top) for side in sides])

    both(Changes(os.fspath(upper)), first)
    both(Changes(os.fspath(upper), fresh=False), second)
    assert views[0][0] == views[0][1]
    assert views[1][0] == views[1][1]
    assert snapshot(lower) == before
    assert not [p for p in upper.rglob("*") if os.fsencode(p.name).startswith(META + b"tmp")]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(STEPS)
def test_an_overlay_is_as_a_copy(steps: list[tuple[str, str, int, bytes]]) -> None:
    work = Path(tempfile.mkdtemp(prefix="overlay"))
    try:
        compare(work, steps)
    finally:
        for p in work.rglob("*"):
            if p.is_dir() and not p.is_symlink():
                p.chmod(0o700)
        shutil.rmtree(work)
