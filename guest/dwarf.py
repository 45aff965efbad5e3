"""What a linked program's DWARF tells of its text: file and line of an address, and how far the stack has moved.

The reader is pyelftools, which the extra ``guests`` brings along.
"""

import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

ESP: Final = 4  # its number in DWARF (System V ABI, Intel386 supplement)
WORD: Final = 4


@dataclass(frozen=True)
class Row:
    """From ``address`` up to the next row the code is of this line; line 0 is an end."""

    address: int
    path: str
    line: int


@dataclass(frozen=True)
class Unit:
    """What was compiled at once: the source's path, and rows by address, a sequence for each piece of code.

    The last row of a sequence is its end.
    """

    path: str
    sequences: tuple[tuple[Row, ...], ...]

    @property
    def rows(self) -> Iterator[Row]:
        """All rows."""
        return chain.from_iterable(self.sequences)


@dataclass(frozen=True)
class Frame:
    """Code from ``start`` to ``end``: (address, bytes of the stack in use above the return address), by address."""

    start: int
    end: int
    moves: tuple[tuple[int, int], ...]


def read(elf: bytes, base: int, end: int) -> tuple[tuple[Unit, ...], tuple[Frame, ...]]:
    """Units and frames of the text from base to end. Code that was not linked lies elsewhere.

    A function that finds its stack by a frame pointer has no frame.
    """
    from elftools.elf.elffile import ELFFile  # of an extra, and slow to import

    info = ELFFile(io.BytesIO(elf)).get_dwarf_info(follow_links=False)
    return tuple(_units(info, base, end)), tuple(_frames(info, base, end) if info.debug_frame_sec else ())


def result(elf: bytes, function: str) -> tuple[str, str] | None:
    """The source that a function in C is in, and what it returns: "void", "pointer" or "number". None if unknown."""
    from elftools.elf.elffile import ELFFile

    info = ELFFile(io.BytesIO(elf)).get_dwarf_info(follow_links=False)
    for cu in info.iter_CUs():
        top = cu.get_top_DIE()
        for die in top.iter_children():
            name = die.attributes.get("DW_AT_name")
            if die.tag != "DW_TAG_subprogram" or name is None or name.value != function.encode():
                continue
            if "DW_AT_external" not in die.attributes or "DW_AT_low_pc" not in die.attributes:
                continue
            what = "void"
            while "DW_AT_type" in die.attributes:
                die = die.get_DIE_from_attribute("DW_AT_type")
                what = "pointer" if die.tag == "DW_TAG_pointer_type" else "number"
                if what == "pointer":
                    break
            return _clean(top.attributes["DW_AT_name"].value), what
    return None


def _units(info: Any, base: int, end: int) -> Iterator[Unit]:
    for cu in info.iter_CUs():
        program = info.line_program_for_CU(cu)
        if program is None:
            continue
        sequences: list[tuple[Row, ...]] = []
        rows: list[Row] = []
        for entry in program.get_entries():
            s = entry.state
            if s is None:
                continue
            if s.end_sequence:
                rows.append(Row(s.address, "", 0))
            elif s.line:  # what the compiler counts to no line goes with the code before it, as with 8c
                rows.append(Row(s.address, _path(program.header, s.file), s.line))
            if s.end_sequence:
                if base <= rows[0].address and rows[-1].address <= end:
                    sequences.append(tuple(rows))
                rows = []
        if sequences:
            yield Unit(_clean(cu.get_top_DIE().attributes["DW_AT_name"].value), tuple(sequences))


def _path(header: Any, file: int) -> str:
    """The path of a file of a line program (version 4: files and directories count from 1, directory 0 is ".")."""
    entry = header.file_entry[file - 1]
    name = entry.name
    if entry.dir_index:
        name = posixpath.join(header.include_directory[entry.dir_index - 1], name)
    return _clean(name)


def _clean(name: bytes) -> str:
    return posixpath.normpath(name).decode("utf-8", "surrogateescape")


def _frames(info: Any, base: int, end: int) -> Iterator[Frame]:
    for entry in info.CFI_entries():
        if "initial_location" not in entry.header or not base <= entry.header["initial_location"] < end:
            continue  # what frames have in common, or code that was not linked
        start = entry.header["initial_location"]
        rows = [(row["pc"], row["cfa"]) for row in entry.get_decoded().table]
        if all(cfa.reg == ESP for _, cfa in rows):
            moves = tuple((pc, cfa.offset - WORD) for pc, cfa in rows)
            yield Frame(start, start + entry.header["address_range"], moves)
