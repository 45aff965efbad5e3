"""A Go program that prints one line, as one of many."""

import shutil
from pathlib import Path

import pytest

from emu.bench import goserver, gotests


def test_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(goserver, "MANY", goserver.FEW + 2)
    (row,) = goserver.measure(1)
    assert (row.name, row.unit, row.beside, row.limit) == ("Go hello, one of many", "ms", "without a server", 0.8)
    assert row.ours > 0
    assert row.theirs > 0


def test_a_run_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nosuch: no such file"):
        goserver.each(str(tmp_path / "nosuch"), False, {"PYTHONPATH": str(Path(__file__).parents[3])})


def test_without_a_go_command_there_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gotests.os, "access", lambda path, mode: False)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert goserver.measure(1) == []
