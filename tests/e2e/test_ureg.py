"""Every word of the Ureg that a note handler gets, for every kind of trap: against pc/l.s and pc/trap.c."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kernel.base.mem import USTKTOP
from tests.e2e.harness import machinecode

NAMES = (
    "di", "si", "bp", "nsp", "bx", "dx", "cx", "ax", "gs", "fs", "es", "ds", "trap", "ecode", "pc", "cs", "flags",
    "usp", "ss",
)  # fmt: skip
SAVED = {"di": 0x11, "si": 0x22, "bp": 0x33, "bx": 0x44, "dx": 0x55, "cx": 0x66, "ax": 0x77}
LOAD = "bf11000000 be22000000 bd33000000 bb44000000 ba55000000 b966000000 b877000000"
START = 0x1020


def vector(no: int) -> int:
    """What lies where the error code does not: the return address of vectortable's CALL."""
    return 0xF0100097 + 6 * no + 5


# The code, its trap, error code, the pc as an offset, and registers that differ
TRAPS: dict[str, tuple[str, int, int, int, dict[str, int]]] = {
    "divide error": ("31c9 f7f1", 0, vector(0), 2, {"cx": 0}),
    "INT1": ("f1", 1, vector(1), 1, {}),
    "breakpoint": ("90 cc", 3, vector(3), 1, {}),
    "bound": ("b8ffffff7f 620424", 5, vector(5), 5, {"ax": 0x7FFFFFFF}),
    "invalid opcode": ("0f0b", 6, vector(6), 0, {}),
    "protection": ("f4", 13, 0, 0, {}),
    "a gate of the kernel's": ("cd04", 13, 0x22, 0, {}),
    "read fault": ("a100000070", 14, 4, 0, {}),
    "write fault": ("a300000070", 14, 6, 0, {}),
    "write to text": ("a300100000", 14, 7, 0, {}),
    "coprocessor error": ("dbe3 687b030000 d92c24 58 d9e8 d9ee def9 9b", 16, vector(16), 17, {"ax": 0x37B}),
    "system call": ("b8ff000000 cd40", 64, vector(64), 7, {"ax": 0xFFFFFFFF}),
    "alarm while computing": ("ebfe", 32, vector(32), 0, {}),
}
FAULTS = (0, 5, 6, 13, 14, 16)
CALL = "cd40"


def code(trap: str, alarm: bool) -> tuple[bytes, int]:
    """A program that has a handler write its Ureg to descriptor 1; where the trap's code is."""

    def build(handler: int) -> tuple[bytes, int]:
        b = bytes.fromhex("68") + struct.pack("<I", handler) + bytes.fromhex("6a00 b81c000000" + CALL)  # notify
        if alarm:
            b += bytes.fromhex("6a32 6a00 b806000000" + CALL)  # alarm(50)
        b += bytes.fromhex("83ec40" + LOAD)
        at = START + len(b)
        b += bytes.fromhex(trap) + bytes.fromhex("ebfe")
        h = len(b)
        # handler: pwrite(1, ureg, 76, -1); exits(nil)
        b += bytes.fromhex("8b442404 6aff 6aff 6a4c 50 6a01 6a00 b833000000" + CALL + "6a00 6a00 b808000000" + CALL)
        return b, at if handler else h

    h = build(0)[1]
    return build(START + h)


@pytest.mark.parametrize("name", TRAPS)
def test_every_word(tmp_path: Path, name: str) -> None:
    trap, no, ecode, offset, differ = TRAPS[name]
    b, at = code(trap, no == 32)
    r = machinecode(tmp_path, b)
    assert r.outcome.exits == "", r.stderr
    got = dict(zip(NAMES, struct.unpack("<19I", r.stdout.encode("utf-8", "surrogateescape")), strict=True))
    flags, usp = got.pop("flags"), got.pop("usp")
    assert got == SAVED | differ | {
        "nsp": 0, "gs": 0, "fs": 0, "es": 0x1B, "ds": 0x1B, "trap": no, "ecode": ecode, "pc": at + offset,
        "cs": 0x23, "ss": 0x1B,
    }  # fmt: skip
    assert flags & 0x10000 == (0x10000 if no in FAULTS else 0)
    assert flags & ~0x10CD5 == 0x202
    assert USTKTOP - 4096 < usp < USTKTOP
