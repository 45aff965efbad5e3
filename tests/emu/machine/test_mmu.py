"""Translation for the kernel's own accesses: what the one in C does, and the kernel without it."""

import mmap
import struct
import sys
from contextlib import closing
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.machine._mmu import Mmu as Native
from emu.machine.config import Config
from emu.machine.machine import Machine
from emu.machine.memory import Memory
from kernel.base.mem import PTEACCESSED, PTEDIRTY, PTEUSER, PTEVALID, PTEWRITE

SIZE: Final = 64 * 1024
PDB: Final = 0x1000
TABLE: Final = 0x2000
FRAME: Final = 0xABCDE000
VA: Final = 0x40801234
SEEN: Final = PTEVALID | PTEACCESSED
FULL: Final = SEEN | PTEWRITE | PTEDIRTY | PTEUSER


def expected(words: "memoryview[int]", pdb: int, va: int, write: bool) -> int:
    """The same in Python."""
    at, want = (pdb >> 2) + (va >> 22), SEEN
    if at >= len(words) or words[at] & want != want:
        return -1
    at = (words[at] >> 12 << 10) + (va >> 12 & 0x3FF)
    want |= (PTEWRITE | PTEDIRTY) if write else 0
    if at >= len(words) or words[at] & want != want:
        return -1
    return words[at] & ~0xFFF | va & 0xFFF


def both(pde: int, pte: int, pdb: int = PDB, va: int = VA) -> list[Any]:
    ram = mmap.mmap(-1, SIZE)
    struct.pack_into("<I", ram, PDB + (VA >> 22) * 4, pde)
    struct.pack_into("<I", ram, TABLE + (VA >> 12 & 0x3FF) * 4, pte)
    native, words = Native(ram), memoryview(ram).cast("I")
    return [
        [native.translate(pdb, va, write) for write in (False, True)],
        [expected(words, pdb, va, write) for write in (False, True)],
    ]


@pytest.mark.parametrize(
    ("pde", "pte", "read", "write"),
    [
        (FULL, FULL, True, True),
        (SEEN, FULL, True, True),
        (FULL & ~PTEVALID, FULL, False, False),
        (FULL & ~PTEACCESSED, FULL, False, False),
        (FULL, FULL & ~PTEVALID, False, False),
        (FULL, FULL & ~PTEACCESSED, False, False),
        (FULL, FULL & ~PTEDIRTY, True, False),
        (FULL, FULL & ~PTEWRITE, True, False),
        (FULL, SEEN, True, False),
    ],
)
def test_an_access_that_needs_nothing_is_translated(pde: int, pte: int, read: bool, write: bool) -> None:
    pa = FRAME | VA & 0xFFF
    assert both(TABLE | pde, FRAME | pte) == [[pa if read else -1, pa if write else -1]] * 2


def test_tables_beyond_memory_translate_nothing() -> None:
    assert both(SIZE | FULL, FRAME | FULL) == both(TABLE | FULL, FRAME | FULL, pdb=SIZE) == [[-1, -1]] * 2


@given(pde=st.integers(0, 2**32 - 1), pte=st.integers(0, 2**32 - 1), va=st.integers(0, 2**32 - 1))
def test_both_say_the_same_of_any_tables(pde: int, pte: int, va: int) -> None:
    native, python = both(pde, pte, va=va)
    assert native == python
    native, python = both(TABLE | pde & 0xFFF, pte)
    assert native == python


def test_the_one_in_c_is_taken() -> None:
    translate: Any = Memory(4 << 20).translate
    assert isinstance(translate.__self__, Native)
    ram = mmap.mmap(-1, SIZE)
    m = Native(ram)
    with pytest.raises(BufferError):
        ram.close()
    del m
    ram.close()


class Unsure:
    """What cannot be true or false."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), TypeError),
        ((1, 2), TypeError),
        ((1, 2, 3, 4), TypeError),
        (("1", 2, False), TypeError),
        ((1, "2", False), TypeError),
        ((-1, 2, False), OverflowError),
        ((1, -2, False), OverflowError),
        ((1 << 70, 2, False), OverflowError),
        ((1 << 32, 2, False), OverflowError),
        ((1, 1 << 32, False), OverflowError),
        ((1, 2, Unsure()), ZeroDivisionError),
        ((-1, "2", Unsure()), OverflowError),  # the first is told, and the others are not asked
    ],
)
def test_bad_arguments_raise(args: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Native(mmap.mmap(-1, SIZE)).translate(*args)
    assert caught.value.__context__ is None


def test_the_memory_cannot_be_exchanged() -> None:
    ram = mmap.mmap(-1, SIZE)
    struct.pack_into("<I", ram, PDB + (VA >> 22) * 4, TABLE | FULL)
    struct.pack_into("<I", ram, TABLE + (VA >> 12 & 0x3FF) * 4, FRAME | FULL)
    m = Native(ram)
    m.__init__(mmap.mmap(-1, SIZE))  # type: ignore[misc]
    assert m.translate(PDB, VA, True) == FRAME | VA & 0xFFF


@pytest.mark.parametrize("ram", [bytes(4095), memoryview(bytearray(4098))[1:4097]])
def test_memory_that_is_not_words_is_refused(ram: Any) -> None:
    with pytest.raises(ValueError, match="32-bit words"):
        Native(ram)


def test_what_has_no_bytes_is_refused_and_leaves_nothing() -> None:
    before = sys.getrefcount(Native)
    for _ in range(100):
        for wrong in (None, "text", 1):
            with pytest.raises(TypeError):
                Native(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="32-bit words"):
            Native(bytes(5))  # type: ignore[arg-type]
    assert sys.getrefcount(Native) <= before + 1


@pytest.mark.guest
@pytest.mark.parametrize(("guest", "args"), [("cow", ["4"]), ("notes", [])])
def test_the_kernel_does_the_same_without_it(guest: str, args: list[str]) -> None:
    def trace(native: bool) -> list[str]:
        events: list[str] = []
        with closing(Machine(Config(check=True), sink=lambda e: events.append(repr(e)))) as m:
            if not native:
                m.memory.translate = lambda pdb, va, write: -1
            assert m.run(guest, args).status == 0
        return events

    assert trace(native=True) == trace(native=False)
