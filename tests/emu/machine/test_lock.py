"""LOCK is allowed before instructions that read and write memory, and undefined elsewhere."""

import pytest

from tests.emu.bare import Bare, Trap

CODE = 0x1000
DATA = 0x8000
# With ModRM 03, [BX]; those that may have LOCK
ALLOWED = {
    *(f"{8 * i + j:02x}03" for i in range(7) for j in (0, 1)),
    *(f"80{0x03 | i << 3:02x}07" for i in range(7)),
    *(f"83{0x03 | i << 3:02x}07" for i in range(7)),
    *(f"81{0x03 | i << 3:02x}07000000" for i in range(7)),
    *("8603", "8703", "f613", "f61b", "f713", "f71b", "fe03", "fe0b", "ff03", "ff0b"),
    *("0fab03", "0fb303", "0fbb03", "0fba2b05", "0fba3305", "0fba3b05"),
    *("0fb003", "0fb103", "0fc003", "0fc103", "0fc70b"),
}


def trap(*insns: str) -> Trap:
    with Bare() as bare:
        bare.map(DATA)
        bare.load(CODE, bytes.fromhex("".join(insns)) + b"\xcd\x40")
        regs = bare.regs(CODE, sp=DATA + 0x800)
        regs.bx = DATA
        bare.run(regs)
        return bare.traps[-1]


def test_where_it_is_allowed() -> None:
    for insn in sorted(ALLOWED):
        assert trap("f0", insn).trapno == 64, insn
        assert trap("66f0", insn[:-4] if insn.startswith("81") else insn).trapno == 64, insn


def test_where_it_is_undefined() -> None:
    """Some with a register end Unicorn with an abort."""
    for opcode in (*range(0x26), *range(0x28, 0x2E), *range(0x30, 0x36), 0x38, 0x3B, *range(0x40, 0x60)):
        allowed = f"{opcode:02x}03" in ALLOWED
        assert (trap("f0", f"{opcode:02x}03 90909090").trapno == 6) is not allowed, hex(opcode)
    for opcode in (0x80, 0x81, 0x83, 0x86, 0x87, 0x88, 0x8B, 0xA4, 0xC1, 0xD3, 0xF6, 0xF7, 0xFE, 0xFF):
        for modrm in range(0xC0, 0x100):
            assert trap("f0", f"{opcode:02x}{modrm:02x}00000000") == Trap(6, 0, CODE)
    for opcode in (0x0B, 0x31, 0xA2, 0xA3, 0xAB, 0xB0, 0xB1, 0xB3, 0xB6, 0xBA, 0xBB, 0xC0, 0xC1, 0xC7, 0xA5, 0xAF):
        for modrm in range(0xC0, 0x100, 3):
            assert trap("f0", f"0f{opcode:02x}{modrm:02x}00") == Trap(6, 0, CODE)
    assert trap("f0", "0fa303").trapno == trap("f0", "0fba2305").trapno == trap("f0", "3803").trapno == 6


@pytest.mark.parametrize("insns", [("6af0", "0fabc0"), ("3cf0", "0fabc0"), ("8a43f0", "88c0"), ("0f1843f0", "0fabc0")])
def test_a_byte_of_an_instruction_is_no_prefix_of_the_next(insns: tuple[str, ...]) -> None:
    """PUSHL $-16; CMPB $0xf0, AX; MOVB -16(BX), AX; PREFETCH -16(BX); each before what may have no LOCK."""
    code = "".join(insns)
    got = trap("83c340", code)
    assert (got.trapno, got.pc) == (64, CODE + 3 + len(code) // 2 + 2)


def test_a_modrm_is_no_prefix() -> None:
    """MOVQ DATA, M0; PSLLQ $2, M0; MOVQ M0, DATA: the translator emits something before it reads ModRM, f0."""
    with Bare() as bare:
        bare.memory.write(bare.map(DATA), b"\x11" * 8)
        bare.load(CODE, bytes.fromhex("0f6f03 0f73f002 0f7f03 cd40"))
        regs = bare.regs(CODE)
        regs.bx = DATA
        bare.run(regs)
        assert (bare.traps[-1].trapno, bare.peek(DATA, 8)) == (64, 0x4444444444444444)


def test_locks_at_the_end_of_a_page() -> None:
    """What follows is not there: the opcode alone says that LOCK is not allowed, or the fetch of ModRM faults."""
    undefined, absent = Trap(6, 0, 0x1FFE), Trap(14, 4, 0x1FFE, 0x2000)
    for insn, expected in (("f090", undefined), ("f001", absent)):
        code = bytes.fromhex(insn)
        with Bare() as bare:
            bare.load(0x2000 - len(code), code)
            bare.run(bare.regs(0x2000 - len(code)))
            assert bare.traps == [expected]
