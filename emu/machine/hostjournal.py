"""The host's files as a journal knows them: directories that are shown, single files, the swap device.

Each has the real thing inside, but for what was opened while the journal gave back: that has nothing of the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from emu.machine.journal import Journal
from emu.machine.values import Value, blobs, data, nothing, number, orelse, truth
from kernel.base.error import Enonexist, Error
from kernel.devices.hostfile import Hostfile, Opened, Place, Stat, Tree

if TYPE_CHECKING:
    from kernel.base.hw import Disk

T = TypeVar("T")
Key = tuple[int, int]
Move = tuple[Key, Stat]
MOVED: Final = "moved"


def stat(v: Value) -> Stat:
    """What is known of a file."""
    mode, size, mtime, nlink, (dev, ino) = v
    return Stat(number(mode), number(size), number(mtime), number(nlink), (number(dev), number(ino)))


def _move(v: Value) -> Move:
    (dev, ino), st = v
    return (number(dev), number(ino)), stat(st)


class Kept:
    """What the tree and all that is opened in it have in common. A call may tell that files have other numbers now."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.moved: Callable[[Key, Stat], None] = lambda old, st: None

    def note(self, old: Key, st: Stat) -> None:
        """In the middle of a call: a file has another number."""
        self.journal.ask(MOVED, [], lambda: (old, st), _move)
        self.moved(old, st)

    def ask(self, what: str, about: list[Value], call: Callable[[], T], check: Callable[[Value], T]) -> T:
        """As of Journal."""
        journal = self.journal
        while journal.upcoming(MOVED):
            self.moved(*journal.ask(MOVED, [], _never, _move))
        return journal.ask(what, about, call, check)


def _never() -> Move:
    raise AssertionError


class JournalOpened(Opened):
    """A file that is open. Its descriptor is not the host's: 0, or -1 when it is closed."""

    __slots__ = ("inner", "kept")

    def __init__(self, kept: Kept, inner: Opened | None) -> None:
        super().__init__(0)
        self.kept = kept
        self.inner = inner

    def _in(self) -> Opened:
        assert self.inner is not None
        return self.inner

    def stat(self) -> Stat:
        """What it is now."""
        return self.kept.ask("fstat", [], lambda: self._in().stat(), stat)

    def read(self, n: int, offset: int) -> bytes:
        """Up to n bytes at offset, less only at the end."""
        return self.kept.ask("read", [n, offset], lambda: self._in().read(n, offset), data)

    def write(self, data: bytes, offset: int) -> int:
        """Write all of data; fewer only if the host then fails."""
        return self.kept.ask("fwrite", [len(data), offset], lambda: self._in().write(data, offset), number)

    def truncate(self, n: int) -> None:
        """Make it n bytes long."""
        self.kept.ask("truncate", [n], lambda: self._in().truncate(n), nothing)

    def sync(self) -> None:
        """See to it that it is on the host's disk."""
        self.kept.ask("sync", [], lambda: self._in().sync(), nothing)

    def list(self) -> list[bytes]:
        """The names in a directory."""
        return self.kept.ask("list", [], lambda: sorted(self._in().list()), blobs)

    def look(self, name: bytes) -> Stat | None:
        """What a name in a directory is, a link being itself; None if there is no such."""
        return self.kept.ask("look", [name], lambda: self._in().look(name), orelse(stat))

    def close(self) -> None:
        """Let go of it, once."""
        self.fd = -1
        if self.inner is not None:
            self.inner.close()
            self.inner = None


class JournalPlace(Place):
    """Where a name led."""

    __slots__ = ("inner", "kept")

    def __init__(self, kept: Kept, inner: Place | None, st: Stat | None) -> None:
        self.kept = kept
        self.inner = inner
        self.st = st

    def _in(self) -> Place:
        assert self.inner is not None
        return self.inner

    def _open(self, what: str, about: list[Value], call: Callable[[], Opened]) -> Opened:
        got: list[Opened] = []
        self.kept.ask(what, about, lambda: got.append(call()), nothing)
        return JournalOpened(self.kept, got[0] if got else None)

    def close(self) -> None:
        """Let go of the directory."""
        if self.inner is not None:
            self.inner.close()
            self.inner = None

    def dirstat(self) -> Stat:
        """What the directory is."""
        return self.kept.ask("dirstat", [], lambda: self._in().dirstat(), stat)

    def beside(self, name: bytes) -> bool:
        """Whether there is that name in the directory."""
        return self.kept.ask("beside", [name], lambda: self._in().beside(name), truth)

    def open(self, flags: int, cut: bool = False) -> Opened:
        """Open the file."""
        return self._open("open", [flags, cut], lambda: self._in().open(flags, cut))

    def create(self, flags: int, perm: int) -> Opened:
        """Make a file."""
        return self._open("create", [flags, perm], lambda: self._in().create(flags, perm))

    def mkdir(self, perm: int) -> Opened:
        """Make a directory."""
        return self._open("mkdir", [perm], lambda: self._in().mkdir(perm))

    def remove(self) -> None:
        """Remove a file, link or empty directory."""
        self.kept.ask("remove", [], lambda: self._in().remove(), nothing)

    def rename(self, name: bytes) -> None:
        """Give it another name in the same directory."""
        self.kept.ask("rename", [name], lambda: self._in().rename(name), nothing)

    def chmod(self, mode: int) -> None:
        """Change permissions."""
        self.kept.ask("chmod", [mode], lambda: self._in().chmod(mode), nothing)

    def utime(self, seconds: int) -> None:
        """Set the time of the last change."""
        self.kept.ask("utime", [seconds], lambda: self._in().utime(seconds), nothing)


class JournalTree(Tree):
    """A directory of the host. ``path`` is where it was."""

    def __init__(self, journal: Journal, make: Callable[[], Tree], path: str) -> None:
        got: list[Tree] = []
        self.kept = Kept(journal)
        self.path = os.fsencode(os.path.abspath(path))
        self.known: dict[tuple[bytes, ...], tuple[int, int]] = {}
        journal.ask("show", [path], lambda: got.append(make()), nothing)
        self.inner = got[0] if got else None
        self.over = getattr(self.inner, "over", None)
        if self.inner is not None:
            self.inner.tell(self.kept.note)

    def tell(self, moved: Callable[[Key, Stat], None]) -> None:
        """Call this whenever a file gets another key."""
        self.kept.moved = moved

    def close(self) -> None:
        """Let go of it."""
        if self.inner is not None:
            self.inner.close()

    def resolve(self, names: Sequence[bytes], follow: bool = True) -> Place:
        """Where a name leads."""
        got: list[Place] = []

        def call() -> Stat | None:
            assert self.inner is not None
            got.append(self.inner.resolve(names, follow))
            return got[0].st

        st = self.kept.ask("stat", [*names, follow], call, orelse(stat))
        if self.kept.journal.replaying and st is not None:
            self.known[tuple(names)] = st.signature
        return JournalPlace(self.kept, got[0] if got else None, st)

    def walk(self, base: Sequence[bytes], names: Sequence[bytes]) -> tuple[list[Stat], Error | None]:
        """What each of the names is, told one by one."""
        found: list[Stat] = []
        for i in range(len(names)):
            try:
                place = self.resolve([*base, *names[: i + 1]])
            except Error as e:
                return found, e
            place.close()
            if place.st is None:
                return found, Error(Enonexist)
            found.append(place.st)
            if not place.st.isdir:
                break
        return found, None

    def where(self, names: Sequence[bytes]) -> bytes | None:
        """The path of a file on the host, if it is there as it was."""
        if not self.kept.journal.replaying or (self.inner is not None and tuple(names) not in self.known):
            return self.inner.where(names) if self.inner is not None else None  # known before there was a copy
        path = os.path.join(self.path, *names)
        return path if unchanged(path, self.known.get(tuple(names))) else None


class JournalHostfile(Hostfile):
    """One file of the host."""

    def __init__(self, journal: Journal, path: str) -> None:
        got: list[Hostfile] = []
        self.journal = journal

        def call() -> tuple[int, int]:
            got.append(Hostfile(path))
            return got[0].sig

        self.sig = journal.ask("file", [path], call, _signature)
        self.inner = got[0] if got else None

    def _in(self) -> Hostfile:
        assert self.inner is not None
        return self.inner

    def version(self) -> int:
        """Counts the changes of the content that were noticed."""
        return self.journal.ask("version", [], lambda: self._in().version(), number)

    def length(self) -> int:
        """Its length now."""
        return self.journal.ask("length", [], lambda: self._in().length(), number)

    def read(self, n: int, offset: int) -> bytes:
        """Up to n bytes at offset."""
        return self.journal.ask("read", [n, offset], lambda: self._in().read(n, offset), data)

    def close(self) -> None:
        """Let go of it."""
        if self.inner is not None:
            self.inner.close()


def _signature(v: Value) -> tuple[int, int]:
    size, mtime = v
    return number(size), number(mtime)


def signature(path: bytes | str) -> tuple[int, int]:
    """Size and date of a file; noughts if it is not there."""
    try:
        st = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return st.st_size, st.st_mtime_ns


def unchanged(path: bytes | str, sig: tuple[int, int] | None) -> bool:
    """Whether a file is what it was, as far as size and date tell; for its symbols alone."""
    return sig == signature(path) != (0, 0)


class JournalDisk:
    """A disk. ``given``: what is on it when the machine starts may be read."""

    def __init__(self, journal: Journal, inner: Disk, given: bool) -> None:
        self.journal = journal
        self.inner = inner
        self.given = given

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.inner.size

    def read(self, offset: int, n: int) -> bytes:
        """The n bytes at offset; fewer at the end."""
        if self.given:
            return self.journal.ask("diskread", [offset, n], lambda: self.inner.read(offset, n), data)
        got: list[bytes] = []
        self.journal.ask("diskread", [offset, n], lambda: got.append(self.inner.read(offset, n)), nothing)
        return got[0] if got else self.inner.read(offset, n)

    def write(self, offset: int, data: bytes) -> int:
        """Store data at offset."""
        done = self.journal.ask("diskwrite", [offset, len(data)], lambda: self.inner.write(offset, data), number)
        if self.journal.replaying:
            self.inner.write(offset, data[:done])
        return done
