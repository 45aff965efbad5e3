"""Memory, and code that changes under one or more processors."""

import struct

import pytest

from emu.machine.memory import Memory
from emu.machine.regs import Regs
from tests.emu.bare import Bare, Trap

CODE = 0x1000
OTHER = 0x5000
DATA = 0x8000
STOP = b"\xcd\x40"


def le(n: int) -> bytes:
    return struct.pack("<I", n)


def mov(n: int) -> bytes:
    """MOVL $n, AX; INT $64."""
    return b"\xb8" + le(n) + STOP


def store(va: int, n: int) -> bytes:
    """MOVL $n, va."""
    return b"\xc7\x05" + le(va) + le(n)


def ax(bare: Bare, pc: int, cpu: int = 0) -> int:
    """What AX holds when code at pc comes to INT $64."""
    regs = bare.regs(pc)
    bare.run(regs, cpu=cpu)
    assert bare.traps[-1].trapno == 64, bare.traps[-1]
    return regs.ax


def test_sizes() -> None:
    assert Memory(4 << 20).size == 4 << 20
    assert Memory(3 << 30).size == 3 << 30
    for size in (0, 1 << 20, (4 << 20) + 4096, (3 << 30) + (4 << 20)):
        with pytest.raises(ValueError, match="multiple of 4 MB"):
            Memory(size)


def test_zero_copy_read_write() -> None:
    m = Memory(4 << 20)
    m.write(0x1010, b"abc")
    m.write(0x1FFF, bytearray(b"z"))
    m.copy(0x3000, 0x1000)
    assert m.read(0x3010, 3) == b"abc" and m.read(0x3FFF, 1) == b"z"
    m.zero(0x1000)
    assert m.read(0x1000, 4096) == bytes(4096)
    m.words[0x2000 >> 2] = 0x04030201
    assert m.read(0x2000, 4) == b"\x01\x02\x03\x04"


def test_walk_and_code() -> None:
    m = Memory(4 << 20)
    m.words[0x1000 >> 2] = 0x2001
    m.words[0x2000 >> 2] = 0x3001
    m.words[(0x2000 >> 2) + 1] = 0x5001
    m.words[(0x1000 >> 2) + 1] = 0x81
    m.words[(0x1000 >> 2) + 2] = 0xC0000001
    m.words[(0x2000 >> 2) + 3] = 0xC0000001
    m.write(0x3FFE, b"ab")
    m.write(0x5000, b"cd")
    assert m.walk(0x1000, 0x123) == 0x3123
    assert m.walk(0x1000, 0x2000) is None
    assert m.walk(0x1000, 0x400123) == 0x123
    assert m.walk(0x1000, 0x800000) is None  # table outside
    assert m.walk(0x1000, 0x3000) is None  # frame outside
    assert m.walk(0xC0000000, 0) is None
    assert m.walk(0x1000, 0xC00000) is None
    assert m.code(0x1000, 0xFFE, 4) == b"abcd"
    assert m.code(0x1000, 0x1FFE, 4) == b"\0\0"


@pytest.mark.parametrize("how", ["write", "zero", "copy"])
@pytest.mark.parametrize("ncpu", [1, 2])
def test_changed_frame_runs_its_new_code_on_every_processor(how: str, ncpu: int) -> None:
    with Bare(ncpu=ncpu) as bare:
        bare.load(CODE, mov(1))
        pa = bare.pte(CODE) & ~0xFFF
        source = bare.frame()
        for round in range(3):
            for cpu in range(ncpu):
                assert ax(bare, CODE, cpu) == round + 1
            if how == "write":
                bare.memory.write(pa, mov(round + 2))
            elif how == "copy":
                bare.memory.write(source, mov(round + 2))
                bare.memory.copy(pa, source)
            else:
                bare.memory.zero(pa)
                assert pa >> 12 not in bare.memory.executed
                bare.memory.words[pa >> 2] = round + 2 << 8 | 0xB8
                bare.memory.words[(pa >> 2) + 1] = 0x40CD00


def test_recycled_frame_at_another_address_in_another_space() -> None:
    with Bare(ncpu=2) as bare:
        pa = bare.map(CODE)
        bare.memory.write(pa, mov(1))
        old = bare.pdb
        for cpu in (0, 1):
            assert ax(bare, CODE, cpu) == 1
        bare.memory.zero(pa)
        bare.space()
        bare.map(OTHER, pa)
        bare.memory.write(pa, mov(2))
        for cpu in (1, 0):
            assert ax(bare, OTHER, cpu) == 2
        bare.pdb = old
        for cpu in (0, 1):
            assert ax(bare, CODE, cpu) == 2


def test_change_inside_a_trap_is_seen_at_once() -> None:
    with Bare() as bare:
        bare.load(CODE, b"\xb8" + le(1) + STOP + b"\xeb\xf7")
        pa = bare.pte(CODE) & ~0xFFF
        seen = []

        def policy(b: Bare, trap: Trap) -> Regs | None:
            seen.append(b.cpu.current.ax)
            b.memory.write(pa + 1, le(len(seen) + 1))
            return b.cpu.current if len(seen) < 5 else None

        bare.policy = policy
        bare.run(bare.regs(CODE))
        assert seen == [1, 2, 3, 4, 5]


def test_only_the_second_page_of_a_block_changes() -> None:
    """A translated block may lie in two frames."""
    with Bare(ncpu=2) as bare:
        end = CODE + 0x1000
        bare.load(end - 3, mov(0x01010101))
        pa = bare.pte(end) & ~0xFFF
        for cpu in (0, 1):
            assert ax(bare, end - 3, cpu) == 0x01010101
        bare.memory.write(pa, b"\x02\x02")
        for cpu in (1, 0):
            assert ax(bare, end - 3, cpu) == 0x02020101


def test_forget_drops_one_processors_code() -> None:
    """cachectl's way: memory was changed behind the methods' back, and each processor is told."""
    with Bare(ncpu=2) as bare:
        bare.load(CODE, mov(1))
        pa = bare.pte(CODE) & ~0xFFF
        for cpu in (0, 1):
            assert ax(bare, CODE, cpu) == 1
        bare.memory.words[pa >> 2] = 2 << 8 | 0xB8
        assert ax(bare, CODE, 0) == 1  # the old code is really used
        bare.cpus[0].forget(pa)
        assert [ax(bare, CODE, 0), ax(bare, CODE, 1)] == [2, 1]
        bare.cpus[1].forget(pa)
        bare.cpus[1].forget(pa)
        assert [ax(bare, CODE, 0), ax(bare, CODE, 1)] == [2, 2]


def test_self_modifying_code_on_one_processor() -> None:
    with Bare() as bare:
        # MOVL $1, AX; INCL of that 1; INT; loop
        bare.load(CODE, b"\xb8" + le(1) + b"\xff\x05" + le(CODE + 1) + STOP + b"\xeb\xf1")
        seen = []

        def policy(b: Bare, trap: Trap) -> Regs | None:
            seen.append(b.cpu.current.ax)
            return b.cpu.current if len(seen) < 5 else None

        bare.policy = policy
        bare.run(bare.regs(CODE))
        assert seen == [1, 2, 3, 4, 5]


def test_code_that_was_data_first() -> None:
    """A page with a store-is-fast TLB entry becomes code, and is then stored to."""
    with Bare() as bare:
        bare.map(DATA)
        bare.load(CODE, store(DATA, 0x000001B8) + store(DATA + 4, 0x9040CD00) + b"\xb8" + le(DATA) + b"\xff\xe0")
        assert ax(bare, CODE) == 1
        bare.load(CODE + 0x100, store(DATA + 1, 2) + b"\xb8" + le(DATA) + b"\xff\xe0")
        assert ax(bare, CODE + 0x100) == 2
        regs = bare.regs(CODE)
        seen = []

        def policy(b: Bare, trap: Trap) -> Regs | None:
            seen.append(regs.ax)
            regs.pc = CODE + 0x100 if len(seen) % 2 else CODE
            return regs if len(seen) < 6 else None

        bare.policy = policy
        bare.run(regs)
        assert seen == [1, 2] * 3


def test_alias_stores_are_seen() -> None:
    """The frame is executed at one address and stored to at another."""
    with Bare() as bare:
        pa = bare.map(DATA)
        bare.map(OTHER, pa)
        bare.load(OTHER, mov(1))
        bare.load(CODE, store(DATA + 1, 1) + b"\xe8" + le(OTHER - (CODE + 15)))
        bare.load(CODE + 0x100, store(DATA + 1, 2) + b"\xb8" + le(OTHER) + b"\xff\xe0")
        regs = bare.regs(OTHER, sp=DATA + 0x1000)
        seen = []

        def policy(b: Bare, trap: Trap) -> Regs | None:
            seen.append(regs.ax)
            regs.sp = DATA + 0x1000
            regs.pc = CODE + 0x100 if len(seen) % 2 else CODE
            return regs if len(seen) < 6 else None

        bare.policy = policy
        bare.run(regs)
        assert seen == [1, 2, 1, 2, 1, 2]


def test_stores_of_one_processor_reach_the_code_of_others() -> None:
    """B only stores, A only executes; then both do both, by turns."""
    with Bare(ncpu=3) as bare:
        bare.load(CODE, mov(1))
        bare.load(OTHER, store(CODE + 1, 0) + STOP)
        value = 1
        order = [(0, 1), (1, 0), (0, 2), (2, 1), (2, 2), (1, 1), (0, 0), (1, 2), (2, 0), (0, 1)] * 3
        for writer, reader in order:
            assert ax(bare, CODE, reader) == value
            value += 1
            patch = bare.pte(OTHER) & ~0xFFF
            bare.memory.write(patch, store(CODE + 1, value) + STOP)
            ax(bare, OTHER, writer)
            for cpu in (reader, 0, 1, 2):
                assert ax(bare, CODE, cpu) == value


def test_a_store_between_two_executions_in_one_slice_each() -> None:
    """The storing processor's TLB already holds a writable entry when the other begins to execute."""
    with Bare(ncpu=2) as bare:
        bare.load(CODE, mov(1))
        bare.load(OTHER, store(CODE + 1, 2) + STOP + store(CODE + 1, 3) + STOP)
        writer = bare.regs(OTHER)
        bare.run(writer, cpu=1)
        assert ax(bare, CODE, 0) == 2
        bare.run(writer, cpu=1)
        assert ax(bare, CODE, 0) == 3


def test_what_may_no_longer_be_stored_to_is_forgotten_without_a_load_of_cr3() -> None:
    """The same, but that the storing processor goes on from its trap, with the TLB that it has."""
    first = store(CODE + 1, 2) + STOP
    with Bare(ncpu=2) as bare:
        bare.load(CODE, mov(1))
        bare.load(OTHER, first + store(CODE + 1, 3) + STOP)
        writer = bare.regs(OTHER)

        def policy(b: Bare, trap: Trap) -> Regs | None:
            if trap.pc != OTHER + len(first):
                return None
            assert ax(b, CODE, 0) == 2
            return writer

        bare.policy = policy
        bare.run(writer, cpu=1)
        assert [trap.pc for trap in bare.traps][-1] == OTHER + 2 * len(first)
        assert ax(bare, CODE, 0) == 3


def test_table_frame_was_code_before_and_is_code_again_later() -> None:
    with Bare(ncpu=2) as bare:
        bare.load(CODE, mov(1))
        pa = bare.pte(CODE) & ~0xFFF
        for cpu in (0, 1):
            assert ax(bare, CODE, cpu) == 1
        bare.unmap(CODE)
        bare.memory.table(pa)
        bare.memory.zero(pa)
        bare.memory.words[(bare.pdb >> 2) + 4] = pa | 7
        target = bare.frame()
        bare.memory.write(target, mov(5))
        bare.memory.words[pa >> 2] = target | 7
        for cpu in (0, 1):
            assert ax(bare, 4 << 22, cpu) == 5
        bare.memory.words[(bare.pdb >> 2) + 4] = 0
        bare.memory.data(pa)
        bare.memory.write(pa, mov(6))
        bare.map(CODE, pa)
        for cpu in (0, 1):
            assert ax(bare, CODE, cpu) == 6


def test_a_processor_that_joins_late_and_one_that_leaves() -> None:
    from emu.machine.cpu import Cpu

    with Bare() as bare:
        bare.load(CODE, mov(1))
        bare.load(OTHER, store(CODE + 1, 2) + STOP)
        pa = bare.pte(CODE) & ~0xFFF
        assert ax(bare, CODE) == 1
        late = Cpu(1, bare.memory, bare._service(1))
        bare.cpus.append(late)
        ax(bare, OTHER, 1)
        assert [ax(bare, CODE, 0), ax(bare, CODE, 1)] == [2, 2]
        assert bare.memory.executed[pa >> 12] == 3
        bare.cpus.remove(late)
        late.close()
        assert bare.memory.executed[pa >> 12] == 1


def test_a_process_moves_between_processors() -> None:
    with Bare(ncpu=2) as bare:
        bare.map(DATA)
        # LOOP: LOCK INCL DATA; FLD1; FADDP; INCL BX; JMP LOOP
        bare.load(CODE, b"\xd9\xee" + b"\xf0\xff\x05" + le(DATA) + b"\xd9\xe8\xde\xc1\x43\xeb\xf2")
        bare.load(OTHER, b"\xdb\x1d" + le(DATA + 4) + STOP)
        regs = bare.regs(CODE)
        for i in range(1000):
            assert bare.run(regs, ns=10 * (1 + i % 3), cpu=i % 2)
        assert regs.bx == bare.peek(DATA) > 1000
        regs.pc = OTHER
        bare.run(regs)
        assert bare.peek(DATA + 4) == regs.bx
        regs.pc = 0
        bare.run(regs, cpu=1)
        assert (bare.traps[-1].trapno, bare.traps[-1].addr, bare.cpus[1].getcr2()) == (14, 0, 0)
