"""p9emu shell: what is run, and with what defaults."""

from __future__ import annotations

import os
from typing import Any

import pytest

from emu.cli.settings import Options
from tests.emu.cli.faked import p9emu

RC = "/386/bin/rc"


class Typed:
    """What a command line comes to: the options, program and arguments that run is called with."""

    options: Options
    program: str
    args: list[str]
    status: int
    stderr: str


def typed(monkeypatch: pytest.MonkeyPatch, *words: str, tty: bool = False) -> Typed:
    """Type p9emu shell and these words."""
    t = Typed()

    def run(options: Options, program: str, args: Any) -> int:
        t.options, t.program, t.args = options, program, list(args)
        return 0

    def isatty(fd: int) -> bool:
        return tty and fd == 0

    monkeypatch.setattr("emu.cli.run.run", run)
    monkeypatch.setattr(os, "isatty", isatty)
    result = p9emu("shell", *words)
    t.status, t.stderr = result.exit_code, result.stderr
    return t


@pytest.mark.parametrize(
    ("words", "tty", "program", "args", "interactive"),
    [
        ("T", True, RC, "-i", True),
        ("T", False, RC, "-I", False),
        ("--login T", True, RC, "-l -i", True),
        ("T -c date", True, RC, "-c date", False),
        ("-l T -c date", False, RC, "-l -c date", False),
        ("T -xi a", True, RC, "-xi a", True),
        ("T -i", False, RC, "-i", False),
        ("T ls -l -i", True, "ls", "-l -i", False),
        ("T -- ls", True, RC, "-- ls", False),
    ],
)
def test_what_is_run(
    monkeypatch: pytest.MonkeyPatch, words: str, tty: bool, program: str, args: str, interactive: bool
) -> None:
    t = typed(monkeypatch, *words.split(), tty=tty)
    assert (t.status, t.program, t.args) == (0, program, args.split())
    o = t.options
    assert (o.tree, o.memory, o.cwd, o.interrupts) == ("T", 512 << 20, None, interactive)
    assert o.clock == ("real" if interactive else "virtual")
    assert o.argv0 == ("rc" if program == RC else None)


@pytest.mark.parametrize("tty", [False, True])
def test_what_is_said_is_done(monkeypatch: pytest.MonkeyPatch, tty: bool) -> None:
    words = "--clock virtual -m 64M --user bob --cwd /lib --changes c --swap 1M T"
    o = typed(monkeypatch, *words.split(), tty=tty).options
    assert (o.clock, o.memory, o.user, o.cwd, o.changes, o.swap) == ("virtual", 64 << 20, "bob", "/lib", "c", 1 << 20)
    assert typed(monkeypatch, "--clock", "real", "T", tty=tty).options.clock == "real"


@pytest.mark.parametrize("words", ["", "--login T", "--login T ls", "--root . T", "--user a/b T", "-m 1 T"])
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    t = typed(monkeypatch, *words.split())
    assert t.status == 2
    assert t.stderr.startswith("p9emu: ")
    assert t.stderr.count("\n") == 1
