"""The catalogue, the sources and the binaries say the same."""

import re
from pathlib import Path

import pytest

import guest
from guest.aout import Aout
from guest.build import BIN, SRC, sources
from guest.catalog import CATALOG, Guest

NAMES = [g.name for g in CATALOG]


def test_every_binary_has_a_row_and_every_row_a_binary() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(NAMES) == sorted(p.name for p in BIN.iterdir())


def test_every_source_belongs_to_a_program() -> None:
    assert {p.stem for p in SRC.iterdir() if p.suffix != ".h"} == set(NAMES)


@pytest.mark.parametrize("row", CATALOG, ids=NAMES)
def test_row(row: Guest) -> None:
    assert row.synopsis.split()[0] == row.name
    assert row.description
    assert "\n" not in row.description
    # the source opens with the same synopsis, or with what the program does if it takes no arguments
    opening = sources(row.name)[0].read_text(encoding="utf-8").split("*/")[0]
    words = re.sub(r"\s+", " ", opening.replace("*", " ").replace("/", " ")).strip()
    assert words.startswith(row.synopsis.replace("/", " ")), f"{row.name}: {words[:60]}"


@pytest.mark.parametrize("name", NAMES)
def test_binary(name: str) -> None:
    path = Path(guest.path(name))
    assert path.name == name
    assert path.stat().st_mode & 0o111
    program = Aout.unpack(path.read_bytes())
    symbols = {s.name: s for s in program.symbols}
    assert symbols["_start"].value == program.entry
    assert symbols["etext"].value == 0x1020 + len(program.text)
    assert symbols["edata"].value == program.database + len(program.data)
    assert symbols["end"].value == program.end
    assert list(program.symbols) == sorted(program.symbols)
    if len(program.text) + len(program.data) < 1 << 20:
        assert path.stat().st_size < 64 * 1024


def test_guests_is_the_catalogue() -> None:
    assert guest.guests() == list(CATALOG)


def test_no_such_guest() -> None:
    with pytest.raises(KeyError):
        guest.path("../build.py")
