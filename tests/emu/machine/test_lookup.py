"""Which block is at an address: a cache in place of Unicorn's own, and what it must forget."""

import ctypes
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from emu.machine import _lookup
from emu.machine import lib as libmodule
from emu.machine.lib import lib
from tests.e2e.harness import ROOT, p9emu
from tests.emu.bare import Bare

CODE = 0x1000
ROUNDS = 2000
FLUSHES, WALKS, LOOKUPS, SEARCHES = range(4)


def slot(pc: int) -> int:
    """The place of a block in Unicorn's cache. Source: its tb-hash.h:tb_jmp_cache_hash_func."""
    tmp = pc ^ pc >> 6
    return tmp >> 6 & 0xFC0 | tmp & 0x3F


F = 0x2100
G = next(pc for pc in range(F + 16, 0x3000) if slot(pc) == slot(F))


def caller(f: int = F, g: int = G, rounds: int = ROUNDS) -> bytes:
    """MOVL $f, AX; MOVL $g, DX; MOVL $rounds, CX; then so many times CALL *AX; CALL *DX; and INT $64."""
    head = b"\xb8" + struct.pack("<I", f) + b"\xba" + struct.pack("<I", g) + b"\xb9" + struct.pack("<I", rounds)
    return head + b"\xff\xd0\xff\xd2\x49\x75\xf9\xcd\x40"


def adds(n: int) -> bytes:
    """ADDL $n, BX; RET."""
    return b"\x83\xc3" + bytes([n]) + b"\xc3"


def program(bare: Bare, f: int, g: int) -> None:
    bare.map(0x8000)
    bare.load(CODE, caller())
    bare.load(F, adds(f))
    bare.load(G, adds(g))


def result(bare: Bare) -> int:
    regs = bare.regs(CODE, sp=0x8800)
    bare.run(regs)
    assert bare.traps[-1].trapno == 64
    return bare.cpu.current.bx


def counted() -> list[int]:
    assert lib().counts is not None, "the extension was not built"
    return list(lib().counts)


def test_two_blocks_in_one_place_are_searched_for_once() -> None:
    with Bare() as bare:
        program(bare, 1, 2)
        before = counted()
        assert result(bare) == 3 * ROUNDS
        flushes, _, lookups, searches = (b - a for a, b in zip(before, counted(), strict=True))
    assert lookups > ROUNDS
    assert searches < 20 * (flushes + 1)


def test_walks_and_flushes_are_counted() -> None:
    with Bare() as bare:
        program(bare, 1, 2)
        result(bare)
        before = counted()
        result(bare)
        flushes, walks, *_ = (b - a for a, b in zip(before, counted(), strict=True))
    assert flushes == 1  # of the page directory
    assert walks == 3  # code, functions, stack


def test_a_frame_that_is_executed_for_the_first_time_needs_no_flush() -> None:
    with Bare() as bare:
        program(bare, 1, 2)
        before = counted()
        assert result(bare) == 3 * ROUNDS
        assert counted()[FLUSHES] - before[FLUSHES] == 1, "of the page directory, and not of three frames too"


@pytest.mark.parametrize("plain", [False, True])
def test_another_address_space_has_blocks_of_its_own(plain: bool) -> None:
    with Bare(plain=plain) as bare:
        program(bare, 1, 2)
        first = bare.pdb
        second = bare.space()
        program(bare, 3, 4)
        for _ in range(3):
            for pdb, expected in ((first, 3), (second, 7)):
                bare.pdb = pdb
                assert result(bare) == expected * ROUNDS


def test_a_page_that_is_another_has_other_blocks() -> None:
    with Bare() as bare:
        program(bare, 1, 2)
        assert result(bare) == 3 * ROUNDS
        bare.memory.write(bare.map(F & ~0xFFF) | F & 0xFFF, adds(5))
        bare.load(G, adds(6))
        assert result(bare) == 11 * ROUNDS


def test_code_that_is_written_anew() -> None:
    with Bare() as bare:
        program(bare, 1, 2)
        assert result(bare) == 3 * ROUNDS
        bare.load(G, adds(9))
        assert result(bare) == 10 * ROUNDS


def test_code_that_writes_itself() -> None:
    """MOVB $9, G+2 before each call of it, by a program that has called it as it was."""
    with Bare() as bare:
        program(bare, 1, 2)
        assert result(bare) == 3 * ROUNDS
        bare.load(CODE, b"\xc6\x05" + struct.pack("<I", G + 2) + b"\x09" + caller())
        assert result(bare) == 10 * ROUNDS


def test_two_processors_of_one_thread() -> None:
    with Bare() as one, Bare() as other:
        program(one, 1, 2)
        program(other, 3, 4)
        for _ in range(3):
            assert (result(one), result(other)) == (3 * ROUNDS, 7 * ROUNDS)


def test_more_processors_than_are_kept_apart() -> None:
    with ExitStack() as stack:
        bares = [stack.enter_context(Bare()) for _ in range(20)]
        for n, bare in enumerate(bares):
            program(bare, n, 1)
        for _ in range(2):
            assert [result(bare) for bare in bares] == [(n + 1) * ROUNDS for n in range(20)]


def test_an_engine_at_the_address_of_one_that_is_gone() -> None:
    for n in range(1, 6):
        with Bare() as bare:
            program(bare, n, n)
            assert result(bare) == 2 * n * ROUNDS


def known() -> ctypes.c_int:
    """How often it was seen that what an indirect jump looks for is as expected; less than 0: not once."""
    return ctypes.c_int.from_address(_lookup.known)


def afresh(value: int) -> tuple[int, int, int]:
    """With that known, in a thread that has run nothing: the result, the look-ups, and what is known then."""
    before, known().value = known().value, value

    def run() -> tuple[int, int, int]:
        with Bare() as bare:
            program(bare, 1, 2)
            start = counted()
            return result(bare), counted()[LOOKUPS] - start[LOOKUPS], known().value

    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()
    finally:
        known().value = before


def test_it_is_soon_sure_of_what_a_jump_looks_for() -> None:
    bx, lookups, sure = afresh(0)
    assert (bx, sure) == (3 * ROUNDS, 16)
    assert lookups > 3 * ROUNDS, "each of the jumps asks"


def test_unicorn_does_it_where_a_jump_looked_for_something_else() -> None:
    bx, lookups, sure = afresh(-1)
    assert (bx, sure) == (3 * ROUNDS, -1)
    # Two blocks in one place of its cache: it asks for them each time, of the 4 that a round jumps to.
    assert 2 * ROUNDS <= lookups < 3 * ROUNDS + 100


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    real = libmodule._ahead
    monkeypatch.setattr(libmodule, "_ahead", lambda name: None if name.endswith("_lookup") else real(name))
    assert libmodule.Lib().counts is None


TOLD = ("faults", "context switches", "unicorn flushes", "unicorn page walks", "unicorn look-ups", "unicorn searches")
ROW = re.compile(r"^\| `([a-z]+ [0-9 ]+)` \| ([0-9,| ]+) \|$", re.MULTILINE)


@pytest.mark.guest
@pytest.mark.parametrize(
    ("guest", "shown"), ROW.findall((ROOT / "docs" / "performance.md").read_text()), ids=lambda x: x.split()[0]
)
def test_runs_have_the_counts_that_the_document_has(guest: str, shown: str) -> None:
    """But for a tenth, as one version of Unicorn is not as the next."""
    stats = p9emu("run", "--stats", "-v", *guest.split()).stderr.decode()
    told = dict(re.findall(r"^(.*[a-z]) {2,}([0-9]+)$", stats, re.MULTILINE))
    expected = [int(n.replace(",", "")) for n in shown.split("|")]
    assert [int(told[name]) for name in TOLD] == [pytest.approx(n, rel=0.1) for n in expected]


def test_the_document_has_counts() -> None:
    assert len(ROW.findall((ROOT / "docs" / "performance.md").read_text())) == 4
