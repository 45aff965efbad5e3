"""Where the two sides differ."""

from typing import Final

from tests.emu.differential.layout import FXHEAD, REGISTERS, Case, Result
from tests.emu.differential.table import FLAGS

ARITHMETIC: Final = sum(FLAGS.values())
COMPARED: Final = ARITHMETIC | 0x400 | 0x200  # and D, I
PAGEFAULT: Final = 14
DIVIDE: Final = 0
BREAKPOINT: Final = 3
# Of the FPU's status: the exceptions but Z, their summary and C1, which known.py tells of
STATUS: Final = 0xFFFF & ~(0x3B | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 15)
MMX: Final = b"\xff\xff"  # sign and exponent of what an MMX instruction wrote, which Unicorn leaves as they were
MXCSR: Final = 0xFFFF & ~0x3F  # the exceptions


def at(case: Case, pc: int) -> int | None:
    """The number of the instruction at pc, or None."""
    here = case.pc
    for i, insn in enumerate(case.insns):
        if here == pc:
            return i
        here += len(insn.code)
    return None


def undefined(case: Case, result: Result) -> int:
    """Flags without a defined value where the sequence stopped."""
    i = at(case, result.pc)
    if i is None:
        return case.undefined
    insn = case.insns[i]
    return insn.after | insn.undefined if result.trapno == DIVIDE else insn.undefined


def differences(case: Case, host: Result, ours: Result) -> tuple[str, ...]:
    """The names of what differs."""
    found = []
    for name in ("trapno", "ecode", "pc"):
        if getattr(host, name) != getattr(ours, name):
            found.append(name)
    if host.trapno == ours.trapno == PAGEFAULT and host.addr != ours.addr:
        found.append("addr")
    if (host.flags ^ ours.flags) & COMPARED & ~undefined(case, host):
        found.append("flags")
    found += [name for name, a, b in zip(REGISTERS, host.registers, ours.registers, strict=True) if a != b]
    found += [
        f"memory {va:x}"
        for va in sorted(host.memory.keys() | ours.memory.keys())
        if host.memory.get(va) != ours.memory.get(va)
    ]
    found += _fpu(host.fx, ours.fx)
    return tuple(found)


def _fpu(host: bytes, ours: bytes) -> list[str]:
    """The same of the FPU and SSE."""
    a, b = FXHEAD.unpack_from(host), FXHEAD.unpack_from(ours)
    found = []
    if a[0] != b[0]:
        found.append("fpu control")
    if (a[1] ^ b[1]) & STATUS:
        found.append("fpu status")
    if a[2] != b[2]:
        found.append("fpu tags")
    if (a[6] ^ b[6]) & MXCSR:
        found.append("mxcsr")
    top = a[1] >> 11 & 7
    for i in range(8):
        x, y = (fx[32 + 16 * i : 42 + 16 * i] for fx in (host, ours))
        if x[8:] == MMX:
            x, y = x[:8], y[:8]
        if a[2] >> (top + i & 7) & 1 and x != y:
            found.append(f"st{i}")
    found += [f"xmm{i}" for i in range(8) if host[160 + 16 * i : 176 + 16 * i] != ours[160 + 16 * i : 176 + 16 * i]]
    return found
