"""p9emu view where there is nothing to see: what it needs, and what it cannot read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from emu.cli import stdin
from emu.cli import view as module
from tests.e2e.harness import p9emu as real
from tests.emu.cli.faked import oneline, p9emu


class Terminal:
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_without_textual_it_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def hidden(name: str, package: str | None = None) -> object:
        return None if name == "textual" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    for words in (("cow", "4"), ("--from", "run.jsonl")):
        told = oneline(p9emu("view", *words), 1)
        assert told == "view needs textual, which is not installed: pip install 'p9emu[view]'"


def test_it_needs_a_terminal() -> None:
    done = real("view", "cow", "4")
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "p9emu: view needs a terminal, and standard input is none (p9emu report makes a page)\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "Missing argument 'PROGRAM' (try 'p9emu view --help')"),
        (("--from", "x", "cow"), 2, "--from and PROGRAM exclude each other (try 'p9emu view --help')"),
        (
            ("--from", "x", "-m", "8M"),
            2,
            "--from runs nothing: --memory would have no effect (try 'p9emu view --help')",
        ),
        (
            ("--from", "x", "--stdin", "y"),
            2,
            "--from runs nothing: --stdin would have no effect (try 'p9emu view --help')",
        ),
        (("--from", "absent"), 125, "cannot read absent: No such file or directory"),
        (("--from", "."), 125, "cannot read .: Is a directory"),
        (("--from", "a\0b"), 125, "cannot read a\\x00b: not a name of a file"),
        (("--stdin", "absent", "cat"), 125, "--stdin absent: No such file or directory"),
        (("--swap-file", "x", "cow", "4"), 2, "--swap-file needs --swap SIZE"),
    ],
)
def test_bad_usage_and_bad_files(
    words: tuple[str, ...], status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert oneline(p9emu("view", *words), status) == told


def test_an_unknown_event_is_wrong_usage() -> None:
    assert "unknown event 'nothing'" in oneline(p9emu("view", "-e", "nothing", "cow"), 2)


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)), b'{"events": 1}\n'])
def test_a_file_without_events_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    told = oneline(p9emu("view", "--from", str(path)), 125)
    assert told == f"{path}: holds no event of a trace (p9emu trace --format json makes them)"


def test_a_program_that_cannot_be_run_is_told_without_a_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "__stdin__", Terminal())
    monkeypatch.setattr(sys, "__stderr__", Terminal())
    assert oneline(p9emu("view", "nosuch"), 127) == "nosuch: no such file"
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish")
    assert "rubbish" in oneline(p9emu("view", str(rubbish)), 126)


def test_input_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin, "MAXSTDIN", 1 << 20)
    path = tmp_path / "large"
    path.write_bytes(bytes((1 << 20) + 1))
    assert oneline(p9emu("view", "--stdin", str(path), "cat"), 125) == f"--stdin {path}: is larger than 1 MB"


@pytest.mark.parametrize(
    ("choice", "env", "colored"),
    [
        ("auto", {"TERM": "xterm-256color"}, True),
        ("auto", {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {"TERM": "vt100"}, False),
        ("auto", {}, False),
        ("always", {"TERM": "xterm", "NO_COLOR": "1"}, True),
        ("never", {"TERM": "xterm"}, False),
    ],
)
def test_colours(choice: str, env: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert module._colored(choice) == colored
