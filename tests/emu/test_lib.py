"""The binding to libunicorn."""

import pytest

from emu.lib import UnicornError, lib


def test_release_is_named() -> None:
    assert lib().release.startswith("2.")


def test_errors_say_what_failed() -> None:
    lib().check(0, "nothing")
    with pytest.raises(UnicornError, match="uc_open: "):
        lib().check(2, "uc_open")
