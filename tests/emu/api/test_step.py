"""Runs that stand still: the same run as without, however they are mixed, left or forgotten."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu import LoadError, Machine, Result, TimeLimit, run
from emu.observe.jsonl import JsonWriter
from kernel.base.event import Event, ProcEvent, SyscallEvent
from tests.e2e.harness import aout

pytestmark = pytest.mark.guest


def lines(events: list[Event]) -> list[str]:
    return [JsonWriter(None).line(e) for e in events]  # type: ignore[arg-type]


def plain(argv: str, kinds: str = "%all", **config: Any) -> tuple[list[str], Result]:
    """The events of a run that does not stand still."""
    program, *args = argv.split()
    r = run(program, *args, events=kinds, **config)
    return lines(list(r.events)), r


def same(a: Result, b: Result) -> bool:
    return (a.status, a.exits, a.stdout, a.stderr, a.kmesg) == (b.status, b.exits, b.stdout, b.stderr, b.kmesg)


@pytest.mark.parametrize(
    "config", [{}, {"cpus": 2}, {"mmu": "plain"}, {"counter": "python"}, {"sched": "random", "cpus": 2}]
)
@pytest.mark.parametrize("argv", ["cow 3", "pipe 2", "text 2", "nil", "notes"])
def test_a_run_that_stands_still_at_each_event_is_the_same(argv: str, config: dict[str, Any]) -> None:
    expected, result = plain(argv, **config)
    program, *args = argv.split()
    with Machine(**config) as m:
        got = []
        for ev in m.events(program, args, kinds="%all"):
            got.append(ev)
            assert m.processes() or ev.pid < 2  # before the program's
        assert m.result is not None
        assert lines(got) == expected
        assert same(m.result, result)


def deep(n: int, call: Callable[[], Event | None]) -> Event | None:
    """Make a call n frames of C deeper."""
    return call() if n == 0 else next(map(deep, [n - 1], [call]))


@pytest.mark.parametrize("cpus", [1, 2])
def test_machines_go_on_in_any_order_and_from_any_depth_of_stack(cpus: int) -> None:
    argvs = ["cow 3", "pipe 2", "forkbomb 4", "stack 5", "notes"]
    expected = [plain(argv, "fault,syscall,proc,tlb", cpus=cpus) for argv in argvs]
    machines = [Machine(cpus=cpus) for _ in argvs]
    iters = [
        m.events(argv.split()[0], argv.split()[1:], kinds="fault,syscall,proc,tlb")
        for m, argv in zip(machines, argvs, strict=True)
    ]
    got: list[list[Event]] = [[] for _ in argvs]
    going = list(range(len(argvs)))
    turn = 0
    while going:
        turn = (turn * 7 + 3) % 1009
        i = going[turn % len(going)]
        ev = deep(turn % 13, lambda i=i: next(iters[i], None))  # type: ignore[misc]
        if ev is None:
            going.remove(i)
        else:
            got[i].append(ev)
    for i, m in enumerate(machines):
        assert m.result is not None
        assert lines(got[i]) == expected[i][0], argvs[i]
        assert same(m.result, expected[i][1])
        m.close()


# In a loop: sleep(0); an addition that carries gives 0x3ff; CMPXCHG8B of what differs; dies unless flags are right
FLAGS = (
    b"\x68\x55\x55\x55\x55\x68\x55\x55\x55\x55\xbb\x05\x00\x00\x00"
    b"\x6a\x00\x6a\x00\xb8\x11\x00\x00\x00\xcd\x40\x83\xc4\x08"
    b"\xb9\x00\x04\x00\x00\x83\xc8\xff\xeb\x00\x01\xc8"
    b"\xf0\x0f\xc7\x0c\x24\x9c\x58\x25\xd5\x08\x00\x00\x83\xf8\x05\x75\x0e\x4b\x75\xd2"
    b"\x6a\x00\x6a\x00\xb8\x08\x00\x00\x00\xcd\x40\x0f\x0b"
)


def test_what_unicorn_does_wrong_is_mended_in_machines_that_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "flags"
    path.write_bytes(aout(FLAGS))
    assert run(path).exits == ""
    machines = [Machine(), Machine(), Machine(cpus=2)]
    iters = [m.events(path, kinds="syscall") for m in machines]
    rounds = 0
    while sum(next(it, None) is not None for it in iters):
        rounds += 1
    assert rounds == 6
    for m in machines:
        assert m.result is not None
        assert m.result.exits == ""
        m.close()


def test_a_machine_runs_while_others_stand_still_within_each_other() -> None:
    expected, result = plain("cow 2", "fault")

    def nested(depth: int) -> list[str]:
        got = []
        with Machine(cpus=1 + depth % 2) as m:
            for n, ev in enumerate(m.events("cow", ["2"], kinds="fault")):
                got.append(ev)
                if n == 3 + depth and depth < 4:
                    nested(depth + 1)
        if depth % 2 == 0:
            assert lines(got) == expected
        return lines(got)

    assert nested(0) == expected
    assert same(run("cow", "2"), result)


def test_a_machine_runs_in_a_subscriber_of_another() -> None:
    expected, _ = plain("cow 2", "fault")
    got: list[list[str]] = []

    def inner(ev: Event) -> None:
        if len(got) < 3:
            with Machine() as other:
                it = other.events("cow", ["2"], kinds="fault")
                got.append(lines(list(it)))

    with Machine() as m:
        m.subscribe(inner, "fault")
        r = m.run("cow", ["2"], events="fault")
    assert lines(list(r.events)) == expected
    assert got == [expected] * 3


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("kinds", ["fault", "tlb", "syscall", "proc", "page"])
def test_leaving_the_loop_anywhere_ends_the_run(kinds: str, cpus: int) -> None:
    with Machine(cpus=cpus) as m:
        total = sum(1 for _ in m.events("cow", ["2"], kinds=kinds))
    for n in range(0, total, max(1, total // 12)):
        with Machine(cpus=cpus) as m:
            for i, _ in enumerate(m.events("cow", ["2"], kinds=kinds)):
                if i == n:
                    break
            assert m.result is None
            with pytest.raises(RuntimeError, match="one program"):
                m.run("hello")
    assert run("cow", "2", cpus=cpus).status == 0


def test_closing_the_machine_ends_the_loop() -> None:
    m = Machine()
    it = m.events("cow", ["2"], kinds="fault")
    next(it)
    m.close()
    assert list(it) == []
    assert m.result is None
    m.close()
    with pytest.raises(RuntimeError, match="closed"):
        m.processes()


def test_a_forgotten_run_is_collected() -> None:
    gone = []
    for n in range(5):
        m = Machine()
        it = m.events("cow", ["2"], kinds="%all")
        for _ in range(n * 5):
            next(it)
        gone.append(weakref.ref(it))
        del it
        assert gone[-1]() is None  # at once, without the collector
        m.close()
    ring: list[Any] = []
    m = Machine()
    ring += [ring, m.events("forkbomb", ["3"], kinds="fault")]
    next(ring[1])
    ref = weakref.ref(ring[1])
    del ring
    gc.collect()
    assert ref() is None
    m.close()


def test_a_forgotten_run_is_collected_within_another() -> None:
    expected, _ = plain("cow 2", "fault")
    left = Machine()
    ring: list[Any] = []
    ring += [ring, left.events("pipe", ["2"], kinds="syscall")]
    next(ring[1])
    ref = weakref.ref(ring[1])
    del ring
    with Machine() as m:
        m.subscribe(lambda _: gc.collect(), "proc")
        r = m.run("cow", ["2"], events="fault")
    assert ref() is None
    assert lines(list(r.events)) == expected
    left.close()


def test_a_program_ends_in_peace_with_machines_that_stand_still() -> None:
    code = """
        from emu import Machine
        kept = [Machine(cpus=1 + i % 2) for i in range(4)]
        runs = [m.events("cow", ["2"], kinds=kind) for m, kind in zip(kept, ("fault", "tlb", "syscall", "proc"))]
        for it in runs:
            next(it)
            next(it)
        print("done")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_an_exception_in_the_loop_leaves_nothing_behind() -> None:
    for n in (0, 1, 5):
        with pytest.raises(ZeroDivisionError), Machine() as m:  # noqa: PT012
            for i, _ in enumerate(m.events("cow", ["2"], kinds="fault")):
                assert 1 / (n - i)
    assert run("cow", "2").status == 0


def test_what_the_machine_raises_comes_out_of_the_loop() -> None:
    def bad(ev: Event) -> None:
        if isinstance(ev, SyscallEvent) and ev.name == "rfork":
            raise KeyError("bad")

    with Machine() as m:
        m.subscribe(bad, "syscall")
        seen: list[Event] = []
        with pytest.raises(KeyError, match="bad"):
            seen.extend(m.events("cow", ["2"], kinds="fault"))
        assert len(seen) > 3
    with Machine() as m, pytest.raises(LoadError, match="no such file"):
        list(m.events("/no/such/program"))


def test_time_passes_only_while_it_runs() -> None:
    with Machine(timeout=1) as m:
        it = m.events("spin", ["1"], kinds="proc")
        next(it)
        threading.Event().wait(1.1)
        rest = list(it)
        assert isinstance(rest[-1], ProcEvent)
        assert m.result is not None
    with Machine(timeout=0.05) as m, pytest.raises(TimeLimit):
        list(m.events("spin", ["1000000"], kinds="proc"))


def test_between_events_signals_are_the_callers() -> None:
    mine = signal.getsignal(signal.SIGINT)
    with Machine(timeout=50) as m:
        for _ in m.events("cow", ["2"], kinds="boot,fault"):
            assert signal.getsignal(signal.SIGINT) is mine
            assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
            assert signal.set_wakeup_fd(-1) == -1
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGINT) is mine


def test_ctrl_c_is_the_callers() -> None:
    def interrupt(ev: Event) -> None:
        signal.raise_signal(signal.SIGINT)

    with Machine() as m:
        m.subscribe(interrupt, "proc")
        with pytest.raises(KeyboardInterrupt):
            m.run("spin", ["100000"])


def test_another_thread_has_machines_of_its_own_and_none_of_ours() -> None:
    expected, _ = plain("cow 2", "fault")
    m = Machine()
    it = m.events("cow", ["2"], kinds="fault")
    first = next(it)
    found: list[object] = []

    def work() -> None:
        with Machine() as other:
            found.append(lines(list(other.events("cow", ["2"], kinds="fault"))))
        try:
            next(it)
        except RuntimeError as e:
            found.append(str(e))
        try:
            m.close()
        except RuntimeError as e:
            found.append(str(e))
        try:
            run("spin", "1000000", timeout=0.1)
        except TimeLimit as e:
            found.append(type(e))

    t = threading.Thread(target=work)
    t.start()
    t.join()
    assert found[0] == expected
    assert "thread" in str(found[1])
    assert "closed in the thread" in str(found[2])
    assert found[3] is TimeLimit
    assert first.kind == "fault"
    m.close()
