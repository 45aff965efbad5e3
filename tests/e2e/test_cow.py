"""A tree that is shown copied on write: --bind HOST:GUEST:cow, --root DIR:cow, --changes DIR, p9emu changes."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from emu.machine.config import Bind, Root
from tests.e2e.harness import aout, jsontrace, p9emu, run
from tests.kernel.devices.test_overlay_random import snapshot

CREATE, REMOVE, EXITS = 22, 25, 8
TEXT = 0x1020


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of the host."""
    top = tmp_path / "tree"
    (top / "lib").mkdir(parents=True)
    (top / "tmp").mkdir()
    (top / "lib" / "words").write_text("words\n")
    (top / "lib" / "more").write_text("more words\n")
    return top


def program(path: Path, *calls: tuple[int, str]) -> str:
    """A program that creates and removes files, and ends well whatever came of that; its path."""
    names, code = b"", b""
    for nr, name in calls:
        args = (TEXT + len(names), 1, 0o666) if nr == CREATE else (TEXT + len(names),)
        names += os.fsencode(name) + b"\0"
        code += b"".join(b"\x68" + struct.pack("<I", a) for a in args[::-1])
        code += b"\x6a\x00\xb8" + struct.pack("<I", nr) + b"\xcd\x40"
    code += b"\x6a\x00\x6a\x00\xb8" + struct.pack("<I", EXITS) + b"\xcd\x40"
    path.write_bytes(aout(names + code, entry=TEXT + len(names)))
    return str(path)


def good(*args: str) -> str:
    """What the command prints; it ends well."""
    done = p9emu(*args)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_the_hosts_files_stay_as_they_are(tree: Path, tmp_path: Path) -> None:
    before = snapshot(tree)
    p = program(tmp_path / "p", (REMOVE, "/lib/words"), (CREATE, "/lib/more"), (CREATE, "/new"))
    assert good("run", "--root", f"{tree}:cow", p) == ""
    assert good("run", "--root", f"{tree}:cow", "dirs", "/lib") == ""
    assert good("run", "--bind", f"{tree}:/n/x:cow", "dirs", "/n/x/lib") == ""
    assert good("run", "--root", f"{tree}:cow", "cat", "/lib/words", "/lib/more") == "words\nmore words\n"
    assert snapshot(tree) == before


def test_one_tree_in_two_places_has_changes_of_its_own_in_each(tree: Path, tmp_path: Path) -> None:
    p = program(tmp_path / "p", (REMOVE, "/n/a/lib/words"), (CREATE, "/n/b/lib/more"))
    binds = tuple(Bind(str(tree), f"/n/{x}", cow=True) for x in "ab")
    before = snapshot(tree)
    assert run(p, binds=binds).outcome.status == 0
    assert snapshot(tree) == before


def test_changes_are_kept(tree: Path, tmp_path: Path) -> None:
    before = snapshot(tree)
    changes = str(tmp_path / "changes")
    where = ("--root", str(tree), "--changes", changes)
    p = program(tmp_path / "p", (REMOVE, "/lib/words"), (CREATE, "/lib/more"), (CREATE, "/lib/new"))
    assert good("run", *where, p) == ""
    assert good("changes", changes, str(tree)) == "M /lib/more\nA /lib/new\nD /lib/words\n"
    assert good("changes", changes) == "? /lib/more\n? /lib/new\nD /lib/words\n"
    assert json.loads(good("changes", "--format", "json", changes, str(tree))) == {
        "v": 1,
        "changes": [
            {"change": "modified", "path": "/lib/more"},
            {"change": "added", "path": "/lib/new"},
            {"change": "removed", "path": "/lib/words"},
        ],
    }
    assert good("run", "--root", f"{tree}:cow", "--changes", changes, "cat", "/lib/more", "/lib/new") == ""
    done = p9emu("run", *where, "cat", "/lib/words")
    assert (done.returncode, done.stderr) == (1, b"p9emu: cat 2: open: '/lib/words' does not exist\n")
    again = program(tmp_path / "p", (CREATE, "/lib/words"), (REMOVE, "/lib/new"))
    assert good("run", *where, again) == ""
    assert good("changes", changes, str(tree)) == "M /lib/more\nM /lib/words\n"
    assert snapshot(tree) == before


def test_the_roots_own_tmp_is_used(tree: Path, tmp_path: Path) -> None:
    p = program(tmp_path / "p", (CREATE, "/tmp/x"))
    changes = str(tmp_path / "changes")
    assert good("run", "--root", str(tree), "--changes", changes, p) == ""
    assert good("changes", changes, str(tree)) == "A /tmp/x\n"


def test_equal_runs_have_equal_traces(tree: Path, tmp_path: Path) -> None:
    a, b = (jsontrace("dirs", "/lib", root=Root(str(tree), cow=True)) for _ in range(2))
    assert a == b
    assert a == jsontrace("dirs", "/lib", root=Root(str(tree), changes=str(tmp_path / "changes")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--changes {d}/c", "--changes needs --root DIR"),
        ("--root {d}/tree:rw --changes {d}/c", "--changes keeps what a root with :rw would write to the host"),
        ("--root {d}/tree --changes {d}/tree/lib", "--changes {d}/tree/lib: lies within the root"),
        ("--root {d}/tree --changes {d}", "--changes {d}: the root lies within it"),
        ("--root {d}/tree --changes {d}/file", "--changes {d}/file: is not a directory"),
        ("--root {d}/tree --changes {d}/none/c", "--changes {d}/none/c: No such file or directory"),
        ("--root {d}/none:cow", "Invalid value for '--root'"),
        ("--bind {d}/none:/n/x:cow", "Invalid value for '--bind'"),
    ],
)
def test_wrong_usage(tree: Path, tmp_path: Path, options: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    done = p9emu("run", *options.format(d=tmp_path).split(), "hello")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert done.stderr.decode().startswith(f"p9emu: {message.format(d=tmp_path)}")
    assert sorted(os.listdir(tmp_path)) == ["file", "tree"]


def test_changes_of_what_is_none(tree: Path, tmp_path: Path) -> None:
    for args in ((str(tree),), (str(tmp_path / "none"),), (str(tree), str(tmp_path / "none"))):
        done = p9emu("changes", *args)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
