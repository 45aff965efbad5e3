"""--mmu plain: another way to page, and the same run."""

import pytest

from emu.machine.plaincpu import PlainCpu
from tests.e2e.harness import jsontrace
from tests.emu.bare import Bare
from tests.realfaults import main

GUESTS = (
    "hello", "cow 20", "forkbomb 8", "pingpong 30", "sema 8", "pipe 20", "selfmod", "spin 25", "text 12", "segs",
    "notes", "fp", "badop", "div0", "alarm", "usertests", "sieve 5000", "exec echo hi",
)  # fmt: skip


@pytest.mark.parametrize("argv", GUESTS)
def test_nested_and_plain_paging_give_the_same_trace(argv: str) -> None:
    nested = jsontrace(*argv.split(), memory=8 << 20, swap=16 << 20)
    assert nested == jsontrace(*argv.split(), memory=8 << 20, swap=16 << 20, mmu="plain")
    assert nested.count("\n") > 10


def test_plain_paging_is_really_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    boots = []
    boot = PlainCpu._boot

    def counted(self: PlainCpu) -> bytes:
        boots.append(self)
        return boot(self)

    monkeypatch.setattr(PlainCpu, "_boot", counted)
    jsontrace("hello", mmu="plain")
    assert len(boots) == 1


@pytest.mark.parametrize("change", ["write", "zero", "copy"])
def test_changed_frame_runs_its_new_code(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.emu.bare.Cpu", PlainCpu)
    code, answer = 0x1000, b"\xcd\x40"  # int 0x40
    with Bare() as bare:
        bare.load(code, b"\xb8\1\0\0\0" + answer)  # mov eax, 1
        pa = bare.pte(code) & ~0xFFF
        regs = bare.regs(code)
        bare.run(regs)
        assert regs.ax == 1
        if change == "write":
            bare.memory.write(pa + 1, b"\2")
        elif change == "zero":
            bare.memory.zero(pa)
            bare.memory.write(pa, b"\xb8\2\0\0\0" + answer)
        else:
            bare.load(0x5000, b"\xb8\2\0\0\0" + answer)
            bare.memory.copy(pa, bare.pte(0x5000) & ~0xFFF)
        regs = bare.regs(code)
        bare.run(regs)
        assert regs.ax == 2


def test_faults_are_those_of_the_real_kernel_in_plain_paging_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emu.machine.machine.Cpu", PlainCpu)
    assert main(["tests/vectors/real/uniprocessor.json"]) == 0
