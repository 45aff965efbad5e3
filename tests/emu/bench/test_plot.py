"""Pictures of curves: one file for each, with words in them, the same for the same figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from emu.bench import plot
from emu.bench.curves import COUNT, US, Curve, Point
from emu.failure import Failure

CURVES = [
    Curve("lookup", "look-up", "cached pages", US, [Point(16, 0.5, 1, 1, 1), Point(4096, 0.6, 1.2, 1.1, 1.4)]),
    Curve("chains", "longest", "cached pages", COUNT, [Point(16, 1, 1, 1, 1), Point(4096, 8, 8, 8, 8)]),
    Curve("chains", "passed", "cached pages", COUNT, [Point(16, 0, 1, 1, 1), Point(4096, 3.5, 1, 1, 1)]),
]


def words(path: Path) -> set[str]:
    """The texts of an SVG file."""
    return {"".join(e.itertext()) for e in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")}


def test_pictures(tmp_path: Path) -> None:
    assert plot.draw(CURVES, str(tmp_path)) == [str(tmp_path / "lookup.svg"), str(tmp_path / "chains.svg")]
    assert {"look-up, 1 is 0.50 us", "cached pages", "16", "4,096"} <= words(tmp_path / "lookup.svg")
    assert {"longest", "passed", "pages"} <= words(tmp_path / "chains.svg")


def test_equal_figures_make_equal_files(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.append([Path(p).read_bytes() for p in plot.draw(CURVES, str(tmp_path / name))])
    assert files[0] == files[1]
    assert all(len(b) < 30_000 for b in files[0])
    assert not any(b"dc:date" in b or str(tmp_path).encode() in b for b in files[0])


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emu.bench.plot.find_spec", lambda name: None)
    with pytest.raises(Failure, match="matplotlib") as e:
        plot.draw(CURVES, str(tmp_path))
    assert e.value.status == 1
    assert list(tmp_path.iterdir()) == []
