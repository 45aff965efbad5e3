"""Reader of Plan 9's 386 executables.

The file is eight big-endian words, then text, data, symbols and the pc tables:

    | magic | text | data | bss | syms | entry | spsz | pcsz |  text... | data... | symbols... |
    0       4      8      12    16     20      24     28     32

Text is mapped at UTZERO with the header in it, data at the next page boundary, bss on the page after
data. What is refused here is what the kernel refuses, in more words; besides, a file that ends before
its text or data does is refused now instead of at the fault that misses the page.
Source: port/sysproc.c:sysexec, sys/include/a.out.h, a.out(6).
"""

import os
import stat
import struct
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple

from emu.failure import NOTFOUND, UNLOADABLE
from emu.plain import plain
from kernel.base.mem import BY2PG, PGSHIFT, PTEMAPMEM, SEGMAPSIZE, USTKSIZE, USTKTOP, UTZERO
from kernel.base.record import constant

HDR: Final = struct.Struct(">8I")
HDRSIZE: Final = HDR.size
USERTOP: Final = USTKTOP - USTKSIZE  # text, data and bss end below it
SEGMAX: Final = SEGMAPSIZE * PTEMAPMEM  # no segment is larger. Source: port/segment.c:newseg
HDR_MAGIC: Final = 0x8000
PIECE: Final = 1 << 16  # bytes of text read at a time
MAXSYMS: Final = 32 << 20  # bytes of symbols that are looked at
MAXTABLE: Final = 4 << 20  # bytes of a pc table; the largest of 9front's has 55,000
MAXSYMBOLS: Final = 500_000  # and how many; the go command has some 30,000


def _magic(flags: int, b: int) -> int:
    """a.out.h's _MAGIC."""
    return flags | (4 * b + 0) * b + 7


I_MAGIC: Final = _magic(0, 11)  # 0x1eb
OTHERS: Final = {
    _magic(0, 8): "68020",
    _magic(0, 12): "Intel 960",
    _magic(0, 13): "SPARC",
    _magic(0, 16): "MIPS (big-endian)",
    _magic(0, 17): "AT&T DSP 3210",
    _magic(0, 18): "MIPS 4000 (big-endian)",
    _magic(0, 19): "AMD 29000",
    _magic(0, 20): "ARM",
    _magic(0, 21): "PowerPC",
    _magic(0, 22): "MIPS 4000 (little-endian)",
    _magic(0, 23): "DEC Alpha",
    _magic(0, 24): "MIPS (little-endian)",
    _magic(0, 25): "SPARC64",
    _magic(HDR_MAGIC, 26): "amd64",
    _magic(HDR_MAGIC, 27): "PowerPC 64",
    _magic(HDR_MAGIC, 28): "arm64",
}
FOREIGN: Final = (
    (b"\x7fELF", "an ELF file"),
    (b"MZ", "a PE (Windows or DOS) file"),
    (b"\xfe\xed\xfa", "a Mach-O file"),
    (b"\xce\xfa\xed\xfe", "a Mach-O file"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file"),
    (b"\xca\xfe\xba\xbe", "a Mach-O or Java class file"),
    (b"!<arch>\n", "a library"),
    (b"\x1f\x8b", "a gzip file"),
)
TEXTSYMS: Final = frozenset("TtLl")
DATASYMS: Final = frozenset("DdBb")


class AoutError(ValueError):
    """The file cannot be run. str() is one line that begins with its name; ``status`` is 126, or 127 if not there."""

    def __init__(self, path: str, why: str, status: int = UNLOADABLE) -> None:
        super().__init__(f"{plain(path)}: {why}")
        self.path = path
        self.status = status


@constant
class Segment:
    """A segment as exec makes it: addresses base to top, the first ``filelen`` bytes from the file at ``start``."""

    name: str
    base: int
    top: int
    start: int
    filelen: int

    @property
    def pages(self) -> int:
        return (self.top - self.base) >> PGSHIFT


class Symbol(NamedTuple):
    """An entry of the symbol table; ``type`` is one of a.out(6)'s letters (T text, D data, B bss...).

    ``path`` is for z and Z alone: two bytes, big-endian, for each part of a path, whose name an f symbol of that
    value has.
    """

    value: int
    type: str
    name: str
    path: bytes = b""


@constant
class Aout:
    """A 386 executable that was found sound. Text and symbols are read when first asked for."""

    path: str
    magic: int
    text: int
    data: int
    bss: int
    syms: int
    entry: int
    spsz: int
    pcsz: int

    @property
    def textend(self) -> int:
        """The address after the last byte of text."""
        return UTZERO + HDRSIZE + self.text

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Text, data, bss and stack, as they lie after exec. An empty one has base == top."""
        t = _pground(self.textend)
        d = _pground(t + self.data)
        b = _pground(t + self.data + self.bss)
        return (
            Segment("text", UTZERO, t, 0, HDRSIZE + self.text),
            Segment("data", t, d, HDRSIZE + self.text, self.data),
            Segment("bss", d, b, 0, 0),
            Segment("stack", USERTOP, USTKTOP, 0, 0),
        )

    def holds(self, pc: int) -> bool:
        """Whether the text has that address."""
        return UTZERO + HDRSIZE <= pc < self.textend

    @cached_property
    def _piece(self) -> dict[int, bytes]:
        """The piece of the text that was looked at last, by its number."""
        return {}

    def bytes_at(self, pc: int, n: int) -> bytes:
        """Up to n bytes of text at pc; b"" outside the text. Raises AoutError.

        The text is read in pieces: how long it is, only the header says.
        """
        off = pc - (UTZERO + HDRSIZE)
        if not 0 <= off < self.text:
            return b""
        end = min(off + n, self.text)
        out = b""
        for i in range(off // PIECE, (end + PIECE - 1) // PIECE):
            b = self._piece.get(i)
            if b is None:
                want = min(PIECE, self.text - i * PIECE)
                b = _read(self.path, HDRSIZE + i * PIECE, want)
                if len(b) < want:
                    raise AoutError(self.path, "changed while it was read")
                self._piece.clear()
                self._piece[i] = b
            out += b[max(off - i * PIECE, 0) : end - i * PIECE]
        return out

    def contents(self, segment: Segment) -> bytes:
        """What the file has of a segment. Raises AoutError."""
        return _read(self.path, segment.start, segment.filelen)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbol table, in the file's order. A table that is cut short or damaged ends where it does.

        So does one that goes on beyond MAXSYMS bytes or MAXSYMBOLS: a sparse file can claim gigabytes of them.
        """
        if not self.syms:
            return ()
        try:
            at = HDRSIZE + self.text + self.data
            return tuple(islice(_symbols(_read(self.path, at, min(self.syms, MAXSYMS))), MAXSYMBOLS))
        except AoutError:
            return ()

    def sptable(self) -> bytes:
        """The pc/sp table, as far as it is there and not beyond MAXTABLE."""
        return self._table(self.syms, self.spsz)

    def pctable(self) -> bytes:
        """The pc/line table, likewise."""
        return self._table(self.syms + self.spsz, self.pcsz)

    def _table(self, offset: int, n: int) -> bytes:
        try:
            return _read(self.path, HDRSIZE + self.text + self.data + offset, min(n, MAXTABLE)) if n else b""
        except AoutError:
            return b""

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """The text symbols that lie in the text, by address; of equal addresses the table's first alone."""
        first: dict[int, Symbol] = {}
        for s in self.symbols:
            if s.type in TEXTSYMS and UTZERO <= s.value < self.textend:
                first.setdefault(s.value, s)
        return tuple(first[value] for value in sorted(first))

    @cached_property
    def _starts(self) -> list[int]:
        return [s.value for s in self.functions]

    def symbol(self, pc: int) -> tuple[str, int]:
        """The function that pc lies in, and the offset into it; ("", 0) if there is none."""
        i = bisect_right(self._starts, pc) - 1
        if i < 0 or pc >= self.textend:
            return "", 0
        s = self.functions[i]
        return s.name, pc - s.value


def load(path: str) -> Aout:
    """Read and check the header of the executable at path. Raises AoutError."""
    size, head = _head(path)
    if size == 0:
        raise AoutError(path, "is empty, not a Plan 9 a.out")
    if head.startswith(b"#!"):
        raise AoutError(path, "is a #! script, not a Plan 9 a.out")
    for prefix, what in FOREIGN:
        if head.startswith(prefix):
            raise AoutError(path, f"is {what}, not a Plan 9 a.out")
    magic = int.from_bytes(head[:4], "big") if len(head) >= 4 else 0
    if magic in OTHERS:
        raise AoutError(path, f"is a Plan 9 a.out for {OTHERS[magic]}; only 386 is emulated")
    if len(head) < HDRSIZE:
        raise AoutError(path, f"is {_bytes(size)} long, shorter than the {HDRSIZE}-byte header of an a.out")
    if magic != I_MAGIC:
        raise AoutError(path, f"is not a Plan 9 a.out (it begins 0x{magic:08x}, a 386 program 0x{I_MAGIC:08x})")
    a = Aout(path, *HDR.unpack(head))
    _check(a, size)
    return a


def script(path: str) -> list[str] | None:
    """The words of a #! line, the interpreter first; None if the file does not begin with #!.

    As in the kernel, the line must end within the first 32 bytes. Raises AoutError.
    """
    _, head = _head(path)
    if not head.startswith(b"#!"):
        return None
    line, newline, _ = head[2:].partition(b"\n")
    if not newline:
        raise AoutError(path, f"its #! line does not end within {HDRSIZE} bytes")
    words = line.partition(b"\0")[0].replace(b"\t", b" ").split(b" ")
    words = [w for w in words if w]
    if not words:
        raise AoutError(path, "its #! line names no interpreter")
    return [os.fsdecode(w) for w in words]


def text(path: str) -> bool:
    """Whether the file is neither executable nor foreign but text, for what its first bytes tell. Raises AoutError."""
    _, head = _head(path)
    return b"\0" not in head and not head.startswith((b"#!", *(prefix for prefix, _ in FOREIGN)))


def _check(a: Aout, size: int) -> None:
    """Refuse sizes that fit neither the address space nor the file, and an entry that is not in the text."""
    for seg, n in zip(a.segments, (a.text, a.data, a.bss), strict=False):
        if seg.top - seg.base > SEGMAX:
            raise AoutError(a.path, f"{_claim(seg.name, n)}; a segment holds at most {SEGMAX >> 20}M")
    top = max(seg.top for seg in a.segments[:3])
    if top >= USERTOP:
        raise AoutError(a.path, f"text, data and bss end at 0x{top:x}, in the stack, which begins at 0x{USERTOP:x}")
    if size < HDRSIZE + a.text:
        raise AoutError(a.path, f"is cut short: {_claim('text', a.text)}, {size - HDRSIZE} are there")
    if size < HDRSIZE + a.text + a.data:
        raise AoutError(a.path, f"is cut short: {_claim('data', a.data)}, {size - HDRSIZE - a.text} are there")
    if not UTZERO + HDRSIZE <= a.entry < a.textend:
        raise AoutError(a.path, f"entry 0x{a.entry:x} is outside the text, 0x{UTZERO + HDRSIZE:x} to 0x{a.textend:x}")


def _claim(name: str, n: int) -> str:
    return f"the header claims {_bytes(n)} of {name}"


def _bytes(n: int) -> str:
    return f"{n} byte" if n == 1 else f"{n} bytes"


def _pground(x: int) -> int:
    """x rounded up to a page, not wrapped at 4G: a header cannot get round the check by overflowing."""
    return (x + BY2PG - 1) & ~(BY2PG - 1)


def _symbols(table: bytes) -> Iterator[Symbol]:
    """Entries are a big-endian value, the type with its high bit set, and a name that ends in a zero byte.

    The name of z and Z (a path of a source file) is a zero byte, then two bytes for each element,
    until both are zero.
    """
    at = 0
    while at + 5 < len(table):
        value = int.from_bytes(table[at : at + 4], "big")
        if not table[at + 4] & 0x80:
            return
        letter = chr(table[at + 4] & 0x7F)
        at += 5
        if letter in "zZ":
            end = at + 1
            while end + 1 < len(table) and (table[end] or table[end + 1]):
                end += 2
            if end + 1 >= len(table):
                return
            yield Symbol(value, letter, "", table[at + 1 : end])
            at = end + 2
            continue
        end = table.find(0, at)
        if end < 0:
            return
        yield Symbol(value, letter, table[at:end].decode("utf-8", "replace"))
        at = end + 1


def _head(path: str) -> tuple[int, bytes]:
    """The size of a regular file and its first 32 bytes; anything else raises AoutError."""
    try:
        st = os.stat(path)
    except OSError as e:
        if isinstance(e, FileNotFoundError | NotADirectoryError):
            raise AoutError(path, "no such file", NOTFOUND) from None
        raise AoutError(path, f"cannot be read: {e.strerror}") from None
    except ValueError:  # a name that holds a zero byte
        raise AoutError(path, "no such file", NOTFOUND) from None
    if stat.S_ISDIR(st.st_mode):
        raise AoutError(path, "is a directory")
    if not stat.S_ISREG(st.st_mode):
        raise AoutError(path, "is not a regular file")
    return st.st_size, _read(path, 0, HDRSIZE)


def _read(path: str, offset: int, n: int) -> bytes:
    """n bytes at offset, fewer at the end of the file. Raises AoutError."""
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            f.seek(offset)
            return f.read(max(0, min(n, size - offset)))
    except OSError as e:
        raise AoutError(path, f"cannot be read: {e.strerror}") from None
