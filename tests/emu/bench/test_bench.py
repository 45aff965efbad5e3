"""p9emu bench: figures, ratios and their renderings; and that the rivals do their work."""

import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from emu.bench import bare, claims, copies, curves, files, goserver, gotests, report, rivals, scaling, startup
from emu.bench import suite as bench
from emu.bench.claims import Claim
from emu.bench.curves import Case, Curve, Point
from emu.bench.files import Filework
from emu.bench.gotests import Gotest
from emu.bench.ratio import Rival
from emu.bench.report import RENDERINGS, Report, Row
from emu.bench.scaling import Scale
from emu.bench.startup import Start
from emu.bench.suite import Work


def steady(perop: float, start: float = 1.0) -> rivals.Run:
    """A contender that takes so many seconds for an operation, after a start."""
    return lambda words: start + perop * int(words[-1])


def test_cost_is_the_difference_so_the_start_is_not_in_it() -> None:
    work = Work("calls", ("syscalls",), 10, 110, steady(2e-6))
    row = bench.measure(work, {"p9emu": steady(5e-6, start=3), "bare": steady(2e-6)}, rounds=3)
    assert (row.name, row.guest) == ("calls", "syscalls")
    assert row.us == pytest.approx(5)
    assert row.rivals["bare"].us == pytest.approx(2)
    assert row.rivals["bare"].ratio == pytest.approx(2.5)


def test_ratio_is_the_median_of_the_rounds_with_its_spread() -> None:
    rounds = iter([1.0, 2.0, 3.0])
    now = [1.0]

    def ours(words: Sequence[str]) -> float:
        if words[-1] == "0":
            now[0] = next(rounds)
        return now[0] * int(words[-1])

    row = bench.measure(Work("w", ("g",), 0, 100, steady(1)), {"p9emu": ours, "bare": steady(1)}, rounds=3)
    other = row.rivals["bare"]
    assert [other.lowest, other.ratio, other.highest] == pytest.approx([1, 2, 3])


def test_means_are_compared_where_the_host_has_slow_times() -> None:
    def varying(*costs: float) -> rivals.Run:
        rounds = iter(costs)
        return lambda words: 1.0 if words[-1] == "0" else 1.0 + next(rounds) * int(words[-1])

    work = Work("w", ("g",), 0, 100, steady(1), uneven=True)
    row = bench.measure(work, {"p9emu": varying(6, 6, 12), "bare": varying(2, 4, 6)}, rounds=3)
    other = row.rivals["bare"]
    assert [row.us, other.us] == pytest.approx([8e6, 4e6])
    assert [other.ratio, other.lowest, other.highest] == pytest.approx([2, 1.5, 3])


REPORT = Report(
    rows=[
        Row("null system call", "syscalls", 4.5, {"bare": Rival(0.5, 9, 8, 10)}),
        Row("sieve", "sieve 4000000", 80, {"bare": Rival(400, 0.2, 0.19, 0.21), "qemu-i386": Rival(20, 4, 3.9, 4.1)}),
    ],
    scaling=[Scale("look-up", 0.5, 0.55, 1.1, 1.0, 1.2)],
    claims=[Claim("longest chain", 2, "at most 1", False)],
    starts=[Start("p9emu --help", "ms", 50, "python", 40, 1.25, 1.2, 1.3, 1.5)],
    files=[Filework("stat", 60, 3, 20, 19, 22, {"qiling": Rival(120, 0.5, 0.4, 0.6)})],
)
FULL = replace(
    REPORT,
    curves=[
        Curve("lookup", "look-up", "pages", curves.US, [Point(16, 0.5, 1, 1, 1), Point(4096, 0.6, 1.2, 1.1, 1.4)]),
        Curve("chains", "longest", "pages", curves.COUNT, [Point(16, 1, 1, 1, 1), Point(4096, 8, 8, 8, 8)]),
        Curve("chains", "passed", "pages", curves.COUNT, [Point(16, 0, 1, 1, 1), Point(4096, 3.5, 1, 1, 1)]),
    ],
    go=[Gotest("sort", 0.5, 0.25, 2, 1.9, 2.1), Gotest("total", 0.5, None, None, None, None)],
)


def test_table_shows_who_took_part() -> None:
    text = RENDERINGS["text"](REPORT)
    assert text.splitlines()[0].split() == [
        "guest",
        "p9emu,",
        "us",
        "bare,",
        "us",
        "ratio",
        "qemu-i386,",
        "us",
        "ratio",
    ]
    assert "9.00 (8.00-10.00)" in text
    assert text.count("qiling") == 1, "a column for whom there is a figure for"
    assert "\nlook-up      0.500      0.550  1.10 (1.00-1.20)\n" in text
    assert "\nlongest chain         2  at most 1     no\n" in text
    assert "\np9emu --help  50.0 ms  python  40.0 ms  1.25 (1.20-1.30)          1.5\n" in text
    assert text.endswith("\nstat       60.0              3.0  20.00 (19.00-22.00)       120.0  0.50 (0.40-0.60)\n")


def test_tables_are_there_when_they_were_asked_for() -> None:
    assert [t.name for t in report.tables(REPORT)] == ["rows", "scaling", "claims", "starts", "files"]
    assert [t.name for t in report.tables(FULL)] == ["rows", "scaling", "claims", "starts", "files", "curves", "go"]
    text = RENDERINGS["text"](FULL)
    assert "lookup: look-up  4,096 pages     0.600 us  1.20 (1.10-1.40)\n" in text
    assert "chains: longest  4,096 pages  8.000 pages\n" in text, "a count has no spread"
    assert text.endswith("sort         0.50          0.25  2.00 (1.90-2.10)\ntotal        0.50\n")


def test_markdown_has_a_rule_under_each_heading() -> None:
    blocks = [block.splitlines() for block in RENDERINGS["markdown"](FULL).split("\n\n")]
    assert [len(block) for block in blocks] == [5, 4, 4, 4, 4, 9, 5]
    for title, head, rule, *lines in blocks:
        assert re.fullmatch(r"<!-- \w+ -->", title)
        assert re.fullmatch(r"\| ---( \| ---:?)* \|", rule)
        assert {line.count("|") for line in (rule, *lines)} == {head.count("|")}


def test_json_has_everything() -> None:
    obj = json.loads(RENDERINGS["json"](FULL))
    assert obj["v"] == 5
    assert obj["rows"][1]["rivals"]["qemu-i386"] == {"us": 20, "ratio": 4, "lowest": 3.9, "highest": 4.1}
    assert obj["scaling"][0]["ratio"] == 1.1
    assert obj["curves"][0]["points"][1]["lowest"] == 1.1
    assert json.loads(RENDERINGS["json"](REPORT))["curves"] == []


FIELDS = {
    "rows": ["name", "guest", "us", "rivals"],
    "scaling": ["name", "small_us", "large_us", "ratio", "lowest", "highest"],
    "claims": ["name", "measured", "said", "holds"],
    "starts": ["name", "unit", "ours", "beside", "theirs", "ratio", "lowest", "highest", "limit"],
    "files": ["name", "us", "os_us", "ratio", "lowest", "highest", "rivals"],
    "curves": ["picture", "series", "x", "unit", "points"],
    "go": ["package", "seconds", "qemu", "ratio", "lowest", "highest"],
}


def test_no_field_vanishes() -> None:
    """Whoever reads the JSON counts on them: a change here takes another version (emu/bench/report.py:VERSION)."""
    obj = json.loads(RENDERINGS["json"](FULL))
    assert list(obj) == ["v", *FIELDS]
    assert {name: list(obj[name][0]) for name in FIELDS} == FIELDS
    assert list(obj["curves"][0]["points"][0]) == ["x", "y", "ratio", "lowest", "highest"]


def test_no_row_vanishes() -> None:
    assert [w.name for w in bench.WORKS] == [
        "null system call",
        "zero-fill fault",
        "zero-fill, copy, remap",
        "sieve over 4 MB",
        "build of 8 files",
        "block of 16 instructions",
        "block of 4 instructions",
    ]
    assert [name for name, *_ in scaling.CASES] == [
        "zero-fill fault, -m 16M and -m 3G",
        "zero-fill fault, 100 and 100,000 pages resident",
        "page cache look-up, 16 and 512 pages of an image",
        "page cache look-up, 512 and 4096 pages",
        "8 kB to another process, by pipe and by tcp",
        "64 bytes to another process, by pipe and by tcp",
    ]
    assert [(c.picture, c.series) for c in curves.CASES] == [
        ("memory", "zero-fill fault"),
        ("resident", "zero-fill fault"),
        ("lookup", "look-up of a cached page"),
        ("chains", "longest chain"),
        ("chains", "passed by a look-up"),
        ("images", "attaching an image that is there"),
        ("processes", "fork, run, exit and await"),
        ("processors", "zero-fill fault"),
        ("processors", "rendezvous there and back"),
        ("reclaim", "reclaiming a page"),
        ("reclaim", "with as many pages in use"),
    ]
    assert {c.picture: (c.xs[0], c.xs[-1]) for c in curves.CASES} == {
        "memory": (16, 3072),
        "resident": (100, 100_000),
        "lookup": (16, 4096),
        "chains": (16, 4096),
        "images": (1, 200),
        "processes": (10, 1000),
        "processors": (1, 8),
        "reclaim": (16, 4096),
    }
    assert gotests.PACKAGES == ("sort", "strings", "bytes", "strconv", "fmt")


def test_all_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds: list[int] = []

    def told(result: object) -> Callable[[int], object]:
        def measure(n: int) -> object:
            rounds.append(n)
            return result

        return measure

    monkeypatch.setattr(bench, "WORKS", (Work("null", ("syscalls",), 1, 2, steady(1)),))
    monkeypatch.setattr(scaling, "CASES", (("n", lambda: 1.0, lambda: 2.0),))
    monkeypatch.setattr(curves, "CASES", (Case("p", "s", "pages", (1, 2, 3, 4), curves.US, float),))
    monkeypatch.setattr(claims, "measure", lambda: REPORT.claims)
    monkeypatch.setattr(startup, "measure", told(REPORT.starts))
    monkeypatch.setattr(files, "measure", told(REPORT.files))
    monkeypatch.setattr(copies, "measure", lambda rounds: [])
    monkeypatch.setattr(goserver, "measure", lambda rounds: [])
    monkeypatch.setattr(gotests, "measure", told(FULL.go))
    bench.main(True, "json", plot=str(tmp_path / "new" / "d"), go=True)
    obj = json.loads(capsys.readouterr().out)
    assert {name: len(obj[name]) for name in FIELDS} == {n: 2 if n == "go" else 1 for n in FIELDS}
    assert [p["x"] for p in obj["curves"][0]["points"]] == [1, 3, 4]
    assert [p.name for p in (tmp_path / "new" / "d").iterdir()] == ["p.svg"]
    bench.main(False, "json", full=True)
    obj = json.loads(capsys.readouterr().out)
    assert (len(obj["curves"][0]["points"]), len(obj["go"])) == (4, 2)
    bench.main(False, "json")
    obj = json.loads(capsys.readouterr().out)
    assert (obj["curves"], obj["go"]) == ([], [])
    assert rounds == [1, 1, 1, 7, 7, 7, 3, 3]


@pytest.mark.parametrize("work", bench.WORKS, ids=lambda w: w.name)
def test_each_row_is_measured(work: Work) -> None:
    assert rivals.p9emu((*work.guest, "2")) > 0
    if work.bare is not None:
        assert work.bare((*work.guest, "2")) > 0


def test_a_guest_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="usage"):
        rivals.machine(("blocks", "5", "2"))


def test_bare_pages_are_filled_copied_and_mapped_again() -> None:
    b = bare.Bare()
    n = 3
    b.loop(bare.STORES, n)
    pages = [b.words[b.entry(bare.AREA + i * bare.BY2PG)] for i in range(n)]
    assert [b.words[(pte & ~0xFFF) >> 2] for pte in pages] == [3, 2, 1]
    b.setentries(n, ~bare.WRITE & bare.NONE)
    b.loop(bare.STORES, n)
    copies = [b.words[b.entry(bare.AREA + i * bare.BY2PG)] for i in range(n)]
    assert not {pte & ~0xFFF for pte in pages} & {pte & ~0xFFF for pte in copies}


def test_without_other_emulators_there_is_the_bare_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with rivals.linux(["sieve"]) as installed:
        assert installed == {}


def test_scaling_compares_pairs() -> None:
    large = iter([2.0, 3.0, 4.0])
    s = scaling.measure("n", lambda: 1.0, lambda: next(large), 3)
    assert [s.small_us, s.large_us, s.ratio, s.lowest, s.highest] == pytest.approx([1, 3, 3, 2, 4])


def test_scaling_measures_something() -> None:
    assert scaling.lookups(4)() > 0


def test_where_the_host_is_uneven_there_are_more_rounds_if_all_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "p9emu", steady(1))
    asked: list[str] = []

    def ours(words: Sequence[str]) -> float:
        asked.append(words[-1])
        return float(words[-1])

    work = Work("w", ("g",), 1, 2, ours, ("other",), uneven=True)
    monkey = {"other": steady(1)}
    for full, calls in ((False, 2 * 3), (True, 2 * 3 * bench.UNEVEN)):
        asked.clear()
        bench.beside(replace(work, guest=("true",), bare=ours), monkey, 3, full)
        assert len(asked) == calls


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with bench.told(3) as tell:
        assert tell("null system call", 7) == 7
        tell("sieve", 8)
        err = capsys.readouterr().err
    assert "null system call" in err
    assert "0/3" in err
    assert "1/3" in err
    assert "sieve" in err


def test_no_terminal_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with bench.told(3) as tell:
        assert tell("x", 7) == 7
    assert capsys.readouterr().err == ""
