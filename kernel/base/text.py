"""Names and other strings of the kernel.

Names of files are str: bytes that are not UTF-8 live in them as lone surrogates (:func:`kstr`, :func:`kbytes`), so that
every name of a host file survives the way through the kernel.
"""

from __future__ import annotations

GENBUF = 128  # size of up->genbuf


def quote(s: str, sharp: bool, n: int = GENBUF) -> str:
    """s in quotes if it needs them (or sharp), cut to fit n bytes with its NUL: %q and %#q.

    Cut between characters, and as if what is cut off had never been. Source: quote(2).
    """
    room = n - 1
    quoted = sharp or not s
    size = 2 if quoted else 0
    if size > room:
        return ""
    out = ""
    for ch in s:
        w = len(kbytes(ch))
        if size + w > room:
            break
        if ch <= " " or ch == "'":
            if not quoted:
                if size + w + 2 > room:
                    break
                size += 2
                quoted = True
            if ch == "'":
                if size + w + 1 > room:
                    break
                size += 1
                ch = "''"
        size += w
        out += ch
    return f"'{out}'" if quoted else out


def kstr(b: bytes) -> str:
    """A name, from its bytes."""
    return b.decode("utf-8", "surrogateescape")


def kbytes(s: str) -> bytes:
    """The bytes of a name; kstr's inverse."""
    return s.encode("utf-8", "surrogateescape")


def kstrcpy(s: str, n: int) -> str:
    """s as it fits into n bytes with its NUL; a longer one ends in "...". Source: port/chan.c:kstrcpy."""
    b = kbytes(s)
    if len(b) < n:
        return s
    if n < 4:
        return kstr(b[: n - 1])
    end = n - 4
    while end > 0:
        end -= 1
        if b[end] & 0xC0 != 0x80:
            break
    return kstr(b[:end] + b"...")


def strcpy(to: bytearray, s: str) -> None:
    """Put s, as it fits, and a NUL into a buffer; what is behind them stays. Source: port/chan.c:kstrcpy."""
    b = kbytes(kstrcpy(s, len(to))) + b"\0"
    to[: len(b)] = b


def cut(s: str, n: int) -> str:
    """As many whole characters of s as fit into n bytes with their NUL: what snprint leaves. Source: print(2)."""
    b = kbytes(s)
    if len(b) < n:
        return s
    end = max(n - 1, 0)
    while end > 0 and b[end] & 0xC0 == 0x80:
        end -= 1
    return kstr(b[:end])


def keepargs(args: bytes) -> bytes:
    """What /proc keeps of the first 128 bytes of arguments: up to a whole character and a NUL.

    Source: port/sysproc.c:sysexec.
    """
    if args and args[-1] != 0:
        i = len(args) - 1
        while i > 0 and not fullrune(args[i:]):
            i -= 1
        args = args[:i] + b"\0"
    return args


def fullrune(b: bytes) -> bool:
    """Whether b, which is not empty, is long enough for the character its first byte begins. Source: fullrune(2)."""
    need = 1 if b[0] < 0x80 else 2 if b[0] < 0xE0 else 3 if b[0] < 0xF0 else 4
    return len(b) >= need
