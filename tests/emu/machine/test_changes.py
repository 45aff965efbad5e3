"""Where changes go: emu/machine/changes.py."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emu.machine import changes
from emu.machine.changes import forgotten, kept, place
from emu.machine.config import LoadError
from emu.machine.temporary import leftovers


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary ones."""
    d = tmp_path / "tmp"
    d.mkdir()
    monkeypatch.setattr(changes, "MEMORY", "/nonexistent")
    monkeypatch.setenv("TMPDIR", str(d))
    return d


def test_memory_is_taken_if_there_is_room(monkeypatch: pytest.MonkeyPatch, where: Path) -> None:
    assert place() == str(where)
    monkeypatch.setattr(changes, "MEMORY", "/proc")  # has no room
    assert place() == str(where)
    monkeypatch.setattr(changes, "MEMORY", "/")
    monkeypatch.setattr(changes, "ROOM", 0)
    assert place() == ("/" if os.access("/", os.W_OK) else str(where))


def test_what_is_forgotten_is_gone_at_the_end(where: Path) -> None:
    c = forgotten()
    (name,) = os.listdir(where)
    assert name.startswith("p9emu-")
    assert list(leftovers(changes.PREFIX, str(where))) == []
    os.mkdir("x", dir_fd=c.fd)
    other = forgotten()
    assert len(os.listdir(where)) == 2
    c.close()
    c.close()
    other.close()
    assert os.listdir(where) == []


def test_what_a_killed_machine_left_is_removed_by_the_next(where: Path) -> None:
    for name in ("p9emu-cow-dead", "p9emu-other"):
        (where / name / "tree").mkdir(parents=True)
    forgotten().close()
    assert os.listdir(where) == ["p9emu-other"]


def test_what_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    at = tmp_path / "changes"
    c = kept(str(at), str(root))
    assert (c.fresh, c.limit) == (True, None)
    assert (at / "p9emu-changes").read_bytes() == b"p9emu changes 1\n"
    assert sorted(os.listdir(at)) == ["p9emu-changes", "p9emu-tree", "tree"]
    os.mkdir("x", dir_fd=c.fd)
    again = kept(str(at), str(root))
    assert not again.fresh
    c.close()
    again.close()
    assert os.listdir(at / "tree") == ["x"]
    empty = tmp_path / "empty"
    empty.mkdir()
    kept(str(empty), str(root)).close()
    assert sorted(os.listdir(empty)) == ["p9emu-changes", "p9emu-tree", "tree"]


def refused(at: Path, root: Path) -> tuple[str, int]:
    """Why it is refused, and the status."""
    with pytest.raises(LoadError) as e:
        kept(str(at), str(root))
    assert str(e.value).startswith(f"--changes {at}: ")
    return str(e.value).removeprefix(f"--changes {at}: "), e.value.status


def test_what_cannot_be_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("")
    new = tmp_path / "new"
    new.mkdir()
    (new / "p9emu-changes").write_text("p9emu changes 2\n")
    (tmp_path / "link").symlink_to("root/in")
    assert refused(root / "in", root) == ("lies within the root", 2)
    assert refused(tmp_path / "link", root) == ("lies within the root", 2)
    assert refused(root, root) == ("lies within the root", 2)
    assert refused(tmp_path, root) == ("the root lies within it", 2)
    assert refused(other, root) == ("is not empty, and nothing that --changes has made", 2)
    assert refused(new, root) == ("is of another version of p9emu", 2)
    assert refused(other / "mine", root) == ("is not a directory", 2)
    assert refused(other / "mine" / "x", root) == ("Not a directory", 2)
    assert refused(tmp_path / "no" / "x", root) == ("No such file or directory", 2)
    assert refused(Path("/proc/x"), root)[1] == 2
    assert os.listdir(other) == ["mine"]
    assert os.listdir(new) == ["p9emu-changes"]
    assert os.listdir(root) == ["in"]


def test_a_tree_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """Into the root, say, which is never written."""
    root, at = tmp_path / "root", tmp_path / "changes"
    root.mkdir()
    at.mkdir()
    (at / "p9emu-changes").write_text("p9emu changes 1\n")
    (at / "tree").symlink_to("../root")
    assert refused(at, root) == ("tree in it is not a directory", 2)
    (at / "tree").unlink()
    (at / "tree").write_text("")
    assert refused(at, root) == ("tree in it is not a directory", 2)


def test_a_label_in_the_making_is_nothing_foreign(tmp_path: Path) -> None:
    """Another machine's that begins at the same time, or one that was killed."""
    root, at = tmp_path / "root", tmp_path / "changes"
    root.mkdir()
    at.mkdir()
    (at / "p9emu-changes.123").write_text("p9emu")
    kept(str(at), str(root)).close()
    assert sorted(os.listdir(at)) == ["p9emu-changes", "p9emu-changes.123", "p9emu-tree", "tree"]


def test_machines_that_begin_together(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with ThreadPoolExecutor(4) as pool:
        for n in range(20):
            at = str(tmp_path / f"changes{n}")
            for c in pool.map(lambda _, at=at: kept(at, str(tmp_path / "root")), range(4)):
                c.close()
            assert sorted(os.listdir(at)) == ["p9emu-changes", "p9emu-tree", "tree"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()

    def full(*args: object, **kw: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(os, "rename", full)
        assert refused(tmp_path / "changes", root) == ("No space left on device", 125)
    assert sorted(os.listdir(tmp_path)) == ["root", "tmp"]


def test_one_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    kept(str(tmp_path / "changes"), str(root)).close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refused(tmp_path / "changes", root) == ("Permission denied", 2)


def test_changes_are_of_one_tree(tmp_path: Path) -> None:
    root, other, at = tmp_path / "root", tmp_path / "other", tmp_path / "kept"
    root.mkdir()
    other.mkdir()
    kept(str(at), str(other)).close()  # nothing is changed: it may still be another's
    kept(str(at), str(root)).close()
    (at / "tree" / "new").write_text("")
    with pytest.raises(LoadError) as e:
        kept(str(at), str(other))
    assert str(e.value) == (
        f"--changes {at}: has changes of {root}; if {other} is a copy of that, remove {at}/p9emu-tree"
    )
    assert e.value.status == 2
    (tmp_path / "link").symlink_to("root")
    kept(str(at), str(tmp_path / "link")).close()


def test_a_tree_that_was_moved_or_unpacked_anew_is_known_again(tmp_path: Path) -> None:
    root, moved, at = tmp_path / "root", tmp_path / "moved\nto", tmp_path / "kept"
    root.mkdir()
    kept(str(at), str(root)).close()
    (at / "tree" / "new").write_text("")
    root.rename(moved)
    kept(str(at), str(moved)).close()
    moved.rename(tmp_path / "old")
    moved.mkdir()
    kept(str(at), str(moved)).close()
    assert (at / "p9emu-tree").read_text() == f"{os.stat(moved).st_dev} {os.stat(moved).st_ino}\n{moved}"
    with pytest.raises(LoadError):
        kept(str(at), str(tmp_path / "old"))
    (at / "p9emu-tree").unlink()
    kept(str(at), str(tmp_path / "old")).close()


@pytest.mark.parametrize("damage", ["empty", "fifo", "link"])
def test_a_note_of_the_tree_that_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    root, at = tmp_path / "root", tmp_path / "kept"
    root.mkdir()
    kept(str(at), str(root)).close()
    (at / "tree" / "new").write_text("")
    note = at / "p9emu-tree"
    good = note.read_text()
    note.unlink()
    if damage == "empty":
        note.touch()
    elif damage == "fifo":
        os.mkfifo(note)
    else:
        note.symlink_to("/etc/passwd")
    kept(str(at), str(root)).close()
    assert note.read_text() == good and not note.is_symlink()
