"""Directories of ``#/`` below which every name is there while it is used, as mntgen(4) has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel.base.chandat import DMDIR, MREPL, OREAD, OWRITE, Abind, Acreate, Amount, Aopen, Aremove, Atodir, Chan
from kernel.base.error import Error
from kernel.files.chan import namec
from kernel.files.channel import cclone, cclose, cmount, cunmount
from tests.kernel.fakes import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    r = Rig()
    r.root.anyname("/n")
    yield r
    r.shutdown()


def names(rig: Rig) -> list[str]:
    """What is below /n now."""
    kids = rig.root.root.kids
    assert kids is not None
    below = kids["n"].kids
    assert below is not None
    return sorted(below)


def within(rig: Rig, body: Callable[[], None]) -> None:
    """Run body as a process; at its end nothing is left below /n."""
    rig.run(body)
    assert names(rig) == []


def walkto(rig: Rig, name: str) -> Chan:
    return namec(rig.k, name, Atodir)


def test_a_name_lives_as_long_as_its_channels(rig: Rig) -> None:
    def body() -> None:
        c = walkto(rig, "/n/a")
        again = walkto(rig, "/n/a")
        copy = cclone(rig.k, c)
        other = walkto(rig, "/n/b")
        assert c.qid == again.qid == copy.qid != other.qid
        for each in (c, again):
            cclose(rig.k, each)
            assert names(rig) == ["a", "b"]
        cclose(rig.k, copy)
        assert names(rig) == ["b"]
        cclose(rig.k, other)

    within(rig, body)


def test_what_is_mounted_keeps_it(rig: Rig) -> None:
    def body() -> None:
        k = rig.k
        on = namec(k, "/n/x", Amount)
        cmount(k, namec(k, "#c", Abind), on, MREPL, None)
        cclose(k, on)
        assert names(rig) == ["x"]
        cclose(k, namec(k, "/n/x/null", Aopen, OREAD))
        up = walkto(rig, "/n/x/..")
        assert up.path is not None
        assert up.path.s == "/n"
        cclose(k, up)
        on = namec(k, "/n/x", Amount)
        cunmount(k, on, None)
        cclose(k, on)
        assert names(rig) == []

    within(rig, body)


@pytest.mark.parametrize(
    ("name", "amode", "omode", "perm"),
    [
        ("/n/a/b", Atodir, 0, 0),
        ("/n/a/b/c", Aopen, OREAD, 0),
        ("/n/a/b", Acreate, OWRITE, 0o666),
        ("/n/a", Acreate, OWRITE, 0o666),
        ("/n/a", Acreate, OREAD, DMDIR | 0o777),
        ("/n/a", Aopen, OWRITE, 0),
        ("/n/a", Aremove, 0, 0),
        ("/n/" + "a" * 300, Atodir, 0, 0),
    ],
)
def test_it_is_an_empty_directory(rig: Rig, name: str, amode: int, omode: int, perm: int) -> None:
    def attempt() -> None:
        c = namec(rig.k, name, amode, omode, perm)
        try:
            rig.k.devtab[c.type].remove(c)
        finally:
            cclose(rig.k, c)

    def body() -> None:
        with pytest.raises(Error):
            attempt()

    within(rig, body)


def test_reading_tells_of_those_in_use(rig: Rig) -> None:
    def body() -> None:
        k = rig.k
        c = walkto(rig, "/n/used")
        d = namec(k, "/n", Aopen, OREAD)
        assert b"used" in k.devtab[d.type].read(d, 1000, 0)
        cclose(k, c)
        cclose(k, d)
        d = namec(k, "/n/other", Aopen, OREAD)
        assert k.devtab[d.type].read(d, 1000, 0) == b""
        cclose(k, d)

    within(rig, body)


def test_elsewhere_names_are_what_they_are(rig: Rig) -> None:
    def body() -> None:
        with pytest.raises(Error):
            walkto(rig, "/mnt/a")

    within(rig, body)
