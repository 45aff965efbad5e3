"""Lines that fit a terminal."""

from __future__ import annotations

import io

import pytest

from emu.cli.wrap import wrapped


class Terminal(io.StringIO):
    """Is one, of as many columns as $COLUMNS says."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


LINE = "-    0.000006720 [2]    page    alloc   frame 0x03ff5000 va 0x00002000 image -    daddr 0x0 ref 1"


@pytest.mark.parametrize("width", ["30", "80", "96"])
def test_a_terminal_has_whole_words(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    rows = list(wrapped([LINE, f"\x1b[31m{LINE}\x1b[0m", "  " + "x" * 200, ""], Terminal()))
    n = (len(rows) - 2) // 2
    assert n > 1
    assert all(len(row) <= int(width) for row in rows[:n])
    assert rows[n : 2 * n] == [f"\x1b[31m{row}\x1b[0m" for row in rows[:n]]
    assert " ".join(rows[:n]).split() == LINE.split()
    assert all(row.startswith("    ") for row in rows[1:n])
    assert rows[2 * n :] == ["  " + "x" * 200, ""]


def test_others_have_lines_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    for stream in (io.StringIO(), None):
        assert list(wrapped([LINE], stream)) == [LINE]
    monkeypatch.setenv("COLUMNS", "200")
    assert list(wrapped([LINE], Terminal())) == [LINE]
    monkeypatch.setenv("COLUMNS", "5")
    assert list(wrapped([LINE], Terminal())) == [LINE]
