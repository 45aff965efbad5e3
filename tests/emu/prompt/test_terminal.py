"""emu.prompt.terminal and complete: scripts, typed lines, and what may stand where the cursor is."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from emu.prompt.complete import candidates
from emu.prompt.terminal import ScriptError, interactive, script
from kernel.base.event import FaultClass
from tests.emu.prompt.conftest import Start


def test_a_script_is_told_with_what_it_says(debug: Start) -> None:
    out = io.StringIO()
    d = debug("cow", "4")
    script(d, ["# a script\n", "\n", "until fault class=cow-copy\n", "segs 2\n", "quit\n", "bogus\n"], "s", out)
    rows = out.getvalue().splitlines()
    assert rows[0] == "> until fault class=cow-copy"
    assert " cow-copy " in rows[1]
    assert rows[3] == "> segs 2"
    assert rows[-1] == "> quit"
    quiet = io.StringIO()
    script(d, ["segs 2"], "s", quiet, quiet=True)
    assert quiet.getvalue().splitlines() == rows[4:8]


def test_a_script_ends_at_the_first_line_that_cannot_be_done(debug: Start) -> None:
    out = io.StringIO()
    with pytest.raises(ScriptError, match=r"^s:2: there is no command 'bo\\x07gus': help tells"):
        script(debug("cow", "4"), ["where\n", "bo\x07gus\n", "segs\n"], "s", out)
    assert "segs" not in out.getvalue()


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> list[str]:
    """What is typed, line by line; the prompts that are shown come into the list."""
    prompts: list[str] = []
    rest: Iterator[str | type[BaseException]] = iter(lines)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        line = next(rest)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setenv("COLUMNS", "80")  # and not the function that tells it: pytest asks that too, meanwhile
    return prompts


def test_lines_are_asked_for_until_the_end_is_typed(debug: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = typed(monkeypatch, "bogus", KeyboardInterrupt, "u fault class=cow-copy", "why", "", "locks", EOFError)
    out = io.StringIO()
    interactive(debug("cow", "4"), out)
    rows = out.getvalue().splitlines()
    assert rows[0].startswith("The command help tells all commands")
    assert "there is no command 'bogus': help tells which there are" in rows
    assert all(len(row) < 80 for row in rows)
    assert prompts[0] == prompts[1] == prompts[2] == "39> "
    assert prompts[3] == prompts[4] != "39> "
    assert rows[-1] == ""


def test_quit_ends(debug: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = typed(monkeypatch, "quit", "where")
    interactive(debug("cow", "4"), io.StringIO())
    assert len(prompts) == 1


@pytest.mark.parametrize(
    ("before", "word", "some"),
    [
        ("", "un", {"until "}),
        ("help ", "wh", {"why", "where"}),
        ("until ", "fa", {"fault"}),
        ("until fault ", "cl", {"class="}),
        ("until fault:", "cl", {"class="}),
        ("until fault class=", "cow", {"cow-copy", "cow-reuse"}),
        ("until fault class=remap|", "cow", {"cow-copy", "cow-reuse"}),
        ("until fault class=remap,", "seg", {"segment="}),
        ("goto page op=", "swap-i", {"swap-in"}),
        ("segs ", "", {"2"}),
        ("why 0x3000 ", "", {"2"}),
        ("step ", "", set()),
        ("until fault nosuch=", "", set()),
        ("bogus ", "", set()),
    ],
)
def test_what_may_stand_there(debug: Start, before: str, word: str, some: set[str]) -> None:
    assert set(candidates(debug("cow", "4"), before, word)) == some


def test_all_classes_are_offered(debug: Start) -> None:
    assert set(candidates(debug("cow", "4"), "back fault class=", "")) == set(FaultClass.__args__)  # type: ignore[attr-defined]
