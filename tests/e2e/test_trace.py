"""p9emu trace on the whole machine: what is asked for, of which processes and files, and how long it took."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from emu import run
from emu.observe.fit import cells
from kernel.base.event import FaultEvent, SyscallEvent, took
from tests.e2e.harness import ROOT, p9emu


def trace(*words: str) -> list[str]:
    done = p9emu("trace", *words)
    assert done.returncode == 0, done.stderr
    return done.stderr.decode().splitlines()


def objects(*words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in trace("--format", "json", *words)]


def test_fields() -> None:
    assert len(trace("-e", "fault:class=cow-copy,segment=bss", "cow", "4")) == 4
    assert len(trace("-e", "fault:class!=remap|zero-fill,segment=bss|text", "cow", "4")) == 4 + 2


def test_addresses() -> None:
    events = objects("-e", "addr=0x3000-0x5000", "cow", "4")
    assert {e["event"] for e in events} == {"fault", "segment", "page", "entry", "mmu"}
    addresses = {e["addr"] for e in events if e["event"] == "fault"}
    assert addresses == {0x3000, 0x3004, 0x4000, 0x4004}


def test_processes_by_pid_and_by_name() -> None:
    assert {e["pid"] for e in objects("-e", "fault", "-p", "3", "cow", "2")} == {3}
    both = objects("-e", "proc", "-p", "cow", "cow", "2")
    assert both == objects("-e", "proc", "cow", "2")
    assert trace("-e", "%all", "-p", "sort", "cow", "2") == []


def test_so_many_events() -> None:
    assert trace("-n", "5", "cow", "4") == trace("cow", "4")[:5]
    done = p9emu("trace", "-n", "1", "-e", "syscall", "false")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1), "the program came to no end"


@pytest.fixture
def notes(tmp_path: Path) -> str:
    (tmp_path / "one").write_text("nine\n")
    (tmp_path / "two").write_text("ten\n")
    return f"{tmp_path}:/n/notes"


def test_calls_that_name_a_file_or_a_descriptor_open_on_it(notes: str) -> None:
    lines = trace("-P", "/n/notes/one", "--bind", notes, "cat", "/n/notes/one", "/n/notes/two")
    assert [line.split()[3].partition("(")[0] for line in lines] == ["open", "pread", "pread", "close"]
    assert all("two" not in line for line in lines)
    every = trace("-P", "/n/notes/*", "--bind", notes, "cat", "/n/notes/one", "/n/notes/two")
    assert len(every) == 2 * len(lines)


def test_a_name_from_the_current_directory(notes: str) -> None:
    lines = trace("-P", "/n/notes/one", "--bind", notes, "--cwd", "/n/notes", "cat", "one", "./two", "../notes/one")
    assert [line.split()[3] for line in lines if "open" in line] == ['open("one",', 'open("../notes/one",']


def test_descriptors_that_were_there_from_the_start() -> None:
    lines = trace("-P", "#c/cons", "hello")
    assert [line.split()[3].partition("(")[0] for line in lines] == ["pwrite"]


def test_what_it_took_is_virtual_and_repeats() -> None:
    assert trace("-T", "cow", "2") == trace("-T", "cow", "2")
    r = run("cow", "2", events="fault,syscall")
    events = [e for e in r.events if isinstance(e, FaultEvent | SyscallEvent)]
    times = {(e.kind, e.mode if isinstance(e, FaultEvent) else e.name): took(e) for e in events}
    assert times["fault", "user"] == 1000, "the trap"
    assert times["fault", "kernel"] == 0, "it is a part of the call's time"
    assert times["syscall", "rfork"] > times["syscall", "await"] == 1000, "the child ran first"
    assert times["syscall", "exits"] == 0
    assert all(e.host == 0 for e in r.faults)


def test_a_disk_takes_time() -> None:
    ins = objects("-e", "fault:class=swap-in", "-T", "-m", "4M", "--swap", "8M", "touch", "400")
    assert ins
    assert max(int(str(e["ns"])) - int(str(e["began"])) for e in ins) > 1000


def test_the_hosts_time_is_told_where_it_is_asked_for() -> None:
    events = objects("-TT", "-e", "fault,syscall:name!=exits", "cow", "2")
    assert all(int(str(e["host"])) > 0 for e in events)
    assert all(" host " in line for line in trace("-TT", "-e", "fault,syscall:name!=exits", "cow", "2"))
    assert "host time" in "".join(trace("-c", "-TT", "cow", "2"))


def test_counts_agree_with_single_events() -> None:
    counts = json.loads(trace("-c", "-T", "--format", "json", "cow", "4")[0])
    events = objects("-T", "cow", "4")
    for kind, name in (("fault", "class"), ("syscall", "name")):
        took: dict[str, int] = {}
        for e in events:
            if e["event"] == kind:
                ns = 0 if e.get("ret", 0) is None else int(str(e["ns"])) - int(str(e["began"]))
                took[str(e[name])] = took.get(str(e[name]), 0) + ns
        assert counts["took"][kind] == took


def onterminal(columns: int, *words: str) -> list[str]:
    """The lines that a terminal of so many columns is given."""
    one, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "xterm"}
    env.pop("COLUMNS", None)
    with subprocess.Popen(
        [sys.executable, "-m", "emu", "trace", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=other, env=env,
    ) as p:  # fmt: skip
        os.close(other)
        got = b""
        while True:
            try:
                got += os.read(one, 65536)
            except OSError:  # the other end is closed
                break
        os.close(one)
        assert p.wait(timeout=60) == 0
    return got.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [30, 80, 120])
def test_each_event_is_one_line_of_a_terminal(columns: int) -> None:
    lines = onterminal(columns, "-e", "%all", "-T", "cow", "1")
    assert len(lines) == len(trace("-e", "%all", "cow", "1"))
    assert max(map(cells, lines)) <= columns


def test_wide_is_what_a_file_gets() -> None:
    assert onterminal(80, "--wide", "cow", "2") == trace("cow", "2")
    assert onterminal(80, "--format", "json", "cow", "2") == trace("--format", "json", "cow", "2")
