"""A 386's registers in gdb's order, and the description of them that gdb is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emu.machine.regs import FXHEAD
from kernel.base.mem import UDSEL, UESEL

if TYPE_CHECKING:
    from kernel.base.hw import Regs

NAMES: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "pc", "flags")
SEGMENTS: Final = (UESEL, UDSEL, UDSEL, UDSEL, UDSEL, UDSEL)  # cs ss ds es fs gs
SP, BP, PC = 4, 5, 8
ST, CONTROL, XMM, MXCSR = 16, 24, 32, 40  # numbers of the first
COUNT: Final = 41
FXST, FXXMM = 32, 160  # where FXSAVE has them


def _description() -> bytes:
    core = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags", "cs", "ss", "ds", "es", "fs", "gs"]
    kinds = {"esp": "data_ptr", "ebp": "data_ptr", "eip": "code_ptr", "eflags": "i386_eflags"}
    flags = ("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11)
    mxcsr = ("IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM")
    x = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
    x += ["<architecture>i386</architecture>", '<feature name="org.gnu.gdb.i386.core">']
    x.append('<flags id="i386_eflags" size="4">')
    x += [f'<field name="{name}" start="{bit}" end="{bit}"/>' for name, bit in flags]
    x.append("</flags>")
    x += [f'<reg name="{r}" bitsize="32" type="{kinds.get(r, "int32")}"/>' for r in core]
    x += [f'<reg name="st{i}" bitsize="80" type="i387_ext"/>' for i in range(8)]
    control = "fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"
    x += [f'<reg name="{r}" bitsize="32" type="int" group="float"/>' for r in control]
    x += ["</feature>", '<feature name="org.gnu.gdb.i386.sse">']
    vectors = "v4f ieee_single 4,v2d ieee_double 2,v16i8 int8 16,v8i16 int16 8,v4i32 int32 4,v2i64 int64 2"
    x += ['<vector id="{}" type="{}" count="{}"/>'.format(*v.split()) for v in vectors.split(",")]
    fields = "v4_float v4f", "v2_double v2d", "v16_int8 v16i8", "v8_int16 v8i16", "v4_int32 v4i32", "v2_int64 v2i64"
    x.append('<union id="vec128">')
    x += ['<field name="{}" type="{}"/>'.format(*f.split()) for f in fields]
    x += ['<field name="uint128" type="uint128"/>', "</union>", '<flags id="i386_mxcsr" size="4">']
    x += [f'<field name="{name}" start="{bit}" end="{bit}"/>' for bit, name in enumerate(mxcsr)]
    x.append("</flags>")
    x += [f'<reg name="xmm{i}" bitsize="128" type="vec128" group="float"/>' for i in range(8)]
    x += ['<reg name="mxcsr" bitsize="32" type="i386_mxcsr" group="vector"/>', "</feature>", "</target>"]
    return "\n".join(x).encode()


DESCRIPTION: Final = _description()


def size(n: int) -> int:
    """Bytes of register n."""
    return 10 if ST <= n < CONTROL else 16 if XMM <= n < MXCSR else 4


def get(regs: Regs, n: int, fx: bytes | None = None) -> bytes:
    """The value of register n. ``fx`` is regs.fpsave(), which takes a while, if it is at hand. Raises IndexError."""
    if n < len(NAMES):
        return int(getattr(regs, NAMES[n])).to_bytes(4, "little")
    if n < ST:
        return SEGMENTS[n - len(NAMES)].to_bytes(4, "little")
    if n >= COUNT:
        raise IndexError(n)
    fx = fx or regs.fpsave()
    if n < CONTROL:
        return fx[FXST + 16 * (n - ST) :][:10]
    if XMM <= n < MXCSR:
        return fx[FXXMM + 16 * (n - XMM) :][:16]
    fcw, fsw, ftw, fop, fip, fdp, mxcsr, _ = FXHEAD.unpack_from(fx)
    if n == MXCSR:
        return int(mxcsr).to_bytes(4, "little")
    tags = sum((0 if ftw >> i & 1 else 3) << 2 * i for i in range(8))
    return int((fcw, fsw, tags, 0, fip, 0, fdp, fop)[n - CONTROL]).to_bytes(4, "little")


def everything(regs: Regs) -> bytes:
    """All of them, in order."""
    fx = regs.fpsave()
    return b"".join(get(regs, n, fx) for n in range(COUNT))


def put(regs: Regs, n: int, value: bytes) -> None:
    """Change register n; the segments stay what they are. Raises IndexError, and ValueError for a wrong size."""
    if not 0 <= n < COUNT:
        raise IndexError(n)
    if len(value) != size(n):
        raise ValueError(f"register {n} has {size(n)} bytes")
    number = int.from_bytes(value, "little")
    if n < len(NAMES):
        if getattr(regs, NAMES[n]) != number:
            setattr(regs, NAMES[n], number)
        return
    if n < ST:
        return
    fx = bytearray(regs.fpsave())
    if n < CONTROL:
        at = FXST + 16 * (n - ST)
        fx[at : at + 10] = value
    elif XMM <= n < MXCSR:
        at = FXXMM + 16 * (n - XMM)
        fx[at : at + 16] = value
    else:
        head = list(FXHEAD.unpack_from(fx))
        if n == CONTROL + 2:  # the full tags: 3 is empty
            head[2] = sum(1 << i for i in range(8) if number >> 2 * i & 3 != 3)
        elif n == MXCSR or n - CONTROL in (0, 1, 4, 6, 7):
            i = 6 if n == MXCSR else {0: 0, 1: 1, 4: 4, 6: 5, 7: 3}[n - CONTROL]
            head[i] = number & (0xFFFFFFFF if i > 3 else 0xFFFF)
        FXHEAD.pack_into(fx, 0, *head)
    if bytes(fx) != regs.fpsave():
        regs.fprestore(bytes(fx))
