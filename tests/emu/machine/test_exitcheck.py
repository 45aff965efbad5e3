"""Leaving out Unicorn's check for a stop after each memory access."""

import ctypes
from ctypes import c_int, c_size_t, c_void_p

import pytest

from emu.machine import exitcheck
from emu.machine.lib import ARCH_X86, HOOK_MEM_READ, INVALIDHOOK, MODE_32, PROT_ALL, REG_EBX, REG_ECX, lib

# mov eax, [0x800]; inc ecx; jmp +0; inc ebx; jmp .
CODE = b"\xa1\x00\x08\x00\x00\x41\xeb\x00\x43\xeb\xfe"


def counts(leaveout: bool) -> tuple[int, int]:
    """ECX and EBX after a stop was asked for at the load: instructions run in its block, and in the next."""
    engine = lib()
    ram = ctypes.create_string_buffer(CODE, 8192)
    address = ctypes.addressof(ram) + 4095 & ~4095
    ctypes.memmove(address, CODE, len(CODE))
    uc = c_void_p()
    engine.check(engine.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "open")
    try:
        if leaveout:
            exitcheck.leaveout(engine, uc)
        engine.check(engine.map(uc, 0, 4096, PROT_ALL, address), "map")
        hook = INVALIDHOOK(lambda _uc: bool(engine.stop(uc)) or True)
        engine.check(engine.hook(uc, ctypes.byref(c_size_t()), HOOK_MEM_READ, hook, None, 1, 0), "hook")
        engine.check(engine.start(uc, 0, 4096, 0, 0), "start")
        got = []
        for reg in (REG_ECX, REG_EBX):
            value = c_int()
            engine.check(engine.regread(uc, reg, ctypes.byref(value)), "read")
            got.append(value.value)
        return got[0], got[1]
    finally:
        engine.close(uc)


def test_unicorn_stops_at_once_and_without_the_check_at_the_end_of_the_block() -> None:
    assert counts(leaveout=False) == (0, 0)
    assert counts(leaveout=True) == (1, 0)


def test_a_switch_that_is_not_found_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exitcheck, "place", lambda _lib: None)
    assert counts(leaveout=True) == (0, 0)


def test_a_switch_that_does_nothing_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(exitcheck, "_works", lambda _lib, _uc, _at: False)
    assert exitcheck.place.__wrapped__(lib()) is None
