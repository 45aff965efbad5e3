"""Each later fix of 9front's that guests can tell: they fail without it and not with it."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from emu.machine.config import MachineError
from kernel.base.event import SchedEvent
from kernel.sched.watch import Watch
from tests.e2e.harness import run

M = 1 << 20
RACE = {"sched": "random", "cpus": 2}
TEXT = "Killed: Insufficient physical memory"


def end(argv: str, **config: Any) -> str:
    """How it ended, "" if well."""
    try:
        return run(*argv.split(), check=False, **config).outcome.exits
    except MachineError as e:
        return str(e)


@pytest.mark.parametrize(
    ("fix", "argv", "told", "config"),
    [
        ("a0e001a23", "stopwait 20", "panic: fault: pdbg of ", RACE | {"seed": 4}),
        ("655ec332a", "memrace shrink 20", "panic: procctlmemio1", RACE | {"seed": 2}),
        (
            "655ec332a",
            "memrace slot 10",
            "panic: use after free: seg loads Segment.locked, freed by putseg < pexit",
            RACE | {"seed": 41},
        ),
        ("ad9748422", "pipeflow 4 10", "no progress: every process waits for another", {}),
        ("d15aca053", "tprof", "0 ms counted of 290", {"cpus": 2}),
        ("3af236b5e", "mhead 100", "panic: cclose ", RACE | {"seed": 1}),
        ("fcc336b90", "edges free", "page 8 is 0, page 15 0", {}),
        ("4d211fdd4", "edges flush", "bad arg in system call", {}),
        ("b32300deb", "edges addr", "a buffer of 2 GB in the stack is good", {}),
        ("29c7ca80c", "edges around", "a segment of 18 pages lies around one of 16", {}),
        ("29c7ca80c", "edges past", "the bss goes on behind a segment", {}),
        ("e9fddbaad", "edges round", "end before", {}),
        ("d9fec3c70", "edges text", "a write to the text: edges 4: alarm", {}),
        ("82a797da7", "killbig shared", "page 0 of the shared segment is lost", {"memory": 4 * M}),
        ("76f21ca71", "killbig broken", TEXT, {"memory": 4 * M}),
        ("d0b1db98b", "sparse 500", "panic: newpage: no progress", {"memory": 4 * M, "swap": 8 * M}),
    ],
)
def test_a_fix_mends_what_the_guest_shows(fix: str, argv: str, told: str, config: dict[str, Any]) -> None:
    assert told in end(argv, **config)
    assert end(argv, fix=(fix,), **config) == ""


@pytest.mark.parametrize(
    ("before", "fix", "argv", "told", "config"),
    [
        (
            "3af236b5e",
            "55c3138c6",
            "unionbind 30",
            "panic: use after free: cmount loads Mount.next, freed by mountfree",
            {"seed": 2},
        ),
        (
            "3af236b5e",
            "55c3138c6",
            "unionbind 20 open",
            "panic: nil pointer: _nopen looks for .next",
            {"seed": 0, "points": ("fields",)},
        ),
        (
            "655ec332a",
            "12fa017f3",
            "memrace slot 10",
            "memory of a process that is gone has 2",
            {"seed": 12, "inject": (("newpage", 3, True),)},
        ),
    ],
)
def test_a_fix_mends_what_one_before_it_left(
    before: str, fix: str, argv: str, told: str, config: dict[str, Any]
) -> None:
    assert told in end(argv, fix=(before,), **RACE, **config)
    assert end(argv, fix=(before, fix), **RACE, **config) == ""


@pytest.mark.parametrize(
    ("argv", "config", "within", "marked", "unmarked"),
    [
        (
            "memrace slot 10",
            {"seed": 41},
            "procctlmemio",
            "panic: use after free: seg loads Segment.locked, freed by putseg < pexit < procctl < notify",
            "panic: decref",
        ),
        (
            "unionbind 30",
            {"seed": 2, "fix": ("3af236b5e",)},
            "cmount",
            "panic: use after free: cmount loads Mount.next, freed by mountfree < cunmount < sysunmount < syscall",
            "panic: cclose ",
        ),
    ],
)
def test_what_is_marked_is_used_in_the_race_that_the_fix_mends(
    argv: str, config: dict[str, Any], within: str, marked: str, unmarked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark shows it where it begins; without marks the same order comes to what the bug does."""
    config = {**RACE, **config}
    with pytest.raises(MachineError) as e:
        run(*argv.split(), check=False, **config)
    assert str(e.value) == marked
    panic = e.value.__cause__
    assert panic is not None
    assert within in [f.name for f in traceback.extract_tb(panic.__traceback__)]
    monkeypatch.setattr(Watch, "freed", lambda watch, x: None)
    assert end(argv, **config).startswith(unmarked)


@pytest.mark.parametrize("fix", [(), ("7cf6a3548",)])
def test_7cf6a3548_where_a_wired_process_runs(fix: tuple[str, ...]) -> None:
    r = run("wired", "5", trace=True, cpus=2, fix=fix)
    where = [e.cpu for e in r.events if isinstance(e, SchedEvent) and e.op == "run" and e.target == 3]
    assert where == ([0] + [1] * 5 if fix else [0] * 6)


@pytest.mark.parametrize(
    ("seed", "told"),
    [(29, "no progress: every process waits for another"), (6, "start: bad process or channel control request")],
)
def test_39_who_stops_wakes_its_debugger_too_early(seed: int, told: str) -> None:
    assert told in end("stopstart 30", seed=seed, **RACE)
