"""Commands written to control files. Source: port/parse.c, tokenize(2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kernel.base.error import ERRMAX, Ecmdargs, Error
from kernel.base.mem import MASK32, s32
from kernel.base.record import constant
from kernel.base.text import cut, kbytes, kstr, quote

SPACE: Final = b" \t\r\n"


@constant
class Cmdtab:
    """A command: its word, and how many words it has in all (0: any number)."""

    cmd: str
    narg: int


def tokenize(s: bytes, maxargs: int) -> list[bytes]:
    """The first words of s; a part in single quotes may hold blanks, and two quotes for one. Source: tokenize(2)."""
    args: list[bytes] = []
    i = 0
    while len(args) < maxargs:
        while i < len(s) and s[i] in SPACE:
            i += 1
        if i == len(s):
            break
        word = bytearray()
        quoting = False
        while i < len(s) and (quoting or s[i] not in SPACE):
            if s[i] != ord("'"):
                word.append(s[i])
            elif not quoting:
                quoting = True
            elif s[i + 1 : i + 2] == b"'":
                i += 1
                word.append(s[i])
            else:
                quoting = False
            i += 1
        args.append(bytes(word))
    return args


def getfields(text: str, maxargs: int, delims: str) -> list[str]:
    """The parts of text between runs of delimiters, of which the last is what is left. Source: getfields(2)."""
    args: list[str] = []
    text = text.lstrip(delims)
    while text and len(args) < maxargs - 1:
        n = next((i for i, ch in enumerate(text) if ch in delims), len(text))
        args.append(text[:n])
        text = text[n:].lstrip(delims)
    return [*args, text] if text else args


def parsecmd(data: bytes) -> list[str]:
    """The words of a command, one newline at its end left out. Source: port/parse.c:parsecmd."""
    # as many as there are words without quotes; a NUL counts as blank there, and ends the text
    n = len(data.translate(bytes.maketrans(b"\0", b" ")).split())
    text = data.removesuffix(b"\n").partition(b"\0")[0]
    return [kstr(a) for a in tokenize(text, n)]


def cmderror(f: Sequence[str], s: str) -> Error:
    """The error of a command, which it shows. Source: port/parse.c:cmderror."""
    room = ERRMAX - 10
    text = cut(f'{s} "', room)
    for i, a in enumerate(f):
        if i:
            text = cut(text + " ", room)
        text += quote(a, False, room - len(kbytes(text)))
    return Error(text + '"')


def lookupcmd(f: Sequence[str], table: Sequence[Cmdtab]) -> str:
    """The word of the command f. Errors: unknown, or a wrong number of words. Source: port/parse.c:lookupcmd."""
    if not f:
        raise Error("empty control message")
    for t in table:
        if t.cmd == f[0]:
            if t.narg not in (0, len(f)):
                raise cmderror(f, Ecmdargs)
            return t.cmd
    raise cmderror(f, "unknown control message")


def atoi(s: str) -> int:
    """The decimal number at the start of s, 0 if there is none, in 32 bits. Source: atoi(2)."""
    s = s.lstrip(" \t")
    sign = -1 if s[:1] == "-" else 1
    s = s[1:] if s[:1] in ("-", "+") and s[:1] else s
    n = 0
    while n < len(s) and s[n].isascii() and s[n].isdigit():
        n += 1
    v = 0
    for i in range(0, n, 1000):  # Python converts no more than some thousand digits at once
        piece = s[i : min(i + 1000, n)]
        v = (v * pow(10, len(piece), 1 << 32) + int(piece)) & MASK32
    return s32(sign * v)


def strtoul(b: bytes) -> int:
    """The number at the start of b, in 32 bits: decimal, octal after 0, hexadecimal after 0x; with a sign.

    One that is too large is the largest. Source: atof(2).
    """
    b = b.lstrip()
    sign = -1 if b[:1] == b"-" else 1
    b = b[b[:1] in (b"-", b"+") :]
    base, digits = 10, b"0123456789"
    if b[:2].lower() == b"0x":
        base, digits, b = 16, b"0123456789abcdefABCDEF", b[2:]
    elif b[:1] == b"0":
        base, digits = 8, b"01234567"
    n = 0
    while n < len(b) and b[n] in digits:
        n += 1
    digits = b[:n].lstrip(b"0")
    v = int(digits[:40] or b"0", base)
    return MASK32 if v > MASK32 else sign * v & MASK32
