"""Where temporary directories are made."""

import os
import stat
from pathlib import Path

import pytest

from emu.machine import temporary


def test_the_place_that_is_named_if_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in temporary.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(temporary, "PLACES", (str(other),))
    assert temporary.place() == str(other)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert temporary.place() == str(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setenv("TEMP", "")
    assert temporary.place() == str(other)
    other.rmdir()
    with pytest.raises(FileNotFoundError, match="no place for temporary directories"):
        temporary.place()


def test_a_name_that_is_taken_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = iter([b"a", b"a", b"b", b"c"])
    monkeypatch.setattr(os, "urandom", lambda n: next(chance))
    names = [temporary.make("p-", str(tmp_path)) for _ in range(2)]
    assert names == [f"{tmp_path}/p-61", f"{tmp_path}/p-62"]
    assert stat.S_IMODE(os.stat(names[0]).st_mode) == 0o700
    with pytest.raises(FileNotFoundError):
        temporary.make("p-", str(tmp_path / "none"))
