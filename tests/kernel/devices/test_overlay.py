"""A tree of two layers: kernel/devices/overlay.py and what it is made of."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.base.chandat import DMAPPEND, DMDIR, MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Aopen
from kernel.devices import layers
from kernel.devices.upper import Changes
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.conv import Dir
from tests.kernel.devices.test_devhost import openfds
from tests.kernel.devices.test_overlay_random import content, rigged, snapshot
from tests.kernel.fakes import Rig, err, newrig

rig = pytest.fixture(newrig)


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A tree, beside a secret."""
    top = tmp_path / "lower"
    (top / "d" / "e").mkdir(parents=True)
    for name in ("a", "b", "d/f", "d/g", "d/e/h"):
        (top / name).write_text(f"content of {name}\n")
    (top / "link").symlink_to("d/f")
    (tmp_path / "secret").write_text("secret")
    for p in [top, *top.rglob("*")]:
        os.utime(p, (10**9, 10**9), follow_symlinks=False)
    return top


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """Where changes go."""
    d = tmp_path / "upper"
    d.mkdir()
    return d


def show(
    rig: Rig, lower: Path, upper: Path, at: str = "/n", fresh: bool = True, limit: tuple[int, int] | None = None
) -> Changes:
    """Show an overlay."""
    changes = Changes(os.fspath(upper), limit, fresh)
    c = rig.host.bind(os.fsencode(lower), False, changes)
    rig.mount(c, at, MREPL | MCREATE)
    cclose(rig.k, c)
    return changes


def put(rig: Rig, name: str, data: bytes, perm: int = 0o666) -> None:
    """Make a file."""
    fd = rig.create(name, OWRITE, perm)
    try:
        assert rig.pwrite(fd, data) == len(data)
    finally:
        rig.close(fd)


def tree(top: Path) -> list[str]:
    """Names below a directory of the host, a directory's ending in a slash."""
    return sorted(f"{p.relative_to(top)}{'/' if p.is_dir() and not p.is_symlink() else ''}" for p in top.rglob("*"))


def test_changes_are_laid_out_as_a_layer_of_an_image(rig: Rig, lower: Path, upper: Path) -> None:
    before = snapshot(lower)

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        assert tree(upper) == []
        rig.slurp("/n/d/e/h")
        rig.ls("/n/d")
        assert tree(upper) == []
        rig.remove("/n/a")
        assert tree(upper) == [".wh.a"]
        put(rig, "/n/a", b"new")
        assert tree(upper) == ["a"]
        rig.remove("/n/a")
        assert tree(upper) == [".wh.a"]
        rig.wstat("/n/d/f", Dir(mode=0o600))
        assert tree(upper) == [".wh.a", "d/", "d/f"]
        rig.remove("/n/d/e/h")
        rig.remove("/n/d/e")
        assert tree(upper) == [".wh.a", "d/", "d/.wh.e", "d/f"]
        rig.close(rig.create("/n/d/e", OREAD, DMDIR | 0o755))
        assert tree(upper) == [".wh.a", "d/", "d/e/", "d/e/.wh..wh..opq", "d/f"]
        assert rig.ls("/n/d/e") == []
        rig.wstat("/n/d", Dir(name="moved"))
        assert ".wh.d" in tree(upper)
        assert rig.ls("/n") == ["b", "moved"]
        assert rig.ls("/n/moved") == ["e", "f", "g"]
        assert rig.slurp("/n/moved/g") == b"content of d/g\n"

    assert snapshot(lower) == before


def test_marks_are_no_names(rig: Rig, lower: Path, upper: Path) -> None:
    (lower / ".wh.seen").write_text("below")
    (upper / ".wh.b").write_text("")

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        assert rig.ls("/n") == ["a", "d", "link"]
        for name in (".wh.seen", ".wh.b", ".wh..wh..opq", ".wh..wh.tmp.1.0", ".wh."):
            assert "does not exist" in err(rig.open, f"/n/{name}")
            assert "permission denied" in err(rig.create, f"/n/{name}", OWRITE)
            assert "permission denied" in err(rig.create, f"/n/{name}", OREAD, DMDIR | 0o777)
            assert err(rig.wstat, "/n/a", Dir(name=name)) == "permission denied"
        put(rig, "/n/.wh", b"is one")
        assert rig.ls("/n") == [".wh", "a", "d", "link"]


@pytest.mark.parametrize("layer", ["lower", "upper"])
def test_nothing_leads_out_of_either_layer(rig: Rig, lower: Path, upper: Path, tmp_path: Path, layer: str) -> None:
    top = tmp_path / layer
    (top / "d").mkdir(exist_ok=True)
    bad = {"up": "../secret", "d/up": "../../secret", "abs": str(tmp_path / "secret"), "out": "..", "d/x": "../.."}
    for name, target in bad.items():
        (top / name).symlink_to(target)

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        for name in (*bad, "out/secret", "d/x/secret", "../secret", "d/../../secret"):
            assert "does not exist" in err(rig.open, f"/n/{name}")
            assert err(rig.create, f"/n/{name}", OWRITE) != ""
        (top / "good").symlink_to("d/e/../f")  # through both layers
        assert rig.slurp("/n/good") == b"content of d/f\n"
        put(rig, "/n/good", b"written")
        assert rig.slurp("/n/d/f") == b"written"

    assert (tmp_path / "secret").read_text() == "secret"
    assert (lower / "d" / "f").read_text() == "content of d/f\n"


def test_a_file_stays_the_same_when_it_is_copied(rig: Rig, lower: Path, upper: Path) -> None:
    """For those who have it open, and by its qid, whose version moves with the content alone."""

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        old = rig.open("/n/d/f")
        first = rig.stat(old)
        rig.wstat("/n/d/f", Dir(mode=0o600))
        assert rig.stat(old).mode == 0o600
        assert rig.stat(old).qid.path == first.qid.path
        new = rig.open("/n/d/f", ORDWR)
        before = rig.stat(new).qid
        assert before.path == first.qid.path
        assert rig.stat("/n/d/f").qid == before
        rig.pwrite(new, b"CON", 0)
        assert rig.pread(old, 99, 0) == b"CONtent of d/f\n"
        assert rig.stat(old).qid.path == first.qid.path
        assert rig.stat(old).qid.vers == before.vers + 1
        other = rig.stat("/n/d/g").qid
        rig.close(rig.open("/n/d/g", OWRITE))  # copied, and not written
        assert rig.stat("/n/d/g").qid == other
        assert rig.stat("/n/d/g").mtime == 10**9
        gone = rig.open("/n/b")
        rig.remove("/n/b")
        assert rig.pread(gone, 99, 0) == b"content of b\n"


def test_a_directory_stays_the_same_too(rig: Rig, lower: Path, upper: Path) -> None:
    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        fd = rig.open("/n/d")
        d = rig.stat(fd)
        rig.close(rig.open("/n/d/f", OWRITE))
        assert rig.stat("/n/d") == rig.stat(fd) == d  # not even its time
        put(rig, "/n/d/new", b"")
        assert rig.stat(fd).qid.path == d.qid.path
        assert rig.stat(fd).qid.vers == d.qid.vers + 1
        assert rig.stat("/n/d").qid == rig.stat(fd).qid
        rig.wstat("/n/d", Dir(name="z"))
        assert rig.stat("/n/z").qid.path == d.qid.path
        rig.remove("/n/z/f")
        n = len(rig.pread(fd, 8000, 0))
        assert n == sum(len(x.name) + 58 for x in rig.dirs("/n/z"))  # what is open reads what is there


def test_a_directory_that_is_removed_while_it_is_open_is_empty(rig: Rig, lower: Path, upper: Path) -> None:
    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        fd = rig.open("/n/d/e")
        rig.wstat("/n/d/e/h", Dir(mode=0o600))
        rig.remove("/n/d/e/h")
        rig.remove("/n/d/e")
        assert rig.pread(fd, 1000, 0) == b""
        rig.close(fd)


def test_truncating_copies_nothing(rig: Rig, lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> bytes:
        raise AssertionError

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        monkeypatch.setattr(os, "read", never)
        rig.close(rig.open("/n/d/f", OWRITE | OTRUNC))
        assert rig.stat("/n/d/f").length == 0
        assert rig.slurp("/n/d/f") == b""


@pytest.mark.parametrize("mode", [OWRITE, ORDWR, OREAD | OTRUNC])
def test_the_tree_is_not_opened_for_writing_if_a_copy_is_taken_away(
    rig: Rig, lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    before = snapshot(lower)
    copyup = layers.Layers._copyup

    def taken(self: layers.Layers, name: bytes, empty: bool = False) -> bool:
        done = copyup(self, name, empty)
        (upper / os.fsdecode(name)).unlink()
        return done

    monkeypatch.setattr(layers.Layers, "_copyup", taken)

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        assert err(rig.open, "/n/a", mode).endswith("does not exist")

    assert snapshot(lower) == before


def test_what_the_host_does_not_keep(rig: Rig, lower: Path, upper: Path) -> None:
    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        rig.wstat("/n/a", Dir(mode=DMAPPEND | 0o644))
        fd = rig.open("/n/a", OWRITE | OTRUNC)
        rig.pwrite(fd, b"more", 0)
        assert rig.slurp("/n/a") == b"content of a\nmore"
        rig.close(rig.open("/n/b", OREAD | ORCLOSE))
        assert rig.ls("/n") == ["a", "d", "link"]


def test_no_room_leaves_nothing_behind(rig: Rig, lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kw: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/host/path")

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        before = openfds()
        with monkeypatch.context() as m:
            m.setattr(os, "mkdir", full)
            assert err(rig.create, "/n/d/new", OWRITE).endswith("no space left on file system")
        with monkeypatch.context() as m:
            m.setattr(os, "write", full)
            assert err(rig.open, "/n/a", OWRITE) == "'/n/a' no space left on file system"
            assert err(rig.wstat, "/n/a", Dir(name="c")) == "no space left on file system"
            assert err(rig.wstat, "/n/d", Dir(name="c")) == "no space left on file system"
        assert openfds() == before
        assert rig.ls("/n") == ["a", "b", "d", "link"]
        assert rig.slurp("/n/a") == b"content of a\n"
        put(rig, "/n/a", b"fine")

    assert not [name for name in tree(upper) if ".wh." in name]


def test_what_is_forgotten_is_bounded(rig: Rig, lower: Path, upper: Path) -> None:
    (lower / "big").write_bytes(b"x" * 90_000)

    @rig.run
    def _() -> None:
        changes = show(rig, lower, upper, limit=(100_000, 8))
        fd = rig.create("/n/new", ORDWR)
        assert rig.pwrite(fd, b"y" * 50_000) == 50_000
        assert err(rig.open, "/n/big", ORDWR) == "'/n/big' file system full"
        assert err(lambda: rig.pwrite(fd, b"y" * 60_000)) == "file system full"
        assert err(lambda: rig.pwrite(fd, b"y" * 60_000, 1 << 33)) == "file system full"
        assert rig.pwrite(fd, b"z" * 50_000, 0) == 50_000  # in place
        assert tree(upper) == ["new"]
        rig.wstat("/n/new", Dir(length=10))
        rig.close(rig.open("/n/big", ORDWR))
        rig.remove("/n/big")
        assert rig.pwrite(fd, b"y" * 80_000, 0) == 80_000
        rig.remove("/n/new")
        assert changes.bytes >= 80_000  # it is open yet
        rig.close(fd)
        assert changes.bytes < 20_000
        made = len(tree(upper))
        for n in range(made, 8):
            put(rig, f"/n/f{n}", b"")
        assert err(rig.create, "/n/dir", OREAD, DMDIR | 0o777).endswith("file system full")
        assert err(rig.remove, "/n/b") == "file system full"  # a mark is a file too
        assert rig.slurp("/n/b") == b"content of b\n"
        rig.remove("/n/f7")
        put(rig, "/n/again", b"")


def test_what_cannot_be_copied_is_not_lost_by_truncation(rig: Rig, lower: Path, upper: Path) -> None:
    """rc's >> opens for writing, and if that fails creates: a file that is there is truncated so."""
    (lower / "big").write_bytes(b"x" * 90_000)

    @rig.run
    def _() -> None:
        show(rig, lower, upper, limit=(100_000, 8))
        fd = rig.create("/n/new", ORDWR)
        rig.pwrite(fd, b"y" * 50_000)
        assert err(rig.open, "/n/big", OWRITE).endswith("file system full")
        assert err(rig.create, "/n/big", OWRITE, 0o644).endswith("file system full")
        assert err(rig.open, "/n/big", OWRITE | OTRUNC).endswith("file system full")
        assert len(rig.slurp("/n/big")) == 90_000
        rig.close(fd)
        rig.remove("/n/new")
        rig.close(rig.create("/n/big", OWRITE, 0o644))  # there is room again
        assert rig.slurp("/n/big") == b""

    assert (lower / "big").stat().st_size == 90_000


def test_two_machines_with_the_same_changes(lower: Path, upper: Path) -> None:
    with rigged() as one, rigged() as two:

        @one.run
        def _() -> None:
            show(one, lower, upper)

        def again() -> None:
            show(two, lower, upper, fresh=False)
            d = two.stat("/n/d").qid
            one_writes()
            assert two.slurp("/n/d/f") == b"from one"
            assert two.ls("/n/d") == ["e", "f", "new"]
            assert two.stat("/n/d").qid.path == d.path  # what is mounted there stays so
            put(two, "/n/d/new", b"from two")
            two.remove("/n/a")

        def one_writes() -> None:
            up, two.k.up = two.k.up, None

            @one.run
            def _() -> None:
                show(one, lower, upper, fresh=False)
                put(one, "/n/d/f", b"from one")
                put(one, "/n/d/new", b"")
                one.remove("/n/d/g")

            two.k.up = up

        two.run(again)

        @one.run
        def _() -> None:
            show(one, lower, upper, fresh=False)
            assert one.slurp("/n/d/new") == b"from two"
            assert one.ls("/n") == ["b", "d", "link"]


def test_leftovers_of_copies_are_removed_unless_one_is_being_made(rig: Rig, lower: Path, upper: Path) -> None:
    (upper / ".wh..wh.tmp.1.0").write_text("half")
    (upper / ".wh..wh.tmp.1.1").mkdir()
    (upper / ".wh..wh.tmp.1.1" / ".wh..wh..opq").write_text("")
    (upper / ".wh..wh.tmp.1.2").write_text("half")
    fd = os.open(upper / ".wh..wh.tmp.1.2", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        assert rig.ls("/n") == ["a", "b", "d", "link"]
        assert tree(upper) == [".wh..wh.tmp.1.2"]

    os.close(fd)


def test_renaming_a_directory_is_bounded_work(
    rig: Rig, lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "MAXRENAME", 3)

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        before = content(rig, "/n")
        assert err(rig.wstat, "/n/d", Dir(name="z")) == "directory too large to rename"
        assert content(rig, "/n") == before
        rig.wstat("/n/d/e", Dir(name="z"))
        assert rig.slurp("/n/d/z/h") == b"content of d/e/h\n"


def test_special_files(rig: Rig, lower: Path, upper: Path) -> None:
    os.mkfifo(lower / "d" / "fifo")

    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        assert "permission denied" in err(rig.open, "/n/d/fifo", OWRITE)
        assert err(rig.wstat, "/n/d/fifo", Dir(mode=0o666)) == "permission denied"
        rig.wstat("/n/link", Dir(name="m"))
        rig.wstat("/n/d", Dir(name="z"))
        assert rig.ls("/n/z") == ["e", "f", "fifo", "g"]
        rig.remove("/n/z/fifo")
        assert "does not exist" in err(rig.open, "/n/m")  # d is not there any more
        rig.wstat("/n/z", Dir(name="d"))
        assert rig.slurp("/n/m") == b"content of d/f\n"

    assert os.readlink(upper / "m") == "d/f"
    assert stat.S_ISFIFO((lower / "d" / "fifo").lstat().st_mode)


def test_names_that_are_written_through(rig: Rig, lower: Path, upper: Path) -> None:
    changes = Changes(os.fspath(upper))

    @rig.run
    def _() -> None:
        c = rig.host.bind(os.fsencode(lower), False, changes, ("d/out", "d/made", "b"))
        rig.mount(c, "/n", MREPL | MCREATE)
        cclose(rig.k, c)
        put(rig, "/n/d/out", b"out")
        put(rig, "/n/d/other", b"other")
        put(rig, "/n/b", b"b")
        rig.close(rig.create("/n/d/made", OREAD, DMDIR | 0o755))
        put(rig, "/n/d/made/x", b"x")
        rig.wstat("/n/d/made/x", Dir(name="y", mode=0o600))
        put(rig, "/n/d/made/z", b"z")
        rig.remove("/n/d/made/z")
        assert err(rig.wstat, "/n/d/out", Dir(name="a")) == "permission denied"
        assert rig.ls("/n/d") == ["e", "f", "g", "made", "other", "out"]
        assert rig.slurp("/n/d/made/y") == b"x"

    assert tree(upper) == ["d/", "d/other"]
    assert tree(lower / "d") == ["e/", "e/h", "f", "g", "made/", "made/y", "out"]
    assert (lower / "b").read_text() == "b"


def test_where_a_file_lies_on_the_host(rig: Rig, lower: Path, upper: Path) -> None:
    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        for name, layer, at in (("d/e/h", lower, "d/e/h"), ("link", lower, "d/f"), ("a", upper, "a")):
            if layer is upper:
                rig.close(rig.open(f"/n/{name}", OWRITE))
            c = namec(rig.k, f"/n/{name}", Aopen, OREAD)
            assert rig.host.where(c) == str(layer / at)
            rig.remove(f"/n/{name}")
            assert rig.host.where(c) is None
            cclose(rig.k, c)


def test_descriptors_and_memory_are_given_back(rig: Rig, lower: Path, upper: Path) -> None:
    @rig.run
    def _() -> None:
        show(rig, lower, upper)
        before = openfds()
        for _ in range(2):
            fds = [rig.open("/n/d"), rig.open("/n/d/f"), rig.open("/n/a", ORDWR)]
            put(rig, "/n/d/new", b"")
            for name in ("/n/d/none", "/n/a/x"):
                err(rig.open, name)
                err(rig.create, name + "/y", OWRITE)
            rig.wstat("/n/d/f", Dir(length=3))
            rig.wstat("/n/d/e", Dir(name="x"))
            rig.wstat("/n/d/x", Dir(name="e"))
            assert "directory not empty" in err(rig.remove, "/n/d")
            rig.remove("/n/d/new")
            for fd in fds:
                rig.close(fd)
            assert openfds() == before
        over = rig.host.trees[-1].tree.over  # type: ignore[attr-defined]
        assert over.opened == {}


class Crash(BaseException):
    """The host stops."""


CHANGING = ("mkdir", "rename", "unlink", "rmdir", "link", "symlink", "write", "fchmod", "chmod", "utime", "ftruncate")


class Crashing:
    """Lets the n-th call that changes the host be the last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.left = n
        for name in (*CHANGING, "open"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kw: object) -> object:
            if self.left <= 0:
                raise Crash
            done = call(*args, **kw)
            if name != "open" or int(args[1]) & os.O_CREAT:  # type: ignore[call-overload]
                self.left -= 1
                if self.left == 0:
                    raise Crash
            return done

        return wrapped


def mkdirs(rig: Rig) -> None:
    rig.close(rig.create("/n/gone", OREAD, DMDIR | 0o755))


STEPS: dict[str, Callable[[Rig], object]] = {
    "remove a file": lambda rig: rig.remove("/n/d/f"),
    "remove a file that was copied": lambda rig: rig.remove("/n/b"),
    "remove a directory": lambda rig: rig.remove("/n/empty"),
    "make a directory over a mark": mkdirs,
    "make a file over a mark": lambda rig: put(rig, "/n/gone", b"", 0o600),
    "make a directory": lambda rig: rig.close(rig.create("/n/d/new", OREAD, DMDIR | 0o755)),
    "rename a file": lambda rig: rig.wstat("/n/d/f", Dir(name="z")),
    "rename a file over a mark": lambda rig: rig.wstat("/n/a", Dir(name="gone")),
    "rename a directory over a mark": lambda rig: rig.wstat("/n/d", Dir(name="gone")),
    "rename a directory": lambda rig: rig.wstat("/n/d", Dir(name="z")),
    "rename a link": lambda rig: rig.wstat("/n/link", Dir(name="z")),
    "change permissions": lambda rig: rig.wstat("/n/d/f", Dir(mode=0o600)),
    "truncate": lambda rig: rig.close(rig.open("/n/d/f", OWRITE | OTRUNC)),
    "open for writing": lambda rig: rig.close(rig.open("/n/d/f", OWRITE)),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_leaves_the_old_or_the_new(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state(upper: Path, lower: Path, body: Callable[[Rig], object] | None = None) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []

        def main() -> None:
            show(r, lower, upper, fresh=not any(upper.iterdir()))
            if body is not None:
                body(r)
            # but for the times of directories
            found.extend((*c[:3], 0) if len(c) == 4 and int(str(c[1])) & DMDIR else c for c in content(r, "/n"))

        with rigged() as r:
            r.run(main)
        return found

    def prepared(n: int) -> tuple[Path, Path]:
        work = tmp_path / str(n)
        lower, upper = work / "lower", work / "upper"
        (lower / "d" / "e").mkdir(parents=True)
        (lower / "gone" / "below").mkdir(parents=True)
        (lower / "empty").mkdir()
        upper.mkdir()
        for name in ("a", "b", "d/f", "d/e/g", "empty/x"):
            (lower / name).write_text(name)
        (lower / "link").symlink_to("a")
        for p in lower.rglob("*"):
            os.utime(p, (10**9, 10**9), follow_symlinks=False)

        def change(rig: Rig) -> None:
            rig.remove("/n/gone/below")
            rig.remove("/n/gone")
            put(rig, "/n/b", b"copied")
            rig.remove("/n/empty/x")

        state(upper, lower, change)
        return lower, upper

    lower, upper = prepared(0)
    old = state(upper, lower)
    new = state(upper, lower, STEPS[step])
    for n in range(1, 60):
        lower, upper = prepared(n)
        with monkeypatch.context() as m:
            try:
                state(upper, lower, lambda rig, m=m, n=n: (Crashing(m, n), STEPS[step](rig)))  # type: ignore[misc]
                crashed = False
            except Crash:
                crashed = True
        now = state(upper, lower)
        assert now in (old, new), n
        if not crashed:
            assert now == new
            break
    else:
        raise AssertionError
    assert n > 1
