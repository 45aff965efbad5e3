"""RCL, RCR and SETcc that fault: the flags are as they were, and the instruction is right when it is done again."""

from collections.abc import Iterator

import pytest

from emu.machine import x86
from emu.machine.regs import Regs
from tests.emu.bare import PAGE, Bare
from tests.emu.machine.test_cmpxchg8b import SETTERS

CODE = 0x1000
DATA = 0x8000
ABSENT = 0x40000
READONLY = 0x41000
STORED = 0x81C37E95
ROTATIONS = ("d017", "d01f", "66d117", "66d11f", "d117", "d11f", "c01703", "c15f0007", "66d31f", "d317")  # of (DI)
SETS = tuple(f"0f{0x90 + i:02x}07" for i in range(16))


@pytest.fixture(params=[False, True], ids=["nested", "plain"])
def bare(request: pytest.FixtureRequest) -> Iterator[Bare]:
    with Bare(plain=request.param) as b:
        b.map(DATA)
        b.map(DATA + PAGE)
        b.map(ABSENT)
        b.map(READONLY, write=False)
        yield b


def start(bare: Bare, code: str, di: int) -> Regs:
    bare.load(CODE, bytes.fromhex(code) + b"\xcd\x40")
    regs = bare.regs(CODE, sp=DATA + PAGE + 0x800)
    regs.bp, regs.si, regs.cx = 0x80000400, 0x90000C13, 3
    regs.di = di
    bare.traps.clear()
    bare.run(regs)
    return regs


def put(bare: Bare, va: int) -> None:
    pa = bare.memory.walk(bare.pdb, va)
    assert pa is not None
    bare.memory.write(pa, STORED.to_bytes(4, "little"))


@pytest.mark.parametrize("name", SETTERS)
def test_flags_are_as_before_and_the_result_is_right(bare: Bare, name: str) -> None:
    setter = SETTERS[name]
    before = start(bare, setter, DATA).flags
    for insn in ROTATIONS + SETS:
        put(bare, DATA)
        after = start(bare, setter + insn, DATA).flags
        assert [t.trapno for t in bare.traps] == [64]
        result = bare.peek(DATA)
        for va, ecode in ((ABSENT, 6), (READONLY, 7)):
            put(bare, READONLY)
            pa = bare.memory.walk(bare.pdb, READONLY)
            put(bare, ABSENT)
            absent = bare.memory.walk(bare.pdb, ABSENT)
            bare.unmap(ABSENT)
            regs = start(bare, setter + insn, va)
            assert [(t.trapno, t.ecode, t.addr) for t in bare.traps] == [(14, ecode, va)], insn
            assert regs.flags & x86.FL_ARITHMETIC == before & x86.FL_ARITHMETIC, (insn, va)
            bare.map(ABSENT, absent)
            bare.map(READONLY, pa)
            bare.run(regs)
            assert (bare.peek(va), regs.flags) == (result, after), (insn, va)
            bare.map(READONLY, pa, write=False)
