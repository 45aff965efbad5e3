"""What is said of a panic is what docs/errata.md has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emu.machine.known import KNOWN, Known, judgement

ROOT = Path(__file__).parents[3]
ROWS = dict(re.findall(r"^\| (\d+[a-z]?) \| (.*) \|$", (ROOT / "docs" / "errata.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("k", KNOWN, ids=lambda k: k.erratum)
def test_it_is_a_row_that_speaks_of_a_panic(k: Known) -> None:
    assert "panic" in ROWS[k.erratum]
    function = re.match(r"\w+", k.pattern)
    assert function is not None
    assert function[0] in ROWS[k.erratum]


def test_the_panic_is_one_that_the_kernel_has() -> None:
    text = "".join(p.read_text() for p in (ROOT / "kernel").rglob("*.py"))
    for k in KNOWN:
        use = re.fullmatch(r"use after free: (\w+) (loads|stores) (\w+)", k.pattern)
        if use is not None:
            function, _, structure = use.groups()
            assert re.search(rf"^ *def {function}\(", text, re.MULTILINE), k.pattern
            assert re.search(rf"^class {structure}\b", text, re.MULTILINE), k.pattern
            assert 'Panic(f"use after free: {f.f_code.co_name} {how} {field}, ' in text
        else:
            assert re.search(r'Panic\(f?"' + k.pattern.removesuffix("<Chan").removesuffix("$"), text), k.pattern


def test_a_commit_that_is_named_is_named_there() -> None:
    for k in KNOWN:
        for commit in re.findall(r"\b[0-9a-f]{9}\b", k.what):
            assert commit in ROWS[k.erratum]


def test_every_row_that_is_a_panic_here_too_is_known() -> None:
    """Rows in whose second column p9emu panics, but for those that no program of a user's comes to."""
    ours = {nr for nr, row in ROWS.items() if "panic" in row.split(" | ")[1]}
    ours |= {nr for nr, row in ROWS.items() if "panic" in row and row.split(" | ")[1].startswith("the same")}
    assert ours - {"33"} == {k.erratum for k in KNOWN}


def test_judgement() -> None:
    assert judgement("panic: cclose <Chan None ref 1>").startswith("erratum 38: ")
    assert judgement("newpage: no progress").startswith("erratum 2: ")
    assert "; or erratum 9: " in judgement("newpage: no progress")
    assert judgement("panic: up changed") == "not in docs/errata.md"
