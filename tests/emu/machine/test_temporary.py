"""Where temporary directories are made, and what becomes of them."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from emu.machine import temporary
from emu.machine.temporary import claim, leftovers, remove


def test_the_place_that_is_named_if_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in temporary.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(temporary, "PLACES", (str(other),))
    assert temporary.place() == str(other)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert temporary.place() == str(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setenv("TEMP", "")
    assert temporary.place() == str(other)
    other.rmdir()
    with pytest.raises(FileNotFoundError, match="no place for temporary directories"):
        temporary.place()


def test_a_name_that_is_taken_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = iter([b"a", b"a", b"b", b"c"])
    monkeypatch.setattr(os, "urandom", lambda n: next(chance))
    names = [temporary.make("p-", str(tmp_path)) for _ in range(2)]
    assert names == [f"{tmp_path}/p-61", f"{tmp_path}/p-62"]
    assert stat.S_IMODE(os.stat(names[0]).st_mode) == 0o700
    with pytest.raises(FileNotFoundError):
        temporary.make("p-", str(tmp_path / "none"))


def test_what_is_in_use_is_no_leftover(tmp_path: Path) -> None:
    where = str(tmp_path)
    path, lock = claim("p-", where)
    other, second = claim("p-", where)
    assert sorted(os.listdir(where)) == sorted(map(os.path.basename, (path, other)))
    assert list(leftovers("p-", where)) == []
    os.close(lock)
    assert list(leftovers("p-", where)) == [path]
    third, last = claim("p-", where)
    assert sorted(os.listdir(where)) == sorted(map(os.path.basename, (other, third)))
    os.close(second)
    os.close(last)


def test_nothing_else_is_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = str(tmp_path)
    for name in ("p-dead", "p-locked", "p", "else"):
        (tmp_path / name / "tree").mkdir(parents=True)
    (tmp_path / "p-file").write_text("")
    (tmp_path / "p-link").symlink_to("else")
    fd = os.open(tmp_path / "p-locked", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert list(leftovers("p-", where)) == []  # another user's
    monkeypatch.undo()
    assert list(leftovers("p-", where)) == [str(tmp_path / "p-dead")]
    assert list(leftovers("p-", str(tmp_path / "none"))) == []
    os.close(fd)


@pytest.mark.parametrize("when", ["made", "opened", "held"])
def test_one_that_was_taken_for_a_leftover_is_made_again(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another that cleans up is between what claim() does."""
    taken: list[str] = []
    held: list[int] = []
    make, flock = temporary.make, fcntl.flock

    def made(prefix: str, where: str) -> str:
        path = make(prefix, where)
        if not taken:
            taken.append(path)
            if when == "made":
                remove(path)
            elif when == "held":
                held.append(os.open(path, os.O_RDONLY))
                flock(held[0], fcntl.LOCK_EX)
        return path

    def locked(fd: int, operation: int) -> None:
        if when == "opened" and len(held) < len(taken):
            held.append(fd)
            remove(taken[0])
        flock(fd, operation)

    monkeypatch.setattr(temporary, "make", made)
    monkeypatch.setattr(fcntl, "flock", locked)
    before = len(os.listdir("/proc/self/fd"))
    path, lock = claim("p-", str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before + 1 + (when == "held")
    assert path != taken[0] and os.path.isdir(path)
    monkeypatch.undo()
    assert path not in leftovers("p-", str(tmp_path))
    os.close(lock)
    if when == "held":
        os.close(held[0])


def test_a_file_system_without_locks_has_no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    for n in range(1, 3):
        _, lock = claim("p-", str(tmp_path))
        os.close(lock)
        assert len(os.listdir(tmp_path)) == n


def test_removing_whatever_is_there(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    (top / "p9emu.1").mkdir()
    (top / "p9emu.2").write_text("")
    (top / "out").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    here = os.getcwd()
    os.chdir(top / "a")
    try:
        for _ in range(1100):  # deeper than descriptors, recursion or a path's length allow
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
        Path("f").write_text("")
        os.chmod(".", 0o500)
    finally:
        os.chdir(here)
    remove(str(top))
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    remove(str(top))  # nothing is there
