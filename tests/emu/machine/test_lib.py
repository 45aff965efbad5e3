"""The binding to libunicorn."""

import pytest
from unicorn import x86_const

import emu.machine.lib
from emu.machine.lib import UnicornError, UnusableError, lib


def test_release_is_named() -> None:
    assert lib().release.startswith("2.")


def test_an_extension_that_was_built_before_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable installation of new Python has the old C until it is installed again."""
    monkeypatch.setattr(emu.machine.lib, "VERSION", 0)
    with pytest.raises(UnusableError, match=r"^the extension emu.machine._\w+ was built from another version"):
        emu.machine.lib.Lib()


def test_errors_say_what_failed() -> None:
    lib().check(0, "nothing")
    with pytest.raises(UnicornError, match="uc_open: "):
        lib().check(2, "uc_open")


def test_register_numbers_are_those_of_the_binding() -> None:
    names = [name for name in vars(emu.machine.lib) if name.startswith("REG_")]
    assert len(names) > 20
    assert {n: getattr(emu.machine.lib, n) for n in names} == {n: getattr(x86_const, f"UC_X86_{n}") for n in names}
