"""emu.program.lines: from an address to file, line and frame, as libmach finds them; damaged tables tell nothing."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.program.aout import MAXTABLE, load
from emu.program.lines import LONGNAME, Lines, Place
from tests.emu.program.test_aout import image, symtab

CODE = b"\x90" * 40
TEXT = 0x1020
MINUS1 = 0xFFFFFFFF


def name(*parts: int) -> bytes:
    """The name of a z symbol."""
    return b"\0" + b"".join(struct.pack(">H", p) for p in parts) + b"\0\0"


NAMES = [
    (n, "f", text.encode() + b"\0") for n, text in enumerate(["/", "sys", "a.c", "b.h", "c.h", "..", "."], start=1)
]
# Lines of the count: a.c 1 to 4, b.h from 4 (its lines 1 to 2), c.h within it from 6 to 9, b.h again to 12, a.c again;
# then #line 100 of /sys/c.h at 15.
HISTORY = [
    (1, "z", name(3)),
    (4, "z", name(4)),
    (6, "z", name(5)),
    (9, "z", name()),
    (12, "z", name()),
    (15, "z", name(1, 2, 5)),
    (100, "Z", name(1, 2, 5)),
    (30, "z", name()),
]
FOUND = {
    1: ("a.c", 1),
    4: ("a.c", 4),
    5: ("b.h", 2),
    6: ("b.h", 3),
    7: ("c.h", 2),
    9: ("c.h", 4),
    10: ("b.h", 4),
    12: ("b.h", 6),
    13: ("a.c", 5),
    15: ("a.c", 7),
    16: ("/sys/c.h", 101),
    30: ("/sys/c.h", 115),
}


def program(
    tmp_path: Path,
    syms: list[tuple[int, str, bytes]],
    pctable: bytes = b"",
    sptable: bytes = b"",
    claim: dict[str, int] | None = None,
) -> Lines:
    """The lines of a program with these symbols and tables; claim overrules their sizes in the header."""
    claim = claim or {}
    path = tmp_path / "prog"
    spsz, pcsz = claim.get("spsz", len(sptable)), claim.get("pcsz", len(pctable))
    path.write_bytes(image(CODE, syms=symtab(syms), spsz=spsz, pcsz=pcsz) + sptable + pctable)
    return Lines(load(str(path)))


def steps(numbers: list[int]) -> bytes:
    """A table that gives the n-th byte of text the n-th of these line numbers; each differs from the one before."""
    out, value = b"", 0
    for n in numbers:
        out += b"\0" + (n - value & MINUS1).to_bytes(4, "big")
        value = n
    return out + b"\x81"


def test_history(tmp_path: Path) -> None:
    lines = program(tmp_path, [*NAMES, *HISTORY, (TEXT, "T", b"f\0")], steps(list(FOUND)))
    assert [lines.at(TEXT + i) for i in range(len(FOUND))] == [Place(*p) for p in FOUND.values()]
    assert lines.at(TEXT + len(FOUND)) is None, "the table has ended"
    assert lines.at(TEXT - 1) is None


def test_lines_behind_the_history_are_nowhere(tmp_path: Path) -> None:
    lines = program(tmp_path, [*NAMES, *HISTORY, (TEXT, "T", b"f\0")], steps([31, 1, 0, 2]))
    assert [lines.at(TEXT + i) for i in range(4)] == [None, Place("a.c", 1), None, Place("a.c", 2)]


def test_each_file_has_its_history(tmp_path: Path) -> None:
    """By the address of its first function, whatever the order in the table."""
    second = [(1, "z", name(1, 2, 6, 7, 4)), (9, "z", name())]
    syms = [*second, (TEXT + 2, "T", b"g\0"), *HISTORY, (TEXT, "t", b"f\0"), *NAMES]
    lines = program(tmp_path, syms, steps([3, 2, 3, 2]))
    assert [lines.at(TEXT + i) for i in range(4)] == [
        Place("a.c", 3),
        Place("a.c", 2),
        Place("/b.h", 3),
        Place("/b.h", 2),
    ]


def test_steps_of_every_kind(tmp_path: Path) -> None:
    """5 up, on by 3, 2 down, on by 1."""
    syms = [*NAMES, *HISTORY, (TEXT, "T", b"f\0")]
    lines = program(tmp_path, syms, bytes([4, 131, 64 + 2, 129, 129]))
    assert [p.line if (p := lines.at(TEXT + i)) else None for i in range(7)] == [4, 4, 4, 4, 2, 2, None]


def test_frames_of_8l_are_symbols(tmp_path: Path) -> None:
    syms = [(TEXT, "T", b"f\0"), (12, "m", b".frame\0"), (TEXT + 8, "T", b"g\0"), (4, "f", b".frame\0")]
    syms += [(TEXT + 16, "T", b"h\0")]
    lines = program(tmp_path, syms)
    assert [lines.frame(TEXT + i) for i in (-1, 0, 1, 7, 8, 9, 17, 40)] == [None, 0, 8, 8, 0, 0, None, None]


def test_frames_of_a_table(tmp_path: Path) -> None:
    lines = program(tmp_path, [(TEXT, "T", b"f\0")], sptable=bytes([129, 2, 0, 0, 0, 0, 3, 64 + 1, 129, 129]))
    assert [lines.frame(TEXT + i) for i in range(5)] == [0, 8, 11, 7, 7]


@pytest.mark.parametrize(
    ("syms", "table", "claim"),
    [
        ([*NAMES, *HISTORY], steps([2]), {}),  # no function
        ([*HISTORY, (TEXT, "T", b"f\0")], steps([2]), {}),  # no names
        ([*NAMES, (TEXT, "T", b"f\0")], steps([2]), {}),  # no history
        ([*NAMES, (4, "z", name(3)), (TEXT, "T", b"f\0")], steps([2]), {}),  # one that does not begin
        ([*NAMES, (1, "z", name(3)), (TEXT, "T", b"f\0")], steps([2]), {}),  # one that does not end
        ([*NAMES, (1, "z", name()), (9, "z", name()), (TEXT, "T", b"f\0")], steps([2]), {}),  # an end first
        ([*NAMES, *HISTORY, (TEXT, "T", b"f\0")], b"", {"pcsz": 1 << 31}),
        ([*NAMES, *HISTORY, (TEXT, "T", b"f\0")], b"\0\0", {}),
        ([*NAMES, *HISTORY, (TEXT, "T", b"f\0")], steps([-5 & MINUS1]), {}),
        ([*NAMES, *HISTORY, (TEXT, "T", b"f\0")], steps([2]), {"spsz": MINUS1}),
    ],
)
def test_damage_tells_nothing(
    tmp_path: Path, syms: list[tuple[int, str, bytes]], table: bytes, claim: dict[str, int]
) -> None:
    assert program(tmp_path, syms, table, claim=claim).at(TEXT) is None


def test_a_long_path_is_cut(tmp_path: Path) -> None:
    syms = [(1, "f", b"x" * 5000 + b"\0"), (1, "z", name(*[1] * 10000)), (9, "z", name()), (TEXT, "T", b"f\0")]
    assert program(tmp_path, syms, steps([2])).at(TEXT) == Place("x" * LONGNAME, 2)


def test_files_within_files_without_end(tmp_path: Path) -> None:
    """As deep as a table can claim; the includers are found again on the way back."""
    n = 50_000
    deep = [(1 + i, "z", name(3)) for i in range(n)] + [(n + 1 + i, "z", name()) for i in range(n)]
    lines = program(tmp_path, [*NAMES, *deep, (TEXT, "T", b"f\0")], steps([n, 2 * n]))
    assert lines.at(TEXT) == Place("a.c", 2)
    assert lines.at(TEXT + 1) == Place("a.c", 3)


def test_a_table_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "prog"
    path.write_bytes(image(CODE, syms=symtab([*NAMES, *HISTORY, (TEXT, "T", b"f\0")]), pcsz=1 << 31))
    with open(path, "r+b") as f:
        f.truncate(1 << 31)
    a = load(str(path))
    assert len(a.pctable()) == MAXTABLE
    assert Lines(a).at(TEXT) is None


@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=100))
def test_any_bytes_are_read_without_an_exception(
    tmp_path_factory: pytest.TempPathFactory, syms: bytes, sptable: bytes, pctable: bytes
) -> None:
    path = tmp_path_factory.mktemp("lines") / "prog"
    table = symtab([*NAMES, *HISTORY, (TEXT, "T", b"f\0")]) + syms
    path.write_bytes(image(CODE, syms=table, spsz=len(sptable), pcsz=len(pctable)) + sptable + pctable)
    lines = Lines(load(str(path)))
    for pc in range(TEXT - 2, TEXT + 45):
        lines.at(pc)
        lines.frame(pc)
