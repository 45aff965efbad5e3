"""A walk asks the host once for each element; links and what is not there as ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel.base.error import Enonexist, Error
from kernel.devices import hostfile
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
    assert looks == DEEP
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


def test_no_descriptor_is_left(top: Path) -> None:
    tree = Tree(os.fspath(top))
    before = len(os.listdir("/proc/self/fd"))
    for names in (DEEP, [b"a", b"link", b"d"], [b"a", b"nosuch"], [*DEEP, b"below"], [b"a", b"\0"]):
        tree.walk([], names)
    assert len(os.listdir("/proc/self/fd")) == before
    tree.close()
