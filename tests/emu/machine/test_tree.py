"""Which directories of the host are Plan 9 trees, and whose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emu.machine.config import Config, LoadError, Root, Tree
from emu.machine.repeat import commandline
from emu.machine.tree import check, user
from tests.standin import plan9


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plan9(tmp_path / "tree")


def refused(tree: Path) -> str:
    """Why it is no tree."""
    with pytest.raises(LoadError) as e:
        check(str(tree))
    assert e.value.status == 2
    return str(e.value)


def config(tree: Path, name: str | None = None) -> Config:
    return Config(root=Root(str(tree), cow=True), tree=Tree(name))


def test_a_tree_that_cannot_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(str(tree))

    def listdir(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", listdir)
    assert refused(tree) == f"{tree}: Permission denied"


def test_an_rc_that_is_no_file(tree: Path) -> None:
    (tree / "386/bin/rc").unlink()
    os.mkfifo(tree / "386/bin/rc")
    assert refused(tree).endswith("rc: is not a regular file")


def test_links_within_a_tree_are_followed(tree: Path) -> None:
    (tree / "386").rename(tree / "pc")
    (tree / "386").symlink_to("pc")
    check(str(tree))
    (tree / "386").unlink()
    (tree / "386").symlink_to(tree / "pc")  # absolute: the guest would not find it
    assert "leads out of the tree" in refused(tree)


@pytest.mark.parametrize("name", ["386/bin/rc", "rc/lib/rcmain"])
def test_a_file_that_leads_nowhere(tree: Path, name: str) -> None:
    (tree / name).unlink()
    (tree / name).symlink_to("nowhere")
    assert refused(tree) == f"{tree / name}: is a symbolic link that leads nowhere"


def test_a_tree_without_rcmain(tree: Path) -> None:
    (tree / "rc/lib/rcmain").unlink()
    assert refused(tree) == f"{tree}/rc/lib/rcmain: is missing, and rc does nothing without it"


def test_whose_it_is(tree: Path) -> None:
    assert user(config(tree)) == "glenda"
    assert user(config(tree, "bob")) == "bob"
    (tree / "usr/glenda").rename(tree / "usr/g")
    assert user(config(tree)) == "eve"


def test_how_a_run_is_repeated(tree: Path) -> None:
    words = "p9emu run --check"
    assert commandline(config(tree), "date", ["-u"]) == f"{words} --tree {tree} date -u"
    c = Config(root=Root(str(tree), cow=True, changes="c"), tree=Tree("bob"), cwd=None)
    assert commandline(c, "date", []) == f"{words} --tree {tree} --changes c --user bob date"
