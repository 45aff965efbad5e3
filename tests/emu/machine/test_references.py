"""Page references: what is touched, in which order, as which object."""

import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from emu.machine.config import Config, MachineError, Outcome
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from emu.machine.references import References, Touched
from kernel.base.event import Event, FaultClass, FaultEvent
from tests.e2e.harness import aout

FILLED: Final[tuple[FaultClass, ...]] = ("zero-fill", "cow-copy", "text-load", "data-load", "swap-in")
EXIT: Final = bytes.fromhex("6a00 6a00 b808000000 cd40")
Chunk = tuple[int, int, list[int]]


class Recorded:
    """A run with its references, and its events."""

    def __init__(self, program: str, *args: str, **config: Any) -> None:
        self.chunks: list[Chunk] = []
        self.events: list[Event] = []
        references = References(self.receive)

        def sink(ev: Event) -> None:
            self.events.append(ev)
            references(ev)

        with closing(Machine(Config(**config), sink, console=MemoryConsole())) as machine:
            references.watch(machine)
            self.outcome: Outcome = machine.run(program, args)
            references.finish()
        self.pages = references.pages
        self.string = [n for _, _, numbers in self.chunks for n in numbers]

    def receive(self, pid: int, ns: int, numbers: Sequence[int]) -> None:
        self.chunks.append((pid, ns, list(numbers)))

    @property
    def filled(self) -> int:
        """How many frames faults have filled."""
        faults: list[FaultEvent] = [ev for ev in self.events if isinstance(ev, FaultEvent)]
        classes: Counter[str] = Counter(ev.cls for ev in faults)
        classes.update(ev.load for ev in faults)
        return sum(classes[cls] for cls in FILLED)


def code(tmp_path: Path, code: bytes, **config: Any) -> Recorded:
    path = tmp_path / "code"
    path.write_bytes(aout(code, bss=0x4000))
    return Recorded(str(path), **config)


def places(r: Recorded) -> list[int]:
    """The string as the addresses of pages."""
    return [r.pages[n].va for n in r.string]


@pytest.mark.parametrize("mmu", ["nested", "plain"])
def test_loads_and_stores_that_cross_a_page_touch_both(tmp_path: Path, mmu: str) -> None:
    r = code(tmp_path, bytes.fromhex("c705fe2f000001000000 a1fe3f0000") + EXIT, mmu=mmu)
    stack, text, one, two, three = r.pages[0].va, 0x1000, 0x2000, 0x3000, 0x4000
    assert places(r) == [
        *(stack, text),  # the arguments; the first instruction is not there
        *(stack, text, one),  # the kernel leaves by way of the stack, where it counts time; the store, in three goes
        *(stack, text, one, two),
        *(stack, text, one, two, three),  # and the load, in two
        *(stack, text, two, three, stack),
    ]


def test_block_that_crosses_a_page_touches_both(tmp_path: Path) -> None:
    def jump(at: int, to: int) -> bytes:
        return b"\xe9" + (to - at - 5).to_bytes(4, "little", signed=True)

    # to the second page, from there to the end of the first, where "push 0" twice is all that fits
    memory = bytearray(0x2020)
    for at, what in ((0x1020, jump(0x1020, 0x2010)), (0x2010, jump(0x2010, 0x1FFC)), (0x1FFC, EXIT)):
        memory[at : at + len(what)] = what
    r = code(tmp_path, bytes(memory[0x1020:]))
    stack, text, second = r.pages[0].va, 0x1000, 0x2000
    assert places(r) == [*(stack, text), *(stack, text, second), *(stack, second, text, second, stack)]


def test_what_a_page_is_called() -> None:
    r = Recorded("sieve", "100")
    assert r.pages[1:] == [
        Touched(2, 0x1000, 0, "/bin/sieve", 0),
        Touched(2, 0x2000, 0, "/bin/sieve", 0x1000),
        Touched(2, 0x3000),
    ]
    assert all(pid == 2 for pid, _, _ in r.chunks)


@pytest.mark.parametrize(
    "words",
    ["cow 4", "forkbomb 5", "pingpong 10", "text 2", "touch 50", "hello", "shm 20", "syscalls 5"],
)
def test_there_are_as_many_objects_as_frames_were_filled(words: str) -> None:
    r = Recorded(*words.split())
    assert r.outcome.status == 0
    assert len(r.pages) == r.filled
    firsts = list(dict.fromkeys(r.string))
    assert firsts == sorted(firsts) == list(range(len(r.pages)))
    assert all(a != b for a, b in zip(r.string, r.string[1:], strict=False))


def test_what_a_fork_shares_is_one_object_until_it_is_copied() -> None:
    r = Recorded("cow", "4")
    text = next(n for n, p in enumerate(r.pages) if p.offset == 0 and p.image >= 0)
    assert {pid for pid, _, numbers in r.chunks if text in numbers} == {2, 3}
    assert Counter(p.pid for p in r.pages if p.image < 0) == {2: 5, 3: 5}


def test_each_reference_is_its_process_s_own() -> None:
    r = Recorded("pingpong", "10", cpus=2)
    assert {pid for pid, _, _ in r.chunks} == {2, 3}
    stacks = {p.pid: n for n, p in enumerate(r.pages) if p.image < 0 and p.va > 0x80000000}
    for pid, _, numbers in r.chunks:
        assert not any(stacks.get(other) in numbers for other in (2, 3) if other != pid and len(stacks) == 2)


@pytest.mark.parametrize("words", ["sieve 2000", "cow 4", "pingpong 3"])
def test_without_the_extension_it_is_the_same(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    native = Recorded(*words.split())
    monkeypatch.setitem(sys.modules, "emu.machine._references", None)
    python = Recorded(*words.split())
    assert python.chunks == native.chunks
    assert python.pages == native.pages


def test_the_run_is_the_same() -> None:
    r = Recorded("sieve", "2000")
    with closing(Machine(Config(), console=MemoryConsole())) as machine:
        plain = machine.run("sieve", ["2000"]).stats
    assert (plain.virtual_ns, plain.faults) == (r.outcome.stats.virtual_ns, r.outcome.stats.faults)


def test_what_the_receiver_raises_comes_out_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(pid: int, ns: int, numbers: Sequence[int]) -> None:
        raise ValueError("enough")

    references = References(receive)
    with closing(Machine(Config(), references, console=MemoryConsole())) as machine:
        references.watch(machine)
        with pytest.raises(ValueError, match="enough"):
            machine.run("sieve", ["100"])


def test_more_notes_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Recorded("sieve", "2000")
    monkeypatch.setattr("emu.machine.references.ROOM", 16)
    parts = Recorded("sieve", "2000")
    assert parts.string == whole.string
    assert len(parts.chunks) > len(whole.chunks)
    assert array("i", parts.string)


def test_an_object_that_is_no_more_is_told() -> None:
    told: list[tuple[str, int]] = []
    references = References(
        lambda _pid, _ns, numbers: told.extend(("touch", n) for n in numbers), lambda n: told.append(("gone", n))
    )
    with closing(Machine(Config(), references, console=MemoryConsole())) as machine:
        references.watch(machine)
        machine.run("cow", ["4"])
        references.finish()
    gone = [n for what, n in told if what == "gone"]
    private = [n for n, p in enumerate(references.pages) if p.image < 0]
    assert sorted(gone) == private  # what is of a file stays in the page cache
    for n in gone:
        assert ("touch", n) not in told[told.index(("gone", n)) :]


def test_another_unicorn_may_not_let_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emu.machine.recursion.place", lambda _lib: None)
    references = References(lambda _pid, _ns, _numbers: None)
    why = "page references cannot be had of this release of Unicorn"
    with closing(Machine(Config(), console=MemoryConsole())) as machine, pytest.raises(MachineError, match=why):
        references.watch(machine)
