"""The network database: the files that ndb(6) describes, read and searched. Source: libndb."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from kernel.base.chandat import OREAD, Aopen
from kernel.base.error import Error
from kernel.base.text import kstr
from kernel.files.chan import namec
from kernel.files.channel import cclose

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel

Line: TypeAlias = list[tuple[str, str]]
Entry: TypeAlias = list[Line]
LOCAL: Final = "/lib/ndb/local"
COMMON: Final = "/lib/ndb/common"
MAXFILE: Final = 1 << 20  # bytes of a file that are looked at
MAXFILES: Final = 8
MAXPAIRS: Final = 100_000  # of all files: each takes some 200 bytes of the host's memory, 400 if it is an entry


def ndbparse(text: str, most: int) -> list[Entry]:
    """The entries of a file, up to that many pairs: lines of them, the second and later ones indented.

    Source: libndb/ndbparse.c.
    """
    entries: list[Entry] = []
    for line in text.split("\n"):
        pairs = list(islice(_pairs(line), most))
        most -= len(pairs)
        if not pairs:
            continue
        if line[0] in " \t" and entries:
            entries[-1].append(pairs)
        else:
            entries.append([pairs])
    return entries


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Source: libndb/ndbaux.c:_ndbparsetuple."""
    i = 0
    while i < len(line):
        while i < len(line) and line[i] in " \t\r":
            i += 1
        if i == len(line) or line[i] == "#":
            return
        start = i
        while i < len(line) and line[i] not in "= \t\r":
            i += 1
        attr, val = line[start:i], ""
        while i < len(line) and line[i] in " \t\r":
            i += 1
        if i < len(line) and line[i] == "=":
            i += 1
            while i < len(line) and line[i] in " \t\r":
                i += 1
            quote = line[i] if i < len(line) and line[i] in "\"'" else ""
            start = i = i + len(quote)
            while i < len(line) and (line[i] != quote if quote else line[i] not in " \t\r#"):
                i += 1
            val = line[start:i]
            i += len(quote)
        if attr:
            yield attr, val


def _count(entries: list[Entry]) -> int:
    return sum(len(line) for e in entries for line in e)


class Ndb:
    """The files of the database, as the asking process sees them; read anew when they have changed."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self._files: dict[str, tuple[tuple[int, int, int, int], list[Entry]]] = {}
        self._pairs = 0  # in all of them

    def _file(self, name: str) -> list[Entry]:
        try:
            c = namec(self.k, name, Aopen, OREAD)
        except Error:
            return []
        try:
            version = (c.type, c.dev, c.qid.path, c.qid.vers)
            had = self._files.get(name)
            if had is not None and had[0] == version:
                return had[1]
            text = bytearray()
            while len(text) < MAXFILE and (data := self.k.devtab[c.type].read(c, 8192, len(text))):
                text += data
            if len(self._files) >= MAXFILES:
                self._files.clear()
                self._pairs = 0
            elif had is not None:
                del self._files[name]
                self._pairs -= _count(had[1])
            entries = ndbparse(kstr(bytes(text)), MAXPAIRS - self._pairs)
            self._pairs += _count(entries)
            self._files[name] = version, entries
            return entries
        except Error:
            return []
        finally:
            cclose(self.k, c)

    def entries(self) -> Iterator[Entry]:
        """All entries, of the files that the entry ``database=`` of the local one names. Source: libndb/ndbopen.c."""
        local = self._file(LOCAL)
        names = [LOCAL, COMMON]
        for e in local:
            if e[0][0][0] == "database":
                names = [v for line in e for a, v in line if a == "file" and v] or names
                break
        for name in names[:MAXFILES]:
            yield from local if name == LOCAL else self._file(name)

    def search(self, attr: str, val: str) -> Iterator[Entry]:
        """The entries that have that pair. Source: libndb/ndbhash.c:ndbsearch."""
        for e in self.entries():
            if any((attr, val) in line for line in e):
                yield e

    def value(self, attr: str, val: str, rattr: str) -> tuple[str, Entry] | None:
        """A value of the first entry with a pair that has one, the one on the same line first, and the entry.

        Source: libndb/ndbgetval.c.
        """
        for e in self.search(attr, val):
            for line in sorted(e, key=lambda line: (attr, val) not in line):
                for a, v in line:
                    if a == rattr:
                        return v, e
        return None


def ipattr(name: str) -> str:
    """What a host's name is: "ip", "dom" or "sys". Source: libndb/ipattr.c."""
    alpha = dot = colon = False
    for ch in name:
        if ch.isascii() and ch.isdigit():
            pass
        elif (ch.isascii() and ch.isalpha()) or ch == "-":
            alpha = True
        elif ch == ".":
            dot = True
        elif ch == ":":
            colon = True
        else:
            return "sys"
    if alpha:
        return "dom" if dot else "ip" if colon else "sys"
    return "ip" if dot or colon else "sys"
