"""The command as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from emu.bench.copies import CLIENT
from emu.cli import address, go, goexec, gorun, plain
from emu.cli.commands import cli
from emu.cli.settings import LISTEN, Options
from emu.failure import Failure
from tests.emu.cli.faked import needs_full
from tests.emu.program.test_aout import image

ROOT = Path(__file__).parents[3]


def spawn(code: str, *args: str, **how: Any) -> subprocess.Popen[str]:
    """A new Python that runs code with args as its command line."""
    return subprocess.Popen([sys.executable, "-c", code, *args], cwd=ROOT, text=True, **how)


MAIN = "from emu.cli import main; main()"
FAKED = f"""import sys
from tests.emu.cli.faked import fake
sys.modules['emu.machine.machine'] = sys.modules['emu.machine.config'] = fake()
{MAIN}"""


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["trace", "--help"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = f"""
import sys
from emu.cli.commands import cli
try:
    cli.main({args!r})
except SystemExit:
    pass
heavy = {{"unicorn", "capstone", "rich", "greenlet", "kernel.base.kernel", "emu.machine.machine", "guest"}}
heavy &= set(sys.modules)
print(*heavy, file=sys.stderr, end="")
"""
    with spawn(code, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == ""


@pytest.mark.parametrize(
    ("main", "words"),
    [("emu.cli", ["p9emu", "run", "true"]), ("emu.cli.go", ["go_plan9_386_exec", "guest/bin/true"])],
)
def test_a_plain_run_imports_only_what_it_needs(main: str, words: list[str]) -> None:
    code = f"""
import sys
from {main} import main
def leave(status):
    sys.stdout.write(" ".join(sys.modules))
    sys.stdout.flush()
    quit(status)
import os
quit, os._exit = os._exit, leave
sys.argv = {words}
main()
"""
    env = {**os.environ, "GOROOT": str(ROOT)}
    with spawn(code, stdout=subprocess.PIPE, env=env) as p:
        modules = set(p.communicate()[0].split())
    assert p.returncode == 0
    assert "emu.machine.machine" in modules
    forsome = """click unicorn capstone rich json emu.cli.commands emu.machine.clock emu.machine.disk emu.machine.repeat
        emu.machine.schedule kernel.base.inject kernel.memory.parent.link kernel.sched.explore kernel.sched.strategy
        kernel.sched.watch dataclasses inspect pathlib urllib.parse tempfile shutil subprocess"""
    assert not modules & set(forsome.split())


def test_a_run_under_gdb_imports_only_what_it_needs(tmp_path: Path) -> None:
    code = """
import os, sys
from emu.cli import main
def leave(status):
    sys.stdout.write(" ".join(sys.modules))
    sys.stdout.flush()
    quit(status)
quit, os._exit = os._exit, leave
main()
"""
    words = [sys.executable, "-c", CLIENT, str(tmp_path / "gdb"), sys.executable, "-c", code, "true"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    modules = set(done.stdout.split())
    assert done.returncode == 0
    assert "emu.debug.server" in modules
    forsome = """click unicorn capstone rich json emu.cli.commands emu.api.views emu.debug.monitor emu.program.elf
        kernel.sched.explore kernel.sched.watch dataclasses inspect pathlib tempfile shutil shlex subprocess"""
    assert not modules & set(forsome.split())


def test_gdb_without_options_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    params = cli.commands["gdb"].make_context("x", ["hello"]).params
    params = {k: v for k, v in params.items() if k not in ("program", "args", "source")}
    assert params.pop("address") == LISTEN
    assert Options(**params) == Options()
    monkeypatch.delenv("_P9EMU_COMPLETE", raising=False)
    for words, split in (
        (["cow", "-l", "2"], ("cow", ["-l", "2"])),
        (["-l", "-", "cow", "2"], ("cow", ["2"], "-")),
        (["-l", ":0", "--", "cow"], None),
        (["-l", ":0"], None),
        (["-l"], None),
        (["--listen", ":0", "cow"], None),
        (["-m", "8M", "cow"], None),
        ([], None),
    ):
        assert address(words) == split
    for words in (["gdb", "nosuch"], ["gdb", "--seed", "0", "nosuch"], ["gdb", "-l", "/no/such/place", "hello"]):
        with spawn(MAIN, *words, stderr=subprocess.PIPE) as p:
            told = p.communicate()[1]
        assert p.returncode == (125 if "-l" in words else 127)
        assert told.startswith("p9emu: ")
        assert told.count("\n") == 1


def test_without_options_a_run_has_those_that_the_commands_have() -> None:
    def made(command: click.Command) -> Options:
        params = command.make_context("x", ["hello"]).params
        return Options(**{k: v for k, v in params.items() if k not in ("program", "args", "show", "seeds")})

    assert made(cli.commands["run"]) == Options()
    assert made(goexec.go_exec) == Options(memory=go.MEMORY, notefp=True)
    assert goexec.go_exec.make_context("x", ["hello"]).params["show"] == frozenset(gorun.SHOWN)


@pytest.mark.parametrize(
    ("words", "variables", "so"),
    [
        (["hello"], {}, True),
        (["hello", "-c"], {}, True),
        ([], {}, False),
        (["-m", "8M", "hello"], {}, False),
        (["--help"], {}, False),
        (["hello"], {"A": "--check"}, False),
        (["hello"], {"A": ""}, True),
    ],
)
def test_what_needs_no_click(
    words: list[str], variables: dict[str, str], so: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert plain(words, "A", "B") is so


def test_a_failure_is_told_alike_with_options_and_without() -> None:
    told = []
    for words in (["run", "nosuch"], ["run", "--seed", "0", "nosuch"]):
        with spawn(MAIN, *words, stderr=subprocess.PIPE) as p:
            told.append((p.communicate()[1], p.returncode))
    assert told[0] == told[1]
    assert told[0][1] == 127


def test_main_and_the_module() -> None:
    with spawn(MAIN, "info", "/", stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == "p9emu: /: is a directory\n"
    assert p.returncode == 126
    done = subprocess.run([sys.executable, "-m", "emu", "run"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_listing_whose_reader_leaves_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(image(code=b"\xf4" * 300_000, syms=b""))
    with spawn(MAIN, "disasm", str(tmp_path / "big"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline().endswith("hlt\n")
        p.stdout.close()
        assert p.stderr is not None
        assert p.stderr.read() == ""
    assert p.returncode == 128 + signal.SIGPIPE


def test_a_closed_standard_output(prog: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with spawn(MAIN, "info", prog, stdout=writer, stderr=subprocess.PIPE) as p:
        os.close(writer)
        assert p.communicate()[1] == ""
    assert p.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("words", [["info", "hello"], ["disasm", "true"], ["guests"], ["changes", "kept"]])
def test_no_standard_output_at_all(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "p9emu-changes").write_bytes(b"p9emu changes 1\n")
    command = ["/bin/sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "emu", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (125, b"p9emu: cannot write standard output: it is closed\n")


@needs_full
def test_standard_output_on_a_full_disk(prog: str) -> None:
    with open("/dev/full", "w") as full, spawn(MAIN, "info", prog, stdout=full, stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == "p9emu: cannot write standard output: No space left on device\n"
    assert p.returncode == 125


@needs_full
def test_a_trace_on_a_standard_error_that_fails_has_its_status() -> None:
    with open("/dev/full", "w") as full, spawn(FAKED, "trace", "x", stderr=full) as p:
        pass
    assert p.returncode == 125


def test_a_symbol_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    path = tmp_path / "prog"
    path.write_bytes(image(syms=b"\0\0\x10\x20\xd4main\xc2\xb7f\0"))
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with spawn(MAIN, "disasm", str(path), stdout=subprocess.PIPE, env=env) as p:
        assert p.communicate()[0].startswith("main\\xb7f:\n")
    assert p.returncode == 0


def test_a_failure_without_words() -> None:
    assert str(Failure("", 141)) == ""
