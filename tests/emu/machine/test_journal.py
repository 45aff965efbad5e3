"""What the host has a part in is written down, and given back without it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from unittest.mock import ANY

import pytest

from emu.machine.config import Bind, Config, LoadError, Outcome, Root
from emu.machine.hostjournal import MOVED
from emu.machine.journal import Cut, Damaged, Diverged, Entry, Journal
from emu.machine.machine import Machine
from emu.machine.signals import Ended, TimeLimit
from emu.machine.statehash import statehash
from emu.machine.values import nothing, number
from kernel.base.error import Error

pytestmark = pytest.mark.guest


@contextmanager
def streams() -> Iterator[IO[bytes]]:
    """Standard output and error are a file; standard input is empty."""
    saved = [os.dup(fd) for fd in range(3)]
    with TemporaryFile() as out, open(os.devnull, "rb") as none:
        try:
            for fd, new in enumerate((none, out, out)):
                os.dup2(new.fileno(), fd)
            yield out
        finally:
            for fd, old in enumerate(saved):
                os.dup2(old, fd)
                os.close(old)


def record(config: Config, program: str, *args: str) -> tuple[Outcome, list[Entry], bytes]:
    """Run with a journal, and a hash whenever the loop comes round; what came of it, and what was written."""
    entries: list[Entry] = []
    journal = Journal(entries.append)
    with streams() as out, closing(Machine(config, journal=journal)) as machine:
        journal.hash = lambda: statehash(machine)
        journal.onround = journal.mark
        try:
            outcome = machine.run(program, args)
            journal.over()
            journal.mark()
        finally:
            journal.flush()
        out.seek(0)
        return outcome, entries, out.read()


def again(config: Config, entries: list[Entry], program: str, *args: str) -> tuple[Outcome, bytes]:
    """Run by what was written; standard output."""
    journal = Journal()
    out = bytearray()
    journal.output = lambda fd, data: out.extend(data)
    journal.replay(iter(entries))
    with closing(Machine(config, journal=journal)) as machine:
        journal.hash = lambda: statehash(machine)
        outcome = machine.run(program, args)
        assert journal.ends() is None
    return outcome, bytes(out)


@pytest.mark.parametrize(
    ("command", "clock", "cpus"),
    [
        ("cow 4", "virtual", 4), ("mhead 3", "real", 4), ("mhead 3", "virtual", 2), ("cons ticks", "real", 1),
        ("cons ticks", "real", 2), ("cat /dev/time", "real", 1), ("notes", "random", 4),
    ],
)  # fmt: skip
def test_a_run_is_given_back(command: str, clock: str, cpus: int) -> None:
    config = Config(cpus=cpus, sched="random", seed=3) if clock == "random" else Config(cpus=cpus, clock=clock)
    program, *args = command.split()
    outcome, entries, written = record(config, program, *args)
    got, out = again(config, entries, program, *args)
    assert replace(got, stats=outcome.stats) == outcome
    assert got.stats.virtual_ns == outcome.stats.virtual_ns
    assert out == written


def test_swap_is_the_machines_own(tmp_path: Path) -> None:
    config = Config(memory=4 << 20, swap=8 << 20, swapfile=str(tmp_path / "swap"))
    _, entries, _ = record(config, "swapfork", "50")
    os.unlink(tmp_path / "swap")
    again(config, entries, "swapfork", "50")
    assert not (tmp_path / "swap").exists()


SCRIPT = (
    "echo new > /s/new; cat /s/one /s/link /s/new; echo more > /s/one; cat /s/one /s/sub/two; touch 3 > /s/sub/t; "
    "cat /s/none; cat /s; echo x > /s/sub/none/x"
)


@pytest.mark.parametrize("kind", ["ro", "rw", "cow", "root", "changes"])
def test_the_hosts_files_are_not_asked_again(tmp_path: Path, kind: str) -> None:
    """Files are read, made, written, listed, and are not there: all with the directory gone when it is done again."""
    shown = tmp_path / "shown"
    (shown / "s" / "sub").mkdir(parents=True)
    (shown / "s" / "one").write_text("the first\n")
    (shown / "s" / "sub" / "two").write_bytes(bytes(range(256)) * 100)
    (shown / "s" / "link").symlink_to("one")
    if kind in ("ro", "rw", "cow"):
        config = Config(binds=(Bind(str(shown / "s"), "/s", kind == "rw", kind == "cow"),))
    else:
        changes = str(tmp_path / "changes") if kind == "changes" else None
        config = Config(root=Root(str(shown), cow=True, changes=changes))
    outcome, entries, written = record(config, "tinyrc", "-c", SCRIPT)
    assert b"the first\nthe first\n" in written
    assert (b"new\nmore\n" in written) is (kind != "ro")
    assert (MOVED in {what for what, _, _ in entries}) is (kind not in ("ro", "rw"))
    for path in tmp_path.iterdir():
        shutil.rmtree(path)
    got, out = again(config, entries, "tinyrc", "-c", SCRIPT)
    assert (got.exits, out) == (outcome.exits, written)
    assert not list(tmp_path.iterdir())


def test_a_program_that_is_not_there_is_not_there_again(tmp_path: Path) -> None:
    entries: list[Entry] = []
    with closing(Machine(Config(), journal=Journal(entries.append))) as machine, pytest.raises(LoadError) as first:
        machine.run(str(tmp_path / "none"), [])
    (tmp_path / "none").write_bytes(b"by now")
    with pytest.raises(LoadError) as second:
        again(Config(), entries, str(tmp_path / "none"))
    assert (str(first.value), first.value.status) == (str(second.value), second.value.status)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_errors_of_the_host_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(number, os.strerror(number))

    config = Config(binds=(Bind(str(tmp_path), "/tmp", True),))
    with monkeypatch.context() as m:
        m.setattr(os, "pwrite", full)
        outcome, entries, written = record(config, "tinyrc", "-c", "echo lost > /tmp/x; cat /tmp/x")
    assert any(what == "fwrite" and out[0] == "Error" for what, _, out in entries)
    got, out = again(config, entries, "tinyrc", "-c", "echo lost > /tmp/x; cat /tmp/x")
    assert (got.exits, out) == (outcome.exits, written)


def test_output_that_nobody_reads_ends_both() -> None:
    entries: list[Entry] = []
    r, w = os.pipe()
    os.close(r)
    with streams(), closing(Machine(Config(), journal=Journal(entries.append))) as machine:
        os.dup2(w, 1)
        os.close(w)
        with pytest.raises(Ended):
            machine.run("hello", [])
    with pytest.raises(Ended) as ended:
        again(Config(), entries, "hello")
    assert ended.value.status == 141


def test_what_went_out_before_a_write_was_broken_off_goes_out_again() -> None:
    """Whatever had gone out by then, and no more."""
    entries: list[Entry] = []
    went: list[int] = []

    def broken(fd: int, data: bytes) -> None:
        went.append(3)
        raise Ended(15)

    journal = Journal(entries.append)
    with pytest.raises(Ended):
        journal.write(1, b"hello", broken, lambda: sum(went))
    back = Journal()
    out: list[tuple[int, bytes]] = []
    back.output = lambda fd, data: out.append((fd, data))
    back.replay(iter(entries))
    with pytest.raises(Ended):
        back.write(1, b"hello", broken)
    assert out == [(1, b"hel")]


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("what", ["typed", "end"])
def test_signals_come_when_they_came(what: str, cpus: int) -> None:
    """Ctrl-C is the note of the same moment, and what ends a run ends it there."""
    entries: list[Entry] = []
    config = Config(cpus=cpus)

    def turned() -> None:
        turns.append(machine.journal.now())  # type: ignore[union-attr]
        if len(turns) == 5 and what == "typed":
            machine.signals.interrupts += 1
        elif len(turns) == 5:
            machine.signals.fatal = TimeLimit("it is late")

    turns: list[int] = []
    ends: list[str] = []
    for journal in (Journal(entries.append), Journal()):
        if ends:
            journal.replay(iter(entries))
        with streams(), closing(Machine(config, journal=journal)) as machine:
            machine.onturn = turned if not ends else None
            try:
                ends.append(f"{machine.run('spin', ['100000'])}".partition("host_seconds")[0])
            except TimeLimit as e:
                ends.append(f"{e} at {journal.now()}")
            if not journal.replaying:
                journal.over()
                journal.mark()
    assert [at[1] for name, at, _ in entries if name == what] == [turns[5] if len(turns) > 5 else ANY]
    assert ends[0] == ends[1]
    assert ("interrupt" if what == "typed" else "it is late") in ends[0]


def _edited(entries: list[Entry], what: str, entry: Any) -> list[Entry]:
    at = next(n for n, e in enumerate(entries) if e[0] == what)
    return [*entries[:at], *([entry] if entry is not None else []), *entries[at + 1 :]]


def test_another_run_is_told_at_once() -> None:
    _, entries, _ = record(Config(), "cow", "2")
    with pytest.raises(Diverged, match="expected program cow 2, came program hello"):
        again(Config(), entries, "hello")
    hashes = [e for e in entries if e[0] == "hash"]
    assert len(hashes) > 1
    last = [*entries[: entries.index(hashes[1])], ("hash", hashes[1][1], "0" * 32)]
    with pytest.raises(Diverged, match=r"the state's hash was 0{32}, is [0-9a-f]{32}"):
        again(Config(), last, "cow", "2")
    with pytest.raises(Diverged, match=r"expected hash at 0\.000000001, came to be past it"):
        again(Config(), [*entries[: entries.index(hashes[1])], ("hash", [1, 1], "")], "cow", "2")
    _, hello, _ = record(Config(), "hello")
    with pytest.raises(Diverged, match="expected fwrite 1, came write 1 "):
        again(Config(), _edited(hello, "write", ("fwrite", [1], ["=", None])), "hello")


def test_what_is_cut_or_makes_no_sense_is_told() -> None:
    _, entries, _ = record(Config(), "hello")
    for n in range(0, len(entries) - 1, 3):
        with pytest.raises(Cut):
            again(Config(), entries[:n], "hello")
    for n, (what, about, _) in enumerate(entries[:-1]):
        for outcome in (None, ["=", 1.5], ["Error", 5], ["Nonsense", "x"]):
            with pytest.raises((Damaged, Diverged)):
                again(Config(), [*entries[:n], (what, about, outcome), *entries[n + 1 :]], "hello")


def test_a_call_that_fails_raises_the_same_again() -> None:
    entries: list[Entry] = []
    journal = Journal(entries.append)
    raised = [Error("i/o error"), OSError(errno.EACCES, "no"), LoadError("x", 2), Ended(15), KeyboardInterrupt()]

    def fail(e: BaseException) -> None:
        raise e

    for e in raised:
        with pytest.raises(type(e)):
            journal.ask("call", [], lambda e=e: fail(e), nothing)  # type: ignore[misc]
    assert journal.ask("call", [1], lambda: 7, number) == 7
    back = Journal()
    back.replay(iter(entries))
    for e in raised:
        with pytest.raises(type(e)) as got:
            back.ask("call", [], lambda: None, nothing)
        assert str(got.value) == str(e)
    assert back.ask("call", [1], lambda: 8, number) == 7
    assert back.count == journal.count == 6


def test_from_writing_to_giving_back() -> None:
    """As a copy of a machine does that goes back: its journal is the same, and it gives back from there."""
    entries: list[Entry] = []
    journal = Journal(entries.append)
    ns = iter([5, 9, 30])
    assert [journal.time(lambda: next(ns)) for _ in range(2)] == [5, 9]
    journal.flush()
    at = journal.count
    assert journal.time(lambda: next(ns)) == 30
    journal.flush()
    copy = Journal()
    copy.time(lambda: 9)
    copy.replay(iter(entries[at:]))
    assert copy.time(lambda: 0) == 30
    with pytest.raises(Cut):
        copy.time(lambda: 0)


def test_a_run_without_one_pays_nothing_for_it() -> None:
    """Nor for the host's network, or for going back."""
    code = (
        "import atexit, sys; from emu.cli import main; sys.argv[1:] = ['run', 'hello']\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "main()"
    )
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    words, modules = r.stdout.splitlines()
    assert (words, r.stderr) == ("hello, world", "")
    loaded = {m.removeprefix("emu.machine.") for m in modules.split() if m.startswith("emu.machine.")}
    assert "machine" in loaded
    idle = {"journal", "hostjournal", "recording", "hostnet", "sockets", "netconfig", "checkpoints", "sleeper"}
    assert not loaded & idle
