"""The fake machine, and a program for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import emu.machine.recording  # noqa: F401  it takes errors from the real machine's modules, if they are there
from tests.emu.cli import faked
from tests.emu.cli.faked import Machine, fake
from tests.emu.program.test_aout import image


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Machine]]:
    """The fake, in place of the real one."""
    for name in ("emu.machine.machine", "emu.machine.config"):
        monkeypatch.setitem(sys.modules, name, fake())
    monkeypatch.setattr(Machine, "made", [])
    before = set(sys.modules)
    yield Machine
    for name in set(sys.modules) - before:  # imported meanwhile: what they took from it they would have for good
        kept = [k for k, v in vars(sys.modules[name]).items() if getattr(v, "__module__", "") == faked.__name__]
        assert not kept, f"{name} has the fake's {kept}: it must be imported before"


@pytest.fixture
def prog(tmp_path: Path) -> str:
    """The path of a small executable."""
    path = tmp_path / "prog"
    path.write_bytes(image())
    return str(path)
