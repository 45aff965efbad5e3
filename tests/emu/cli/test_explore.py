"""What p9emu explore does with a failure when it has little time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from emu.cli.explore import FIXES, How, _Text
from emu.lab.campaign import Found
from emu.lab.failure import PANIC, Failure
from emu.lab.zygote import Result
from emu.machine.config import Config


class Asked:
    """A campaign that notes how many seconds it is given."""

    def __init__(self) -> None:
        self.minimized: list[float] = []
        self.tried: list[float] = []

    def minimize(self, found: Found, seconds: float) -> bool:
        self.minimized.append(seconds)
        return True

    def mended(self, found: Found, seconds: float) -> list[str]:
        self.tried.append(seconds)
        return []

    def again(self, *_: Any, **__: Any) -> Result:
        return Result(1, 0)


@pytest.mark.parametrize(("seconds", "fewer", "fixes"), [(None, 20.0, FIXES), (4.0, 2.0, 4.0), (0.0, 0.0, 0.0)])
def test_what_follows_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None, fewer: float, fixes: float
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    output = str(tmp_path / "s")
    show = _Text(Config(), "hello", [], How(output, 20.0, False))
    show.until = None if seconds is None else 100.0 + seconds
    campaign: Any = Asked()
    told = show.look(campaign, Found(Failure(PANIC, "x"), Result(1, 0), "random"), output)
    assert told.repeats
    assert campaign.minimized == ([fewer] if fewer else [])
    assert campaign.tried == [fixes]
