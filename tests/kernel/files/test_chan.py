"""Names, channels and the mount table: kernel/files/channel.py, chan.py, conv.py; kernel/sched/rwlock.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.base.chandat import (
    DMDIR,
    MAFTER,
    MBEFORE,
    MCREATE,
    MREPL,
    OEXEC,
    ORDWR,
    OREAD,
    OWRITE,
    QTDIR,
    Aaccess,
    Abind,
    Acreate,
    Amount,
    Aopen,
    Atodir,
    Chan,
    chanpath,
    eqchan,
)
from kernel.base.dat import Qid, RWlock
from kernel.base.error import Error, Panic
from kernel.base.text import kbytes, kstr, kstrcpy, quote
from kernel.files.chan import Elemlist, namec, nameerror, skipslash, walk
from kernel.files.channel import cclone, cclose, cleanname, findmount, newchan
from kernel.files.conv import Dir, convD2M, convM2D, direntries, packdir, statcheck
from kernel.files.pgrp import closepgrp, newpgrp, pgrpcpy
from kernel.sched.ref import incref
from kernel.sched.rwlock import rlock, runlock, wlock, wunlock
from kernel.sched.sched import yield_
from kernel.syscalls import bindmount, sysfile
from tests.kernel.fakes import UBASE, Rig, newrig

rig = pytest.fixture(newrig)


def text(rig: Rig, name: str | int, amode: int = Aopen, omode: int = OREAD, perm: int = 0) -> str:
    """The error namec ends with."""
    with pytest.raises(Error) as e:
        namec(rig.k, name, amode, omode, perm)
    return str(e.value)


# Strings


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("/", "/"),
        ("/a//b/", "/a/b"),
        ("/a/./b/..", "/a"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("a/..", "."),
        ("a/../..", ".."),
        ("../a", "../a"),
        ("../../a/..", "../.."),
        ("", "."),
        (".", "."),
    ],
)
def test_cleanname(name: str, clean: str) -> None:
    assert cleanname(name) == clean


def test_kstrcpy_truncates_with_dots_between_runes() -> None:
    assert kstrcpy("abc", 4) == "abc"
    assert kstrcpy("abcdefgh", 8) == "abc..."
    assert kstrcpy("aééééé", 9) == "aé..."
    assert kstrcpy("abcd", 3) == "ab"


@pytest.mark.parametrize(
    ("s", "sharp", "quoted"),
    [
        ("/a/b", True, "'/a/b'"),
        ("/a/b", False, "/a/b"),
        ("", False, "''"),
        ("a b", False, "'a b'"),
        ("don't", True, "'don''t'"),
    ],
)
def test_quote(s: str, sharp: bool, quoted: str) -> None:
    assert quote(s, sharp) == quoted


def test_quote_keeps_its_closing_quote_when_cut() -> None:
    assert quote("'" * 100, True, 20) == "'" + "''" * 8 + "'"


@given(st.binary())
def test_any_bytes_survive_as_a_name(b: bytes) -> None:
    assert kbytes(kstr(b)) == b


@pytest.mark.parametrize(
    ("name", "rest"), [("/a", "a"), ("//./a", "a"), ("..", ".."), (".a", ".a"), ("./", ""), (".", "")]
)
def test_skipslash(name: str, rest: str) -> None:
    assert skipslash(name) == rest


@pytest.mark.parametrize(
    ("name", "elems", "mustbedir", "shown"),
    [
        ("/", [], True, ["/"]),
        ("/a/b", ["a", "b"], False, ["/", "/a", "/a/b"]),
        ("/a//b/.", ["a", "b"], True, ["/", "/a", "/a//b/."]),
        ("x", ["x"], False, ["", "x"]),
        ("./x/", ["x"], True, ["./", "./x/"]),
    ],
)
def test_parsename(name: str, elems: list[str], mustbedir: bool, shown: list[str]) -> None:
    e = Elemlist(Chan(), name, 0)
    e.parse()
    assert e.elems == elems
    assert e.mustbedir is mustbedir
    assert [name[:o] for o in e.off] == shown


# Directory entries

dirs = st.builds(
    Dir,
    name=st.text("ab/é", max_size=9),
    qid=st.builds(Qid, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255)),
    mode=st.integers(0, 2**32 - 1),
    length=st.integers(0, 2**64 - 1),
    uid=st.text("u", max_size=3),
)


@given(dirs)
def test_an_entry_survives_packing(d: Dir) -> None:
    b = packdir(d)
    assert convM2D(b) == (d, len(b))
    assert statcheck(b)
    assert convD2M(d, len(b)) == b


def test_an_entry_that_does_not_fit_is_its_size() -> None:
    b = packdir(Dir(name="file"))
    assert len(b) == 49 + 4
    assert convD2M(Dir(name="file"), len(b) - 1) == (len(b) - 2).to_bytes(2, "little")
    assert convD2M(Dir(name="file"), 1) == b""


def test_malformed_entries_are_refused() -> None:
    b = packdir(Dir(name="file"))
    assert convM2D(b[:40]) is None
    assert convM2D(b[:-1]) is None
    assert convM2D(b[:-3]) is None
    assert not statcheck(b[:-1])
    assert not statcheck(b + b"x")
    bad = bytearray(b)
    bad[41] = 200
    assert not statcheck(bytes(bad))
    assert direntries(b + b) == [b, b]


# namec


def test_names_in_errors(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert text(rig, "/x") == "'/x' file does not exist"
        assert text(rig, "/x/y") == "'/x' file does not exist"
        assert text(rig, "/dev/x/y") == "'/dev/x' file does not exist"
        assert text(rig, "x") == "'x' file does not exist"
        assert text(rig, "/dev/null/x") == "'/dev/null' not a directory"
        assert text(rig, "/dev/null/") == "'/dev/null/' not a directory"
        assert text(rig, "/dev/null/.") == "'/dev/null/.' not a directory"
        assert text(rig, "/dev/null", Atodir) == "'/dev/null' not a directory"
        assert text(rig, "/dev", omode=OWRITE) == "'/dev' permission denied"
        assert text(rig, "/", omode=OWRITE) == "permission denied"
        assert text(rig, "/dev", omode=OEXEC) == "'/dev' cannot exec directory"
        assert text(rig, "") == "empty file name"
        assert text(rig, "/a\tb") == "bad character in file name: '/a\tb'"
        assert text(rig, "/" + "a" * 70000) == "name too long"


def test_a_name_that_fails_within_a_device_shows_how_far_it_came(rig: Rig) -> None:
    rig.root.mkdir("/a/b")

    @rig.run
    def _() -> None:
        assert text(rig, "/a/b/c/d") == "'/a/b/c' does not exist"
        assert text(rig, "#//a/b/c") == "'#//a/b/c' does not exist"


def test_long_names_are_shown_by_their_end(rig: Rig) -> None:
    rig.root.mkdir("/" + "/".join(["d" * 20] * 6))

    @rig.run
    def _() -> None:
        deep = "/" + "/".join(["d" * 20] * 6)
        assert text(rig, deep + "/x") == "'.../" + "/".join(["d" * 20] * 3) + "/x' does not exist"
        assert text(rig, "/" + "x" * 200) == "'..." + "x" * 32 + "' file does not exist"
        assert text(rig, "/" + "é" * 99 + "xx") == "'..." + "é" * 15 + "xx' file does not exist"


def test_names_of_devices(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert text(rig, "#z") == "unknown device in # filename"
        assert text(rig, "#") == "mount/attach disallowed"
        assert text(rig, "#M") == "mount/attach disallowed"
        assert text(rig, "#" + "c" * 130) == "file name syntax"
        c = namec(rig.k, "#c/null", Aopen, OREAD)
        assert chanpath(c) == "#c/null"
        cclose(rig.k, c)
        c = namec(rig.k, "#/", Atodir)
        assert chanpath(c) == "#/"
        c = walk(rig.k, c, ["dev", ".."], True)
        assert chanpath(c) == "#/"
        cclose(rig.k, c)
        c = namec(rig.k, "#c", Atodir)
        c = walk(rig.k, c, [".."], True)
        assert chanpath(c) == "#c"
        cclose(rig.k, c)


def test_noattach_leaves_a_few_devices(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.up.pgrp is not None
        rig.up.pgrp.noattach = True
        assert text(rig, "#/") == "mount/attach disallowed"
        cclose(rig.k, namec(rig.k, "#c/null", Aopen, OREAD))


def test_the_last_element_is_left_in_genbuf(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        cclose(rig.k, namec(rig.k, "/dev/null", Aaccess))
        assert rig.up.genbuf == "null"
        cclose(rig.k, namec(rig.k, "/", Aaccess))
        assert rig.up.genbuf == "."
        cclose(rig.k, namec(rig.k, b"/dev", Aaccess))
        assert rig.up.genbuf == "dev"


def test_a_name_in_user_memory(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert text(rig, UBASE) == "empty file name"
        fd = rig.open("/dev/null")
        assert fd == 3
        with pytest.raises(Error, match="name too long"):
            rig.open("/" + "x" * 70000)


def test_chdir_and_relative_names(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.call(sysfile.syschdir, "/dev")
        assert chanpath(rig.up.dot) == "/dev"
        assert rig.stat("null").name == "null"
        assert rig.stat("../env").qid.type & QTDIR
        assert rig.stat("./../dev/../dev/zero").name == "zero"
        rig.call(sysfile.syschdir, "..")
        assert chanpath(rig.up.dot) == "/"
        rig.call(sysfile.syschdir, "../..")
        assert chanpath(rig.up.dot) == "/"


def test_more_elements_than_one_walk_takes(rig: Rig) -> None:
    deep = "/".join(f"d{i}" for i in range(40))
    rig.root.mkdir(deep)

    @rig.run
    def _() -> None:
        assert rig.stat(deep).name == "d39"
        assert rig.stat(deep + "/../" * 2).name == "d37"
        assert text(rig, deep + "/x") == "'.../" + deep[deep.index("d23") :] + "/x' does not exist"


# The mount table


def test_dotdot_comes_back_over_a_mount(rig: Rig) -> None:
    rig.root.mkdir("/a/b")

    @rig.run
    def _() -> None:
        rig.mount(namec(rig.k, "#c", Abind), "/a/b")
        fd = rig.open("/a/b/../b/null")
        rig.call(sysfile.sysfd2path, fd, UBASE, 100)
        c = namec(rig.k, "/a/b/..", Atodir)
        assert chanpath(c) == "/a"
        assert rig.k.devtab[c.type].dc == "/"
        cclose(rig.k, c)
        assert rig.ls("/a/b/../b/..") == ["b"]


def test_a_chain_of_mounts_along_one_walk(rig: Rig) -> None:
    rig.root.mkdir("/a/b/c")
    rig.root.mkdir("/m/n")
    rig.root.mkdir("/p/q")

    @rig.run
    def _() -> None:
        rig.mount(namec(rig.k, "/m", Abind), "/a/b")
        rig.mount(namec(rig.k, "/p", Abind), "/a/b/n")
        assert rig.ls("/a/b") == ["n"]
        assert rig.ls("/a/b/n") == ["q"]
        assert rig.stat("/a/b/n/q").name == "q"
        assert rig.ls("/m/n") == ["q"]  # the mount is upon the file, whatever its name
        assert text(rig, "/a/b/c") == "'/a/b/c' file does not exist"


def test_mounts_bind_files_to_files_only(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        for new, old, flag in (
            ("/dev", "/dev/null", MREPL),
            ("/dev/null", "/env", MREPL),
            ("/dev/zero", "/dev/null", 1),
        ):
            with pytest.raises(Error, match="inconsistent mount"):
                rig.call(bindmount.sysbind, new, old, flag)
        with pytest.raises(Error, match="bad arg"):
            rig.call(bindmount.sysbind, "/dev", "/env", 3)
        rig.call(bindmount.sysbind, "/dev/zero", "/dev/null", MREPL)
        fd = rig.open("/dev/null")
        assert rig.pread(fd, 2) == b"\0\0"


def test_a_union_is_searched_in_order_and_creates_where_it_may(rig: Rig) -> None:
    rig.root.mkdir("/u")
    rig.root.mkdir("/v", 0o777)
    rig.root.addfile("/u/both", b"u")
    rig.root.addfile("/v/both", b"v")
    rig.root.addfile("/v/onlyv", b"v")

    @rig.run
    def _() -> None:
        assert text(rig, "/u/new", Acreate, OWRITE, 0o666) == "'/u/new' permission denied"
        rig.call(bindmount.sysbind, "/v", "/u", MAFTER)
        assert rig.ls("/u") == ["both", "both", "onlyv"]
        assert rig.slurp("/u/both") == b"u"
        assert rig.slurp("/u/onlyv") == b"v"
        assert text(rig, "/u/new", Acreate, OWRITE, 0o666) == "'/u/new' mounted directory forbids creation"
        rig.call(bindmount.sysunmount, 0, "/u")
        rig.call(bindmount.sysbind, "/v", "/u", MBEFORE | MCREATE)
        assert rig.slurp("/u/both") == b"v"
        rig.close(rig.create("/u/new", OWRITE))
        assert "new" in rig.ls("/v")
        assert text(rig, "/u/nothing") == "'/u/nothing' file does not exist"


def test_bind_copies_a_union(rig: Rig) -> None:
    for d in "abcd":
        rig.root.mkdir("/" + d)
        rig.root.addfile(f"/{d}/{d}", b"")

    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "/b", "/a", MAFTER)
        rig.call(bindmount.sysbind, "/c", "/a", MAFTER)
        rig.call(bindmount.sysbind, "/a", "/d", MREPL)
        assert rig.ls("/d") == ["a", "b", "c"]
        with pytest.raises(Error, match="inconsistent mount"):
            rig.call(bindmount.sysbind, "/a", "/d", MREPL | MCREATE)
        rig.call(bindmount.sysunmount, "/b", "/d")
        assert rig.ls("/d") == ["a", "c"]
        with pytest.raises(Error, match="not in union"):
            rig.call(bindmount.sysunmount, "/b", "/d")
        rig.call(bindmount.sysunmount, 0, "/d")
        assert rig.ls("/d") == ["d"]
        with pytest.raises(Error, match="not mounted"):
            rig.call(bindmount.sysunmount, 0, "/d")
        rig.call(bindmount.sysbind, "/b", "/d", MREPL)
        rig.call(bindmount.sysunmount, "/b", "/d")
        assert rig.ls("/d") == ["d"]


def test_a_copied_name_space_goes_its_own_way(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        old = rig.up.pgrp
        assert old is not None
        rig.call(bindmount.sysbind, "#c", "/mnt", MBEFORE)
        new = newpgrp(k)
        assert new.pgrpid == old.pgrpid + 1
        pgrpcpy(k, new, old)
        ids = [m.mount.mountid for chain in new.mnthash for m in chain if m.mount]
        assert len(ids) == 4
        rig.up.pgrp = new
        rig.call(bindmount.sysunmount, 0, "/dev")
        assert rig.ls("/dev") == []
        rig.up.pgrp = old
        assert "null" in rig.ls("/dev")
        c = namec(k, "/dev", Amount)
        assert findmount(k, c.type, c.dev, c.qid) is not None
        cclose(k, c)
        closepgrp(k, new)
        assert "null" in rig.ls("/dev")


def test_a_mount_point_is_listed_as_what_is_mounted(rig: Rig) -> None:
    rig.root.mkdir("/x")
    rig.root.addfile("/x/f", b"")
    rig.root.addfile("/x/g", b"longer")

    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "/dev/zero", "/x/f", MREPL)
        got = {d.name: (chr(d.type), d.length) for d in rig.dirs("/x")}
        assert got == {"f": ("c", 0), "g": ("/", 6)}


# Channels


def test_channels_are_counted(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        c = newchan(k)
        incref(k, c)
        cclose(k, c)
        assert c.ref == 1
        cclose(k, c)
        for op in (cclose, cclone):
            with pytest.raises(Panic):
                op(k, c)


def test_same_file_same_qid(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        a = namec(k, "/dev/null", Aopen, OREAD)
        b = namec(k, "#c/null", Aopen, ORDWR)
        c = namec(k, "/dev/zero", Aopen, OREAD)
        assert eqchan(a, b, False)
        assert not eqchan(a, c, True)
        assert a.qid == b.qid
        for x in (a, b, c):
            cclose(k, x)


def test_create_needs_dmdir_for_a_trailing_slash(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert text(rig, "/tmp/d/", Acreate, OREAD, 0o777) == "'/tmp/d/' create without DMDIR"
        assert text(rig, "/", Acreate, OREAD, DMDIR) == "file already exists"
        cclose(rig.k, namec(rig.k, "/tmp/d/", Acreate, OREAD, DMDIR | 0o777))
        assert rig.ls("/tmp") == ["d"]


# RWlock


def test_readers_share_and_a_waiting_writer_keeps_later_readers_out(rig: Rig) -> None:
    k = rig.k
    q = RWlock()
    said = []

    def first() -> None:
        rlock(k, q)
        rlock(k, q)
        said.append("r1 r2")

        def writer() -> None:
            wlock(k, q)
            said.append("w")
            wunlock(k, q)

        def late() -> None:
            rlock(k, q)
            said.append("r3")
            runlock(k, q)

        up = rig.up
        for body in (writer, writer, late, late):
            rig.spawn(body, up)
            yield_(k)
        said.append("released")
        runlock(k, q)
        runlock(k, q)

    rig.spawn(first)
    rig.settle()
    assert said == ["r1 r2", "released", "w", "w", "r3", "r3"]
    assert not q.readers
    assert not q.writer


def test_broken_locking_is_caught(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        q = RWlock()
        with pytest.raises(Panic):
            runlock(rig.k, q)
        with pytest.raises(Panic):
            wunlock(rig.k, q)
        wlock(rig.k, q)
        with pytest.raises(Panic):
            wlock(rig.k, q)


@pytest.mark.parametrize(("text", "sharp", "n", "want"), [
    ("abc", False, 4, "abc"), ("abc", False, 3, "ab"), ("abc", True, 6, "'abc'"), ("abc", True, 5, "'ab'"),
    ("", False, 3, "''"), ("", False, 2, ""), ("abc", True, 2, ""),
    ("abc d", False, 4, "abc"), ("abc d", False, 6, "abc"),
    ("abc d", False, 7, "'abc '"), ("abc d", False, 8, "'abc d'"),
    ("it's", False, 5, "it"), ("it's", False, 6, "'it'"), ("it's", False, 7, "'it'''"),
    ("éé", False, 4, "é"), ("\udcffx", False, 3, "\udcffx"), ("a\x7fb", False, 9, "a\x7fb"),
])  # fmt: skip
def test_quoting_cuts_between_characters(text: str, sharp: bool, n: int, want: str) -> None:
    assert quote(text, sharp, n) == want


def test_a_long_name_with_a_bad_character_is_shown_in_whole_quotes(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        with pytest.raises(Error) as e:
            rig.open("a b" + "x" * 200 + "\n")
        assert str(e.value) == "bad character in file name: 'a b" + "x" * 94 + "'"
        assert len(str(e.value)) == 127


def test_an_error_with_a_name_is_cut_between_characters(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        with pytest.raises(Error) as e:
            nameerror(rig.k, "x" * 41, "é" * 60)
        assert str(e.value) == f"'{'x' * 41}' " + "é" * 41
