"""Page references in libCacheSim's formats."""

import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from emu.observe import cachesim
from emu.observe.cachesim import LATEST, CsvReferences, OracleReferences
from emu.observe.output import OutputError
from tests.emu.observe.test_observe import Lines
from tests.emu.observe.test_perfetto import Bytes

VA = [0x1000, 0xDFFFE000, 0x3000]
CALLS = [(2, 500, [1]), (2, 4700, [0, 1, 0, 2]), (3, 4600, [0, 2])]  # the second processor is behind


def records(data: bytes) -> list[tuple[int, int, int, int]]:
    return [struct.unpack_from("<IQIq", data, i) for i in range(0, len(data), 24)]


def oracle() -> bytes:
    out = Bytes()
    writer = OracleReferences(out)
    for call in CALLS:
        writer(*call)
    writer.finish()
    return bytes(out.data)


def test_csv() -> None:
    out = Lines()
    writer = CsvReferences(out, VA.__getitem__)
    for call in CALLS:
        writer(*call)
    writer.finish()
    assert out.text.splitlines() == [
        "ns,object,size,pid,va",
        "500,1,4096,2,3758088192",
        "4700,0,4096,2,4096",
        "4700,1,4096,2,3758088192",
        "4700,0,4096,2,4096",
        "4700,2,4096,2,12288",
        "4700,0,4096,3,4096",
        "4700,2,4096,3,12288",
    ]


def test_csv_of_nothing_has_its_heading() -> None:
    out = Lines()
    CsvReferences(out, VA.__getitem__).finish()
    assert out.text == "ns,object,size,pid,va\n"


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 16])
def test_oracle_general(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """The first reference is number 1; whatever is in memory at a time, the next ones are found."""
    monkeypatch.setattr(cachesim, "CHUNK", chunk)
    assert records(oracle()) == [
        (0, 1, 4096, 3),
        (4, 0, 4096, 4),
        (4, 1, 4096, -1),
        (4, 0, 4096, 6),
        (4, 2, 4096, 7),
        (4, 0, 4096, -1),
        (4, 2, 4096, -1),
    ]


def test_a_time_that_is_too_long_stands_still() -> None:
    out = Bytes()
    writer = OracleReferences(out)
    writer(2, 10**15, [0])
    writer.finish()
    assert records(bytes(out.data)) == [(LATEST, 0, 4096, -1)]


def test_no_room_for_the_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(OutputError, match=r"^cannot keep the references in .*: No space left on device$"):
        OracleReferences(Bytes())(2, 1, [0])


def p9emu(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "emu", "trace", *args], capture_output=True, text=True)


def test_the_command(tmp_path: Path) -> None:
    """Both formats tell the same references; the child of cow refers to each page that it has a copy of."""
    for fmt in ("csv", "oracleGeneral"):
        assert p9emu("--format", fmt, "-o", str(tmp_path / fmt), "cow", "3").returncode == 0
    rows = [line.split(",") for line in (tmp_path / "csv").read_text().splitlines()[1:]]
    told = records((tmp_path / "oracleGeneral").read_bytes())
    assert [(int(ns) // 1000, int(n)) for ns, n, *_ in rows] == [(us, n) for us, n, _, _ in told]
    for i, (_, n, _, coming) in enumerate(told):
        assert coming == next((j for j in range(i + 2, len(told) + 1) if told[j - 1][1] == n), -1)
    written = Counter((row[3], row[4]) for row in rows)
    assert all(written[pid, str(va)] for pid in "23" for va in (0x3000, 0x4000, 0x5000))


@pytest.mark.parametrize("option", [["-c"], ["-e", "fault"], ["--swap", "8M"], ["-k"], ["-n", "3"], ["-p", "2"]])
def test_what_is_for_events_is_refused(option: list[str]) -> None:
    r = p9emu("--format", "csv", *option, "true")
    assert r.returncode == 2
    assert "tells references to pages, no events" in r.stderr


def test_bytes_are_refused_where_text_goes() -> None:
    r = p9emu("--format", "oracleGeneral", "true")
    assert (r.returncode, "is no text: it needs -o FILE" in r.stderr) == (2, True)


def test_a_terminal_is_refused() -> None:
    ours, theirs = pty.openpty()
    r = p9emu("--format", "perfetto", "-o", os.ttyname(theirs), "true")
    assert r.returncode == 2
    assert "is a terminal, and this format is no text" in r.stderr
    os.close(ours)
    os.close(theirs)
