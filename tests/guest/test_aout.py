"""guest.aout: the file it writes, what it reads back, what it refuses."""

import struct

import pytest

from guest.aout import (
    HEADER,
    MAGIC,
    TEXTBASE,
    Aout,
    FormatError,
    Symbol,
    fromelf,
    packsymbols,
    unpacksymbols,
)

SYMBOLS = (
    Symbol(0x1020, "_start", "T"),
    Symbol(0x1024, "läßt", "t"),
    Symbol(0x2000, "x", "D"),
    Symbol(0x2004, "", "b"),
)


def test_header_is_eight_big_endian_words() -> None:
    image = Aout(b"\x90" * 5, b"data", 7, 0x1021, SYMBOLS).pack()
    syms = packsymbols(SYMBOLS)
    assert image[:4] == b"\x00\x00\x01\xeb"
    assert HEADER.unpack_from(image) == (MAGIC, 5, 4, 7, len(syms), 0x1021, 0, 0)
    assert image[32:] == b"\x90" * 5 + b"data" + syms


def test_what_is_packed_is_unpacked() -> None:
    program = Aout(b"\x90" * 5000, b"d" * 10, 100, 0x1500, SYMBOLS)
    assert Aout.unpack(program.pack()) == program


def test_data_begin_at_the_page_behind_the_text() -> None:
    assert Aout(b"", b"", 0, 0).database == 0x2000
    assert Aout(bytes(0x2000 - TEXTBASE), b"", 0, 0).database == 0x2000
    assert Aout(bytes(0x2001 - TEXTBASE), b"", 0, 0).database == 0x3000
    assert Aout(b"", b"abc", 5, 0).end == 0x2008


def test_symbol_is_value_type_name() -> None:
    assert packsymbols((Symbol(0x12345678, "ab", "T"),)) == b"\x12\x34\x56\x78\xd4ab\0"
    assert unpacksymbols(packsymbols(SYMBOLS)) == SYMBOLS
    assert unpacksymbols(b"") == ()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"\0\0\0\0\xd4ab", "ends inside"),
        (b"\0\0\0", "ends inside"),
        (b"\0\0\0\0\x54ab\0", "without its high bit"),
    ],
)
def test_bad_symbol_table(table: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        unpacksymbols(table)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "shorter than an a.out header"),
        (HEADER.pack(MAGIC + 1, 0, 0, 0, 0, 0, 0, 0), "magic"),
        (HEADER.pack(MAGIC, 1, 0, 0, 0, 0x1020, 0, 0), "shorter than its header says"),
        (HEADER.pack(MAGIC, 1, 0, 0, 0, 0x1021, 0, 0) + b"\x90", "outside the text"),
        (HEADER.pack(MAGIC, 1, 0, 0, 0, 0x101F, 0, 0) + b"\x90", "outside the text"),
    ],
)
def test_bad_file(image: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Aout.unpack(image)


# A linked program, as ELF: sections are (name, type, flags, address, body or size)
PROGBITS, SYMTAB, STRTAB, NOBITS = 1, 2, 3, 8
ALLOC = 2
Section = tuple[str, int, int, int, bytes]


def elf(sections: list[Section], labels: list[tuple[str, int, int, int]], entry: int = TEXTBASE) -> bytes:
    """labels are (name, value, info, index of section)."""
    strings, syms = b"\0", bytes(16)
    for name, value, info, index in labels:
        syms += struct.pack("<IIIBBH", len(strings), value, 0, info, 0, index)
        strings += name.encode() + b"\0"
    every = [("", 0, 0, 0, b""), *sections]
    every += [(".symtab", SYMTAB, 0, 0, syms), (".strtab", STRTAB, 0, 0, strings)]
    names = b"".join(s[0].encode() + b"\0" for s in every) + b".shstrtab\0"
    every.append((".shstrtab", STRTAB, 0, 0, names))
    body, heads = b"", b""
    for name, kind, flags, addr, content in every:
        at = 0 if not name else names.index(name.encode() + b"\0")
        link = len(every) - 2 if kind == SYMTAB else 0
        heads += struct.pack("<10I", at, kind, flags, addr, 52 + len(body), len(content), link, 0, 0, 0)
        body += b"" if kind == NOBITS else content
    n = len(every)
    head = (b"\x7fELF\1\1\1", 2, 3, 1, entry, 0, 52 + len(body), 0, 52, 0, 0, 40, n, n - 1)
    ehdr = struct.pack("<16sHHIIIIIHHHHHH", *head)
    return ehdr + body + heads


TEXT: Section = (".text", PROGBITS, ALLOC, TEXTBASE, b"\x90" * 16)
DATA: Section = (".data", PROGBITS, ALLOC, 0x2000, b"data")


def test_elf_sections_become_segments() -> None:
    program = fromelf(elf([TEXT, DATA, (".bss", NOBITS, ALLOC, 0x2008, bytes(8))], [], entry=0x1024))
    assert (program.text, program.data, program.entry) == (TEXT[4], b"data", 0x1024)
    assert program.bss == 12  # the gap between data and bss counts as bss
    assert program.end == 0x2010


def test_pages_of_code_and_bss_have_sections_of_their_own() -> None:
    pages: Section = (".codepages", PROGBITS, ALLOC, 0x2000, b"\xc3" * 4096)
    area: Section = (".bsspages", NOBITS, ALLOC, 0x4000, bytes(8192))
    program = fromelf(elf([TEXT, pages, (".bss", NOBITS, ALLOC, 0x3000, bytes(4)), area], []))
    assert program.text == TEXT[4] + bytes(0x2000 - TEXTBASE - 16) + pages[4]
    assert (program.database, program.data, program.end) == (0x3000, b"", 0x6000)


def test_labels_become_symbols_and_debug_does_not() -> None:
    labels = [
        ("z", 0x1028, 0x12, 1),  # global function
        ("a", 0x1024, 0x02, 1),  # local function
        ("d", 0x2000, 0x11, 2),
        ("label", 0x1030, 0x10, 1),
        ("file.c", 0, 0x04, 0xFFF1),
        ("absolute", 5, 0x10, 0xFFF1),
        ("", 0x1020, 0x03, 1),
        ("section", 0x1020, 0x03, 1),
        ("debug", 0, 0x00, 3),
    ]
    program = fromelf(elf([TEXT, DATA, (".debug_info", PROGBITS, 0, 0, b"debug")], labels))
    assert program.symbols == (
        Symbol(0x1024, "a", "t"),
        Symbol(0x1028, "z", "T"),
        Symbol(0x1030, "label", "T"),
        Symbol(0x2000, "d", "D"),
    )
    assert b"debug" not in program.pack()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "not a little-endian"),
        (b"\x7fELF\x02\x01" + bytes(60), "not a little-endian"),
        (elf([(".text", PROGBITS, ALLOC, 0x2000, b"\x90")], []), ".text at 0x2000 instead of 0x1020"),
        (elf([TEXT, (".data", PROGBITS, ALLOC, 0x3000, b"x")], []), ".data at 0x3000 instead of 0x2000"),
        (elf([TEXT, (".codepages", PROGBITS, ALLOC, 0x1022, b"x")], []), ".codepages at 0x1022"),
        (elf([TEXT, (".got", PROGBITS, ALLOC, 0x2000, b"x")], []), "section .got has no place"),
    ],
)
def test_elf_that_does_not_fit(image: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        fromelf(image)
