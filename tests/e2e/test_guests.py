"""Guests on the whole machine: what they print, how they end, and the exact number of faults they cost."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

import guest
from emu.cli.run import complaint_of
from emu.machine.config import Bind, Config
from emu.machine.lib import EDGEHOOK, HOOK_EDGE_GENERATED
from emu.machine.machine import Machine
from emu.testing.p9 import P9
from kernel.base.event import ProcEvent


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        (["hello"], "hello, world\n"),
        (["echo", "a", "b c"], "a b c\n"),
        (["true"], ""),
        (["exec", "echo", "hi"], "hi\n"),
        (["sieve", "1000"], "168 primes up to 1000\n"),
    ],
)
def test_prints(p9: P9, argv: list[str], out: str) -> None:
    r = p9.run(*argv)
    assert (r.status, r.text, r.errtext) == (0, out, "")


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize(
    "argv",
    [
        "touch 40", "read 20", "cow 20", "forkbomb 12", "stack 30", "brk 20", "shm 8", "segs", "text 20", "spin 25",
        "pingpong 20", "sema 10", "pipe 10", "selfmod", "syscalls 50",
    ],
)  # fmt: skip
def test_checks_itself(p9: P9, argv: str, cpus: int) -> None:
    r = p9.run(*argv.split(), cpus=cpus)
    assert r.exits == ""


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ("nil", "sys: trap: fault read addr=0x0"),
        ("wild dead0000", "sys: trap: fault read addr=0xdead0000"),
        ("div0", "sys: trap: divide error"),
        ("badop", "sys: trap: invalid opcode"),
        ("rotext", "sys: trap: fault write addr=0x1020"),
    ],
)
def test_dies_with_plan9_text(p9: P9, argv: str, text: str) -> None:
    r = p9.run(*argv.split())
    name = argv.split()[0]
    assert r.status == 1
    assert r.exits.startswith(f"{name} 2: {text} pc=0x0000")
    assert r.errtext == f"{name} 2: suicide: {r.exits.removeprefix(name + ' 2: ')}\n"


def test_exit_string_is_the_status(p9: P9) -> None:
    assert p9.run("false", "no luck").exits == "false 2: no luck"
    assert p9.run("false", "no luck").status == 1
    assert p9.run("false", "7").status == 7


def test_the_status_of_a_program_that_became_another(p9: P9) -> None:
    r = p9.run("exec", "exec", "false", "42")
    assert (r.status, r.exits, r.name) == (42, "false 2: 42", "false")
    assert p9.run("exec", "true").status == 0
    r = p9.run("exec", "false", "no luck")
    assert (r.status, complaint_of(r)) == (1, "false 2: no luck")


def test_the_status_of_a_program_whose_name_leaves_no_room_for_it(p9: P9, tmp_path: Path) -> None:
    for n in (120, 123, 124, 126):  # 128 bytes hold "NAME 2: 142" and its NUL up to 119
        name = "x" * n
        shutil.copy(guest.path("false"), tmp_path / name)
        r = p9.run("exec", f"/n/d/{name}", "142", binds=(Bind(str(tmp_path), "/n/d"),))
        assert r.status == 142


def test_stdin_to_stdout(p9: P9) -> None:
    assert p9.run("cat", stdin=b"x" * 70000).text == "x" * 70000


@pytest.mark.parametrize(("guest", "cls"), [("touch", "zero-fill"), ("cow", "cow-copy"), ("stack", "zero-fill")])
def test_one_fault_for_each_page(p9: P9, guest: str, cls: str) -> None:
    few = p9.run(guest, "10", check=False).faults.by_class()
    many = p9.run(guest, "110", check=False).faults.by_class()
    assert many[cls] - few[cls] == 100


def test_second_exec_finds_its_text_in_the_cache(p9: P9) -> None:
    n = 40
    r = p9.run("text", str(n), check=False)
    execs = [i for i, e in enumerate(r.events) if isinstance(e, ProcEvent) and e.op == "exec"]
    assert len(execs) == 2
    second = [e.cls for e in r.faults() if r.events.index(e) > execs[1]]
    assert "text-load" not in second
    assert second.count("cache-hit") >= n


def test_program_is_called_by_a_name_that_leads_to_it(p9: P9, tmp_path: Path) -> None:
    own = tmp_path / "mycat"
    shutil.copy(guest.path("cat"), own)
    assert p9.run("cat", "/proc/2/args").text == "cat /proc/2/args"  # as rc(1) finds it in its path
    assert p9.run(str(own), "/proc/2/args").text == "/bin/mycat /proc/2/args"


def test_a_script_runs_its_interpreter(p9: P9, tmp_path: Path) -> None:
    script = tmp_path / "greet"
    script.write_text("#!/bin/echo from a script\n")
    r = p9.run(str(script), "and", "args")
    assert r.text == "from a script /bin/greet and args\n"
    assert r.name == "greet"


@pytest.mark.parametrize("argv", ["text 20", "forkbomb 6"])
def test_programs_that_run_again_are_not_translated_again(argv: str) -> None:
    """Exec and fork share the frames of the text, and with them Unicorn's translations."""
    program, arg = argv.split()
    seen: list[int] = []
    with closing(Machine(Config())) as machine:
        cpu = machine.cpus[0]
        cpu._hook(EDGEHOOK(lambda _uc, block: seen.append(block.contents.pc)), HOOK_EDGE_GENERATED)
        assert machine.run(program, [arg]).status == 0
    assert len(seen) == len(set(seen)) > 50
