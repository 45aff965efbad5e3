"""What is told of a machine that went wrong: a broken invariant, a deadlock, a livelock."""

from __future__ import annotations

import os
import shlex
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from emu.machine.config import Bind, Config, MachineError, Root
from emu.machine.machine import Machine
from emu.machine.repeat import commandline
from emu.machine.signals import TimeLimit
from kernel.base.dat import Page
from kernel.base.kernel import Kernel
from kernel.memory import fault, page
from kernel.memory.mmu import putmmu
from kernel.process.proc import pexit
from tests.e2e.harness import machinecode, run
from tests.emu.cli.faked import invoke
from tests.linking import linked

M = 1 << 20


def leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the third copy on write lose a reference."""
    was, n = page.newpage, [0]

    def newpage(k: Kernel, clear: bool, va: int, *args: Any) -> Page | None:
        p = was(k, clear, va, *args)
        n[0] += 1
        if n[0] == 8 and p is not None:
            p.ref += 1
        return p

    monkeypatch.setattr(fault, "newpage", newpage)


def test_a_broken_invariant_tells_where_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    leak(monkeypatch)
    with pytest.raises(MachineError) as e:
        run("cow", "4", check=True, seed=7)
    text = str(e.value)
    assert text.startswith("panic: check: ")
    wrong, seen, well = text.split("; seen at ")[0], *text.split("; seen at ")[1].split("; all was well at ")
    assert "may write 0x4000 of its bss, a page that is shared or cached" in wrong
    assert "on processor 0, switch " in seen and ": cow 3 returns from page fault" in seen and ", last lock " in seen
    assert seen != well and "on processor 0, switch " in well and ": cow 3 " in well
    assert e.value.repeat == "p9emu run --check --seed 7 cow 4"


def test_without_check_it_is_seen_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    was = Machine._loop

    def loop(self: Machine) -> None:
        was(self)
        self.kernel.palloc.freecount += 1

    monkeypatch.setattr(Machine, "_loop", loop)
    with pytest.raises(MachineError, match=r"^panic: check: freecount is .*; seen at the end$") as e:
        run("true", check=False)
    assert e.value.repeat == "p9emu run --check true"


def test_one_that_breaks_at_a_switch_tells_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernel.devices import qio

    was = qio._qwait

    def qwait(k: Kernel, q: qio.Queue) -> bool:
        k.palloc.freecount += 1
        return was(k, q)

    monkeypatch.setattr(qio, "_qwait", qwait)
    with pytest.raises(MachineError) as e:
        run("pipe", "10", check=True)
    at = str(e.value).partition("; seen at ")[2].partition("; all was well")[0].partition(": ")[2]
    assert at.startswith("pipe 3 is switched away from in ")
    assert at.endswith(" > qread > _qwait > sleep, last lock rlock of pipe 3, free")


def test_the_command_prints_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    leak(monkeypatch)
    result = invoke(["run", "--check", "--sched", "random", "--seed", "3", "cow", "4"])
    assert result.exit_code == 125
    err = result.stderr.splitlines()
    assert err[0].startswith("p9emu: panic: check: ")
    again = "p9emu: again: p9emu run --check --seed 3 --sched random cow 4"
    assert err[1:] == [f"{again}  # p9emu {version('p9emu')}; not in docs/errata.md"]


def test_the_command_line_of_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it says comes back as the same configuration."""
    there: list[Config] = []

    def machine(config: Config, sink: object, console: object = None, journal: object = None) -> Machine:
        there.append(config)
        raise MachineError("stop")

    monkeypatch.setattr("emu.machine.machine.Machine", machine)
    d = os.fspath(tmp_path)
    configs = [
        Config(),
        Config(memory=4 * M + 4096, cpus=3, seed=5, swap=8 * M, sched="random", inject=(("malloc", 3, True),)),
        Config(binds=(Bind(d, "/a b"), Bind(d, "/c", True)), env=(("x", "a b"), ("y", "")), cwd="/tmp", notefp=True),
        Config(original=("putpage", "umh"), fix=("3af236b5e",)),
        Config(root=Root(d, True), clock="real", counter="python", epoch=0),
        Config(mmu="plain", swap=4 * M, swapfile=f"{d}/swap", inject=(("malloc", 1, False), ("textread", 2, True))),
    ]
    for config in configs:
        line = shlex.split(commandline(config, "echo", ["a b", "-x"]))
        assert line[:3] == ["p9emu", "run", "--check"] and line[-3:] == ["echo", "a b", "-x"]
        assert isinstance(invoke([w for w in line[1:] if w != "--check"]).exception, SystemExit)
        assert there.pop() == config


def test_a_deadlock_tells_what_each_process_waits_for(tmp_path: Path) -> None:
    # push 7; push 0x1234; push 0; mov eax, 34 (rendezvous); int 64
    code = bytes.fromhex("6a07 6834120000 6a00 b822000000 cd40")
    with pytest.raises(MachineError, match=r"^no progress: every process waits for another$") as e:
        machinecode(tmp_path, code)
    init, program = e.value.dump.splitlines()
    assert init.endswith(" waits for the end of one of 1 children in pwait > sleep")
    assert program.endswith(" waits for a rendezvous at tag 0x1234 in sysrendezvous > sched")


def test_a_livelock_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A fault that is served, and taken again at once, for ever: nothing is mapped."""
    with closing(Machine(Config())) as machine:

        def never(k: Kernel, va: int, *args: Any) -> None:
            if va >> 12 != 1:
                putmmu(k, va, *args)
            elif k.machs[0].ticks > 20:
                k.halted = True
                pexit(k, "enough", True)

        with linked({putmmu: never}), pytest.raises(AssertionError):
            machine.run("true", [])
    err = capfd.readouterr().err
    assert err.count("livelock") == 1
    assert err.startswith("p9emu: warning: livelock: true 2 takes the same page fault for ever, ")
    assert "pc 0x00001020 address 0x00001020" in err


def test_one_in_the_kernel_is_told_too(capfd: pytest.CaptureFixture[str]) -> None:
    """And time passes meanwhile, so that a time limit ends it."""
    with (
        closing(Machine(Config(timeout=1))) as machine,
        linked({putmmu: lambda *args: None}),
        pytest.raises(TimeLimit),
    ):
        machine.run("true", [])
    err = capfd.readouterr().err
    assert err == (
        "p9emu: warning: livelock: true 2 takes the same page fault for ever, in sysexec address 0xdeffefe0\n"
    )


def test_work_that_faults_is_no_livelock(capfd: pytest.CaptureFixture[str]) -> None:
    run("spin", "300", check=False)
    run("thrash", "600", "1", memory=4 * M, swap=16 * M, check=False)
    assert "livelock" not in capfd.readouterr().err
