"""Traps, clock and processes on one processor."""

import struct
from collections.abc import Iterator

import pytest

from emu.machine.counter import Kind
from emu.machine.lib import UnicornError
from emu.machine.regs import Regs
from kernel.base.mem import KZERO, PTEACCESSED, PTEDIRTY, PTEUSER, PTEVALID, PTEWRITE
from tests.emu.bare import FOREVER, Bare, Trap

CODE = 0x1000
OTHER = 0x5000
DATA = 0x8000
ABSENT = 0x40000
READONLY = 0x41000
SYSTEM = 0x42000
SYSTEMREADONLY = 0x43000


def le(n: int) -> bytes:
    return struct.pack("<I", n)


@pytest.fixture
def bare() -> Iterator[Bare]:
    with Bare() as b:
        yield b


# Instruction, trap number, error code, whether pc is past it
TRAPS = {
    "DIV 0": ("31c9 f7f1", 0, 0, 2),
    "AAM 0": ("d400", 0, 0, 0),
    "INT1": ("f1", 1, 0, 1),
    "INT1 with a prefix": ("66f1", 1, 0, 2),
    "INT3": ("cc", 3, 0, 1),
    "INT 3 in two bytes": ("cd03", 3, 0, 2),
    "INTO": ("b0ff 0404 b07f 0401 ce", 13, 0x22, 8),
    "BOUND": ("b8ffffff7f 62 05" + le(DATA).hex(), 5, 0, 5),
    "UD2": ("0f0b", 6, 0, 0),
    "undefined": ("0f04", 6, 0, 0),
    "LOCK NOP": ("f090", 6, 0, 0),
    "SYSENTER": ("0f34", 6, 0, 0),
    "SYSEXIT": ("0f35", 6, 0, 0),
    "SYSCALL": ("0f05", 6, 0, 0),
    "SYSRET": ("0f07", 6, 0, 0),
    "RDRAND": ("0fc7f0", 6, 0, 0),
    "RDTSCP": ("0f01f9", 6, 0, 0),
    "RDSEED": ("0fc7f8", 6, 0, 0),
    "AESENC": ("660f38dcc1", 6, 0, 0),
    "VMRUN": ("0f01d8", 6, 0, 0),
    "VMMCALL": ("0f01d9", 6, 0, 0),
    "XGETBV": ("0f01d0", 6, 0, 0),
    "bad selector": ("66b8a86c 8ed8", 13, 0x6CA8, 4),
    "kernel's data selector": ("66b80800 8ed8", 13, 8, 4),
    "call of kernel code": ("9a 00000000 1000", 13, 0x10, 0),
    "IN": ("e460", 13, 0, 0),
    "IN AX, DX": ("66ed", 13, 0, 0),
    "OUT": ("e660", 13, 0, 0),
    "OUT DX, EAX": ("ef", 13, 0, 0),
    "INS": ("bf" + le(DATA).hex() + "6c", 13, 0, 5),
    "REP OUTS": ("be" + le(DATA).hex() + "b901000000 f36f", 13, 0, 10),
    "HLT": ("f4", 13, 0, 0),
    "CLI": ("fa", 13, 0, 0),
    "STI": ("fb", 13, 0, 0),
    "LGDT": ("0f0115" + le(DATA).hex(), 13, 0, 0),
    "LIDT": ("0f011d" + le(DATA).hex(), 13, 0, 0),
    "LLDT": ("0f00d0", 13, 0, 0),
    "LTR": ("0f00d8", 13, 0, 0),
    "CLTS": ("0f06", 13, 0, 0),
    "LMSW": ("0f01f0", 13, 0, 0),
    "INVLPG": ("0f0138", 13, 0, 0),
    "INVD": ("0f08", 13, 0, 0),
    "WBINVD": ("0f09", 13, 0, 0),
    "MOV CR0": ("0f20c0", 13, 0, 0),
    "MOV to CR3": ("0f22d8", 13, 0, 0),
    "MOV DR7": ("0f21f8", 13, 0, 0),
    "RDMSR": ("0f32", 13, 0, 0),
    "WRMSR": ("0f30", 13, 0, 0),
    "RDPMC": ("0f33", 6, 0, 0),
    "INT 0": ("cd00", 13, 0 * 8 + 2, 0),
    "INT 4": ("cd04", 13, 4 * 8 + 2, 0),
    "INT 14 forges no page fault": ("cd0e", 13, 14 * 8 + 2, 0),
    "INT 65": ("cd41", 13, 65 * 8 + 2, 0),
    "INT 128": ("cd80", 13, 128 * 8 + 2, 0),
    "INT 255": ("cdff", 13, 255 * 8 + 2, 0),
    "INT 64": ("cd40", 64, 0, 2),
    "read of nothing": ("a1" + le(ABSENT).hex(), 14, 4, 0),
    "write to nothing": ("a3" + le(ABSENT).hex(), 14, 6, 0),
    "write to read-only": ("a3" + le(READONLY).hex(), 14, 7, 0),
    "read of the kernel's": ("a1" + le(SYSTEM).hex(), 14, 5, 0),
    "write to the kernel's": ("a3" + le(SYSTEM).hex(), 14, 7, 0),
    "write to the kernel's read-only": ("a3" + le(SYSTEMREADONLY).hex(), 14, 7, 0),
    "read above KZERO": ("a1" + le(KZERO + 0x14000).hex(), 14, 5, 0),
    "FPU error": ("dbe3 687b030000 d92c24 58 d9e8 d9ee def9 9b", 16, 0, 17),
    "IRET with NT": ("9c 814c240000400000 9d cf", 10, 0, 10),
}
# "FPU error": finit; push 0x37b; fldcw [esp]; pop; fld1; fldz; fdivp; fwait


@pytest.mark.parametrize("name", TRAPS)
def test_trap_arrives_with_its_number_each_time(name: str) -> None:
    text, trapno, ecode, offset = TRAPS[name]
    insn = bytes.fromhex(text)
    clean = b"\x9c\x81\x24\x24\xff\xbf\xff\xff\x9d\xdb\xe3"  # clear NT; finit
    with Bare() as bare:
        bare.map(DATA)
        bare.map(DATA + 0x1000)
        bare.map(READONLY, write=False)
        bare.map(SYSTEM, user=False)
        bare.map(SYSTEMREADONLY, user=False, write=False)
        starts = [CODE]
        for _ in range(4):
            starts.append(starts[-1] + len(insn) + len(clean))
        bare.load(CODE, (insn + clean) * 4)

        def policy(b: Bare, trap: Trap) -> Regs | None:
            n = len(b.traps)
            if n == 4:
                return None
            b.cpu.current.pc = starts[n] - len(clean)
            return b.cpu.current

        bare.policy = policy
        assert not bare.run(bare.regs(CODE, sp=DATA + 0x1000))
        assert [(t.trapno, t.ecode, t.pc) for t in bare.traps] == [
            (trapno, ecode, start + offset) for start in starts[:4]
        ]


def test_all_traps_in_one_run(bare: Bare) -> None:
    """No trap leaves anything behind that changes the number of another."""
    bare.map(DATA)
    bare.map(DATA + 0x1000)
    bare.map(READONLY, write=False)
    bare.map(SYSTEM, user=False)
    bare.map(SYSTEMREADONLY, user=False, write=False)
    kinds = [k for k in TRAPS if k not in ("FPU error", "IRET with NT")] * 2
    starts, pc = [], CODE
    for kind in kinds:
        insn = bytes.fromhex(TRAPS[kind][0])
        bare.load(pc, insn)
        starts.append(pc)
        pc += len(insn) + 5

    def policy(b: Bare, trap: Trap) -> Regs | None:
        n = len(b.traps)
        if n == len(kinds):
            return None
        b.cpu.current.pc = starts[n]
        return b.cpu.current

    bare.policy = policy
    bare.run(bare.regs(CODE, sp=DATA + 0x1000))
    expected = [(*TRAPS[kind][1:3], start + TRAPS[kind][3]) for kind, start in zip(kinds, starts, strict=True)]
    assert [(t.trapno, t.ecode, t.pc) for t in bare.traps] == expected


def test_page_fault_tells_its_address_and_restarts_the_instruction(bare: Bare) -> None:
    bare.load(CODE, b"\xa1" + le(ABSENT + 0x123) + b"\xa3" + le(ABSENT + 0x1ABC) + b"\xcd\x40")

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno == 14:
            pa = b.map(trap.addr & ~0xFFF)
            b.memory.write(pa | 0x123, le(77))
            return b.cpu.current
        return None

    bare.policy = policy
    regs = bare.regs(CODE)
    bare.run(regs)
    assert [(t.trapno, t.ecode, t.addr, t.pc) for t in bare.traps] == [
        (14, 4, ABSENT + 0x123, CODE),
        (14, 6, ABSENT + 0x1ABC, CODE + 5),
        (64, 0, 0, CODE + 12),
    ]
    assert regs.ax == 77
    assert bare.peek(ABSENT + 0x1ABC) == 77


def test_accessed_and_dirty_are_set_in_the_guests_own_tables(bare: Bare) -> None:
    bare.map(DATA)
    bare.load(CODE, b"\xa1" + le(DATA) + b"\xcd\x40\xa3" + le(DATA) + b"\xcd\x40")
    regs = bare.regs(CODE)
    bare.run(regs)
    assert bare.pte(DATA) & (PTEACCESSED | PTEDIRTY) == PTEACCESSED
    bare.run(regs)
    assert bare.pte(DATA) & (PTEACCESSED | PTEDIRTY) == PTEACCESSED | PTEDIRTY
    assert bare.pte(CODE) & (PTEACCESSED | PTEDIRTY) == PTEACCESSED


def test_jump_to_address_zero_is_a_page_fault(bare: Bare) -> None:
    bare.load(CODE, b"\x31\xc0\xff\xe0")
    bare.run(bare.regs(CODE))
    assert bare.traps == [Trap(14, 4, 0, 0)]


def test_fetch_from_the_kernels_is_a_protection_fault(bare: Bare) -> None:
    bare.load(CODE, b"\xb8" + le(KZERO + 0x100000) + b"\xff\xe0")
    bare.run(bare.regs(CODE))
    assert bare.traps == [Trap(14, 5, KZERO + 0x100000, KZERO + 0x100000)]


def test_read_modify_write_of_an_absent_page_is_one_write_fault(bare: Bare) -> None:
    bare.load(CODE, b"\xff\x05" + le(ABSENT) + b"\xcd\x40")  # INCL

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno == 14:
            b.map(ABSENT, write=trap.ecode & 2 != 0)
            return b.cpu.current
        return None

    bare.policy = policy
    bare.run(bare.regs(CODE))
    assert [(t.trapno, t.ecode) for t in bare.traps] == [(14, 6), (64, 0)]
    assert bare.peek(ABSENT) == 1


def test_fault_of_the_next_text_page_comes_at_the_instruction_that_needs_it(bare: Bare) -> None:
    """Unicorn fetches ahead; the instructions before the end of the page run first, as on a 386."""
    end = CODE + 0x1000
    bare.load(end - 8, b"\x40" * 5 + b"\x81\xc3\x01")  # five INCL AX; ADDL $.., BX runs into the next page
    regs = bare.regs(end - 8)

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno == 14 and trap.addr == end:
            assert regs.ax == 5
            b.load(end, b"\x00\x00\x00\xcd\x40")
            return regs
        return None

    bare.policy = policy
    bare.run(regs)
    assert bare.traps == [Trap(14, 4, end - 3, end), Trap(64, 0, end + 5)]
    assert (regs.ax, regs.bx) == (5, 1)


def test_instructions_before_an_absent_text_page_trap_first(bare: Bare) -> None:
    end = CODE + 0x1000
    bare.load(end - 4, b"\x40\xf7\xf1\x90")  # INCL AX; DIVL CX (0); NOP; and then nothing
    bare.run(bare.regs(end - 4))
    assert bare.traps == [Trap(0, 0, end - 3)]


def test_switching_away_from_such_a_trap_leaves_no_stops_in_the_code(bare: Bare) -> None:
    end = CODE + 0x1000
    first, pdb = bare.regs(end - 4), bare.pdb
    bare.load(end - 4, b"\x40\xf7\xf1\x90")
    other = bare.space()
    bare.load(OTHER, b"\xcd\x40")
    second = bare.regs(OTHER)
    bare.pdb = pdb

    def policy(b: Bare, trap: Trap) -> Regs | None:
        b.cpu.putcr3(other)
        return second if trap.trapno == 0 else None

    bare.policy = policy
    bare.run(first)
    bare.load(end, b"\xcd\x40")
    first.pc, first.cx = end - 3, 1
    bare.run(first)
    assert bare.traps == [Trap(0, 0, end - 3), Trap(64, 0, OTHER + 2), Trap(64, 0, end + 2)]


def test_data_fault_at_the_page_after_the_code(bare: Bare) -> None:
    end = CODE + 0x1000
    bare.load(end - 16, b"\x90\xa1" + le(end) + b"\xcd\x40")

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno == 14:
            b.map(end)
            return b.cpu.current
        return None

    bare.policy = policy
    bare.run(bare.regs(end - 16))
    assert bare.traps == [Trap(14, 4, end - 15, end), Trap(64, 0, end - 8)]


@pytest.mark.parametrize("length", range(1, 16))
def test_fault_of_the_next_text_page_at_every_distance(bare: Bare, length: int) -> None:
    """Code of one-byte instructions that ends anywhere before the page end."""
    end = CODE + 0x1000
    bare.load(end - length, b"\x40" * length)
    regs = bare.regs(end - length)
    bare.run(regs)
    assert bare.traps == [Trap(14, 4, end, end)]
    assert regs.ax == length


def test_diverted_instruction_leaves_memory_and_registers_alone(bare: Bare) -> None:
    bare.map(DATA)
    # STC; MOVL $0x505, AX; IN $60, AL; MOVL AX, DATA; INCL BX; loop
    bare.load(CODE, b"\xf9\xb8\x05\x05\x00\x00\xe4\x60\xa3" + le(DATA) + b"\x43\xeb\xf7")
    regs = bare.regs(CODE)
    bare.run(regs)
    assert bare.traps == [Trap(13, 0, CODE + 6)]
    assert (regs.ax, regs.bx, regs.flags & 1, bare.peek(DATA)) == (0x505, 0, 1, 0)
    regs.pc += 2
    bare.load(CODE + 14, b"\xcd\x40")
    bare.run(regs)
    assert bare.traps[1] == Trap(64, 0, CODE + 16)
    assert (regs.bx, bare.peek(DATA)) == (1, 0x505)


@pytest.mark.parametrize("counter", ["native", "python"])
def test_rdtsc_is_virtual_time(counter: Kind) -> None:
    with Bare(counter=counter) as bare:
        bare.load(CODE, b"\x0f\x31\x89\xc3\xcd\x40\x0f\x31\xcd\x40\x66\x0f\x31\xcd\x40")
        regs = bare.regs(CODE)
        bare.cpu.spend(1 << 32)
        seen = []
        for _ in range(3):
            bare.run(regs)
            seen.append((regs.dx << 32 | regs.ax) - (1 << 32))
            assert bare.traps[-1].trapno == 64
        assert seen == [10, 30, 50]
        assert bare.cpu.now() - (1 << 32) == 60


def test_rdtsc_never_tells_less_than_another_processor_was_told() -> None:
    with Bare(ncpu=2) as bare:
        bare.load(CODE, b"\x0f\x31\xcd\x40" * 3)
        seen = []
        for cpu, ahead in ((1, 500_000), (0, 0), (0, 0), (1, 0), (0, 600_000)):
            bare.cpus[cpu].spend(ahead)
            regs = bare.regs(CODE)
            bare.run(regs, cpu=cpu)
            seen.append(regs.ax)
        assert seen == [500_010, 500_011, 500_012, 500_030, 600_050]


def test_cpuid_is_a_plain_processor(bare: Bare) -> None:
    bare.load(CODE, b"\x0f\xa2\xcd\x40" * 4)
    regs = bare.regs(CODE)
    regs.ax = 0
    bare.run(regs)
    assert regs.ax == 1
    assert b"".join(le(x) for x in (regs.bx, regs.dx, regs.cx)) == b"GenuineIntel"
    regs.ax = 1
    bare.run(regs)
    assert regs.ax >> 8 & 15 == 6
    assert regs.dx & 1 << 26 and not regs.cx & (1 << 30 | 1 << 25)  # SSE2; no RDRAND, no AES
    regs.ax = 0x80000002
    bare.run(regs)
    assert le(regs.ax) == b"p9em"
    regs.ax = 7
    bare.run(regs)
    assert (regs.ax, regs.bx, regs.cx, regs.dx) == (0, 0, 0, 0)


def test_two_processes_take_turns_in_the_hook(bare: Bare) -> None:
    """Both the general registers and the FPU are each process's own."""
    bare.load(CODE, b"\x40\xd9\xe8\xde\xc1\xcd\x40\xeb\xf7")  # INCL AX; FLD1; FADDP; INT $64; loop
    one, two = bare.regs(CODE), bare.regs(CODE)
    for regs in (one, two):
        bare.load(0x5000, b"\xd9\xee\xcd\x40")  # FLDZ
        regs.pc = 0x5000
        bare.run(regs)
        regs.pc = CODE
    order = [one, two, two, one, one, one]
    left = iter(order[1:])
    bare.policy = lambda b, trap: next(left, None)
    bare.run(order[0])
    assert (one.ax, two.ax) == (4, 2)
    bare.policy = lambda b, trap: None
    bare.map(DATA)
    bare.load(0x5000, b"\xdb\x1d" + le(DATA) + b"\xcd\x40")  # FISTP
    for regs, value in ((one, 4), (two, 2)):
        regs.pc = 0x5000
        bare.run(regs)
        assert bare.peek(DATA) == value


def test_flags_of_a_stopped_process_leave_nothing_behind(bare: Bare) -> None:
    """Unicorn keeps the arithmetic flags in one place while it runs and in another when it is stopped."""
    bare.map(DATA)
    bare.load(CODE, b"\xf9\xfd\xeb\x00\x9c\x5b\xf8\xfc\x9c\x59\xcd\x40")  # STC; STD; JMP; BX = flags; CLC; CLD; CX =
    bare.load(0x5000, b"\xf9\xcd\x40\x9c\x5b\xf8\x9c\x59\xcd\x40")
    stopped, other = bare.regs(CODE, sp=DATA + 0x800), bare.regs(0x5000, sp=DATA + 0x400)
    bare.run(stopped, ns=10)
    assert stopped.pc == CODE + 4 and stopped.flags & 0x401 == 0x401
    bare.policy = lambda b, trap: stopped if len(b.traps) == 1 else None
    bare.run(other)  # its trap goes on with the stopped one inside the hook
    assert (stopped.bx & 0x401, stopped.cx & 0x401) == (0x401, 0)
    bare.run(other)  # and this one was saved inside and goes on from outside
    assert (other.bx & 1, other.cx & 1) == (1, 0)


def test_flags_written_in_a_trap_leave_nothing_behind(bare: Bare) -> None:
    bare.map(DATA)
    bare.load(CODE, b"\xcd\x40\x9c\x5b\xf8\xfc\x9c\x59\xcd\x40")
    regs = bare.regs(CODE, sp=DATA + 0x800)

    def policy(b: Bare, trap: Trap) -> Regs | None:
        regs.flags |= 0x401
        return regs if len(b.traps) == 1 else None

    bare.policy = policy
    bare.run(regs)
    assert (regs.bx & 0x401, regs.cx & 0x401) == (0x401, 0)


def test_flags_are_read_and_written_whole(bare: Bare) -> None:
    bare.load(CODE, b"\xcd\x40\x9c\x58\xcd\x40")
    bare.map(DATA)
    regs = bare.regs(CODE, sp=DATA + 0x100)
    assert regs.flags == 0x202
    bare.run(regs)
    regs.flags = 0xFFFFFFFF & ~0x100
    bare.run(regs)
    assert regs.ax == regs.flags == 0x244ED7 & ~0x100 | 0x200 & 0x244ED7
    regs.flags = 0
    assert regs.flags == 0x202


def test_trap_flag_gives_debug_traps(bare: Bare) -> None:
    bare.load(CODE, b"\x40\x40\x40\xcd\x40")
    bare.policy = lambda b, trap: b.cpu.current if trap.trapno == 1 else None
    regs = bare.regs(CODE)
    regs.flags |= 0x100
    bare.run(regs)
    assert bare.traps == [Trap(1, 0, CODE + 1), Trap(1, 0, CODE + 2), Trap(1, 0, CODE + 3), Trap(64, 0, CODE + 5)]


def test_clear_and_copyfrom_are_complete(bare: Bare) -> None:
    bare.map(DATA)
    fsave = b"\xdd\x35" + le(DATA) + b"\x0f\xae\x1d" + le(DATA + 0x200) + b"\xcd\x40"  # FSAVE; STMXCSR
    bare.load(CODE, b"\xd9\xe8\xb8\x07\x00\x00\x00\x0f\x6e\xc0\xcd\x40" + fsave)
    fresh = bare.regs(CODE + 12)
    bare.run(fresh)
    clean = bare.memory.read(bare.pte(DATA) & ~0xFFF, 108)
    assert clean[0:2] == b"\x32\x02" and clean[8:10] == b"\xff\xff"
    assert bare.peek(DATA + 0x200) == 0
    regs = bare.regs(CODE)
    bare.run(regs)
    child = bare.regs(CODE)
    child.copyfrom(regs)
    assert (child.ax, child.pc) == (7, CODE + 12)
    for r in (child, regs):
        bare.run(r)
        assert bare.peek(DATA + 28) == 7  # MMX register 0 is the low part of an FPU register
        r.clear()
        assert (r.ax, r.pc, r.sp, r.flags) == (0, 0, 0, 0x202)
        r.pc = CODE + 12
        bare.run(r)
        assert bare.memory.read(bare.pte(DATA) & ~0xFFF, 12) == clean[:12]


def test_fpstatus_tells_the_failing_instruction(bare: Bare) -> None:
    bare.map(DATA)
    bare.load(CODE, bytes.fromhex(TRAPS["FPU error"][0]))
    regs = bare.regs(CODE, sp=DATA + 0x100)
    bare.run(regs)
    status, pc = regs.fpstatus()
    assert status & 0x84 == 0x84  # an unmasked exception is pending, division by zero
    assert pc == CODE + 15
    assert regs.mxcsr() == 0


def test_masked_exceptions_do_not_trap_again(bare: Bare) -> None:
    bare.map(DATA)
    bare.load(CODE, bytes.fromhex("d9eed9e8def19b9bcd40"))  # FLDZ; FLD1; FDIVRP; WAIT; WAIT; INT $64
    regs = bare.regs(CODE)
    bare.run(regs)
    assert [t.trapno for t in bare.traps] == [16]
    regs.fpmask()
    assert regs.fpstatus()[0] & 0x8084 == 4
    bare.run(regs)
    assert [t.trapno for t in bare.traps] == [16, 64]


@pytest.mark.parametrize("code", ["d9e8", "660f6ec0", "0fae05" + le(DATA).hex(), "0f6ec0"])
def test_without_the_fpu_its_instructions_trap(bare: Bare, code: str) -> None:
    bare.map(DATA)
    bare.load(CODE, bytes.fromhex("90" + code + "cd40"))
    regs = bare.regs(CODE)
    regs.fpenable(False)
    bare.run(regs)
    assert bare.traps == [Trap(7, 0, CODE + 1)]
    regs.fpenable(True)
    bare.run(regs)
    assert bare.traps[1].trapno == 64


def test_fpsave_is_what_fxsave_stores(bare: Bare) -> None:
    frame = bare.map(DATA)
    # FLD1; FLDPI; FLDZ; MOVL AX, X0; FXSAVE DATA; INT $64, the last two again
    store = b"\x0f\xae\x05" + le(DATA) + b"\xcd\x40"
    bare.load(CODE, bytes.fromhex("d9e8d9ebd9ee660f6ec0") + store + store)
    regs = bare.regs(CODE)
    regs.ax = 0x12345678
    bare.run(regs)
    image = bare.memory.read(frame, 512)
    assert regs.fpsave() == image
    assert image[4] == 0b11100000 and image[160:164] == le(0x12345678)
    other = bare.regs(regs.pc)
    other.fprestore(image)
    bare.memory.zero(frame)
    bare.run(other)
    assert bare.memory.read(frame, 512) == image


def test_fprestore_keeps_reserved_bits_out(bare: Bare) -> None:
    regs = bare.regs(CODE)
    regs.fprestore(b"\xff" * 512)
    assert regs.mxcsr() == 0xFFFF
    status, _ = regs.fpstatus()
    assert not status & 0x8080  # all exceptions are there, and all are masked


def test_exceptions_of_the_service_come_out_of_run(bare: Bare) -> None:
    class Odd(BaseException):
        pass

    bare.load(CODE, b"\x40\xcd\x40\x40\xe4\x60\x40\x0f\x0b")
    regs = bare.regs(CODE)
    for what in (Odd("a"), ValueError("b"), KeyboardInterrupt()):

        def policy(b: Bare, trap: Trap, what: BaseException = what) -> Regs | None:
            raise what

        bare.policy = policy
        regs.pc = CODE
        with pytest.raises(type(what)) as e:
            bare.run(regs)
        assert e.value is what
        assert regs.pc == CODE + 3
        with pytest.raises(type(what)):
            bare.run(regs)  # IN: served outside the hook
        assert regs.pc == CODE + 4
        regs.pc += 2
        with pytest.raises(type(what)):
            bare.run(regs)  # UD2: another hook
        assert regs.pc == CODE + 7
    assert regs.ax == 9


def test_stale_translation_is_really_used_until_a_flush(bare: Bare) -> None:
    a, b = bare.map(DATA), bare.frame()
    bare.memory.write(a, le(1))
    bare.memory.write(b, le(2))
    bare.load(CODE, b"\xa1" + le(DATA) + b"\xcd\x40\xeb\xf7")
    regs = bare.regs(CODE)
    seen = []

    def policy(bare: Bare, trap: Trap) -> Regs | None:
        seen.append(regs.ax)
        if len(seen) == 1:
            bare.map(DATA, b)
        elif len(seen) == 2:
            bare.cpu.invlpg(DATA)
        else:
            return None
        return regs

    bare.policy = policy
    bare.run(regs)
    assert seen == [1, 1, 2]


def test_putcr3_switches_address_spaces_inside_the_hook(bare: Bare) -> None:
    spaces = []
    for value in (1, 2):
        space = bare.space()
        bare.load(CODE, b"\xa1" + le(DATA) + b"\xcd\x40\xeb\xf7")
        bare.memory.write(bare.map(DATA), le(value))
        spaces.append(space)
    regs = bare.regs(CODE)
    seen = []

    def policy(b: Bare, trap: Trap) -> Regs | None:
        seen.append(regs.ax)
        b.cpu.putcr3(spaces[len(seen) % 2])
        assert b.cpu.getcr3() == spaces[len(seen) % 2]
        return regs if len(seen) < 5 else None

    bare.policy = policy
    bare.run(regs)
    assert seen == [2, 2, 1, 2, 1]


def test_table_entry_outside_memory_is_an_error_and_no_loop(bare: Bare) -> None:
    bare.load(CODE, b"\xa1" + le(DATA) + b"\xcd\x40")
    bare.map(DATA, 0xD0000000)
    with pytest.raises(UnicornError, match="physical address 0xd0000000"):
        bare.run(bare.regs(CODE))
    bare.map(DATA, 0xE0000000)  # the processor's own region is not to be reached either
    with pytest.raises(UnicornError, match="physical address 0xe0000000"):
        bare.run(bare.regs(CODE))
    bare.memory.words[(bare.pdb >> 2) + 1] = 0xD0000000 | PTEVALID | PTEWRITE | PTEUSER
    bare.load(0x5000, b"\xa1" + le(0x400000))
    with pytest.raises(UnicornError, match="physical address 0xd0000000"):
        bare.run(bare.regs(0x5000))


def test_a_page_directory_outside_memory_is_an_error(bare: Bare) -> None:
    bare.load(CODE, b"\x90")
    bare.pdb = 0xD0000000
    with pytest.raises(ValueError, match="no memory at 0xd0000000"):
        bare.run(bare.regs(CODE))


def test_two_machines_in_one_process() -> None:
    with Bare() as one, Bare(size=4 << 20) as two:
        one.load(CODE, b"\xb8\x01\x00\x00\x00\xcd\x40")
        two.load(CODE, b"\xb8\x02\x00\x00\x00\xcd\x40")
        r1, r2 = one.regs(CODE), two.regs(CODE)

        def nested(b: Bare, trap: Trap) -> Regs | None:
            two.run(r2)
            return None

        one.policy = nested
        one.run(r1)
        assert (r1.ax, r2.ax) == (1, 2)


@pytest.mark.parametrize("size", [4 << 20, 3 << 30])
def test_memory_sizes(size: int) -> None:
    with Bare(size=size) as bare:
        bare.map(DATA, size - 0x1000)
        bare.load(CODE, b"\xc7\x05" + le(DATA + 8) + le(1234) + b"\xcd\x40")
        bare.run(bare.regs(CODE))
        assert bare.traps == [Trap(64, 0, CODE + 12)]
        assert bare.memory.read(size - 0x1000 + 8, 4) == le(1234)


def test_closed_and_dropped_machines_give_memory_back() -> None:
    import gc

    for close in (True, False):
        for _ in range(3):
            bare = Bare()
            bare.load(CODE, b"\xcd\x40")
            bare.run(bare.regs(CODE))
            if close:
                bare.close()
                bare.close()
            closer = bare.cpu._closer
            del bare
            gc.collect()
            assert not closer.alive


def test_string_instruction_is_restartable_at_a_fault(bare: Bare) -> None:
    bare.map(DATA)
    bare.load(CODE, b"\xf3\xaa\xcd\x40")  # REP STOSB
    regs = bare.regs(CODE)
    regs.ax, regs.cx, regs.di = 0x55, 0x1800, DATA + 0x800

    def policy(b: Bare, trap: Trap) -> Regs | None:
        if trap.trapno != 14:
            return None
        assert (regs.di, regs.cx) == (trap.addr, DATA + 0x2000 - trap.addr)
        b.map(trap.addr & ~0xFFF)
        return regs

    bare.policy = policy
    bare.run(regs)
    assert [(t.trapno, t.ecode, t.addr) for t in bare.traps] == [(14, 6, DATA + 0x1000), (64, 0, 0)]
    assert bare.peek(DATA + 0x1FFC) == 0x55555555


def test_pause_goes_on_with_its_flags(bare: Bare) -> None:
    """Unicorn leaves and enters its execution loop at a PAUSE."""
    bare.map(DATA)
    bare.load(CODE, b"\xf9\xfd\xf3\x90\x9c\x5b\xf8\xfc\xf3\x90\x9c\x59\xcd\x40")
    regs = bare.regs(CODE, sp=DATA + 0x800)
    bare.run(regs)
    assert bare.traps == [Trap(64, 0, CODE + 14)]
    assert (regs.bx & 0x401, regs.cx & 0x401) == (0x401, 0)


def test_segment_registers_load_from_the_kernels_table(bare: Bare) -> None:
    bare.map(DATA)
    # MOVW $UDSEL, AX; MOVW AX, DS, ES, FS, SS; MOVL $1, ES:DATA; JMPF $UESEL:..; MOVW CS, BX; MOVW SS, CX
    code = "66b81b00 8ed8 8ec0 8ee0 8ed0 26c70500800000 01000000 ea" + le(CODE + 30).hex() + "2300 668ccb 668cd1 cd40"
    bare.load(CODE, bytes.fromhex(code))
    regs = bare.regs(CODE)
    bare.run(regs)
    assert bare.traps == [Trap(64, 0, CODE + 38)]
    assert (regs.bx, regs.cx, bare.peek(DATA)) == (0x23, 0x1B, 1)


def test_forever_is_far_away(bare: Bare) -> None:
    bare.load(CODE, b"\xcd\x40")
    bare.run(bare.regs(CODE), FOREVER)
    assert bare.cpu.until == FOREVER
