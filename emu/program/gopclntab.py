"""The line table of a program that Go's linker made, from version 1.20 on: from an address to file, line and frame.

The symbol runtime.pclntab is where it begins: 4 bytes of magic, 2 zeros, the quantum, the size of a word; then, in
words, the number of functions, that of files, a place for the text's start, and offsets of names, units' files, names
of files, pc tables, functions. A function has two words, the offset of its code from runtime.text and that of a record
from the functions. The record begins, in words: entry, name, args, deferreturn, pcsp, pcfile, pcln, npcdata, unit. A pc
table is pairs of numbers: a value's change, and how many bytes of code it holds for; a change of 0 ends it.
What is damaged tells nothing. Source: Go's debug/gosym/pclntab.go, internal/abi/symtab.go.
"""

import struct
from collections.abc import Iterator
from typing import Final

from emu.program.aout import Aout

MAGIC: Final = b"\xf1\xff\xff\xff\0\0\1\4"
HEADER: Final = struct.Struct("<8x8I")
RECORD: Final = struct.Struct("<9I")
PAIR: Final = struct.Struct("<2I")
WORD: Final = struct.Struct("<I")
MAXTABLE: Final = 16 << 20  # bytes that are looked at; the go command's has 6 million
LONGNAME: Final = 1024
STEPS: Final = 100_000  # of a pc table
ENDS: Final = "runtime.pclntab", "runtime.epclntab", "runtime.text"


class GoLines:
    """File, line and frame at addresses of a program of Go's; of any other program nothing."""

    def __init__(self, aout: Aout) -> None:
        marks = {s.name: s.value for s in aout.symbols if s.name in ENDS}
        start, self.text = marks.get("runtime.pclntab", 0), marks.get("runtime.text", 0)
        size = min(max(marks.get("runtime.epclntab", start) - start, 0), MAXTABLE)
        self.table = aout.bytes_at(start, size)
        if not self.table.startswith(MAGIC) or len(self.table) < HEADER.size:
            self.table = b""
            return
        self.count, _, _, _, self.units, self.files, self.pcs, self.functions = HEADER.unpack_from(self.table)

    def at(self, pc: int) -> tuple[str, int] | None:
        """The source line that pc was compiled from."""
        if not self.table:
            return None
        try:
            return self._at(pc - self.text)
        except (struct.error, IndexError):
            return None

    def frame(self, pc: int) -> int | None:
        """Bytes of the stack between SP and the return address."""
        if not self.table:
            return None
        try:
            found = self._function(pc - self.text)
            if found is None or not found[1][4]:
                return None
            return self._value(self.pcs + found[1][4], found[0])
        except (struct.error, IndexError):
            return None

    def runs(self) -> Iterator[tuple[int, tuple[str, int] | None]]:
        """Addresses from which on a line holds, in order, with that line."""
        for entry, record in self._all():
            try:
                starts = {0} | set(self._steps(self.pcs + record[5])) | set(self._steps(self.pcs + record[6]))
                end = max(self._steps(self.pcs + record[6]), default=0)
            except (struct.error, IndexError):
                continue
            for at in sorted(starts):
                yield self.text + entry + at, self.at(self.text + entry + at) if at < end else None

    def frames(self) -> Iterator[tuple[int, int | None]]:
        """Addresses from which on so many bytes are on the stack, in order."""
        for entry, record in self._all():
            try:
                steps = [0, *self._steps(self.pcs + record[4])] if record[4] else [0]
            except (struct.error, IndexError):
                continue
            for at in steps:
                yield self.text + entry + at, self.frame(self.text + entry + at)

    def _all(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each function's offset in the text, and its record."""
        for i in range(self.count if self.table else 0):
            try:
                entry, offset = PAIR.unpack_from(self.table, self.functions + PAIR.size * i)
                yield entry, RECORD.unpack_from(self.table, self.functions + offset)
            except struct.error:
                return

    def _steps(self, at: int) -> Iterator[int]:
        """Where the values of a pc table end."""
        reached = 0
        for step in range(STEPS):
            change, at = self._number(at)
            if not change and step:
                return
            n, at = self._number(at)
            reached += n
            yield reached

    def _function(self, pc: int) -> tuple[int, tuple[int, ...]] | None:
        """How far into its function pc is, and the function's record."""
        low, high = 0, self.count
        while low < high:  # the first function behind pc
            middle = (low + high) // 2
            if WORD.unpack_from(self.table, self.functions + PAIR.size * middle)[0] <= pc:
                low = middle + 1
            else:
                high = middle
        if not low or pc >= WORD.unpack_from(self.table, self.functions + PAIR.size * self.count)[0]:
            return None
        entry, offset = PAIR.unpack_from(self.table, self.functions + PAIR.size * (low - 1))
        return pc - entry, RECORD.unpack_from(self.table, self.functions + offset)

    def _at(self, pc: int) -> tuple[str, int] | None:
        found = self._function(pc)
        if found is None:
            return None
        at, record = found
        file, line = (self._value(self.pcs + record[i], at) for i in (5, 6))
        if file is None or line is None or file < 0 or line <= 0:
            return None
        at = self.files + WORD.unpack_from(self.table, self.units + WORD.size * (record[8] + file))[0]
        name = self.table[at : at + LONGNAME].partition(b"\0")[0]
        return (name.decode("utf-8", "replace"), line) if name else None

    def _value(self, at: int, pc: int) -> int | None:
        """The value of the pc table at ``at`` for the function's byte pc."""
        value, reached = -1, 0
        for step in range(STEPS):
            change, at = self._number(at)
            if not change and step:
                return None
            value += -(change + 1 >> 1) if change & 1 else change >> 1
            n, at = self._number(at)
            reached += n
            if pc < reached:
                return value
        return None

    def _number(self, at: int) -> tuple[int, int]:
        """A number of 7 bits a byte, lowest first, the last without its high bit; and where it ends."""
        n = shift = 0
        while True:
            b = self.table[at]
            at += 1
            n |= (b & 0x7F) << shift
            if b < 0x80 or shift > 28:
                return n, at
            shift += 7
