"""emu.program.gopclntab: the line table of Go's linker; damaged ones tell nothing."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.program.aout import load
from emu.program.gopclntab import MAGIC
from emu.program.lines import Lines, Place
from tests.emu.program.test_aout import image, symtab

TEXT = 0x1020
CODE = 64  # bytes of code, two functions of 16 and 20 in them
FILES = b"?\0/src/a.go\0/src/b.go\0"


def table(**words: int) -> bytes:
    """Two functions, f from 0 and g from 16 to 36, with their lines and files; words overrule the header."""
    units = struct.pack("<4I", 0, 0, FILES.index(b"/src/a"), FILES.index(b"/src/b"))
    # file 0 of f's unit, which begins at 2; g has it for 10 bytes, then file 1
    lines = bytes([2 * 8, 6, 2 * 200 & 0x7F | 0x80, 2 * 200 >> 7, 10, 0])  # 7 for 6 bytes, 207 for 10
    fileone = bytes([2, 16, 0])
    linesg = bytes([2 * 51, 10, 2 * 20 - 1, 10, 0])  # 50, then 30
    filesg = bytes([2, 10, 2, 10, 0])
    pcs = b"\0" + lines + fileone + linesg + filesg
    at = [1, 1 + len(lines), 1 + len(lines + fileone), 1 + len(lines + fileone + linesg)]
    functions = struct.pack("<5I", 0, 20, 16, 56, 36)
    functions += struct.pack("<9I", 0, 0, 0, 0, 0, at[1], at[0], 0, 2)
    functions += struct.pack("<9I", 16, 0, 0, 0, 0, at[3], at[2], 0, 2)
    parts = {"units": units, "files": FILES, "pcs": pcs, "functions": functions}
    header = {"count": 2, "nfiles": 2, "start": 0, "names": 0}
    end = 40
    for name, part in parts.items():
        header[name] = end
        end += len(part)
    header |= words
    return MAGIC + struct.pack("<8I", *header.values()) + b"".join(parts.values())


def program(path: Path, pclntab: bytes) -> Lines:
    syms = [(TEXT, "T", b"runtime.text\0"), (TEXT + CODE, "D", b"runtime.pclntab\0")]
    syms += [(TEXT + CODE + len(pclntab), "D", b"runtime.epclntab\0")]
    path.write_bytes(image(b"\x90" * CODE + pclntab, syms=symtab(syms)))
    return Lines(load(str(path)))


def test_frames(tmp_path: Path) -> None:
    """A record without a table of frames has none; then one that has."""
    lines = program(tmp_path / "prog", table())
    assert [lines.frame(TEXT + i) for i in (0, 16, 36)] == [None, None, None]
    record = table().index(struct.pack("<9I", 16, 0, 0, 0, 0, 15, 10, 0, 2))
    damaged = bytearray(table())
    damaged[record + 16 : record + 20] = struct.pack("<I", 10)  # its lines are taken for the frames of g
    lines = program(tmp_path / "prog", bytes(damaged))
    assert [lines.frame(TEXT + i) for i in (16, 26, 35, 36)] == [50, 30, 30, None]


def test_lines(tmp_path: Path) -> None:
    lines = program(tmp_path / "prog", table())
    a, b = "/src/a.go", "/src/b.go"
    assert [lines.at(TEXT + i) for i in (-1, 0, 5, 6, 15)] == [
        None, Place(a, 7), Place(a, 7), Place(a, 207), Place(a, 207)
    ]  # fmt: skip
    assert [lines.at(TEXT + i) for i in (16, 25, 26, 35, 36)] == [
        Place(a, 50), Place(a, 50), Place(b, 30), Place(b, 30), None
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["count", "units", "files", "pcs", "functions"])
@pytest.mark.parametrize("value", [0xFFFFFFFF, 0x7FFFFFFF, 150])
def test_a_header_that_is_wrong(tmp_path: Path, word: str, value: int) -> None:
    lines = program(tmp_path / "prog", table(**{word: value}))
    for i in range(40):
        place = lines.at(TEXT + i)
        assert place is None or value == 150 or word == "count"


def test_tables_of_other_versions_and_no_table(tmp_path: Path) -> None:
    assert program(tmp_path / "old", b"\xf0" + table()[1:]).at(TEXT) is None
    assert program(tmp_path / "short", table()[:20]).at(TEXT) is None
    assert program(tmp_path / "none", b"").at(TEXT) is None


@given(st.integers(8, 230), st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_without_an_exception(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    good = table()
    lines = program(tmp_path_factory.mktemp("go") / "prog", good[:at] + noise + good[at + len(noise) :])
    for i in range(40):
        lines.at(TEXT + i)
