"""Which files a call is about, for traces."""

from __future__ import annotations

import pytest

from kernel.memory.uaccess import ustore
from kernel.syscalls import sysfile
from kernel.syscalls.systab import LONGNAME, SYSTAB, files
from tests.kernel.fakes import UBASE, Rig, newrig

rig = pytest.fixture(newrig)

CALLS = {call.name: call for call in SYSTAB.values()}
AT = UBASE + 0x8000
MINUS1 = 0xFFFFFFFF


def named(rig: Rig, name: bytes) -> dict[int, str]:
    ustore(rig.k, AT, name + b"\0")
    return files(rig.k, CALLS["open"], (AT, 0))


def test_names_from_the_root_on(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert named(rig, b"/dev/null") == {0: "/dev/null"}
        assert named(rig, b"/dev//../env/./x/") == {0: "/env/x"}
        assert named(rig, b"#c/cons") == {0: "#c/cons"}
        assert named(rig, "/é".encode()) == {0: "/é"}
        assert named(rig, b"") == {}
        rig.call(sysfile.syschdir, "/env")
        assert named(rig, b"x") == {0: "/env/x"}
        assert named(rig, b"../dev/null") == {0: "/dev/null"}
        assert named(rig, b"/" + b"x" * LONGNAME) == {}


def test_what_descriptors_are_open_on(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev/null")
        assert files(rig.k, CALLS["pread"], (fd, 0, 0, 0, 0)) == {0: "/dev/null"}
        assert files(rig.k, CALLS["dup"], (fd, MINUS1)) == {0: "/dev/null"}
        assert files(rig.k, CALLS["seek"], (0, fd, 0, 0, 0)) == {1: "/dev/null"}
        rig.close(fd)
        assert files(rig.k, CALLS["close"], (fd,)) == {}
        assert files(rig.k, CALLS["close"], (MINUS1,)) == {}
        assert files(rig.k, CALLS["close"], (1 << 20,)) == {}


def test_calls_of_several_files_and_of_none(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ustore(rig.k, AT, b"/a\0/b\0")
        assert files(rig.k, CALLS["bind"], (AT, AT + 3, 0)) == {0: "/a", 1: "/b"}
        assert files(rig.k, CALLS["bind"], (AT, AT + 3, 0), known=(0,)) == {1: "/b"}
        assert files(rig.k, CALLS["exec"], (AT, 0)) == {0: "/a"}
        for name in ("exits", "sleep", "errstr", "rfork", "segattach"):
            assert files(rig.k, CALLS[name], (AT, AT, AT, AT, AT)) == {}


def test_a_page_that_is_not_there_is_not_touched(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        faults = rig.k.nfault
        assert files(rig.k, CALLS["open"], (AT + 0x10000, 0)) == {}
        assert rig.k.nfault == faults


def test_every_descriptor_and_name_is_marked_in_the_table() -> None:
    """A d that is no descriptor, an s that is no file's name: each of them is here."""
    others = {
        "d": {
            "alarm", "sleep", "noted", "semacquire", "semrelease", "tsemacquire", "_fsession", "fversion", "seek",
            "oseek", "errstr", "await", "_read", "_write", "pread", "pwrite", "fd2path", "stat", "fstat", "wstat",
            "fwstat", "segattach",
        },
        "s": {"exits", "fauth", "_mount", "mount", "fversion", "segattach"},
    }  # fmt: skip
    for letter, names in others.items():
        assert {call.name for call in SYSTAB.values() if letter in call.form} == names
