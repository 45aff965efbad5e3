"""emu/bench/copies.py: what going back costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.bench import copies


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(copies, "DEBUGGED", (("syscalls", "200"),))
    rows = copies.measure(1, copies=10)
    assert [(s.name, s.unit, s.beside, s.limit) for s in rows] == [
        ("p9emu gdb syscalls 200", "ms", "p9emu run", 1.2),
        ("10 copies asleep", "MB", "a gigabyte", 1),
    ]
    assert all(s.ours > 0 and s.theirs > 0 for s in rows)
    assert 10 < rows[-1].ours < 200
