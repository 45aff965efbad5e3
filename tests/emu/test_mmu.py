"""Translation for the kernel's own accesses, in C and in Python."""

import mmap
import struct
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu._mmu import Mmu as Native
from emu.mmu import PythonMmu, mmu
from kernel.mem import PTEACCESSED, PTEDIRTY, PTEUSER, PTEVALID, PTEWRITE

SIZE: Final = 64 * 1024
PDB: Final = 0x1000
TABLE: Final = 0x2000
FRAME: Final = 0xABCDE000
VA: Final = 0x40801234
SEEN: Final = PTEVALID | PTEACCESSED
FULL: Final = SEEN | PTEWRITE | PTEDIRTY | PTEUSER


def both(pde: int, pte: int, pdb: int = PDB, va: int = VA) -> list[Any]:
    ram = mmap.mmap(-1, SIZE)
    struct.pack_into("<I", ram, PDB + (VA >> 22) * 4, pde)
    struct.pack_into("<I", ram, TABLE + (VA >> 12 & 0x3FF) * 4, pte)
    either: list[Any] = [Native(ram), PythonMmu(memoryview(ram).cast("I"))]
    return [[m.translate(pdb, va, write) for write in (False, True)] for m in either]


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
    ram = mmap.mmap(-1, SIZE)
    m = mmu(ram)
    assert isinstance(m, Native)
    with pytest.raises(BufferError):
        ram.close()
    del m
    ram.close()


@pytest.mark.parametrize("args", [(), (1, 2), (1, 2, 3, 4), ("1", 2, False), (-1, 2, False), (1 << 70, 2, False)])
def test_bad_arguments_raise(args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        Native(mmap.mmap(-1, SIZE)).translate(*args)


def test_the_memory_cannot_be_exchanged() -> None:
    m = Native(mmap.mmap(-1, SIZE))
    with pytest.raises(TypeError, match="already"):
        m.__init__(mmap.mmap(-1, SIZE))  # type: ignore[misc]
