"""The a.out's tables over addresses: pc/line and pc/sp, a.out(6)'s "PC/SP" encoding.

A table tells a value for every address of the text, as steps from address 0x1020 and value 0:

    0 and four bytes, big-endian    add them to the value
    1 to 64                         add as many units to it
    65 to 128                       take 1 to 64 units off it
    129 to 255                      add 0 to 126 to the address

and after each of these add 1 to the address. A unit is 1 line, or 4 bytes of the stack. A value holds from the
address at which its step has arrived; a debugger looks no further than there, and needs one more step behind it.
Source: cmd/8l/span.c:asmlc, libmach/sym.c:pc2line.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

LINE: Final = 1  # units
STACK: Final = 4
FAR: Final = 127  # how far one step takes the address
NEAR: Final = 64  # and the value, in units


def encode(runs: Iterable[tuple[int, int]], start: int, end: int, unit: int = LINE) -> bytes:
    """The table of runs (address, value), by ascending address: each value holds up to the next run or end.

    Before the first run it is 0; so it is everywhere if there are no runs, and the table is empty.
    """
    out = bytearray()
    pc, value = start, 0
    for at, new in runs:
        if new == value:
            continue
        _go(out, at - pc)
        step = new - value
        if step % unit or abs(step) > NEAR * unit:
            out += b"\0" + (step & 0xFFFFFFFF).to_bytes(4, "big")
        else:
            out.append(step // unit if step > 0 else NEAR - step // unit)
        pc, value = at + 1, new
    if out:
        _go(out, max(end - pc, 0))
        out.append(2 + FAR)
        if len(out) % 2:
            out.append(2 + FAR)
    return bytes(out)


def _go(out: bytearray, n: int) -> None:
    full, rest = divmod(n, FAR)
    out += bytes([FAR + 128]) * full
    if rest:
        out.append(rest + 128)


def merge(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs by address: of several at one address the last, and none that changes nothing."""
    last = dict(runs)
    out = [(at, last[at]) for at in sorted(last)]
    return out[:1] + [b for a, b in pairwise(out) if a[1] != b[1]]
