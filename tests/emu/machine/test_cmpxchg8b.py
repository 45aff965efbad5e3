"""CMPXCHG8B: of the flags ZF alone changes, and what faults in it can be done again."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from emu.machine import cmpxchg8b, x86
from emu.machine.counter import Kind
from emu.machine.lib import lib
from emu.machine.regs import Regs
from tests.emu.bare import PAGE, Bare, Trap

CODE = 0x1000
DATA = 0x8000
STACK = 0x9800
ABSENT = 0x40000
READONLY = 0x41000
OLD = 0x1122334455667788
NEW = 0x99AABBCCDDEEFF00
MODES = [(kind, plain) for kind in ("inline", "call", "hook", "python") for plain in (False, True)]

# Each leaves the condition codes in another form; EBP is a number that other registers do not lead to.
SETTERS = {
    "ADDL BP, SI": "01ee",
    "ADDB": "6695 00c4 6695",
    "ADCL BP, SI": "f9 11ee",
    "SUBL BP, SI": "29ee",
    "SBBL BP, SI": "f9 19ee",
    "CMPL BP, SI": "39ee",
    "ANDL BP, SI": "21ee",
    "XORL SI, SI": "31f6",
    "INCL SI": "46",
    "DECL SI": "4e",
    "NEGL SI": "f7de",
    "SHLL $3, SI": "c1e603",
    "SARL $1, SI": "d1fe",
    "SHRL $32": "c1ee20",
    "ROLL $1, SI": "d1c6",
    "RCRL $1, SI": "d1de",
    "IMULL BP, SI": "0faff5",
    "BTL BP, SI": "0fa3ee",
    "BSFL BP, SI": "0fbcf5",
    "XADDL BP, SI": "0fc1ee",
    "CMPXCHGL BP, SI": "0fb1ee",
    "SHLDL $3, BP, SI": "0fa4ee03",
    "DAA": "27",
    "SAHF": "9e",
    "CMC": "f5",
    "STC": "f9",
    "POPFL": "687d060000 9d",  # every flag but O and D set
    "COMISD": "660f6ec5 660f2fc1",
    "VERR SI": "0f00e6",
    "ADDL, then a block": "01ee eb00",
    "ADDL, then a call": "01ee e801000000 90 58",  # 58: POPL AX, which is set again below
    "STD": "fd 01ee",
}
START = "b8 88776655 ba 44332211"  # MOVL $0x55667788, AX; MOVL $0x11223344, DX: OLD


@pytest.fixture(params=MODES, ids=lambda mode: f"{mode[0]}-{'plain' if mode[1] else 'nested'}")
def bare(request: pytest.FixtureRequest) -> Iterator[Bare]:
    kind, plain = request.param
    with Bare(counter=kind, plain=plain) as b:
        b.map(DATA)
        b.map(DATA + PAGE)
        b.map(READONLY, write=False)
        yield b


def registers(bare: Bare, pc: int = CODE, di: int = DATA) -> Regs:
    regs = bare.regs(pc, sp=STACK)
    regs.bp, regs.si = 0x80000400, 0x90000C13
    regs.ax, regs.dx = OLD & 0xFFFFFFFF, OLD >> 32
    regs.bx, regs.cx = NEW & 0xFFFFFFFF, NEW >> 32
    regs.di = di
    return regs


def store(bare: Bare, va: int, value: int) -> None:
    for i, byte in enumerate(struct.pack("<Q", value)):
        pa = bare.memory.walk(bare.pdb, va + i)
        assert pa is not None
        bare.memory.write(pa, bytes([byte]))


def flags(bare: Bare, code: str, value: int) -> tuple[int, int]:
    """What PUSHF and the next trap say after code, with the operand at DATA."""
    store(bare, DATA, value)
    bare.load(CODE, bytes.fromhex(code) + b"\x9c\xcd\x40")
    regs = registers(bare)
    bare.traps.clear()
    bare.run(regs)
    assert [t.trapno for t in bare.traps] == [64]
    return bare.peek(STACK - 4), regs.flags


@pytest.mark.parametrize("name", SETTERS)
def test_zf_alone_changes(bare: Bare, name: str) -> None:
    before, _ = flags(bare, SETTERS[name] + START, OLD)
    for prefix in ("", "f0"):
        insn = SETTERS[name] + START + prefix + "0fc70f"
        assert flags(bare, insn, OLD) == (before | 0x40, before | 0x40)
        assert bare.peek(DATA, 8) == NEW
        assert flags(bare, insn, OLD + 1) == (before & ~0x40, before & ~0x40)
        assert bare.peek(DATA, 8) == OLD + 1


def test_trap_right_behind_does_not_set_the_direction(bare: Bare) -> None:
    """ADDL CX, AX with D's bit in CX, CMPXCHG8B, INT $64; STOSB goes forward, in a fresh emulation too."""
    bare.load(CODE, bytes.fromhex("01c8 f0 0fc70f cd40 aa cd40"))
    regs = registers(bare)
    regs.cx = 0x400
    store(bare, DATA, OLD)
    bare.run(regs)
    assert not regs.flags & x86.FL_DIRECTION
    bare.run(regs)
    assert (regs.di, regs.pc) == (DATA + 1, CODE + 11)


@pytest.mark.parametrize("prefix", ["", "f0"])
@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(
    ("di", "fault"),
    [(ABSENT, (6, ABSENT)), (READONLY, (7, READONLY)), (ABSENT - 4, (6, ABSENT)), (READONLY + PAGE - 4, (7, None))],
)
def test_fault_changes_nothing_and_the_instruction_is_done_again(
    bare: Bare, prefix: str, equal: bool, di: int, fault: tuple[int, int | None]
) -> None:
    bare.map(ABSENT - PAGE)
    bare.map(READONLY + PAGE)
    insn = bytes.fromhex("01ee" + prefix + "0fc70f")
    bare.load(CODE, insn + b"\x9c\xcd\x40")
    regs = registers(bare, di=di)
    if not equal:
        regs.dx ^= 1
    was = [getattr(regs, name) for name in ("ax", "bx", "cx", "dx", "di", "sp")]
    seen: list[tuple[list[int], int]] = []

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno == 64:
            return None
        seen.append(([getattr(regs, name) for name in ("ax", "bx", "cx", "dx", "di", "sp")], regs.flags))
        page = trap.addr & ~(PAGE - 1)
        if not b.pte(page):
            b.map(page)
        else:
            b.memory.words[b._slot(page)] |= 2
            b.cpu.invlpg(page)
        for i, byte in enumerate(struct.pack("<Q", OLD)):
            pa = b.memory.walk(b.pdb, di + i)
            assert pa is not None
            b.memory.write(pa, bytes([byte]))
        return regs

    bare.policy = policy
    bare.run(regs)
    trap, *rest = bare.traps
    ecode, addr = fault
    assert (trap.trapno, trap.ecode, trap.pc) == (14, ecode, CODE + 2)
    assert trap.addr == (di if addr is None else addr)
    assert [t.trapno for t in rest] == [64]
    assert seen[0][0] == was
    after = seen[0][1] | 0x40 if equal else seen[0][1] & ~0x40
    assert (bare.peek(STACK - 4), regs.flags) == (after, after)
    assert [bare.peek(di + i, 1) for i in range(8)] == list(struct.pack("<Q", NEW if equal else OLD))
    assert (regs.ax, regs.dx) == (OLD & 0xFFFFFFFF, OLD >> 32)


def test_register_operand_is_undefined(bare: Bare) -> None:
    for insn in ("0fc7c9", "f00fc7c9"):
        bare.load(CODE, bytes.fromhex(insn))
        bare.run(registers(bare))
    assert [(t.trapno, t.pc) for t in bare.traps] == [(6, CODE), (6, CODE)]


WITHOUT = """
import sys
{how}
import tests.emu.machine.test_cmpxchg8b as t
from emu.machine import cmpxchg8b
from emu.machine.lib import lib
from tests.emu.bare import Bare
assert not cmpxchg8b.exact(lib())
for kind in {kinds}:
    for plain in (False, True):
        with Bare(counter=kind, plain=plain) as bare:
            bare.map(t.DATA)
            bare.map(t.DATA + t.PAGE)
            t.test_trap_right_behind_does_not_set_the_direction(bare)
"""


@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        ("sys.modules['emu.machine._cmpxchg8b'] = None", ("inline", "call", "hook", "python")),
        ("sys.modules['emu.machine._cmpxchg8b'] = sys.modules['emu.machine._blockcount'] = None", ("python",)),
        ("import unicorn", ("hook", "python")),
    ],
    ids=["extension not built", "no extension built", "libunicorn loaded first"],
)
def test_direction_is_kept_where_the_function_cannot_be_replaced(how: str, kinds: tuple[Kind, ...]) -> None:
    script = WITHOUT.format(how=how, kinds=kinds)
    env = dict(os.environ, PYTHONPATH=os.getcwd())
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=300)


def test_function_is_replaced() -> None:
    assert cmpxchg8b.exact(lib())
