"""What p9emu changes tells: emu/cli/changes.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from emu.cli.changes import changes, listing
from emu.failure import Failure
from emu.machine.changes import kept
from emu.machine.config import LoadError


def make(top: Path, *names: str) -> Path:
    """Directories, by names that end in a slash, and files that hold their names."""
    top.mkdir(mode=0o755)
    for name in names:
        p = top / name
        if name.endswith("/"):
            p.mkdir(parents=True)
        else:
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_text(name)
        os.utime(p, (1, 1))
    return top


def told(upper: Path, tree: Path | None) -> list[str]:
    """The lines."""
    return [f"{c.kind} {os.fsdecode(c.path)}" for c in sorted(listing(str(upper), str(tree) if tree else None, []))]


def test_what_is_new_changed_and_gone(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", "a", "b", "d/e", "d/f/g", "r/s", "r/t/u", "was/x", "file")
    upper = make(
        tmp_path / "upper", "a", "new/n", "empty/", ".wh.b", ".wh.nothing", "d/f/.wh.g", "d/e", "r/.wh..wh..opq", "r/s",
        "was", "file/in", ".wh..wh.tmp.1.0",
    )  # fmt: skip
    (upper / "d" / "e").write_text("E/d")  # as long as before, and at the same time
    os.utime(upper / "d" / "e", (1, 1))
    assert told(upper, tree) == [
        "D /b", "M /d/e", "D /d/f/g", "A /empty", "M /file", "A /file/in", "A /new", "A /new/n", "D /r/t", "M /was",
    ]  # fmt: skip
    assert told(upper, None) == [
        "? /a", "D /b", "? /d/e", "D /d/f/g", "? /empty", "? /file/in", "? /new/n", "D /nothing", "? /r", "? /r/s",
        "? /was",
    ]  # fmt: skip


def test_attributes(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", "a", "b", "d/")
    upper = make(tmp_path / "upper", "a", "b", "d/")
    assert told(upper, tree) == []
    (upper / "a").chmod(0o600)
    os.utime(upper / "b", (2, 2))
    (upper / "d").chmod(0o700)
    upper.chmod(0o700)
    assert told(upper, tree) == ["M /", "M /a", "M /b", "M /d"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    tree, upper = make(tmp_path / "tree", "x"), make(tmp_path / "upper")
    for top, target in ((tree, "x"), (upper, "x")):
        (top / "same").symlink_to(target)
        (top / "other").symlink_to(str(top))
        for name in ("same", "other"):
            os.utime(top / name, (1, 1), follow_symlinks=False)
    assert told(upper, tree) == ["M /other"]
    assert told(upper, None) == ["? /other", "? /same"]


def test_names_are_shown_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    d = tmp_path / "changes"
    d.mkdir()
    (d / "p9emu-changes").write_text("p9emu changes 1\n")
    changes(str(d), None, False)
    (d / "tree").mkdir()
    (d / "tree" / "a\x1b[31mb").write_text("")
    changes(str(d), None, False)
    assert "\x1b" not in capsys.readouterr().out
    (d / "p9emu-changes").write_text("p9emu changes 2\n")
    with pytest.raises(Failure, match="another version") as e:
        changes(str(d), None, False)
    assert e.value.status == 2


def test_directories_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = make(tmp_path / "tree", "low/x", "z")
    kept = make(tmp_path / "kept", "p9emu-changes", "tree/a", "tree/up/b", "tree/low/x", "tree/low/y")
    (kept / "p9emu-changes").write_text("p9emu changes 1\n")
    real = os.open

    def refuse(path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real(path, flags, mode, dir_fd=dir_fd)
        if os.readlink(f"/proc/self/fd/{fd}") in (str(tree / "low"), str(kept / "tree" / "up")):
            os.close(fd)
            raise PermissionError(errno.EACCES, "Permission denied")
        return fd

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Failure) as e:
        changes(str(kept), str(tree), json=False)
    assert e.value.status == 125
    assert str(e.value) == f"{kept}/tree/up: Permission denied (and 1 more): what is in it is not listed"
    assert capsys.readouterr().out == "A /a\nA /up\n"


def test_a_label_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "p9emu-changes").mkdir()
    with pytest.raises(Failure, match="is nothing that --changes has made") as e:
        changes(str(tmp_path), None, json=False)
    assert e.value.status == 2
    with pytest.raises(LoadError, match="is not empty, and nothing that --changes has made") as refused:
        kept(str(tmp_path), "/usr")
    assert refused.value.status == 2
