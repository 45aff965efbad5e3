"""Every vector beside this file is replayed, and the replay is shown to see what differs."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.base.chandat import Chan
from kernel.base.error import Error
from kernel.base.mem import BY2PG
from tests.vectors.__main__ import main
from tests.vectors.machine import MountDev, VectorKernel, pattern
from tests.vectors.replay import replay

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.jsonl.gz"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_kernel_does_what_the_original_did(path: Path) -> None:
    report = replay(path)
    assert report.sequences > 0
    assert [str(d) for d in report.differences] == []


def sequence(name: str) -> list[dict[str, Any]]:
    """The records of one sequence of hand.jsonl.gz."""
    out: list[dict[str, Any]] = []
    for line in gzip.decompress((HERE / "hand.jsonl.gz").read_bytes()).decode().splitlines():
        rec = json.loads(line)
        if "seq" in rec:
            if out:
                break
            if rec["seq"] != name:
                continue
            out.append(rec)
        elif out:
            out.append(rec)
    return out


def plain(path: Path, recs: list[dict[str, Any]]) -> Path:
    """A plain vector file of these records."""
    path.write_text("".join(json.dumps(r) + "\n" for r in recs))
    return path


def edit(key: str, value: Callable[[Any], Any]) -> Callable[[list[dict[str, Any]]], None]:
    """A change of the first record that has the key."""

    def change(recs: list[dict[str, Any]]) -> None:
        rec = next(r for r in recs[1:] if key in r)
        rec[key] = value(rec[key])

    return change


CHANGES = {
    "result": (edit("r", lambda r: r - 1), "result: expected 98, actual 99"),
    "missing event": (edit("ev", lambda ev: ev[:-1]), "expected none, actual"),
    "extra event": (edit("ev", lambda ev: [*ev, ["flushmmu"]]), 'expected ["flushmmu"], actual none'),
    "other event": (edit("ev", lambda ev: [["mmu", 0, 0, 0], *ev[1:]]), "event 0: expected"),
    "crc": (edit("crc", lambda crc: {"7": 1}), "crc: expected"),
    "state": (edit("d", lambda d: {**d, "free": 3}), "state free: expected 3, actual 99"),
    "page field": (edit("d", lambda d: {**d, "pg": {"99": [9, 0, 0, -1, 0, 0, 0]}}), "state pg[99]: expected"),
    "checksum": (edit("h", lambda h: "00000000"), 'h: expected "00000000"'),
    "nested result": (edit("nr", lambda nr: [*nr, 0]), "nested results: expected"),
    "number of operations": (edit("n", lambda n: n + 1), "operations: expected"),
    "last state": (edit("full", lambda full: {**full, "age": 77}), "state age: expected 77"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_replay_sees_a_changed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, told = CHANGES[name]
    recs = sequence("executeio-race" if name == "nested result" else "copymode1" if "event" in name else "alloc-order")
    path = plain(tmp_path / "v.jsonl", recs)
    assert main([str(path)]) == 0
    change(recs)
    assert main([str(plain(path, recs))]) == 1
    assert told in capsys.readouterr().out


def test_first_difference_names_sequence_index_and_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recs = sequence("alloc-order")
    recs[3]["crc"] = {}
    assert main([str(plain(tmp_path / "v", recs))]) == 1
    out = capsys.readouterr().out
    assert "1 sequences, 9 operations, 1 sequences differ" in out
    assert 'sequence alloc-order, operation 2 ["poke", 99, 10, 50, 7]: crc: expected {}' in out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-4], "end-of-stream"),
        (b"{}\n", "neither a header"),
        (b"hello\n", "not JSON"),
        (b'{"op":["auxpage"],"r":0,"h":""}\n', "no header"),
        (b'{"seq":"a"}\n', "not in the format"),
        (b"\x80\x80", "utf-8"),
    ],
)
def test_unreadable_file_is_told_in_one_line(
    content: bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_unknown_operation_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recs = sequence("alloc-order")
    recs[2]["op"] = ["frobnicate"]
    assert main([str(plain(tmp_path / "v", recs))]) == 2
    assert "v:3: unknown operation 'frobnicate'" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["-x"], ["-a"]])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_checksums_are_taken_of_sorted_compact_json() -> None:
    header = sequence("alloc-order")[0]
    full = sequence("alloc-order")[-1]["full"]
    last = sequence("alloc-order")[-2]["h"]
    text = json.dumps(full, sort_keys=True, separators=(",", ":"))
    assert f"{zlib.crc32(text.encode()):08x}" == last
    assert header["seq"] == "alloc-order"


def device(failures: list[int]) -> tuple[VectorKernel, MountDev, Chan]:
    """A kernel of two pages with a file that can be written, and what becomes of its next reads and writes."""
    k = VectorKernel(1, 1, 4, 4, 2, 0)
    dev = k.devtab[0]
    assert isinstance(dev, MountDev)
    c = k.chans[k.newfile(0, 0, 1, 0, 0, 2 * BY2PG, 1)]
    k.ioerr = failures
    return k, dev, c


def test_a_short_read_leaves_the_bytes_of_its_own_page() -> None:
    k, dev, c = device([1])
    k.lastkmap = k.palloc.base
    k.during = lambda: setattr(k, "lastkmap", k.palloc.base + BY2PG)  # as a load in the midst of the read does
    assert dev.read(c, BY2PG, 0) == pattern(0)[: BY2PG // 2]


def test_an_interrupt_of_a_write_is_used_up_and_lets_it_pass() -> None:
    _, dev, c = device([0, 2])
    assert dev.write(c, b"abc", 0) == 3
    with pytest.raises(Error, match="i/o error"):
        dev.write(c, b"abc", 0)
    assert dev.read(c, 3, 0) == b"abc"


def test_an_interrupt_ends_a_read() -> None:
    _, dev, c = device([2])
    with pytest.raises(Error, match="interrupted"):
        dev.read(c, 3, 0)
