"""What is typed in the tests' own process leaves that as it was."""

import gc

from tests.emu.cli.faked import p9emu


def test_the_collector_is_as_before() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    assert p9emu("--version").exit_code == 0
    assert p9emu("nosuch").exit_code == 2
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
