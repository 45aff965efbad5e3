"""String instructions under gdb: of a rep one round is a step, on and back, also where a round faults in the middle."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import pytest

from guest.cc import compile
from tests.emu.debug.scripted import symbol
from tests.emu.debug.test_back import STEP, Debugger, debugged

pytestmark = pytest.mark.guest

# Each crosses into a page that is not there yet: the third round of one, or the first, is begun twice.
PROGRAM = """
	.globl main
main:
	pushl %esi
	pushl %edi
	movl $src, %esi
	movl $dst+4096-8, %edi
	movl $6, %ecx
	rep movsl
	movl $dst+8192-3, %edi
	movl $7, %ecx
	rep stosb
	movl $dst+8192-3, %edi
	movl $20, %ecx
	repe scasb
	movl $dst+16384+4, %edi
	movl $dst+20480+8, %esi
	movl $6, %ecx
	std
	rep movsl
	cld
	movl $dst+24576-2, %edi
	movl $3, %ecx
	rep stosl
	movl $src, %esi
	movl $dst+28672-6, %edi
	movl $0, %ecx
	rep movsl
	movl $2, %ecx
	rep movsl
	movl $2, %ecx
	repe cmpsl
	.globl done
done:
	xorl %eax, %eax
	popl %edi
	popl %esi
	ret
	.data
src:	.fill 64, 1, 5
	.bss
	.balign 4096
	.globl dst
dst:	.fill 40960
"""


@pytest.fixture(scope="module")
def rep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("rep") / "rep.S"
    source.write_text(PROGRAM)
    out = source.with_suffix("")
    out.write_bytes(compile([source]).image)
    return out


def state(d: Debugger, dst: int) -> tuple[int, int, bytes, str, bytes]:
    """pc and CX, all registers, the time, and what is written around the pages' ends."""
    registers = d.ask(b"g")
    words = struct.unpack("<9I", bytes.fromhex(registers[:72].decode()))
    written = b"".join(d.ask(b"m%x,20" % (dst + at - 12)) for at in range(4096, 32768, 4096))
    return words[8], words[1], registers, d.monitor("time"), written


@pytest.mark.parametrize("words", [[], ["--clock", "real"]])
def test_rounds_are_steps_on_and_back(words: list[str], rep: Path, tmp_path: Path) -> None:
    dst, main, done = (symbol(str(rep), name) for name in ("dst", "main", "done"))
    with debugged(tmp_path, *words, str(rep)) as d:
        d.ask(b"Z0,%x,1" % main)
        d.go(b"vCont;c")
        states = [state(d, dst)]
        while states[-1][0] != done:
            assert d.go(STEP).startswith(b"T05")
            states.append(state(d, dst))
        rounds = [cx for (at, cx, *_), (after, *_) in itertools.pairwise(states) if at == after]
        assert rounds[:6] == [6, 5, 4, 3, 2, 1]
        assert len(set(states)) == len(states)
        for was in states[-2::-1]:
            assert d.go(b"bs").startswith(b"T05")
            assert state(d, dst) == was
        for was in states[1:]:
            assert d.go(STEP).startswith(b"T05")
            assert state(d, dst) == was


def test_a_loop_of_one_instruction_is_stepped_round_by_round(tmp_path: Path) -> None:
    source = tmp_path / "loop.S"
    source.write_text("\t.globl main\nmain:\n\tmovl $5, %ecx\n1:\tloop 1b\n\txorl %eax, %eax\n\tret\n")
    out = source.with_suffix("")
    out.write_bytes(compile([source]).image)
    with debugged(tmp_path, str(out)) as d:
        d.ask(b"Z0,%x,1" % symbol(str(out), "main"))
        d.go(b"vCont;c")
        counts = []
        for _ in range(6):
            d.go(STEP)
            counts.append(int.from_bytes(bytes.fromhex(d.ask(b"p1").decode()), "little"))
        assert counts == [5, 4, 3, 2, 1, 0]
        for was in counts[-2::-1]:
            d.go(b"bs")
            assert int.from_bytes(bytes.fromhex(d.ask(b"p1").decode()), "little") == was


def test_a_word_that_a_round_writes_is_found_backwards(rep: Path, tmp_path: Path) -> None:
    dst, main = (symbol(str(rep), name) for name in ("dst", "main"))
    with debugged(tmp_path, str(rep)) as d:
        d.ask(b"Z0,%x,1" % main)
        d.go(b"vCont;c")
        d.ask(b"z0,%x,1" % main)
        d.ask(b"Z2,%x,4" % (dst + 4096))
        assert b"watch:" in d.go(b"vCont;c")
        after = state(d, dst)
        assert after[1] == 3
        assert b"watch:" in d.go(b"bc")
        before = state(d, dst)
        assert (before[0], before[1]) == (after[0], 4)
        assert before[4][24:32] == b"00000000"
        d.ask(b"z2,%x,4" % (dst + 4096))
        d.go(STEP)
        assert state(d, dst) == after
