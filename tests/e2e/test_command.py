"""The command as a new user types it: streams, statuses, one line for each failure."""

import json
from pathlib import Path

import pytest

from tests.e2e.harness import aout, p9emu

RET = b"\xc3"


def line(stderr: bytes) -> str:
    text = stderr.decode()
    assert text.startswith("p9emu: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (aout(RET)[:20], "shorter than"),
        (aout(b"\x90" * 100)[:60], "cut short"),
        (b"\x7fELF" + bytes(60), "ELF"),
        (aout(RET, data=0xC0000000), ""),
        (aout(RET, bss=0xFFFFF000), ""),
        (aout(RET, entry=0x9000), "outside the text"),
        (aout(RET, magic=0x647), "arm"),
        (b"MZ" + bytes(60), ""),
        (b"hello there, I am a text file of some length\n", "not a Plan 9 a.out"),
    ],
)
def test_what_is_no_program(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "prog"
    path.write_bytes(content)
    r = p9emu("run", str(path))
    assert r.returncode == 126
    assert words.lower() in line(r.stderr).lower()


def test_directory_and_missing_file(tmp_path: Path) -> None:
    r = p9emu("run", str(tmp_path))
    assert (r.returncode, "is a directory" in line(r.stderr)) == (126, True)
    r = p9emu("run", str(tmp_path / "none"))
    assert (r.returncode, "no such file" in line(r.stderr)) == (127, True)
    r = p9emu("run", "nosuchguest")
    assert (r.returncode, "no such file" in line(r.stderr)) == (127, True)


def test_streams_and_status() -> None:
    r = p9emu("run", "cat", stdin=b"from stdin")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"from stdin", b"")
    r = p9emu("run", "false", "no luck")
    assert (r.returncode, r.stdout) == (1, b"")
    assert r.stderr == b"p9emu: false 2: no luck\n"
    assert p9emu("run", "false", "42").returncode == 42
    r = p9emu("run", "nil")
    assert r.returncode == 1
    assert r.stderr.decode().splitlines()[0].startswith("nil 2: suicide: sys: trap: fault read addr=0x0 pc=0x")


def test_guest_owns_its_arguments() -> None:
    assert p9emu("run", "echo", "--help", "-v", "--", "x").stdout == b"--help -v -- x\n"


def test_bind(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a file\n")
    r = p9emu("run", "--bind", f"{tmp_path}:/n/here", "cat", "/n/here/in")
    assert r.stdout == b"a file\n"
    (tmp_path / "out").symlink_to("/etc/passwd")
    r = p9emu("run", "--bind", f"{tmp_path}:/n/here", "cat", "/n/here/out")
    assert (r.returncode, r.stdout) == (1, b"")


def test_time_limit() -> None:
    r = p9emu("run", "--timeout", "0.5", "spin", "1000000")
    assert r.returncode == 124
    assert "time limit" in line(r.stderr)


def test_trace_to_a_file(tmp_path: Path) -> None:
    r = p9emu("trace", "-o", str(tmp_path / "t"), "--format", "json", "cow", "3")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"", b"")
    lines = [json.loads(text) for text in (tmp_path / "t").read_text().splitlines()]
    assert all(e["v"] == 1 for e in lines)
    fault = next(e for e in lines if e["event"] == "fault" and e["mode"] == "user")
    assert {"ns", "pid", "cpu", "addr", "pc", "err", "access", "segment", "class", "frame"} <= fault.keys()
    assert sum(e["event"] == "fault" and e["class"] == "cow-copy" and e["segment"] == "bss" for e in lines) == 3


def test_summary_is_one_line_of_json() -> None:
    r = p9emu("trace", "-c", "--format", "json", "touch", "5")
    doc = json.loads(r.stderr)
    assert doc["v"] == 1
    assert doc["by_segment"]["bss"]["zero-fill"] >= 5
    assert doc["syscalls"]["exits"] == 1
    assert doc["events"]["fault"] == sum(doc["faults"].values())


def test_full_disk() -> None:
    r = p9emu("trace", "-o", "/dev/full", "cow", "3")
    assert r.returncode == 125
    line(r.stderr)


# These compute until a time is over: slow where Python counts. That it counts alike is in test_determinism.py.
SPINS = {"sched_share", "sched_fixed"}


@pytest.mark.parametrize("cpus", ["1", "2", "4"])
@pytest.mark.parametrize("counter", ["native", "python"])
def test_usertests(cpus: str, counter: str) -> None:
    names = p9emu("run", "usertests", "-l").stdout.decode().split()
    assert set(names) > SPINS
    if counter == "python" and cpus != "1":
        names = [name for name in names if name not in SPINS]
    r = p9emu("run", "--check", "--cpus", cpus, "--counter", counter, "usertests", *names)
    assert r.returncode == 0, r.stdout.decode() + r.stderr.decode()
    assert r.stdout.decode().splitlines() == [f"test {name}: OK" for name in names]


def test_usertests_by_name() -> None:
    assert p9emu("run", "usertests", "nosuchtest").returncode == 1
