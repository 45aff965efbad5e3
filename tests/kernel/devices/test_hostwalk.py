"""A walk asks the host once for each element; links and what is not there as ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel.base.error import Enonexist, Error
from kernel.devices import hostfile, openat2
from kernel.devices.hostfile import Tree

DEEP = [b"a", b"b", b"c", b"d", b"f"]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    deep = tmp_path.joinpath(*(os.fsdecode(e) for e in DEEP[:-1]))
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"text")
    (tmp_path / "a" / "link").symlink_to("b/c")
    return tmp_path


def sizes(found: list[hostfile.Stat]) -> list[int | None]:
    return [None if st.isdir else st.size for st in found]


def test_each_element_is_looked_at_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    real = hostfile.lookat

    def lookat(fd: int, name: bytes) -> hostfile.Stat | None:
        looks.append(name)
        return real(fd, name)

    monkeypatch.setattr(hostfile, "lookat", lookat)
    tree = Tree(os.fspath(top))
    found, why = tree.walk([], DEEP)
    assert (sizes(found), why) == ([None] * 4 + [4], None)
    assert looks == DEEP
    looks.clear()
    found, why = tree.walk(DEEP[:2], DEEP[2:])
    assert (sizes(found), why) == ([None, None, 4], None)
    assert looks == DEEP[2:], "what lies before is gone through at once"
    tree.close()


def test_as_one_resolve_after_the_other(top: Path) -> None:
    tree = Tree(os.fspath(top))
    for names in (
        DEEP, [b"a", b"link", b"d", b"f"], [b"a", b"nosuch", b"x"], [b"nosuch"], [*DEEP, b"below"], [b"a", b"x/y"],
        [b"a", b"\0"], [b"a", b"n" * 300],
    ):  # fmt: skip
        found, why = tree.walk([], names)
        for i, st in enumerate(found):
            place = tree.resolve(names[: i + 1])
            place.close()
            assert place.st == st
        if why is not None:
            assert len(found) < len(names)
            error = Enonexist
            try:
                place = tree.resolve(names[: len(found) + 1])
                place.close()
                assert place.st is None
            except Error as e:
                error = str(e)
            assert str(why) == error
        elif len(found) < len(names):
            assert not found[-1].isdir, "it ended at a file"
    tree.close()


NAMES = (
    DEEP, DEEP[:4], DEEP[:3], [*DEEP[:4], b"nosuch"], [b"a", b"nosuch", b"x"], [b"a", b"link", b"f"],
    [b"a", b"b", b"up", b"link", b"d"], [b"a", b"b", b"out", b"etc"], [b"a", b"b", b"c", b"last"], [*DEEP, b"below"],
    [b"a", b"", b"b", b"c"], [b"a", b".", b"b", b"c"], [b"a", b"b", b"..", b"b"], [b"a", b"b", b"c", b"x/y"],
    [b"a", b"b", b"\0", b"c"], [b"a", b"b", b"n" * 300], [b"a", *[b"n" * 200] * 30, b"x"], [b"a", b"shut", b"x", b"y"],
)  # fmt: skip


def told(tree: Tree, names: list[bytes], follow: bool) -> tuple[object, ...]:
    """Where names lead: the directory, the last element and what is there; or the error."""
    try:
        place = tree.resolve(names, follow)
    except Error as e:
        return (str(e),)
    try:
        return place.dirstat().key, place.name, place.st
    finally:
        place.close()


@pytest.mark.parametrize("follow", [True, False])
def test_at_once_or_name_by_name_is_the_same(top: Path, monkeypatch: pytest.MonkeyPatch, follow: bool) -> None:
    (top / "a" / "b" / "up").symlink_to("..")
    (top / "a" / "b" / "out").symlink_to("../../..")
    (top / "a" / "b" / "c" / "last").symlink_to("d/../d/./f")
    tree = Tree(os.fspath(top))
    before = len(os.listdir("/proc/self/fd"))
    at_once = [told(tree, names, follow) for names in NAMES]
    asked: list[list[bytes]] = []
    real = openat2.directory

    def refused(_dirfd: int, names: list[bytes]) -> int:
        asked.append(names)
        return -1

    monkeypatch.setattr(openat2, "directory", refused)
    assert [told(tree, names, follow) for names in NAMES] == at_once
    assert [n[:-1] for n in NAMES[:4]] == asked[:4]
    assert real(tree.fd, [b"a", b"b", b"up"]) == real(tree.fd, [b"a", b"b", b"out"]) == -1
    assert len(os.listdir("/proc/self/fd")) == before
    tree.close()


def test_a_host_that_has_it_is_asked_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(os.fspath(top))
    if (fd := openat2.directory(tree.fd, DEEP[:4])) < 0:
        pytest.fail("this host has no openat2")
    os.close(fd)
    monkeypatch.setattr(Tree, "_resolve", None)
    place = tree.resolve(DEEP)
    assert place.st is not None and place.st.size == 4
    place.close()
    tree.close()


def test_no_descriptor_is_left(top: Path) -> None:
    tree = Tree(os.fspath(top))
    before = len(os.listdir("/proc/self/fd"))
    for names in (DEEP, [b"a", b"link", b"d"], [b"a", b"nosuch"], [*DEEP, b"below"], [b"a", b"\0"]):
        tree.walk([], names)
    assert len(os.listdir("/proc/self/fd")) == before
    tree.close()
