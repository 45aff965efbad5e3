"""emu.observe.report: columns hold what the events were, the words count as the summary does, the file is whole."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emu.observe.output import OutputError
from emu.observe.read import LIMIT
from emu.observe.report.columns import Columns
from emu.observe.report.file import WholeFile
from emu.observe.report.html import SCRIPTS, base64, gzip
from emu.observe.report.report import Report
from emu.observe.report.words import About, summary
from kernel.base.event import ASIDE, Event, FaultEvent, PageEvent, ProcEvent, SyscallEvent
from tests.e2e.harness import run
from tests.emu.observe.report.decode import decoded, events
from tests.emu.observe.test_observe import EVENTS

BYKIND = {cls.kind: cls for cls in Event.__subclasses__()}
PAGE = Path(__file__).parents[4] / "emu/observe/report/page"


def encoded(stream: list[Event]) -> list[dict[str, Any]]:
    columns = Columns()
    for ev in stream:
        columns.add(ev, ("f+0x1", "nop", "a\nf"))
    return events(b"".join(columns.encode({})))[1]


def fields(ev: Event) -> dict[str, Any]:
    more = {"symbol": "f+0x1", "insn": "nop", "stack": "a\nf"} if isinstance(ev, FaultEvent) else {}
    own = {f.name: getattr(ev, f.name) for f in dataclasses.fields(BYKIND[ev.kind]) if f.name not in ASIDE}
    return {"event": ev.kind, **own, **more}


def numbers(page: str, caption: str) -> dict[str, list[int]]:
    """The rows of a table of the summary: name, and the numbers that are there."""
    table = re.search(rf"<caption>{caption}</caption>(.*?)</table>", page, re.DOTALL)
    assert table
    rows = re.findall(r"<th scope=row>([^<]*)((?:<td>[^<]*)*)", table[1])
    return {name: [int(n.replace(",", "").replace("-", "0")) for n in cells.split("<td>")[1:]] for name, cells in rows}


# columns


def test_columns_hold_every_field_of_every_event() -> None:
    assert encoded(EVENTS) == [fields(ev) for ev in EVENTS]


def test_columns_hold_a_whole_run() -> None:
    stream = run("cow", "3", trace=True).events
    assert encoded(stream) == [fields(ev) for ev in stream]


@pytest.mark.parametrize("n", [0, 255, 256, 65535, 65536, 2**32 - 1, 2**32, -1, -(2**31), LIMIT - 1])
def test_numbers_of_all_sizes(n: int) -> None:
    (ev,) = encoded([PageEvent(n, 1, 0, "alloc", n, 0, 0, 0, 0)])
    assert (ev["ns"], ev["frame"]) == (n, n)


def test_time_that_goes_back() -> None:
    """Processors' clocks differ."""
    stream: list[Event] = [PageEvent(ns, 1, 0, "alloc", 0, 0, 0, 0, 0) for ns in (500, 20, 10**12)]
    assert [ev["ns"] for ev in encoded(stream)] == [500, 20, 10**12]


def test_a_result_that_is_none() -> None:
    stream: list[Event] = [SyscallEvent(1, 1, 0, 8, "exits", "nil", 0, ret, "") for ret in (None, -1, 0)]
    assert [ev["ret"] for ev in encoded(stream)] == [None, -1, 0]


def test_base64_has_no_seams() -> None:
    pieces = [bytes([n % 256]) * (n * 1000 + 7) for n in range(60)]
    import base64 as b
    import gzip as g

    lines = b"".join(base64(gzip(iter(pieces)))).split()
    assert g.decompress(b"".join(b.b64decode(line) for line in lines)) == b"".join(pieces)


# words


def test_the_summary_counts_as_trace_does() -> None:
    report = Report()
    stream = run("pressure", trace=True, memory=8 << 20, swap=16 << 20, check=False).events
    for ev in stream:
        report(ev)
    page = summary(About("p9emu report", status=0), report.tally)
    faults = Counter(ev.cls for ev in stream if isinstance(ev, FaultEvent))
    table = numbers(page, "Page faults by class and segment")
    assert {cls: row[-1] for cls, row in table.items() if cls != "total"} == faults
    assert table["total"][-1] == faults.total()
    kinds = Counter(ev.kind for ev in stream)
    assert numbers(page, "Events") == {**{kind: [n] for kind, n in kinds.items()}, "total": [kinds.total()]}
    outs = sum(isinstance(ev, PageEvent) and ev.op == "page-out" for ev in stream)
    assert outs
    calls = Counter(ev.name for ev in stream if isinstance(ev, SyscallEvent))
    assert {name: row[0] for name, row in numbers(page, "System calls").items()} == {**calls, "total": calls.total()}
    assert f"{outs:,} pages went to swap" in page
    assert f"<b>{faults.total():,} page faults</b>" in page


def test_what_is_not_known_is_told() -> None:
    report = Report()
    report(FaultEvent(5, 2, 0, 0x3000, 0x1026, "user", "", 6, "write", "bss", "zero-fill", "", 0x345000))
    page = summary(About("x"), report.tally)
    assert "no events of these kinds" in page
    assert "page tables" in page
    assert "its end is not there" in page


def test_all_system_calls_are_listed_as_trace_c_does() -> None:
    report = Report()
    for n in range(30):
        report(SyscallEvent(n, 2, 0, n, f"call{n}", "", 0, 0, ""))
    page = summary(About("x"), report.tally)
    assert numbers(page, "System calls") == {**{f"call{n}": [1, 0] for n in range(30)}, "total": [30, 0]}


def test_nothing_of_a_run_is_taken_for_html() -> None:
    report = Report()
    report(ProcEvent(1, 2, 0, "exec", "<script>\x1b[31m", 0, "/bin/x"))
    page = summary(About("p9emu <b>", failure="<i>"), report.tally)
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "<i>" not in page


# the file


def test_every_script_is_in_the_page() -> None:
    assert sorted(SCRIPTS) == sorted(p.name for p in PAGE.glob("*.js"))
    assert not any("</script" in (PAGE / name).read_text() for name in SCRIPTS)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    path.chmod(0o640)
    file = WholeFile(str(path))

    def pieces() -> Any:
        yield b"new"
        assert path.read_text() == "old"
        yield b"er"

    file.write(pieces())
    assert path.read_text() == "newer"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_a_failure_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def pieces() -> Any:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WholeFile(str(path)).write(pieces())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    link, path = tmp_path / "link", tmp_path / "r.html"
    link.symlink_to(path)
    WholeFile(str(link)).write([b"x"])
    assert link.is_symlink()
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(("name", "why"), [("", "Is a directory"), ("none/r", "No such file"), ("a\0b", "not a name")])
def test_what_cannot_be_written(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(OutputError, match=why):
        WholeFile(f"{tmp_path}/{name}")
    assert not list(tmp_path.iterdir())


def test_a_device_is_written_into() -> None:
    if not os.path.exists("/dev/full"):
        pytest.fail("this system has no /dev/full")
    with pytest.raises(OutputError, match="No space left"):
        WholeFile("/dev/full").write([b"x"])
    WholeFile("/dev/null").write([b"x"])
    r, w = os.pipe()
    WholeFile(f"/dev/fd/{w}").write([b"through a pipe"])
    assert os.read(r, 99) == b"through a pipe"
    os.close(r)
    os.close(w)


def test_equal_runs_give_equal_reports(tmp_path: Path) -> None:
    for name in ("a", "b"):
        report = Report()
        for ev in run("cow", "2", trace=True).events:
            report(ev)
        report.write(WholeFile(str(tmp_path / name)), About("p9emu report cow 2", status=0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    head, told = decoded(tmp_path / "a")
    assert head["missing"] == []
    assert told[0]["event"] == "boot"
    assert json.dumps(told)
