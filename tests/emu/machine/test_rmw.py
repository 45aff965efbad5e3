"""Read-modify-write instructions: each form, the near misses, and agreement with a disassembler."""

import random
import struct

import capstone
import pytest
from capstone import x86_const as x

from emu.machine import rmw
from emu.machine.regs import Regs
from tests.emu.bare import Bare, Trap

CODE = 0x1000
STACK = 0x8000
ABSENT = 0x40000


def le(n: int) -> bytes:
    return struct.pack("<I", n)


A = le(ABSENT).hex()
# Instruction (BX holds ABSENT, SI ABSENT - 0x40, CX 3, AX and DX 0) -> the one fault's error code
CASES = {
    f"addl ax,mem 0105{A}": 6,
    "addb al,(bx) 0003": 6,
    "orl 093b": 6,
    "adcl 1103": 6,
    "sbbl 1903": 6,
    "andl 2103": 6,
    "subl 2903": 6,
    "xorl 3103": 6,
    "addl $,(bx) 830301": 6,
    "addl $$,(bx) 810301000000": 6,
    "xorb $,(bx) 803301": 6,
    "xchgl 8703": 6,
    "xchgb 8603": 6,
    "lock xaddl f00fc103": 6,
    "xaddb 0fc003": 6,
    "cmpxchgl 0fb103": 6,
    "lock cmpxchgb f00fb003": 6,
    "cmpxchg8b 0fc70b": 6,
    "incl ff03": 6,
    "decb fe0b": 6,
    "incw 66ff03": 6,
    "notl f713": 6,
    "negb f61b": 6,
    "roll $ c10303": 6,
    "shrb 1 d02b": 6,
    "sarl cl d33b": 6,
    "rclw cl 66d313": 6,
    "shldl 0fa40305": 6,
    "shrdl cl 0fad03": 6,
    "btsl $ 0fba2b05": 6,
    "btrl $ 0fba3305": 6,
    "btcl $ 0fba3b05": 6,
    "btsl cx 0fab0b": 6,
    "arpl 6303": 6,
    "scaled addl 014c8e34": 6,  # 0x34(SI)(CX*4)
    "16-bit address 67ff07": 6,  # (BX) & 0xffff: not at ABSENT but at 0
    "cmpl 3903": 4,
    "cmpl $ 833b01": 4,
    "testl 8503": 4,
    "btl 0fa30b": 4,
    "btl $ 0fba2305": 4,
    "addl mem,ax 0303": 4,
    "mull f723": 4,
    "pushl ff33": 4,
    "calll ff13": 4,
    "movl 8b03": 4,
    "movl to 8903": 6,
    "setcc 0f9403": 6,
    "popl 8f03": 6,
    "movsb a4": 4,
    "cmpsb a6": 4,
    "stosb aa": 6,
    "fst d91b": 6,
}


@pytest.mark.parametrize("name", CASES)
def test_fault_of_each_form(name: str) -> None:
    insn = bytes.fromhex(name.rsplit(" ", 1)[1])
    with Bare() as bare:
        bare.map(STACK)
        bare.load(CODE, insn + b"\xcd\x40")
        regs = bare.regs(CODE, sp=STACK + 0x100)
        regs.bx, regs.si, regs.di, regs.cx = ABSENT, ABSENT - 0x40, ABSENT, 3
        if insn == b"\xa4" or insn == b"\xa6":
            regs.si = ABSENT
        bare.run(regs)
        addr = 0 if "16-bit" in name else ABSENT
        assert bare.traps == [Trap(14, CASES[name], CODE, addr)]


@pytest.mark.parametrize("offset", [0, 31, 32, 4096 * 8, -1, -32, -33, -4096 * 8])
@pytest.mark.parametrize("wide", [True, False])
def test_bit_strings_reach_far(offset: int, wide: bool) -> None:
    with Bare() as bare:
        bare.load(CODE, (b"" if wide else b"\x66") + b"\x0f\xb3\x0b\xcd\x40")  # BTR CX, (BX)
        regs = bare.regs(CODE)
        regs.bx, regs.cx = ABSENT, offset & 0xFFFFFFFF
        bare.run(regs)
        trap = bare.traps[0]
        assert (trap.trapno, trap.ecode) == (14, 6)
        if wide:
            assert trap.addr == ABSENT + offset // 32 * 4


def test_operand_across_two_absent_pages_and_half_absent() -> None:
    with Bare() as bare:
        bare.load(CODE, b"\xff\x05" + le(ABSENT + 0xFFE) + b"\xcd\x40")
        end = ABSENT + 0x1000

        def policy(b: Bare, trap: Trap) -> Regs | None:
            if trap.trapno == 14:
                b.map(trap.addr & ~0xFFF)
                return b.cpu.current
            return None

        bare.policy = policy
        bare.run(bare.regs(CODE))
        assert sorted((t.ecode, t.addr) for t in bare.traps[:2]) == [(6, ABSENT + 0xFFE), (6, end)]
        assert bare.traps[2].trapno == 64


def test_another_operand_of_such_an_instruction_is_no_write() -> None:
    """The code itself may be what is absent: then the fault is a read."""
    regs = numbered()
    assert rmw.writes(b"\xff\x05" + le(0x2000), regs, 0x2003)
    assert not rmw.writes(b"\xff\x05" + le(0x2000), regs, 0x2004)
    assert not rmw.writes(b"\xff\x05" + le(0x2000), regs, 0x1FFF)
    assert rmw.writes(b"\xff\x05" + le(0xFFFFFFFE), regs, 1)
    for n in range(6):
        assert not rmw.writes((b"\xff\x05" + le(0x2000))[:n], regs, 0x2000)


def numbered() -> Regs:
    """Registers with a number each."""
    with Bare() as bare:
        regs = bare.regs(0)
    for i, name in enumerate(rmw.REGISTERS):
        setattr(regs, name, 0x11111111 * (i + 1))
    return regs


RMW = {
    *(x.X86_INS_ADD, x.X86_INS_OR, x.X86_INS_ADC, x.X86_INS_SBB, x.X86_INS_AND, x.X86_INS_SUB, x.X86_INS_XOR),
    *(x.X86_INS_INC, x.X86_INS_DEC, x.X86_INS_NOT, x.X86_INS_NEG, x.X86_INS_XCHG, x.X86_INS_XADD),
    *(x.X86_INS_ROL, x.X86_INS_ROR, x.X86_INS_RCL, x.X86_INS_RCR, x.X86_INS_SHL, x.X86_INS_SHR, x.X86_INS_SAR),
    *(x.X86_INS_SAL, x.X86_INS_SHLD, x.X86_INS_SHRD, x.X86_INS_BTS, x.X86_INS_BTR, x.X86_INS_BTC),
    *(x.X86_INS_CMPXCHG, x.X86_INS_CMPXCHG8B, x.X86_INS_ARPL),
}


def test_agrees_with_capstone_on_random_instructions() -> None:
    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    md.detail = True
    rng = random.Random(386)
    regs = numbered()
    heads = [bytes([op]) for op in (*rmw.ONE, rmw.ARPL)] + [bytes([15, op]) for op in (*rmw.TWO, rmw.CMPXCHG8B)]
    checked = 0
    for i in range(20000):
        prefix = b"".join(bytes([rng.choice(rmw.PREFIXES)]) for _ in range(rng.choice((0, 0, 1, 2))))
        head = heads[i % len(heads)] if i % 2 else bytes([rng.randrange(256), rng.randrange(256)])
        code = prefix + head + rng.randbytes(12)
        insns = list(md.disasm(code, CODE, 1))
        if not insns or b"\xf2" in prefix or b"\xf3" in prefix:
            continue
        insn = insns[0]
        memory = [op for op in insn.operands if op.type == x.X86_OP_MEM]
        first = insn.operands[0].type == x.X86_OP_MEM if insn.operands else False
        expected = insn.id in RMW and (first or (insn.id == x.X86_INS_XCHG and bool(memory)))
        got = rmw.decode(code[: insn.size])
        assert (got is not None) == expected, (code.hex(), insn.mnemonic, insn.op_str)
        if got is None:
            continue
        checked += 1
        mem = memory[0].mem
        ea = mem.disp
        for reg, factor in ((mem.base, 1), (mem.index, mem.scale)):
            if reg:
                ea += getattr(regs, insn.reg_name(reg)[-2:]) * factor
        ea &= 0xFFFF if insn.addr_size == 2 else 0xFFFFFFFF
        if not got.bits:
            assert got.address(regs) == ea, (code.hex(), insn.op_str)
        assert got.size == memory[0].size, (code.hex(), insn.mnemonic, insn.op_str)
    assert checked > 3000
