"""p9emu bench: figures, ratios and their renderings; and that the rivals do their work."""

import importlib.util
import json
import shutil
from collections.abc import Sequence

import pytest

from emu import bare, bench, rivals, scaling
from emu.bench import Rival, Row, Work
from emu.scaling import Scale


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


ROWS = [
    Row("null system call", "syscalls", 4.5, {"bare": Rival(0.5, 9, 8, 10)}),
    Row("sieve", "sieve 4000000", 80, {"bare": Rival(400, 0.2, 0.19, 0.21), "qemu-i386": Rival(20, 4, 3.9, 4.1)}),
]
SCALES = [Scale("look-up", 0.5, 0.55, 1.1, 1.0, 1.2)]


def test_table_shows_who_took_part() -> None:
    text = bench.RENDERINGS["text"](ROWS, SCALES)
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
    assert "qiling" not in text
    assert text.endswith("look-up      0.500      0.550  1.10 (1.00-1.20)\n")


def test_markdown_has_a_rule_under_its_heading() -> None:
    lines = bench.RENDERINGS["markdown"](ROWS, SCALES).splitlines()
    assert len(lines) == 4 + 1 + 3
    assert [line.count("|") for line in lines] == [8] * 4 + [0] + [5] * 3
    assert lines[1].startswith("| --- | --- | ---: |")


def test_json_has_everything() -> None:
    obj = json.loads(bench.RENDERINGS["json"](ROWS, SCALES))
    assert obj["v"] == 2
    assert obj["rows"][1]["rivals"]["qemu-i386"] == {"us": 20, "ratio": 4, "lowest": 3.9, "highest": 4.1}
    assert obj["scaling"][0]["ratio"] == 1.1


@pytest.mark.parametrize("work", bench.WORKS, ids=lambda w: w.name)
def test_each_row_is_measured(work: Work) -> None:
    assert rivals.p9emu((*work.guest, "2")) > 0
    assert work.bare((*work.guest, "2")) > 0


def test_a_guest_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="usage"):
        rivals.p9emu(("blocks", "5", "2"))


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
    large = iter([2e-6, 3e-6, 4e-6])
    s = scaling.measure("n", lambda: 1e-6, lambda: next(large), 3)
    assert [s.small_us, s.large_us, s.ratio, s.lowest, s.highest] == pytest.approx([1, 3, 3, 2, 4])


def test_scaling_measures_something() -> None:
    assert scaling.lookups(4)() > 0
