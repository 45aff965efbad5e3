"""Call stacks: from the registers of a process to the functions that it is in.

The 386 has no fixed place for a caller's frame. What a function has on the stack is known from its program's tables:
for each address the bytes between SP and the return address (:meth:`emu.program.lines.Lines.frame`). So the walk
needs no frame pointer, and ends where nothing is known: in a program without tables, in assembly that does not tell,
at a return address that is none. Source: libmach/machdata.c:i386trace (8l's programs).
"""

from collections.abc import Callable
from typing import Final

from emu.program.lines import WORD, Lines
from kernel.base.mem import USTKTOP

DEEPEST: Final = 64  # frames that are told

Reader = Callable[[int, int], bytes]
"""Up to so many bytes at an address; fewer where there is no page."""


def unwind(lines: Lines, pc: int, sp: int, read: Reader) -> list[int]:
    """Where each function on the stack is, the innermost first: pc, then return addresses, DEEPEST at the most."""
    out = [pc]
    while len(out) < DEEPEST:
        # a return address may be behind the last instruction of its function: the call itself is not
        frame = lines.frame(pc if len(out) == 1 else pc - 1)
        if frame is None or frame < 0 or sp + frame + WORD > USTKTOP:
            break
        word = read(sp + frame, WORD)
        pc = int.from_bytes(word, "little")
        if len(word) < WORD or not lines.aout.holds(pc - 1):
            break
        sp += frame + WORD
        out.append(pc)
    return out
