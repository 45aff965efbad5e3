"""CONTRIBUTING.md: the rooms that it lists are those there are, and each thing is where it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PLACES = re.findall(r"^\| ([^|]+) \| `([\w/]+\.py):([\w.]+)` \|$", TEXT, re.MULTILINE)
PATHS = sorted(set(re.findall(r"`((?:kernel|emu|guest|tests|docs)/[\w/.]*)[:`]", TEXT)) - {"kernel/devices/devNAME.py"})


def defined(tree: ast.Module, name: str) -> bool:
    """Whether a module, or a class in it, defines the dotted name."""
    body: list[ast.stmt] = tree.body
    for part in name.split("."):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part:
                body = node.body
                break
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(n, ast.Name) and n.id == part for t in targets if t is not None for n in ast.walk(t)):
                body = []
                break
        else:
            return False
    return True


def test_there_are_twenty_things_to_be_found() -> None:
    assert len(PLACES) >= 20


@pytest.mark.parametrize(("what", "path", "name"), PLACES, ids=[p[0] for p in PLACES])
def test_it_is_where_the_map_says(what: str, path: str, name: str) -> None:
    assert defined(ast.parse((ROOT / path).read_text()), name), f"{what}: {path} does not define {name}"


def test_a_name_that_is_not_there_is_noticed() -> None:
    tree = ast.parse("class A:\n    def f(self): ...\nX, Y = 1, 2\n")
    assert defined(tree, "A.f")
    assert defined(tree, "Y")
    assert not defined(tree, "A.g")
    assert not defined(tree, "f")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("package", ["kernel", "emu"])
def test_every_room_is_on_the_map(package: str) -> None:
    rooms = {f"{package}/{p.parent.name}/" for p in (ROOT / package).glob("*/__init__.py")}
    assert rooms
    assert not [room for room in sorted(rooms) if f"`{room}`" not in TEXT]


def test_no_module_is_long() -> None:
    sizes = {
        str(p.relative_to(ROOT)): len(p.read_text().splitlines())
        for package in ("kernel", "emu")
        for p in (ROOT / package).rglob("*.py")
    }
    assert not {path: n for path, n in sizes.items() if n > 600}
