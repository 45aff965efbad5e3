"""Page references as cache simulators read them: libCacheSim's csv, and its oracleGeneral.

An object is a page, by number in the order of first touch; every one has 4096 bytes. Source: libCacheSim's
traceReader/generalReader/csv.c, traceReader/customizedReader/oracle/oracleGeneralBin.h, bin/traceUtils/traceConv.cpp.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from struct import Struct
from typing import IO, Final

from emu.observe.output import BinaryOutput, Output, OutputError

PAGE: Final = 4096
HEAD: Final = "ns,object,size,pid,va\n"

# A record of oracleGeneral, little-endian:
#
#  | time uint32 | object uint64 | size uint32 | next access int64 |
#
# The time is in microseconds here, and stands still at its highest. The next access of the object is told by the
# number of that reference, the first being 1; -1: there is none.
RECORD: Final = Struct("<IQIq")
LATEST: Final = (1 << 32) - 1
CHUNK: Final = 1 << 16  # references in memory at a time


class CsvReferences:
    """Takes references, and writes a line for each. ``address`` tells where an object was first, by its number."""

    def __init__(self, out: Output, address: Callable[[int], int]) -> None:
        self.out = out
        self.address = address
        self.ns = 0
        self.va: list[int] = []
        self.began = False

    def __call__(self, pid: int, ns: int, pages: Sequence[int]) -> None:
        """A process has touched pages, until that time."""
        if not self.began:
            self.began = True
            self.out.write(HEAD)
        self.ns = max(self.ns, ns)
        head, tail = f"{self.ns},", f",{PAGE},{pid},"
        va = self.va
        va.extend(map(self.address, range(len(va), max(pages, default=-1) + 1)))
        for i in range(0, len(pages), CHUNK):
            self.out.write("".join([f"{head}{n}{tail}{va[n]}\n" for n in pages[i : i + CHUNK]]))

    def finish(self) -> None:
        """Write the heading, if there is nothing below it."""
        if not self.began:
            self.out.write(HEAD)


class OracleReferences:
    """Takes references into a temporary file; finish finds each one's next, from the end, and writes them.

    In memory are CHUNK references and a number for each object.
    """

    def __init__(self, out: BinaryOutput) -> None:
        self.out = out
        self.us = 0
        self.n = 0
        with room():
            # for each reference: time and object, 32 bits each
            self.kept: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 finish() closes it
        self.objects = 0

    def __call__(self, pid: int, ns: int, pages: Sequence[int]) -> None:
        """A process has touched pages, until that time. Raises OutputError where there is no room for the file."""
        self.us = min(max(self.us, ns // 1000), LATEST)
        for i in range(0, len(pages), CHUNK):
            some = pages[i : i + CHUNK]
            words = array("I", [self.us]) * (2 * len(some))
            words[1::2] = array("I", some)
            with room():
                self.kept.write(words.tobytes())
            self.objects = max(self.objects, max(some) + 1)
        self.n += len(pages)

    def finish(self) -> None:
        """Write the records. Raises OutputError."""
        with room(), self.kept, tempfile.TemporaryFile() as done:
            last = array("q", [-1]) * self.objects
            for start in reversed(range(0, self.n, CHUNK)):
                nexts = array("q")
                for n, object in enumerate(reversed(self._some(start)[1::2])):
                    nexts.append(last[object])
                    last[object] = min(start + CHUNK, self.n) - n
                nexts.reverse()
                done.seek(8 * start)
                done.write(nexts.tobytes())
            done.seek(0)
            for start in range(0, self.n, CHUNK):
                words = self._some(start)
                nexts = array("q", done.read(4 * len(words)))
                records = zip(words[::2], words[1::2], nexts, strict=True)
                self.out.writebytes(b"".join([RECORD.pack(us, object, PAGE, n) for us, object, n in records]))

    def _some(self, start: int) -> array[int]:
        """Times and objects, by turns, of CHUNK references, or those that are left."""
        self.kept.seek(8 * start)
        return array("I", self.kept.read(8 * min(CHUNK, self.n - start)))


@contextmanager
def room() -> Iterator[None]:
    """Tell of a temporary file that cannot be written or read."""
    try:
        yield
    except OSError as e:
        raise OutputError(f"cannot keep the references in {tempfile.gettempdir()}: {e.strerror}") from None
