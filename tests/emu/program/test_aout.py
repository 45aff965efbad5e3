"""emu.program.aout and emu.program.disasm: Plan 9 executables are read, and everything else is refused in one line."""

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.program.aout import I_MAGIC, OTHERS, AoutError, load, script
from emu.program.disasm import instruction, listing

# _main: call f; hlt.  f: mov eax, 8; int 0x40; ret
CODE = bytes.fromhex("e801000000f4b808000000cd40c3")
SYMS = [
    (0x1020, "T", b"_main\0"),
    (0x1026, "t", b"f\0"),
    (0, "z", b"\0\0\1\0\2\0\0"),
    (0x2000, "D", b"table\0"),
    (0x1026, "T", b"alias\0"),
    (4, "a", b"argc\0"),
]


def symtab(syms: list[tuple[int, str, bytes]]) -> bytes:
    return b"".join(struct.pack(">IB", value, ord(kind) | 0x80) + name for value, kind, name in syms)


def image(code: bytes = CODE, data: bytes = b"data", syms: bytes | None = None, bss: int = 5000, **claim: int) -> bytes:
    """An executable; ntext, ndata, nsyms, magic and so on overrule words of the header."""
    table = symtab(SYMS) if syms is None else syms
    words = {"magic": I_MAGIC, "ntext": len(code), "ndata": len(data), "bss": bss, "nsyms": len(table)}
    words |= {"entry": 0x1020, "spsz": 0, "pcsz": 0}
    words |= claim
    return struct.pack(">8I", *words.values()) + code + data + table


Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a file; its path."""

    def make(content: bytes, name: str = "prog") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return make


def test_header_and_segments(make: Make) -> None:
    a = load(make(image()))
    assert (a.magic, a.text, a.data, a.bss, a.entry) == (0x1EB, len(CODE), 4, 5000, 0x1020)
    text, data, bss, stack = a.segments
    assert (text.base, text.top, text.start, text.filelen, text.pages) == (0x1000, 0x2000, 0, 32 + len(CODE), 1)
    assert (data.base, data.top, data.start, data.filelen) == (0x2000, 0x3000, 32 + len(CODE), 4)
    assert (bss.base, bss.top, bss.pages) == (0x3000, 0x4000, 1), "bss begins on the page after data"
    assert (stack.base, stack.top) == (0xDEFFF000, 0xDFFFF000)


def test_text_that_fills_its_page_does_not_reach_into_the_next(make: Make) -> None:
    full = load(make(image(code=bytes(0x1000 - 32))))
    assert full.segments[0].top == 0x2000
    more = load(make(image(code=bytes(0x1000 - 31))))
    assert more.segments[0].top == 0x3000


def test_bss_that_fits_in_the_last_page_of_data_has_no_pages(make: Make) -> None:
    assert load(make(image(bss=100))).segments[2].pages == 0


def test_symbols(make: Make) -> None:
    a = load(make(image()))
    assert [(s.value, s.type, s.name) for s in a.symbols] == [
        (0x1020, "T", "_main"),
        (0x1026, "t", "f"),
        (0, "z", ""),
        (0x2000, "D", "table"),
        (0x1026, "T", "alias"),
        (4, "a", "argc"),
    ]
    assert a.symbol(0x1020) == ("_main", 0)
    assert a.symbol(0x1025) == ("_main", 5)
    assert a.symbol(0x1026) == ("f", 0), "of two names of an address the table's first"
    assert a.symbol(0x1026 + 7) == ("f", 7)
    assert a.symbol(0x101F) == ("", 0)
    assert a.symbol(0x1020 + len(CODE)) == ("", 0)
    assert a.symbol(0x2000) == ("", 0)


@pytest.mark.parametrize("cut", [1, 3, 30, len(symtab(SYMS))])
def test_a_symbol_table_that_is_cut_short_is_no_error(make: Make, cut: int) -> None:
    a = load(make(image()[:-cut]))
    assert len(a.symbols) < len(SYMS)
    assert a.symbols == load(make(image())).symbols[: len(a.symbols)]


def test_a_table_that_is_claimed_but_not_there(make: Make) -> None:
    assert load(make(image(syms=b"", nsyms=0xFFFFFFFF))).symbols == ()


def test_damaged_symbols_end_the_table(make: Make) -> None:
    a = load(make(image(syms=symtab(SYMS[:1]) + b"\0\0\0\0T" + b"old\0" + symtab(SYMS[1:]))))
    assert [s.name for s in a.symbols] == ["_main"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_symbols_without_an_exception(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("aout") / "prog"
    path.write_bytes(image(syms=noise))
    a = load(str(path))
    assert len(a.symbols) <= len(noise)
    a.symbol(0x1020)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty, not a Plan 9 a.out"),
        (b"\0\0\1\xeb", "is 4 bytes long, shorter than the 32-byte header of an a.out"),
        (b"x", "is 1 byte long, shorter than the 32-byte header of an a.out"),
        (b"\x7fELF" + bytes(60), "is an ELF file, not a Plan 9 a.out"),
        (b"\x7fELF", "is an ELF file, not a Plan 9 a.out"),
        (b"MZ" + bytes(60), "is a PE (Windows or DOS) file, not a Plan 9 a.out"),
        (b"#!/bin/rc\n", "is a #! script, not a Plan 9 a.out"),
        (image(magic=0x647), "is a Plan 9 a.out for ARM; only 386 is emulated"),
        (image(magic=0x8A97), "is a Plan 9 a.out for amd64; only 386 is emulated"),
        (image(magic=0x407), "is a Plan 9 a.out for MIPS (big-endian); only 386 is emulated"),
        (image(magic=0x1EC), "is not a Plan 9 a.out (it begins 0x000001ec, a 386 program 0x000001eb)"),
        (bytes(64), "is not a Plan 9 a.out (it begins 0x00000000, a 386 program 0x000001eb)"),
        (image()[:40], "is cut short: the header claims 14 bytes of text, 8 are there"),
        (image(syms=b"")[:-1], "is cut short: the header claims 4 bytes of data, 3 are there"),
        (
            image(ndata=3 << 30),
            "the header claims 3221225472 bytes of data; a segment holds at most 1984M",
        ),
        (image(bss=0xFFFFFFFF), "the header claims 4294967295 bytes of bss; a segment holds at most 1984M"),
        (
            image(ntext=1900 << 20, ndata=1900 << 20),
            "text, data and bss end at 0xed804000, in the stack, which begins at 0xdefff000",
        ),
        (image(entry=0), "entry 0x0 is outside the text, 0x1020 to 0x102e"),
        (image(entry=0x101F), "entry 0x101f is outside the text, 0x1020 to 0x102e"),
        (image(entry=0x102E), "entry 0x102e is outside the text, 0x1020 to 0x102e"),
        (image(code=b""), "entry 0x1020 is outside the text, 0x1020 to 0x1020"),
    ],
)
def test_refused(make: Make, content: bytes, why: str) -> None:
    path = make(content)
    with pytest.raises(AoutError) as e:
        load(path)
    assert str(e.value) == f"{path}: {why}"
    assert e.value.status == 126


def test_the_largest_addresses_are_accepted_and_not_a_page_more(make: Make) -> None:
    """The last page below the stack stays free, as in sysexec."""
    size = 1900 << 20
    room = 0xDEFFF000 - (0x2000 + size)
    path = make(b"")

    def claim(data: int, bss: int) -> None:
        with open(path, "wb") as f:
            f.write(image(data=b"", syms=b"", ndata=data, bss=bss))
            f.truncate(32 + len(CODE) + data)  # sparse

    claim(size, room - 4096)
    assert load(path).segments[2].top == 0xDEFFE000
    claim(size, room - 4095)
    with pytest.raises(AoutError, match="in the stack"):
        load(path)


def test_magics_are_those_of_the_header() -> None:
    assert I_MAGIC == 0x1EB
    assert OTHERS[0x647] == "ARM"
    assert I_MAGIC not in OTHERS


def test_not_there_is_127(tmp_path: Path) -> None:
    for name in ("nosuch", "a\0b"):
        with pytest.raises(AoutError, match="no such file") as e:
            load(str(tmp_path / name))
        assert e.value.status == 127


def test_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(AoutError, match="is a directory"):
        load(str(tmp_path))
    with pytest.raises(AoutError, match="is not a regular file"):
        load(os.devnull)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(AoutError, match="is not a regular file"):
        load(str(tmp_path / "fifo"))


def test_unreadable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(image())

    def refuse(*_args: object, **_kw: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("builtins.open", refuse)  # permissions would not stop root
    with pytest.raises(AoutError, match="cannot be read: Permission denied"):
        load(path)


def test_a_name_that_is_hostile_stays_on_one_line(make: Make) -> None:
    with pytest.raises(AoutError) as e:
        load(make(b"", "a\nb\x1b[2J"))
    assert str(e.value).endswith("a\\nb\\x1b[2J: is empty, not a Plan 9 a.out")


def test_the_text_shrinks_after_load(make: Make) -> None:
    path = make(image())
    a = load(path)
    os.truncate(path, 40)
    with pytest.raises(AoutError, match="changed while it was read"):
        a.bytes_at(a.entry, 1)
    assert a.symbols == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (image(), None),
        (b"", None),
        (b"#!/bin/rc\necho hello\n", ["/bin/rc"]),
        (b"#! /bin/rc\t-e  \nx", ["/bin/rc", "-e"]),
        (b"#!/bin/rc" + b"x" * 22 + b"\n", ["/bin/rc" + "x" * 22]),
    ],
)
def test_script(make: Make, content: bytes, words: list[str] | None) -> None:
    assert script(make(content)) == words


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"#!/bin/rc" + b"x" * 23 + b"\n", "does not end within 32 bytes"),
        (b"#!/bin/rc", "does not end within 32 bytes"),
        (b"#! \t \n", "names no interpreter"),
    ],
)
def test_script_refused(make: Make, content: bytes, why: str) -> None:
    with pytest.raises(AoutError, match=why):
        script(make(content))


def test_instruction() -> None:
    assert instruction(CODE, 0x1020) == "call 0x1026"
    assert instruction(CODE[5:], 0x1025) == "hlt"
    assert instruction(b"\x0f", 0) == ""
    assert instruction(b"", 0) == ""


def test_listing(make: Make) -> None:
    assert list(listing(load(make(image())))) == [
        "_main:",
        "00001020  e801000000         call    0x1026 <f>",
        "00001025  f4                 hlt",
        "",
        "f:",
        "alias:",
        "00001026  b808000000         mov     eax, 8",
        "0000102b  cd40               int     0x40",
        "0000102d  c3                 ret",
    ]


def test_listing_of_one_function(make: Make) -> None:
    lines = list(listing(load(make(image())), "alias"))
    assert lines[:2] == ["f:", "alias:"]
    assert len(lines) == 5


def test_listing_shows_what_is_no_instruction_and_goes_on(make: Make) -> None:
    lines = list(listing(load(make(image(code=b"\xff\xff\xf4\x0f", syms=b"")))))
    assert ".byte" in lines[0]
    assert "push    esp" in lines[1]
    assert lines[-1].startswith("00001023")


def test_listing_of_a_text_longer_than_a_piece(make: Make) -> None:
    n = 10000
    lines = list(listing(load(make(image(code=b"\xb8\x08\0\0\0" * n, syms=b"")))))
    assert len(lines) == n
    assert lines[-1].startswith(f"{0x1020 + 5 * (n - 1):08x}  b808000000")


@pytest.mark.parametrize(
    ("syms", "name", "why"),
    [
        (None, "nosuch", "no function called nosuch"),
        (None, "table", "table is data, not a function"),
        (b"", "_main", "has no symbol table"),
    ],
)
def test_listing_of_no_function(make: Make, syms: bytes | None, name: str, why: str) -> None:
    path = make(image(syms=syms))
    with pytest.raises(LookupError) as e:
        listing(load(path), name)
    assert e.value.args == (f"{path}: {why}",)
