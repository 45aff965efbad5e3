"""The fake machine, and a program for it."""

import sys
from pathlib import Path

import pytest

from tests.emu.cli.faked import Machine, fake
from tests.emu.program.test_aout import image


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    """The fake, in place of the real one."""
    for name in ("emu.machine.machine", "emu.machine.config"):
        monkeypatch.setitem(sys.modules, name, fake())
    monkeypatch.setattr(Machine, "made", [])
    return Machine


@pytest.fixture
def prog(tmp_path: Path) -> str:
    """The path of a small executable."""
    path = tmp_path / "prog"
    path.write_bytes(image())
    return str(path)
