"""emu.program.elf, emu.program.dwarf: what another reader of ELF and DWARF finds in the files."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from emu.program.aout import HDRSIZE, load
from emu.program.dwarf import sleb, uleb
from emu.program.elf import elf
from emu.program.find import resolve
from emu.program.lines import Lines, Place
from guest.cc import compile
from tests.emu.program.test_aout import image, symtab
from tests.emu.program.test_gopclntab import program, table

DEEP = Path(__file__).parents[3] / "guest" / "examples" / "deep.c"


def read(path: str) -> Any:
    return ELFFile(io.BytesIO(elf(load(path))))


def rows(file: Any) -> dict[int, Place]:
    """The line table: where each row begins."""
    out = {}
    for unit in file.get_dwarf_info().iter_CUs():
        lines = file.get_dwarf_info().line_program_for_CU(unit)
        names = lines["file_entry"]
        for entry in lines.get_entries():
            state = entry.state
            if state is not None and not state.end_sequence and state.line:
                out[state.address] = Place(names[state.file - 1].name.decode(), state.line)
    return out


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program of our own compiler's."""
    out = tmp_path_factory.mktemp("deep") / "deep"
    out.write_bytes(compile([DEEP]).image)
    return str(out)


def test_segments_are_where_they_are_in_the_guest() -> None:
    path = resolve("cow")
    aout = load(path)
    text, data, bss, _ = aout.segments
    file = read(path)
    code, rest = file.iter_segments()
    assert (code["p_vaddr"], code["p_memsz"]) == (text.base + HDRSIZE, aout.text)
    assert code.data() == Path(path).read_bytes()[HDRSIZE : HDRSIZE + aout.text]
    assert (rest["p_vaddr"], rest["p_filesz"], rest["p_memsz"]) == (data.base, aout.data, aout.data + aout.bss)
    assert rest.data() == aout.contents(data)
    assert all(s["p_offset"] % 4096 == s["p_vaddr"] % 4096 for s in (code, rest))
    assert file["e_entry"] == aout.entry
    assert bss.base >= data.base


def test_symbols_have_sizes_and_sections() -> None:
    path = resolve("cow")
    table = read(path).get_section_by_name(".symtab")
    (main,) = table.get_symbol_by_name("main")
    (area,) = table.get_symbol_by_name("area")
    functions = {s.name: s.value for s in load(path).functions}
    assert main["st_value"] == functions["main"]
    assert main["st_info"]["type"] == "STT_FUNC" and main["st_info"]["bind"] == "STB_GLOBAL"
    assert main["st_value"] + main["st_size"] in {*functions.values(), load(path).textend}
    assert area["st_info"]["type"] == "STT_OBJECT" and area["st_size"] >= 16384 * 4096
    local = [s["st_info"]["bind"] == "STB_LOCAL" for s in table.iter_symbols()]
    assert local == sorted(local, reverse=True) and sum(local) == table["sh_info"]


def test_lines_are_those_of_the_program_s_own_table(deep: str) -> None:
    aout = load(deep)
    lines = Lines(aout)
    found = rows(read(deep))
    assert found and all(lines.at(pc) == place for pc, place in found.items())
    starts = sorted(found)
    for pc in range(aout.segments[0].base + HDRSIZE, aout.textend):
        place = lines.at(pc)
        if place is not None:
            assert found[max(s for s in starts if s <= pc)] == place


def test_frames_are_those_of_the_program_s_own_table(deep: str) -> None:
    lines = Lines(load(deep))
    n = 0
    for entry in read(deep).get_dwarf_info().CFI_entries():
        if not hasattr(entry, "cie") or entry.cie is None:
            continue
        for row in entry.get_decoded().table:
            frame = lines.frame(row["pc"])
            if frame is not None:
                assert row["cfa"].reg == 4 and row["cfa"].offset == frame + 4
                n += 1
    assert n > 5


def test_functions_are_told(deep: str) -> None:
    (unit,) = read(deep).get_dwarf_info().iter_CUs()
    names = [d.attributes["DW_AT_name"].value for d in unit.get_top_DIE().iter_children()]
    assert {b"main", b"middle", b"leaf"} <= set(names)


def test_a_program_of_go_s(tmp_path: Path) -> None:
    lines = program(tmp_path / "prog", table())
    found = rows(read(str(tmp_path / "prog")))
    assert found and all(lines.at(pc) == place for pc, place in found.items())
    assert {p.file for p in found.values()} == {"/src/a.go", "/src/b.go"}


def test_a_program_of_8l_s(tmp_path: Path) -> None:
    """Its frames are told by symbols, and hold from a function's second byte on."""
    syms = [(0x1020, "T", b"f\0"), (12, "m", b".frame\0"), (0x1030, "T", b"g\0"), (4, "m", b".frame\0")]
    (tmp_path / "prog").write_bytes(image(b"\x90" * 64, syms=symtab(syms)))
    assert list(Lines(load(str(tmp_path / "prog"))).frames()) == [(0x1020, 0), (0x1021, 8), (0x1030, 0), (0x1031, 0)]


def test_a_program_that_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "prog").write_bytes(image(b"\x90" * 64))
    file = read(str(tmp_path / "prog"))
    assert [s.name for s in file.iter_sections() if s.name.startswith(".debug")] == []
    assert file.get_section_by_name(".text").data() == b"\x90" * 64


@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.sampled_from("TtDdBbzZfmap"), st.binary(max_size=12))))
def test_odd_symbols_make_a_sound_file(syms: list[tuple[int, str, bytes]]) -> None:
    table = [(v, t, n.replace(b"\0", b"") + b"\0") for v, t, n in syms]
    with tempfile.NamedTemporaryFile() as f:
        f.write(image(b"\x90" * 64, data=b"x" * 8, syms=symtab(table)))
        f.flush()
        file = read(f.name)
        assert sum(1 for _ in file.get_section_by_name(".symtab").iter_symbols()) >= 1
        rows(file)


@pytest.mark.parametrize(
    ("n", "unsigned", "signed"),
    [(2, "02", "02"), (127, "7f", "ff00"), (128, "8001", "8001"), (-2, "", "7e"), (-129, "", "ff7e"), (0, "00", "00")],
)
def test_numbers(n: int, unsigned: str, signed: str) -> None:
    """The examples of the standard, DWARF 4, 7.6."""
    assert sleb(n).hex() == signed
    assert n < 0 or uleb(n).hex() == unsigned


def test_the_header_is_as_the_abi_has_it(deep: str) -> None:
    made = elf(load(deep))
    assert made[:4] == b"\x7fELF"
    assert struct.unpack_from("<3H", made, 16)[:2] == (2, 3)
