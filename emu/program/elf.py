"""A Plan 9 program as an ELF file that debuggers of this world load: segments, symbols, lines and frames.

It is to be looked at, not to be run: no system has its system calls. Source: the System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from emu.program import dwarf
from emu.program.aout import DATASYMS, HDRSIZE, TEXTSYMS, Aout
from emu.program.lines import Lines
from kernel.base.mem import BY2PG, UTZERO

EHDR: Final = struct.Struct("<16s2H5I6H")
PHDR: Final = struct.Struct("<8I")
SHDR: Final = struct.Struct("<10I")
SYM: Final = struct.Struct("<3I2BH")
IDENT: Final = b"\x7fELF\1\1\1" + bytes(9)
EXEC, I386 = 2, 3
PROGBITS, SYMTAB, STRTAB, NOBITS = 1, 2, 3, 8
WRITE, ALLOC, CODE = 1, 2, 4
LOAD, R, W, X = 1, 4, 2, 1
OBJECT, FUNC, GLOBAL = 1, 2, 1
CHUNK: Final = 1 << 16


class _Section(NamedTuple):
    name: str
    type: int
    flags: int
    addr: int
    data: bytes
    size: int
    align: int = 1
    link: int = 0
    info: int = 0
    entsize: int = 0


def elf(aout: Aout) -> bytes:
    """The ELF file of a program. Raises AoutError if that cannot be read."""
    lines = Lines(aout)
    functions = list(_functions(aout))
    data = aout.segments[1]
    sections = [
        _Section("", 0, 0, 0, b"", 0, 0),
        _Section(".text", PROGBITS, ALLOC | CODE, UTZERO + HDRSIZE, _text(aout), aout.text, 16),
        _Section(".data", PROGBITS, ALLOC | WRITE, data.base, aout.contents(data), aout.data, 4),
        _Section(".bss", NOBITS, ALLOC | WRITE, data.base + aout.data, b"", aout.bss, 4),
    ]
    symbols, names = _symbols(aout, functions)
    first = 1 + sum(1 for n in range(1, len(symbols) // SYM.size) if symbols[n * SYM.size + 12] >> 4 == 0)
    sections.append(_Section(".symtab", SYMTAB, 0, 0, symbols, len(symbols), 4, 5, first, SYM.size))
    sections.append(_Section(".strtab", STRTAB, 0, 0, names, len(names)))
    parts = {".debug_line": dwarf.line(aout, lines), ".debug_frame": dwarf.frame(aout, lines, functions)}
    if parts[".debug_line"]:
        parts |= {".debug_info": dwarf.info(aout, functions), ".debug_abbrev": dwarf.abbrev()}
    sections += [_Section(name, PROGBITS, 0, 0, body, len(body)) for name, body in parts.items() if body]
    return _file(aout, sections)


def _text(aout: Aout) -> bytes:
    return b"".join(aout.bytes_at(UTZERO + HDRSIZE + at, CHUNK) for at in range(0, aout.text, CHUNK))


def _functions(aout: Aout) -> Iterator[tuple[str, int, int]]:
    """Name, address and size of each: it reaches to the next one."""
    found = [s for s in aout.functions if s.value >= UTZERO + HDRSIZE]
    for i, s in enumerate(found, 1):
        yield s.name, s.value, (found[i].value if i < len(found) else aout.textend) - s.value


def _symbols(aout: Aout, functions: list[tuple[str, int, int]]) -> tuple[bytes, bytes]:
    """The symbol table, local ones first, and the names."""
    sizes = {at: size for _, at, size in functions}
    datas = sorted({s.value for s in aout.symbols if s.type in DATASYMS})
    _, data, bss, _ = aout.segments
    top = bss.top or data.top
    extents = {a: b - a for a, b in zip(datas, [*datas[1:], max(top, datas[-1])] if datas else [], strict=True)}
    strings = bytearray(b"\0")
    rows: tuple[list[bytes], list[bytes]] = [], []
    for s in aout.symbols:
        if not s.name or s.type not in TEXTSYMS | DATASYMS or s.value > 0xFFFFFFFF:
            continue
        code = s.type in TEXTSYMS
        glob = s.type.isupper()
        if code:
            kind, size, section = FUNC, sizes.get(s.value, 0), 1
        else:
            kind, size, section = OBJECT, extents.get(s.value, 0), 2 if s.value < data.base + aout.data else 3
        info = (GLOBAL if glob else 0) << 4 | kind
        rows[glob].append(SYM.pack(len(strings), s.value, size, info, 0, section))
        strings += s.name.replace("\0", "").encode("utf-8", "surrogateescape") + b"\0"
    return b"".join([bytes(SYM.size), *rows[0], *rows[1]]), bytes(strings)


def _file(aout: Aout, sections: list[_Section]) -> bytes:
    """Headers, segments at offsets that fit their addresses, the other sections, their table."""
    names = bytearray()
    at = {}
    sections = [*sections, _Section(".shstrtab", STRTAB, 0, 0, b"", 0)]
    for s in sections:
        at[s.name] = len(names)
        names += s.name.encode() + b"\0"
    sections[-1] = sections[-1]._replace(data=bytes(names), size=len(names))
    out = bytearray(EHDR.size + 2 * PHDR.size)
    offsets = []
    for s in sections:
        if s.flags & ALLOC and s.type == PROGBITS:
            out += bytes((s.addr - len(out)) % BY2PG)
        elif s.align > 1:
            out += bytes(-len(out) % s.align)
        offsets.append(len(out) if s.type else 0)
        out += s.data
    out += bytes(-len(out) % 4)
    table = len(out)
    for s, offset in zip(sections, offsets, strict=True):
        out += SHDR.pack(at[s.name], s.type, s.flags, s.addr, offset, s.size, s.link, s.info, s.align, s.entsize)
    _, text, data, *_ = sections
    ident = IDENT, EXEC, I386, 1, aout.entry, EHDR.size, table, 0, EHDR.size, PHDR.size, 2
    out[: EHDR.size] = EHDR.pack(*ident, SHDR.size, len(sections), len(sections) - 1)
    PHDR.pack_into(out, EHDR.size, LOAD, offsets[1], text.addr, text.addr, text.size, text.size, R | X, BY2PG)
    memory = data.size + aout.bss
    PHDR.pack_into(out, EHDR.size + PHDR.size, LOAD, offsets[2], data.addr, data.addr, data.size, memory, R | W, BY2PG)
    return bytes(out)
