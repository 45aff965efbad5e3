"""Commands written to control files."""

from __future__ import annotations

import pytest

from kernel.base.error import Error
from kernel.base.mem import s32
from kernel.devices.parse import Cmdtab, atoi, cmderror, getfields, lookupcmd, parsecmd, strtoul, tokenize

TABLE = (Cmdtab("go", 1), Cmdtab("say", 0), Cmdtab("put", 2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", []),
        (b"\n", []),
        (b"go", ["go"]),
        (b"  go\t \r\n now\n", ["go", "now"]),
        (b"say 'two words' x", ["say", "two words", "x"]),
        (b"say it''s", ["say", "its"]),
        (b"say 'it''s'", ["say", "it's"]),
        (b"a'b c'd e", ["ab cd", "e"]),
        (b"say 'open", ["say", "open"]),
        (b"say ''", ["say", ""]),
        (b"go\0 now", ["go"]),
        (b"caf\xc3\xa9 \xff", ["café", "\udcff"]),
    ],
)
def test_words(data: bytes, words: list[str]) -> None:
    assert parsecmd(data) == words


def test_no_more_words_than_asked_for() -> None:
    assert tokenize(b"a b c d", 2) == [b"a", b"b"]


def test_fields() -> None:
    assert getfields("!!a!b c!!d!e!f", 4, "!") == ["a", "b c", "d", "e!f"]
    assert getfields("a!b", 4, "!") == ["a", "b"]
    assert getfields("", 4, "!") == getfields("!!", 4, "!") == []


def test_commands() -> None:
    assert lookupcmd(["go"], TABLE) == "go"
    assert lookupcmd(["say", "a", "b"], TABLE) == "say"
    with pytest.raises(Error, match=r'wrong #args in control message "put"'):
        lookupcmd(["put"], TABLE)
    with pytest.raises(Error, match=r'unknown control message "come \'here now\'"'):
        lookupcmd(["come", "here now"], TABLE)
    with pytest.raises(Error, match="empty control message"):
        lookupcmd([], TABLE)


def test_a_long_command_is_cut_in_its_error() -> None:
    assert len(str(cmderror(["x" * 500], "bad"))) == 128 - 10


@pytest.mark.parametrize(
    ("text", "n"),
    [("", 0), ("x", 0), ("12x", 12), (" \t-3", -3), ("+4", 4), ("- 4", 0), ("007", 7), ("4294967296", 0), ("-", 0)],
)
def test_atoi(text: str, n: int) -> None:
    assert atoi(text) == n


def test_numbers_of_any_length() -> None:
    """Python converts no more than 4300 digits, and the kernel takes as many as are written."""
    assert atoi("9" * 5000) == s32(pow(10, 5000, 1 << 32) - 1 & 0xFFFFFFFF)
    assert strtoul(b"9" * 5000) == strtoul(b"0x" + b"f" * 9000) == 0xFFFFFFFF
    assert strtoul(b"0" * 9000 + b"17") == 15


@pytest.mark.parametrize(("words", "shown"), [
    (["a b" + "x" * 200], "'a b" + "x" * 109 + "'"),
    (["é" * 100], "é" * 57),
    (["x" * 112, "y", "z"], "x" * 112 + " y"),
    (["x" * 114, ""], "x" * 114),
    (["x" * 111, ""], "x" * 111 + " ''"),
])  # fmt: skip
def test_an_error_shows_what_fits_of_the_request(words: list[str], shown: str) -> None:
    assert str(cmderror(words, "s")) == f's "{shown}"'
