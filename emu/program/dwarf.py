"""DWARF for a Plan 9 program: one unit that has all functions, one line table, and frames where they are known.

Nothing is known of types and variables. Version 4 of DWARF, as its standard numbers things.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Final

from emu.program.aout import HDRSIZE, Aout
from emu.program.lines import Lines
from kernel.base.mem import UTZERO

TEXT: Final = UTZERO + HDRSIZE
VERSION: Final = 4
# Tags, attributes, forms
COMPILE_UNIT, SUBPROGRAM = 0x11, 0x2E
AT_NAME, AT_STMT_LIST, AT_LOW_PC, AT_HIGH_PC, AT_LANGUAGE, AT_PRODUCER = 3, 0x10, 0x11, 0x12, 0x13, 0x25
AT_EXTERNAL: Final = 0x3F
FORM_ADDR, FORM_DATA2, FORM_DATA4, FORM_STRING, FORM_SEC_OFFSET, FORM_FLAG_PRESENT = 1, 5, 6, 8, 0x17, 0x19
C99: Final = 0x0C
# The line table's instructions
COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE = 1, 2, 3, 4
SET_ADDRESS, END_SEQUENCE = 2, 1  # the extended ones
LINEBASE, LINERANGE, OPCODEBASE = -5, 14, 13
LENGTHS: Final = bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))
# Frames: the rule of a function is an offset from SP to what was there before its call
ESP, RETURN, WORD = 4, 8, 4
DEF_CFA, DEF_CFA_OFFSET, OFFSET, ADVANCE_LOC4, NOP = 0x0C, 0x0E, 0x80, 0x04, 0


def uleb(n: int) -> bytes:
    """A number of 7 bits a byte, lowest first."""
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        out.append(byte | (0x80 if n else 0))
        if not n:
            return bytes(out)


def sleb(n: int) -> bytes:
    """The same with a sign."""
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        if n == (-1 if byte & 0x40 else 0):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _string(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "surrogateescape") + b"\0"


def _sized(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def abbrev() -> bytes:
    """.debug_abbrev: what follows in the two kinds of entries of .debug_info."""
    unit = (
        (AT_PRODUCER, FORM_STRING), (AT_LANGUAGE, FORM_DATA2), (AT_NAME, FORM_STRING), (AT_STMT_LIST, FORM_SEC_OFFSET),
        (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
    )  # fmt: skip
    named = (AT_EXTERNAL, FORM_FLAG_PRESENT), (AT_NAME, FORM_STRING)
    function = (*named, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4))
    out = b""
    for code, tag, children, attributes in ((1, COMPILE_UNIT, 1, unit), (2, SUBPROGRAM, 0, function)):
        out += uleb(code) + uleb(tag) + bytes((children,))
        out += b"".join(uleb(at) + uleb(form) for at, form in attributes) + b"\0\0"
    return out + b"\0"


def info(aout: Aout, sizes: Iterable[tuple[str, int, int]]) -> bytes:
    """.debug_info: one unit, and the functions of it: name, address, size."""
    name = os.path.basename(aout.path)
    body = struct.pack("<HIB", VERSION, 0, 4)
    body += uleb(1) + _string("p9emu") + struct.pack("<H", C99) + _string(name)
    body += struct.pack("<III", 0, TEXT, aout.textend - TEXT)
    out = [body]
    for function, at, size in sizes:
        out.append(uleb(2) + _string(function) + struct.pack("<II", at, size))
    return _sized(b"".join(out) + b"\0")


def line(aout: Aout, lines: Lines) -> bytes:
    """.debug_line: the source lines of all addresses; b"" where none is known."""
    files: dict[str, int] = {}
    program = [b"\0" + uleb(5) + bytes((SET_ADDRESS,)) + struct.pack("<I", TEXT)]
    pc, number, file, known = TEXT, 1, 1, False
    for at, place in lines.runs():
        if place is None:
            # a line that is not known is line 0
            target, index = 0, file
        else:
            target, index = place.line, files.setdefault(place.file, len(files) + 1)
            known = True
        if at < pc:
            continue
        if index != file:
            program.append(bytes((SET_FILE,)) + uleb(index))
            file = index
        program.append(_row(at - pc, target - number))
        pc, number = at, target
    if not known:
        return b""
    program.append(bytes((ADVANCE_PC,)) + uleb(max(aout.textend - pc, 0)) + b"\0\1" + bytes((END_SEQUENCE,)))
    names = b"".join(_string(name) + b"\0\0\0" for name in files)
    head = struct.pack("<BBBbBB", 1, 1, 1, LINEBASE, LINERANGE, OPCODEBASE) + LENGTHS + b"\0" + names + b"\0"
    return _sized(struct.pack("<HI", VERSION, len(head)) + head + b"".join(program))


def _row(advance: int, change: int) -> bytes:
    """Go on by so many bytes and lines, and make a row of it."""
    if LINEBASE <= change < LINEBASE + LINERANGE:
        special = change - LINEBASE + LINERANGE * advance + OPCODEBASE
        if special <= 0xFF:
            return bytes((special,))
    out = bytes((ADVANCE_PC,)) + uleb(advance) if advance else b""
    return out + (bytes((ADVANCE_LINE,)) + sleb(change) if change else b"") + bytes((COPY,))


def frame(aout: Aout, lines: Lines, sizes: Iterable[tuple[str, int, int]]) -> bytes:
    """.debug_frame: for each function where its caller's frame is; b"" where nothing is known."""
    rules = [(pc, n) for pc, n in lines.frames() if n is None or 0 <= n < 1 << 30]
    if not any(n is not None for _, n in rules):
        return b""
    cie = struct.pack("<IB", 0xFFFFFFFF, VERSION) + b"\0" + struct.pack("<BB", 4, 0) + uleb(1) + sleb(-4) + uleb(RETURN)
    cie += bytes((DEF_CFA,)) + uleb(ESP) + uleb(WORD) + bytes((OFFSET | RETURN,)) + uleb(1)
    out = [_sized(_padded(cie))]
    i = 0
    for _, start, size in sizes:
        while i + 1 < len(rules) and rules[i + 1][0] <= start:
            i += 1
        if not size or i >= len(rules) or rules[i][0] > start or rules[i][1] is None:
            continue
        body = struct.pack("<III", 0, start, size)
        pc, j, now = start, i, 0
        while j < len(rules) and rules[j][0] < start + size:
            at, n = max(rules[j][0], start), rules[j][1]
            if n is not None and n != now:
                if at > pc:
                    body += bytes((ADVANCE_LOC4,)) + struct.pack("<I", at - pc)
                    pc = at
                body += bytes((DEF_CFA_OFFSET,)) + uleb(n + WORD)
                now = n
            j += 1
        out.append(_sized(_padded(body)))
    return b"".join(out)


def _padded(body: bytes) -> bytes:
    return body + bytes((NOP,)) * (-len(body) % 4)
