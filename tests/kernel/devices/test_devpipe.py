"""Pipes: kernel/devices/devpipe.py, kernel/devices/qio.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OWRITE
from kernel.base.error import Error
from kernel.base.procdat import Proc_exitme
from kernel.devices.qio import balloc
from kernel.files.conv import Dir
from kernel.sched.note import postnote
from kernel.sched.sched import yield_
from kernel.syscalls import bindmount
from tests.kernel.fakes import Blocked, Rig, newrig

rig = pytest.fixture(newrig)


def test_a_pipe_keeps_writes_apart(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        assert (a, b) == (3, 4)
        rig.pwrite(a, b"one")
        rig.pwrite(a, b"two")
        rig.pwrite(b, b"back")
        assert rig.stat(b).length == 6
        assert rig.stat(b).name == "data1"
        assert rig.pread(b, 2) == b"on"
        assert rig.pread(b, 100) == b"e"
        assert rig.pread(b, 100) == b"two"
        assert rig.pread(a, 100) == b"back"
        rig.pwrite(a, b"")
        rig.pwrite(a, b"x")
        assert rig.pread(b, 100) == b""
        assert rig.pread(b, 100) == b"x"


def test_the_end_of_a_pipe_is_told_three_times(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        rig.pwrite(a, b"left")
        rig.close(a)
        assert rig.pread(b, 100) == b"left"
        for _ in range(3):
            assert rig.pread(b, 100) == b""
        with pytest.raises(Error, match="i/o on hungup channel"):
            rig.pread(b, 100)


def test_writing_to_a_closed_pipe_sends_a_note(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        rig.close(b)
        with pytest.raises(Error, match="i/o on hungup channel"):
            rig.pwrite(a, b"x")
        assert [n.msg for n in rig.up.note] == ["sys: write on closed pipe"]
        rig.up.note.clear()
        rig.up.notepending = 0


def test_a_reader_sleeps_until_something_is_written(rig: Rig) -> None:
    got = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def reader() -> None:
            rig.close(a)
            got.append(rig.pread(b, 100))
            got.append(rig.pread(b, 100))

        rig.spawn(reader, rig.up)
        rig.close(b)
        yield_(rig.k)
        got.append(b"writing")
        rig.pwrite(a, b"data")
        yield_(rig.k)
        got.append(b"closing")
        rig.close(a)

    assert got == [b"writing", b"data", b"closing", b""]


def test_a_writer_sleeps_while_the_pipe_is_full(rig: Rig) -> None:
    log: list[object] = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            for i in range(4):
                rig.pwrite(a, b"%d" % i * 10000)
                log.append(i)

        rig.spawn(writer, rig.up)
        yield_(rig.k)
        log.append("full")
        assert rig.stat(b).length == 40000
        for _ in range(4):
            log.append(rig.pread(b, 20000)[:1])

    assert log == [0, 1, 2, "full", b"0", b"1", b"2", b"3", 3]


def test_a_write_larger_than_a_block_is_split(rig: Rig) -> None:
    sizes = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            assert rig.pwrite(a, b"x" * 150000) == 150000
            rig.close(a)

        rig.spawn(writer, rig.up)
        rig.close(a)
        while data := rig.pread(b, 200000):
            sizes.append(len(data))

    assert sizes == [65536, 65536, 150000 - 2 * 65536]


def test_a_note_interrupts_a_reader_but_keeps_no_data_out(rig: Rig) -> None:
    errors = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def reader() -> None:
            with pytest.raises(Error) as e:
                rig.pread(b, 1)
            errors.append(str(e.value))

        def writer() -> None:
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            errors.append(str(e.value))

        p = rig.spawn(reader, rig.up)
        yield_(rig.k)
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        p = rig.spawn(writer, rig.up)
        yield_(rig.k)
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        assert rig.stat(b).length == 60000

    assert errors == ["interrupted", "interrupted"]


def test_a_glutted_pipe_is_left_only_by_a_kill(rig: Rig) -> None:
    errors = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x")
            errors.append(str(e.value))

        p = rig.spawn(writer, rig.up)
        yield_(rig.k)
        for _ in range(3):
            p.note.clear()
            postnote(rig.k, p, 1, "interrupt", 0)
            yield_(rig.k)
        assert errors == []
        assert len(rig.pread(b, 60000)) == 60000  # no glut any more, but still full
        p.note.clear()
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        assert rig.stat(b).length == 60000
        p.procctl = Proc_exitme
        p.note.clear()
        postnote(rig.k, p, 1, "kill", 0)
        yield_(rig.k)

    assert errors == ["the front fell off"]


def test_pipes_by_name(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "#|", "/n", 0)
        assert rig.ls("/n") == ["data", "data1"]
        a = rig.open("/n/data", ORDWR)
        b = rig.open("/n/data1", ORDWR)
        rig.pwrite(a, b"x")
        assert rig.stat("/n/data1").length == 1
        assert rig.pread(b, 1) == b"x"
        rig.close(a)
        assert rig.pread(b, 1) == b""
        rig.close(b)
        a = rig.open("/n/data", ORDWR)  # with both ends closed it starts anew
        b = rig.open("/n/data1", ORDWR)
        rig.pwrite(a, b"again")
        assert rig.pread(b, 9) == b"again"
        assert rig.wstat("/n/data", Dir(mode=0o640)) > 0
        assert rig.stat("/n/data").mode == 0o640
        with pytest.raises(Error, match="can't change owner"):
            rig.wstat("/n/data", Dir(uid="x"))
        with pytest.raises(Error, match="bad arg"):
            rig.open("#|", OWRITE)
        fd = rig.open("#|")
        with pytest.raises(Error, match="file is a directory"):
            rig.wstat(fd, Dir(mode=0))
        rig.up.user = "none"
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/n/data", Dir(mode=0))
        with pytest.raises(Error, match="seek on a stream"):
            rig.seek(a, 0, 0)


def test_more_processors_have_longer_pipes(rig: Rig) -> None:
    from kernel.devices.devpipe import Pipedev

    rig.k.conf.nmach = 2
    assert Pipedev(rig.k).qsize == 256 * 1024


def test_a_small_block_counts_for_its_room() -> None:
    assert balloc(0) >= 64
    assert all(0 <= balloc(n) - n - 64 < 40 for n in range(300))


def test_a_pipe_nobody_writes_blocks(rig: Rig) -> None:
    with pytest.raises(Blocked):

        @rig.run
        def _() -> None:
            _, b = rig.pipe()
            rig.pread(b, 1)
