"""emu.machine.probe: where a processor stops and asks, on a machine that has no kernel; and that it counts no time."""

from __future__ import annotations

import pytest

from emu.machine import probe
from emu.machine.cpu import Cpu
from emu.machine.lib import lib
from emu.machine.probe import NOTHING, Area, Probed, Touch, Wanted
from tests.emu.bare import Bare

CODE, DATA = 0x1000, 0x8000
# INCL AX; MOVL AX, DATA; CMPL AX, $5; JNE to the start; MOVL DATA, BX; INT $64
PROGRAM = bytes.fromhex("40 a300800000 83f805 75f5 8b1d00800000 cd40")
INC, MOV, CMP, JNE, LOAD, TRAP = CODE, CODE + 1, CODE + 6, CODE + 9, CODE + 11, CODE + 17


class Recorder:
    """Stops where it is asked, and does something there."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []
        self.stopped: list[tuple[int, int]] = []  # pc and AX
        self.touched: list[Touch] = []
        self.then = NOTHING
        self.times: list[int] = []
        self.ax: int | None = None

    def stops(self, cpu: Probed, pc: int, again: bool) -> bool:
        self.asked.append((pc, again))
        self.touched += cpu.touched
        return True

    def still(self, cpu: Probed, pc: int) -> None:
        self.stopped.append((pc, cpu.current.ax))
        if self.ax is not None:
            cpu.current.ax, self.ax = self.ax, None
        cpu.look(self.then)

    def entering(self, cpu: Probed) -> None: ...

    def reached(self, cpu: Probed) -> None:
        self.times.append(cpu.now())


def run(wanted: Wanted, then: Wanted | None = None, ax: int | None = None, data: bool = True) -> tuple[Recorder, Bare]:
    """The program, with that looked for, and then that."""
    bare = Bare(kind=Probed)
    bare.load(CODE, PROGRAM)
    if data:
        bare.map(DATA, 0x200000)
    recorder = Recorder()
    recorder.then = wanted if then is None else then
    recorder.ax = ax
    cpu = bare.cpu
    assert isinstance(cpu, Probed)
    cpu.observer = recorder
    cpu.look(wanted)
    bare.run(bare.regs(CODE))
    return recorder, bare


def plaintime(kind: type[Cpu] = Cpu) -> int:
    with Bare(kind=kind) as bare:
        bare.load(CODE, PROGRAM)
        bare.map(DATA, 0x200000)
        bare.run(bare.regs(CODE))
        return bare.cpu.now()


def test_it_stops_before_an_instruction_each_time() -> None:
    recorder, bare = run(Wanted(frozenset({MOV})))
    assert recorder.stopped == [(MOV, n) for n in range(1, 6)]
    assert bare.cpu.now() == plaintime()
    bare.close()


def test_every_instruction() -> None:
    recorder, bare = run(Wanted(every=True))
    loop = [INC, MOV, CMP, JNE]
    assert [pc for pc, _ in recorder.stopped] == [*loop * 5, LOAD, TRAP]
    assert bare.cpu.now() == plaintime()
    bare.close()


@pytest.mark.parametrize("wanted", [Wanted(frozenset({CMP})), Wanted(every=True)])
def test_what_is_not_wanted_any_more_is_left_behind(wanted: Wanted) -> None:
    recorder, bare = run(wanted, NOTHING)
    assert len(recorder.stopped) == 1
    assert bare.cpu.now() == plaintime()
    bare.close()


def test_a_register_that_is_changed_counts_from_this_instruction_on() -> None:
    recorder, bare = run(Wanted(frozenset({CMP})), ax=5)
    assert recorder.stopped == [(CMP, 1)]
    assert bare.cpu.current.bx == 1
    bare.close()


def test_hooks_for_code_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking one away has Unicorn look up where it was translated: page faults, that in the end halt the processor."""
    removed: list[object] = []
    place = Probed._place

    def replaced(cpu: Probed) -> None:
        with monkeypatch.context() as m:
            m.setattr(lib(), "unhook", lambda uc, handle: removed.append(handle))
            place(cpu)

    monkeypatch.setattr(Probed, "_place", replaced)
    recorder, bare = run(Wanted(every=True), Wanted(frozenset({CMP})))
    assert recorder.stopped == [(INC, 0), *((CMP, n) for n in range(1, 6))]
    assert removed == []
    assert bare.cpu.now() == plaintime()
    bare.close()


@pytest.mark.parametrize("native", [True, False])
def test_memory_is_watched_by_its_physical_address(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not native:
        monkeypatch.setattr(probe, "_native", lambda: 0)
    recorder, bare = run(Wanted(areas=(Area(0x200002, 0x200003, False, True),)))
    told = [t[:4] for t in recorder.touched if t.write]
    assert [t.place for t in recorder.touched] == sorted({t.place for t in recorder.touched})
    assert told == [(True, 0x200000, 4, MOV)] * 5
    assert [pc for pc, _ in recorder.stopped if native] == [CMP] * 5 * native
    assert bare.cpu.now() == plaintime()
    bare.close()


def test_reads_are_told_apart() -> None:
    recorder, bare = run(Wanted(areas=(Area(0x200000, 0x200004, True, False),)))
    assert [t[:4] for t in recorder.touched] == [(False, 0x200000, 4, LOAD)]
    assert recorder.stopped == [(TRAP, 5)]
    bare.close()


def test_an_access_by_the_last_instruction_of_a_turn() -> None:
    """Time is over before the next instruction, and somebody else may be next."""
    with Bare(kind=Probed) as bare:
        bare.load(CODE, bytes.fromhex("e800000000 cd40"))  # CALL the next; INT $64
        bare.map(DATA, 0x200000)
        recorder = Recorder()
        recorder.then = wanted = Wanted(areas=(Area(0x200000, 0x201000, False, True),))
        cpu = bare.cpu
        assert isinstance(cpu, Probed)
        cpu.observer = recorder
        cpu.look(wanted)
        regs = bare.regs(CODE)
        regs.sp = DATA + 0x1000
        cpu.putcr3(bare.pdb)
        assert cpu.run(regs, cpu.now() + 10)
        assert [t[:4] for t in recorder.touched] == [(True, 0x200FFC, 4, CODE)]
        assert recorder.stopped == [(CODE + 5, 0)]
        assert cpu.touched == []


def test_what_was_not_asked_for_costs_nothing() -> None:
    recorder, bare = run(Wanted(frozenset({0x5000})))
    assert recorder.asked == []
    assert bare.cpu.now() == plaintime() == plaintime(Probed)
    bare.close()
