"""Plan 9's 386 a.out: written from a linked ELF file, and read back.

The file (Source: a.out(6), sys/include/a.out.h, port/sysproc.c:sysexec)::

    offset 0    header: 8 words of 32 bits, big-endian
                  magic   0x1eb for the 386
                  text    bytes of text, the header not counted
                  data    bytes of initialized data
                  bss     bytes of zeros behind the data
                  syms    bytes of symbol table
                  entry   address of the first instruction
                  spsz    bytes of the pc/sp table
                  pcsz    bytes of the pc/line table
    32          text
    32 + text   data, not aligned
    ...         symbol table
    ...         pc/sp table, pc/line table: guest/pctab.py

In memory the text begins at 0x1000 with the header in it, so its first instruction is at 0x1020; the
data begin at the next page boundary; the bss follows the last byte of data at once.

The symbol table is a sequence of: value (address, 4 bytes big-endian), type (1 byte: a letter with bit 0x80
set), name, NUL. Letters: T text, D data, B bss; t, d, b the same but local to a file; m the frame of the text symbol
before it; f a part of a path, z and Z files' beginnings and ends, whose name is a NUL, then two bytes, big-endian, for
each part of a path, then two NULs.
"""

import struct
from dataclasses import dataclass
from typing import Final

MAGIC: Final = 0x1EB
HEADER: Final = struct.Struct(">8I")
UTZERO: Final = 0x1000
PAGE: Final = 4096
TEXTBASE: Final = UTZERO + HEADER.size


class FormatError(Exception):
    """The file is not what its kind of file has to be."""


@dataclass(frozen=True, order=True)
class Symbol:
    """``kind`` is one of T, t, D, d, B, b, m, f, z, Z; ``path`` the numbers of f symbols, of z and Z only."""

    value: int
    name: str
    kind: str
    path: tuple[int, ...] = ()


@dataclass(frozen=True)
class Aout:
    """A program: what its file says, taken apart."""

    text: bytes
    data: bytes
    bss: int
    entry: int
    symbols: tuple[Symbol, ...] = ()
    sptab: bytes = b""
    pctab: bytes = b""

    @property
    def database(self) -> int:
        """Address of the first byte of data."""
        return (TEXTBASE + len(self.text) + PAGE - 1) & ~(PAGE - 1)

    @property
    def end(self) -> int:
        """Address behind the bss."""
        return self.database + len(self.data) + self.bss

    def pack(self) -> bytes:
        """The file."""
        syms = packsymbols(self.symbols)
        words = (len(self.text), len(self.data), self.bss, len(syms), self.entry, len(self.sptab), len(self.pctab))
        return HEADER.pack(MAGIC, *words) + self.text + self.data + syms + self.sptab + self.pctab

    @classmethod
    def unpack(cls, image: bytes) -> "Aout":
        """Read a file; raises FormatError."""
        if len(image) < HEADER.size:
            raise FormatError("shorter than an a.out header")
        magic, text, data, bss, syms, entry, spsz, pcsz = HEADER.unpack_from(image)
        if magic != MAGIC:
            raise FormatError(f"magic 0x{magic:x} instead of 0x{MAGIC:x}")
        if len(image) < HEADER.size + text + data + syms + spsz + pcsz:
            raise FormatError("shorter than its header says")
        if not TEXTBASE <= entry < TEXTBASE + text:
            raise FormatError(f"entry 0x{entry:x} outside the text")
        t, d = HEADER.size, HEADER.size + text
        s = d + data
        sp, pc = s + syms, s + syms + spsz
        symbols = unpacksymbols(image[s:sp])
        return cls(image[t:d], image[d:s], bss, entry, symbols, image[sp:pc], image[pc : pc + pcsz])


def packsymbols(symbols: tuple[Symbol, ...]) -> bytes:
    """The symbol table, in the order given."""
    return b"".join(struct.pack(">IB", s.value, ord(s.kind) | 0x80) + _name(s) + b"\0" for s in symbols)


def _name(s: Symbol) -> bytes:
    if s.kind in "zZ":
        return b"\0" + b"".join(n.to_bytes(2, "big") for n in s.path) + b"\0"
    return s.name.encode("utf-8", "surrogateescape")


def unpacksymbols(table: bytes) -> tuple[Symbol, ...]:
    """The symbols of a table; raises FormatError if it ends inside one."""
    out = []
    at = 0
    while at < len(table):
        end = table.find(b"\0", at + 5)
        if end < 0:
            raise FormatError("symbol table ends inside a symbol")
        value, kind = struct.unpack_from(">IB", table, at)
        if not kind & 0x80:
            raise FormatError(f"symbol type 0x{kind:02x} without its high bit")
        letter = chr(kind & 0x7F)
        path = []
        if letter in "zZ":
            while part := int.from_bytes(table[end + 1 : end + 3], "big"):
                path.append(part)
                end += 2
            end += 2
        name = table[at + 5 : end].decode("utf-8", "surrogateescape") if letter not in "zZ" else ""
        out.append(Symbol(value, name, letter, tuple(path)))
        at = end + 1
    return tuple(out)


# ELF, as far as a static 386 program needs it (System V ABI, Intel386 supplement)
_EHDR: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SHDR: Final = struct.Struct("<10I")
_SYM: Final = struct.Struct("<IIIBBH")
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_NOBITS = 1, 2, 8
_SHF_ALLOC = 2
_STB_LOCAL = 0
_STT_NOTYPE, _STT_OBJECT, _STT_FUNC = 0, 1, 2
_LETTERS: Final = {".text": "T", ".codepages": "T", ".data": "D", ".bss": "B", ".bsspages": "B"}


@dataclass(frozen=True)
class _Section:
    name: str
    type: int
    addr: int
    size: int
    body: bytes
    link: int


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode("utf-8", "surrogateescape")


def _sections(elf: bytes) -> list[_Section]:
    if len(elf) < _EHDR.size or elf[:6] != b"\x7fELF\x01\x01":
        raise FormatError("not a little-endian 32-bit ELF file")
    ehdr = _EHDR.unpack_from(elf)
    shoff, shnum, shstrndx = ehdr[6], ehdr[12], ehdr[13]
    heads = [_SHDR.unpack_from(elf, shoff + i * _SHDR.size) for i in range(shnum)]
    names = elf[heads[shstrndx][4] : heads[shstrndx][4] + heads[shstrndx][5]]
    out = []
    for name, kind, flags, addr, offset, size, link, *_ in heads:
        body = b"" if kind == _SHT_NOBITS else elf[offset : offset + size]
        title = _string(names, name)
        if flags & _SHF_ALLOC and size and title not in _LETTERS:
            raise FormatError(f"section {title} has no place in an a.out")
        out.append(_Section(title, kind, addr, size, body, link))
    return out


def fromelf(elf: bytes) -> Aout:
    """Turn a program linked with lib/link.ld into an a.out; raises FormatError.

    Debug information is dropped. Labels of functions and objects become symbols, sorted by address, so that
    the result depends on nothing but the program.
    """
    sections = _sections(elf)
    entry = _EHDR.unpack_from(elf)[4]
    text = _join(sections, "T", TEXTBASE)
    out = Aout(text, b"", 0, entry)
    data = _join(sections, "D", out.database)
    tail = [s.addr + s.size for s in sections if _LETTERS.get(s.name) == "B" and s.size]
    bss = max(tail, default=0) - out.database - len(data)
    return Aout(text, data, max(bss, 0), entry, _symbols(sections))


def _join(sections: list[_Section], letter: str, base: int) -> bytes:
    """The sections that make up text or data, laid out from base; raises FormatError."""
    out = bytearray()
    for s in sections:
        if _LETTERS.get(s.name) != letter or not s.size:
            continue
        gap = s.addr - base - len(out)
        if gap < 0 or (gap and not out):
            raise FormatError(f"{s.name} at 0x{s.addr:x} instead of 0x{base + len(out):x}")
        out += bytes(gap) + s.body
    return bytes(out)


def _symbols(sections: list[_Section]) -> tuple[Symbol, ...]:
    out = set()
    for table in sections:
        if table.type != _SHT_SYMTAB:
            continue
        names = sections[table.link].body
        for name, value, _, info, _, index in _SYM.iter_unpack(table.body):
            title = _string(names, name)
            if not title or index >= len(sections) or info & 15 not in (_STT_NOTYPE, _STT_OBJECT, _STT_FUNC):
                continue
            letter = _LETTERS.get(sections[index].name)
            if letter is None:
                continue
            out.add(Symbol(value, title, letter.lower() if info >> 4 == _STB_LOCAL else letter))
    return tuple(sorted(out))
