"""Variables of the environment: kernel/devices/devenv.py."""

from __future__ import annotations

import random

import pytest

from kernel.base.chandat import OEXCL, ORCLOSE, ORDWR, OWRITE
from kernel.base.error import Error
from kernel.devices.devenv import Maxenvsize, ksetenv
from kernel.files.pgrp import closeegrp, envcpy, newegrp
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


def test_variables(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/a", ORDWR)
        rig.pwrite(fd, b"value")
        assert rig.pread(fd, 100, 2) == b"lue"
        rig.pwrite(fd, b"X", 8)
        assert rig.slurp("/env/a") == b"value\0\0\0X"
        ksetenv(rig.k, "b", "two")
        ksetenv(rig.k, "c", "three")
        assert rig.ls("/env") == ["a", "b", "c"]
        rig.remove("/env/a")
        assert rig.ls("/env") == ["c", "b"]
        with pytest.raises(Error, match="file does not exist"):
            rig.pread(fd, 1, 0)
        with pytest.raises(Error, match="file does not exist"):
            rig.pwrite(fd, b"x", 0)
        with pytest.raises(Error, match="file already exists"):
            rig.create("/env/b", OWRITE | OEXCL)
        rig.close(rig.create("/env/b", OWRITE))
        assert rig.slurp("/env/b") == b""
        assert rig.stat("/env/b").qid.vers == 2
        assert rig.stat("/env/b").mode == 0o666
        assert rig.stat("#e").qid.vers > 0


def test_offsets_of_variables_are_of_32_bits(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/v", ORDWR)
        assert rig.pwrite(fd, b"abcd", 0) == 4
        assert rig.pwrite(fd, b"X", 2**32 + 1) == 1
        assert rig.pread(fd, 2, 2**32 + 1) == b"Xc"
        assert rig.pread(fd, 2, 2**32 + 4) == b""


def test_environment_limits(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/a", ORDWR)
        assert rig.pwrite(fd, b"x" * Maxenvsize, 0) == Maxenvsize
        with pytest.raises(Error, match="read or write too large"):
            rig.pwrite(fd, b"x", Maxenvsize)
        with pytest.raises(Error, match="name too long"):
            rig.create("/env/" + "x" * 128, OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.open("/env", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.remove("#e")
        with pytest.raises(Error, match="bad arg"):
            rig.open("#ex")
        assert rig.pwrite(fd, b"", 0) == 0
        fd = rig.open("/env/a", ORCLOSE)
        rig.close(fd)
        assert rig.ls("/env") == []


def test_the_kernels_configuration_is_for_eve_to_change(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ksetenv(rig.k, "cputype", "386", conf=True)
        assert rig.slurp("#ec/cputype") == b"386"
        rig.up.user = "none"
        with pytest.raises(Error, match="permission denied"):
            rig.open("#ec/cputype", OWRITE)
        rig.close(rig.open("#ec/cputype"))


def test_an_environment_is_copied_by_value(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ksetenv(rig.k, "a", "old")
        eg = rig.up.egrp
        assert eg is not None
        new = newegrp(rig.k)
        envcpy(rig.k, new, eg)
        ksetenv(rig.k, "a", "new")
        rig.up.egrp = new
        assert rig.slurp("/env/a") == b"old"
        rig.up.egrp = eg
        closeegrp(rig.k, new)


def test_names_of_an_environment_are_found_whatever_came_and_went(rig: Rig) -> None:
    names = [f"v{i}" for i in range(12)]
    draw = random.Random(1)

    @rig.run
    def _() -> None:
        there: set[str] = set()
        for i in range(300):
            name = draw.choice(names)
            if name in there:
                assert rig.slurp(f"/env/{name}") == name.encode()
                rig.remove(f"/env/{name}")
                there.remove(name)
            else:
                with pytest.raises(Error, match="does not exist"):
                    rig.open(f"/env/{name}")
                ksetenv(rig.k, name, name)
                there.add(name)
            if i % 50 == 49:
                eg = rig.up.egrp
                assert eg is not None
                rig.up.egrp = newegrp(rig.k)
                envcpy(rig.k, rig.up.egrp, eg)
                closeegrp(rig.k, eg)
            assert set(rig.ls("/env")) == there


class Counted(str):
    """A name that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_a_variable_is_found_without_looking_at_each(rig: Rig) -> None:
    """mk and rc write their whole environment for each command that they start, each name after a search in vain."""

    @rig.run
    def _() -> None:
        for i in range(200):
            ksetenv(rig.k, f"v{i}", "")
        eg = rig.up.egrp
        assert eg is not None
        for e in eg.ent:
            e.name = Counted(e.name)
        before = Counted.compared
        with pytest.raises(Error, match="does not exist"):
            rig.open("/env/none")
        rig.close(rig.create("/env/new", OWRITE))
        assert Counted.compared - before < 20
