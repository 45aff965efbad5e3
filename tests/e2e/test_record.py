"""p9emu record, replay, and --from a recording: the same run again, and one clear line where that cannot be."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path

import pytest

import guest
from emu.cli.commands import cli
from emu.cli.record import UNSAVED
from emu.cli.saved import CHECKS
from emu.cli.settings import Options
from emu.machine.recording import HASHSIZE, HEAD, WORDS, Reader, RecordingError, Writer
from tests.e2e.harness import ROOT, p9emu
from tests.e2e.realgdb import gdb
from tests.e2e.terminal import Emu, Tty
from tests.emu.cli.faked import invoke
from tests.standin import plan9

pytestmark = pytest.mark.guest


def again(rec: Path) -> tuple[int, bytes, bytes]:
    r = p9emu("replay", str(rec))
    return r.returncode, r.stdout, r.stderr


def blocks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, inflated content and end of each."""
    at = data.index(b"\n") + 1
    while at < len(data):
        kind, size, _ = HEAD.unpack_from(data, at)
        at += HEAD.size + size
        yield kind, zlib.decompress(data[at - size : at]), at


def packed(kind: bytes, data: bytes) -> bytes:
    payload = zlib.compress(data)
    head = kind + struct.pack("<I", len(payload))
    return HEAD.pack(kind, len(payload), zlib.crc32(payload, zlib.crc32(head))) + payload


# Runs


@pytest.mark.parametrize("opts", [[], ["--clock", "real"], ["--cpus", "4", "--clock", "real"], ["--sched", "random"]])
def test_what_was_typed_is_typed_again(tmp_path: Path, tty: Tty, opts: list[str]) -> None:
    rec = tmp_path / "cat.rec"
    emu = Emu("record", *opts, "-o", str(rec), "cat", stdin=tty.slave, tty=True)
    for line in (b"one\n", b"two\n", b"\xff\x01three\n"):
        tty.type(line)
        assert emu.line() == line
    tty.type(b"\x03")
    status, out, err = emu.end()
    assert (status, out) == (1, b"")
    assert b"interrupt" in err
    assert again(rec) == (1, b"one\ntwo\n\xff\x01three\n", err)


def test_a_pipe_that_pauses(tmp_path: Path) -> None:
    rec = tmp_path / "wc.rec"
    emu = Emu("record", "-o", str(rec), "cons", "relay")
    emu.type(b"first\n")
    time.sleep(0.1)
    emu.type(b"second\n")
    assert emu.end() == (0, b"first\nsecond\n", b"")
    assert again(rec) == (0, b"first\nsecond\n", b"")


def test_a_session_of_a_shell_over_a_tree(tmp_path: Path, tty: Tty) -> None:
    """Typed at rc, with changes that are forgotten; the tree is gone when it is done again."""
    tree = plan9(tmp_path / "tree")
    rec = tmp_path / "shell.rec"
    emu = tty.shell("--record", str(rec), str(tree))
    for line, answer in (
        (b"echo mine > /lib/words\n", b""),
        (b"cat /lib/words /tree\n", b"mine\r\n"),
        (b"pwd\n", b"/usr"),
    ):
        tty.type(line)
        if answer:
            tty.expect(answer)
    tty.type(b"\x03")
    tty.type(b"cat /lib/words | wc\n")
    tty.expect(b"1       1       5")
    tty.type(b"\x04")
    status = emu.p.wait(timeout=20)
    shutil.rmtree(tree)
    got, out, err = again(rec)
    assert (got, out.count(b"mine\n"), out.count(b"      1       1       5\n")) == (status, 1, 1), err


def test_changes_that_are_kept_are_not_made_again(tmp_path: Path) -> None:
    tree = plan9(tmp_path / "tree")
    rec, kept = tmp_path / "x.rec", tmp_path / "kept"
    common = ("--tree", str(tree), "--changes", str(kept), "rc", "-c", "echo new > /lib/new; cat /lib/new /lib/words")
    assert p9emu("record", "-o", str(rec), *common).stdout == b"new\none\ntwo\nthree\n"
    shutil.rmtree(kept)
    (tree / "lib" / "words").write_text("changed since\n")
    assert again(rec) == (0, b"new\none\ntwo\nthree\n", b"")
    assert not kept.exists()


def test_a_schedule_is_in_the_recording(tmp_path: Path) -> None:
    schedule = tmp_path / "s.jsonl"
    schedule.write_text('{"schedule": 1, "command": "", "seed": 5}\n')
    rec = tmp_path / "s.rec"
    assert p9emu("record", "--sched", f"replay:{schedule}", "--cpus", "2", "-o", str(rec), "mhead", "2").returncode == 0
    os.unlink(schedule)
    assert again(rec) == (0, b"", b"")


def test_a_run_that_p9emu_ends_is_ended_again(tmp_path: Path) -> None:
    first = p9emu("record", "-v", "-o", str(tmp_path / "x"), "cons", "raw", "wait", stdin=b"q")
    assert first.returncode == 125
    assert first.stderr.startswith(b"p9emu: no progress")
    status, out, err = again(tmp_path / "x")
    assert (status, out, err.splitlines()[0].removesuffix(b" (-v shows a dump)")) == (
        125,
        first.stdout,
        first.stderr.splitlines()[0],
    )


@pytest.mark.parametrize(("args", "status"), [(["false", "42"], 42), (["--timeout", "0.1", "spin", "100000"], 124)])
def test_statuses(tmp_path: Path, args: list[str], status: int) -> None:
    first = p9emu("record", "-o", str(tmp_path / "x"), *args)
    assert first.returncode == status
    assert again(tmp_path / "x") == (status, first.stdout, first.stderr)


def test_a_host_that_wants_it_to_end(tmp_path: Path) -> None:
    emu = Emu("record", "-o", str(tmp_path / "x"), "cat")
    emu.type(b"hello\n")
    assert emu.line() == b"hello\n"
    emu.p.terminate()
    status, _, err = emu.end()
    assert (status, err) == (143, b"p9emu: ended by SIGTERM\n")
    assert again(tmp_path / "x") == (143, b"hello\n", err)


# The file


def test_a_recorder_that_was_killed(tmp_path: Path) -> None:
    """While it waits, and while it computes: what was there by then is done again, and where it ends is told."""
    rec = tmp_path / "x"
    emu = Emu("record", "-o", str(rec), "cat")
    emu.type(b"hello\n")
    assert emu.line() == b"hello\n"
    emu.blocked()
    emu.p.kill()
    emu.end()
    status, out, err = again(rec)
    assert (status, out) == (125, b"hello\n")
    assert err.startswith(f"p9emu: {rec}: ends before the run did, at 0.0".encode())
    assert err.count(b"\n") == 1
    os.unlink(rec)
    emu = Emu("record", "-o", str(rec), "spin", "100000")
    while not rec.exists() or rec.stat().st_size < 3000:
        time.sleep(0.05)
    emu.p.kill()
    emu.end()
    status, out, err = again(rec)
    assert (status, out) == (125, b"")
    assert b"ends before the run did" in err or b"breaks off" in err


def test_a_good_recording_is_not_replaced_by_half_of_one(tmp_path: Path) -> None:
    rec = tmp_path / "x"
    p9emu("record", "-o", str(rec), "hello")
    good = rec.read_bytes()
    emu = Emu("record", "-o", str(rec), "cat")
    emu.type(b"hello\n")
    emu.line()
    emu.p.kill()
    emu.end()
    assert rec.read_bytes() == good
    (half,) = (p for p in tmp_path.iterdir() if p != rec)
    status, out, _ = again(half)
    assert status == 125
    assert out in (b"", b"hello\n")  # it may have been killed before it wrote that
    assert p9emu("record", "-o", str(rec), "nosuch").returncode == 127
    assert rec.read_bytes() == good
    assert p9emu("record", "-o", str(rec), "echo", "anew").returncode == 0
    assert again(rec) == (0, b"anew\n", b"")
    assert sorted(tmp_path.iterdir()) == sorted([rec, half])


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("none/x", "cannot write none/x: No such file or directory"),
        (".", "cannot write .: Is a directory"),
        ("/dev/full", "cannot write /dev/full: No space left on device"),
        ("true", "true: is the program itself"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, where: str, why: str) -> None:
    shutil.copy(guest.path("true"), tmp_path / "true")
    r = p9emu("record", "-o", where, "./true", cwd=tmp_path)
    assert (r.returncode, r.stderr.decode()) == (125, f"p9emu: {why}\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["true"]


def test_a_pipe_that_somebody_reads_and_one_that_nobody_does(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", tmp_path / "got"
    os.mkfifo(pipe)
    done = p9emu("record", "-o", "pipe", "hello", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == b"p9emu: cannot write pipe: it is a pipe that nobody reads\n"
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    done = p9emu("record", "-o", "pipe", "hello", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello, world\n", b"")
    got.write_bytes(os.read(reader, 1 << 16))
    os.close(reader)
    assert p9emu("replay", str(got)).stdout == b"hello, world\n"


def test_a_reader_that_leaves_ends_it_as_it_ends_a_run(tmp_path: Path) -> None:
    file = tmp_path / "run.rec"
    for words in (["run"], ["record", "-o", str(file)]):
        command = [sys.executable, "-m", "emu", *words, "usertests"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
            assert p.stdout is not None and p.stderr is not None
            first = p.stdout.readline()
            p.stdout.close()
            assert p.stderr.read() == b""
        assert (first[:5], p.returncode) == (b"test ", 128 + signal.SIGPIPE)
    again = p9emu("replay", str(file))
    assert (again.returncode, again.stderr) == (128 + signal.SIGPIPE, b"")
    assert again.stdout.startswith(first)


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None) -> None:
    """Nothing is left where nothing was begun; later what there is stays, and is told by the name that it has."""
    if before is not None:
        (tmp_path / "x").write_bytes(before)
    room = [10]

    def write(fd: int, data: memoryview, real: Callable[[int, memoryview], int] = os.write) -> int:
        n = min(room[0], len(data))
        if not n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= n
        return real(fd, data[:n])

    monkeypatch.setattr("emu.machine.recording.os.write", write)
    with pytest.raises(RecordingError, match="No space left"):
        Writer(str(tmp_path / "x"), {"a": "b"})
    names = [p.name for p in tmp_path.iterdir()]
    assert names == ([] if before is None else ["x"])
    room[0] = 100
    writer = Writer(str(tmp_path / "x"), {"a": "b"})
    writer.put(("x", [str(n) for n in range(200)], None))
    with pytest.raises(RecordingError) as e:
        writer.flush()
    assert str(e.value) == f"cannot write {writer.at}: No space left on device"
    with closing(Reader(writer.at)) as reader:
        assert reader.header == {"a": "b"}
    assert before is None or (tmp_path / "x").read_bytes() == before
    writer.drop()


@pytest.mark.parametrize("many", [b"short", b"long" * 40, "\u00e9".encode() * 60])
def test_what_is_more_than_the_reader_takes_is_refused(
    many: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who writes, in one line; what was written before it can be read."""
    monkeypatch.setattr("emu.machine.recording.KEPT", 1 << 10)
    monkeypatch.setattr("emu.machine.recording.MAXTEXT", 1 << 16)
    monkeypatch.setattr("emu.machine.recording.MAXBLOCK", 1 << 16)
    path = str(tmp_path / "x")
    taken: list[object] = []
    writer = Writer(path, {})

    def grow() -> None:
        for bits in range(4, 14):
            names = [b"%d%s" % (i, many) for i in range(1 << bits)]
            writer.put(("list", [], ["=", names]))
            taken.append(["list", [], ["=", names]])

    with pytest.raises(RecordingError) as e:
        grow()
    assert str(e.value) == f"cannot write {path}: the host tells more at once than a recording holds"
    assert len(taken) > 2
    with closing(Reader(path)) as reader:
        assert [list(entry) for entry in reader] == taken
        assert reader.trouble == ""
    writer.drop()


def _replay(data: bytes, tmp_path: Path) -> tuple[int, str]:
    """In this process; standard error's one line."""
    (tmp_path / "x").write_bytes(data)
    r = invoke(["replay", str(tmp_path / "x")])
    assert r.exception is None or isinstance(r.exception, SystemExit), r.exception
    lines = r.stderr.splitlines()
    assert len(lines) <= 1, lines
    return r.exit_code, lines[0].removeprefix(f"p9emu: {tmp_path}/") if lines else ""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A run with a file, input and several hashes, as a recording."""
    d = tmp_path_factory.mktemp("rec")
    (d / "f").write_bytes(bytes(range(256)) * 20)
    r = p9emu("record", "--bind", f"{d}:/n/d", "-o", str(d / "x"), "wc", "/n/d/f", stdin=b"input")
    assert r.returncode == 0
    return (d / "x").read_bytes()


def test_one_that_is_cut(recorded: bytes, tmp_path: Path) -> None:
    head = next(end for kind, _, end in blocks(recorded) if kind == b"H")
    for n in (0, len(WORDS), len(WORDS) + 2, len(WORDS) + 10, head - 1):
        status, err = _replay(recorded[:n], tmp_path)
        assert status == 2
        assert err.startswith("x: is no recording" if n <= len(WORDS) else "x: is a recording of which nothing")
    ends = {end for _, _, end in blocks(recorded)}
    for n in random.Random(1).sample(range(head, len(recorded)), 12):
        status, err = _replay(recorded[:n], tmp_path)
        assert (status, n in ends or "x: breaks off, after 0.0" in err) == (125, True)


def test_one_that_was_tampered_with(recorded: bytes, tmp_path: Path) -> None:
    """A bit in a block is noticed; what only makes no sense is told in one line, or has no effect."""
    chance = random.Random(2)
    head = next(end for kind, _, end in blocks(recorded) if kind == b"H")
    for _ in range(10):
        at = chance.randrange(head, len(recorded))
        damaged = bytearray(recorded)
        damaged[at] ^= 1 << chance.randrange(8)
        status, err = _replay(bytes(damaged), tmp_path)
        assert status == 125
        assert "is damaged at byte" in err or "breaks off" in err
    first = recorded[: recorded.index(b"\n") + 1]
    parts = [(kind, data) for kind, data, _ in blocks(recorded)]
    lines = [(n, m) for n, (kind, data) in enumerate(parts) if kind == b"E" for m in range(data.count(b"\n") + 1)]
    values: list[object] = [None, 1, -1, "x", [], {}, {"b": "zz"}, {"h": "00"}, True, 1.5, [["x"]]]
    for n, m in chance.sample(lines, min(25, len(lines))):
        changed = list(parts)
        entries = [json.loads(line) for line in changed[n][1].split(b"\n")]
        entry = entries[m]
        where = chance.randrange(3)
        inner = entry[where]
        if isinstance(inner, list) and inner and chance.random() < 0.7:
            inner[chance.randrange(len(inner))] = chance.choice(values)
        else:
            entry[where] = chance.choice(values)
        if chance.random() < 0.2:
            del entries[m]
        changed[n] = b"E", b"\n".join(json.dumps(e).encode() for e in entries)
        if changed == parts:
            continue
        status, err = _replay(first + b"".join(packed(kind, data) for kind, data in changed), tmp_path)
        assert status in (0, 125)
        assert "internal error" not in err


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('["at",%s,null]' % ("[" * 700 + "]" * 700), "diverged at 0.000000000: expected at, came program"),
        ('["program",%s,["=",null]]' % ("[" * 700 + "]" * 700), "diverged at 0.0"),
        (f'["at",[0,1{"0" * 4000}],null]', "diverged at 0.000000000: expected at, came program"),
        ('["at",[0,"x"],null]', "diverged at 0.000000000: expected at, came program"),
        ('["end",[0,0],["TimeLimit",""]]', "makes no sense at 0.0"),
        ('["end",[0,0],["Error","x"]]', "makes no sense at 0.0"),
        ('["end",[0,0],["OSError",5,"x"]]', "makes no sense at 0.0"),
        ('["end",[0,0],["LoadError","x",0]]', "makes no sense at 0.0"),
        ('["program",["wc",{"b":"/n/d/f"}],["Error","x"]]', "makes no sense at 0.0"),
    ],
)
def test_one_that_is_meant_to_do_harm(recorded: bytes, tmp_path: Path, entry: str, why: str) -> None:
    status, err = _replay(_instead(recorded, entry), tmp_path)
    assert status == 125
    assert err.startswith(f"x: {why}")


def test_each_option_of_a_header_is_looked_at() -> None:
    assert set(CHECKS) == {f.name for f in fields(Options)} - set(UNSAVED)


def _instead(recorded: bytes, entry: str) -> bytes:
    """That entry, and others, where the program's was."""
    parts = [(kind, data) for kind, data, _ in blocks(recorded)]
    n = next(n for n, (kind, data) in enumerate(parts) if b'["program",' in data and kind == b"E")
    lines = parts[n][1].decode().split("\n")
    lines[next(m for m, line in enumerate(lines) if line.startswith('["program",'))] = entry
    parts[n] = b"E", "\n".join(lines).encode()
    return recorded[: recorded.index(b"\n") + 1] + b"".join(packed(kind, data) for kind, data in parts)


def test_one_that_inflates(recorded: bytes, tmp_path: Path) -> None:
    """What little text is made of is bounded, and how often an entry may have what is kept once."""
    first = recorded[: recorded.index(b"\n") + 1]
    header = next(data for kind, data, _ in blocks(recorded) if kind == b"H")
    large = packed(b"E", b'["at",0,[' + b"[]," * (12 << 20) + b"0]]")
    assert len(large) < 100_000
    status, err = _replay(first + packed(b"H", header) + large, tmp_path)
    assert (status, "makes no sense in the block" in err) == (125, True)
    assert _replay(first + packed(b"H", b" " * (40 << 20) + header), tmp_path)[0] == 2
    blob = bytes(40 << 20)
    key = blake2b(blob, digest_size=HASHSIZE).hexdigest()
    refs = ",".join([f'{{"h":"{key}"}}'] * 9)
    status, err = _replay(
        first + packed(b"H", header) + packed(b"B", blob) + packed(b"E", f'["at",0,[{refs}]]'.encode()), tmp_path
    )
    assert (status, "makes no sense in the block" in err) == (125, True)


def test_one_of_another_version(recorded: bytes, tmp_path: Path) -> None:
    newer = recorded.replace(WORDS + b"1", WORDS + b"7", 1)
    assert _replay(newer, tmp_path) == (2, "x: is a recording of version 7; this p9emu reads 1")
    parts = [(kind, data) for kind, data, _ in blocks(recorded)]
    header = json.loads(parts[0][1])
    header["versions"]["p9emu"] = "0.0.1"
    first = recorded[: recorded.index(b"\n") + 1]

    def changed(header: object) -> bytes:
        return first + b"".join(packed(k, d) for k, d in [(b"H", json.dumps(header).encode()), *parts[1:]])

    assert _replay(changed(header), tmp_path) == (0, "")
    header["args"] = ["/n/d/other"]
    status, err = _replay(changed(header), tmp_path)
    assert status == 125
    assert "x: diverged at 0.0" in err
    assert "(it was recorded with p9emu 0.0.1, not " in err
    options = header["options"]
    values: dict[str, list[object]] = {
        "memory": ["much", 1 << 40, 4097], "cpus": [0, 10**30, True], "swap": [1 << 50, -4096, 1.5], "seed": [[], -1],
        "sched": [1, "none"], "inject": ["x", [["x", 1, True]]], "original": ["x", 5], "env": [["a"], 1, [["a", "\0"]]],
        "net": ["connect=x", 1], "epoch": [-1, "now"], "timeout": [0, "x"], "binds": [[[1, 2]], [["a", "b", 1, 0]]],
        "root": ["/"], "tree": [1], "cwd": [["/"]], "mmu": ["x"], "counter": [None], "points": [["x"]],
        "user": ["\ud800"],
    }  # fmt: skip
    wrong = [{**options, name: v} for name, some in values.items() for v in some]
    for broken in ({}, {**header, "options": []}, {**header, "args": 5}, *({**header, "options": o} for o in wrong)):
        status, err = _replay(changed(broken), tmp_path)
        assert status == 2
        assert err == "x: is a recording whose header makes no sense"


def test_what_is_no_recording(tmp_path: Path) -> None:
    assert _replay(b"#!/bin/rc\n", tmp_path) == (2, "x: is no recording (p9emu record makes them)")
    for name, why in ((str(tmp_path / "none"), "No such file or directory"), (str(tmp_path), "Is a directory")):
        r = p9emu("replay", name)
        assert (r.returncode, r.stderr.decode()) == (125, f"p9emu: cannot read {name}: {why}\n")


def test_what_is_read_twice_is_kept_once(tmp_path: Path) -> None:
    data = random.Random(5).randbytes(200_000)
    (tmp_path / "f").write_bytes(data)
    p9emu("record", "--bind", f"{tmp_path}:/f", "-o", str(tmp_path / "x"), "cat", *["/f/f"] * 4)
    assert len(data) < (tmp_path / "x").stat().st_size < 1.2 * len(data)
    assert p9emu("replay", str(tmp_path / "x")).stdout == 4 * data


# Looking at it


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of cat, with input."""
    rec = tmp_path_factory.mktemp("cat") / "cat.rec"
    assert p9emu("record", "-o", str(rec), "cat", stdin=b"a line\n").stdout == b"a line\n"
    return rec


def test_traces_are_those_of_the_run(tmp_path: Path, cat: Path) -> None:
    rec = tmp_path / "cow.rec"
    p9emu("record", "-m", "8M", "-o", str(rec), "cow", "4")
    for more in (["-e", "%all", "--format", "json"], ["-k"], ["-c"], ["--format", "csv"]):
        invoke(["trace", *more, "-o", str(tmp_path / "a"), "-m", "8M", "cow", "4"])
        r = invoke(["trace", *more, "-o", str(tmp_path / "b"), "--from", str(rec)])
        assert (r.exit_code, r.stderr) == (0, "")
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    shown = p9emu("trace", "-e", "syscall", "--from", str(cat))
    assert (shown.returncode, shown.stdout) == (0, b"a line\n")
    assert shown.stderr.count(b" pread(") == 2


def test_other_commands_look_at_it(tmp_path: Path, cat: Path) -> None:
    assert p9emu("report", "-o", str(tmp_path / "r.html"), "--from", str(cat)).returncode == 0
    assert b"cat" in (tmp_path / "r.html").read_bytes()
    r = p9emu("debug", "-q", "--from", str(cat), stdin=b"until syscall:name=exits\nsegs 2\n")
    assert r.returncode == 0
    assert b"a line\n" in r.stdout
    assert b"stack" in r.stdout


@pytest.mark.gdb
def test_gdb_looks_at_it(cat: Path) -> None:
    out = gdb("--from", str(cat), script=("break main", "continue", "delete", "continue"))
    assert "a line" in out
    assert "exited normally" in out


@pytest.mark.parametrize("command", ["trace", "report", "view", "debug", "gdb"])
def test_nothing_is_said_of_how_it_is_run(cat: Path, command: str) -> None:
    for args, why in (
        (["--from", str(cat), "-m", "8M"], "--from is the run as it was: --memory would have no effect"),
        (["--from", str(cat), "hello"], "--from and PROGRAM exclude each other"),
        ([], "Missing argument 'PROGRAM'"),
    ):
        r = invoke([command, *args])
        assert r.exit_code == 2
        assert why in r.stderr


def test_a_file_that_is_named_behind_the_program() -> None:
    """There -o is the program's."""
    r = p9emu("record", "hello", "-o", "run.rec")
    assert (r.returncode, r.stderr.count(b"\n")) == (2, 1)
    assert b"Missing option '-o' / '--output'; options come before PROGRAM" in r.stderr
    assert b"come before" not in p9emu("record", "hello").stderr


def test_record_has_the_options_of_run() -> None:
    def opts(name: str) -> set[str]:
        return {o for p in cli.commands[name].params for o in p.opts}

    assert opts("record") - opts("run") == {"-o", "--output"}
    assert not opts("run") - opts("record")


def test_the_reader_tells_nothing_of_a_block_twice(recorded: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(recorded)
    reader = Reader(str(tmp_path / "x"))
    entries = list(reader)
    assert reader.trouble == ""
    assert [e[0] for e in entries][-2:] == ["hash", "done"]
    assert list(reader) == []
    reader.close()


def test_signals_of_who_replays(tmp_path: Path) -> None:
    p9emu("record", "--timeout", "2", "-o", str(tmp_path / "x"), "tinyrc", "-c", "echo up; spin 100000")
    emu = Emu("replay", str(tmp_path / "x"))
    assert emu.line() == b"up\n"
    os.kill(emu.p.pid, signal.SIGINT)
    assert emu.end() == (130, b"", b"p9emu: interrupted\n")
