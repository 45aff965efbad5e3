"""Processes as files: kernel/devices/devproc.py."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import ORDWR, OREAD, OWRITE, Aaccess, Aopen
from kernel.base.error import Error
from kernel.base.mem import BY2PG
from kernel.base.procdat import (
    NUser,
    Waitmsg,
)
from kernel.devices.devproc import Nevents, procdir
from kernel.files.chan import namec
from kernel.files.conv import Dir
from kernel.memory.uaccess import ufetch
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sched import SReady, SRun, SSleep, SUser, tellproc
from kernel.sched.sleep import wakeup
from tests.kernel.fakes import BUF
from tests.kernel.procrig import ProcRig, newprocrig

rig = pytest.fixture(newprocrig)

FILES = [name for name, *_ in procdir]

# Names, entries, permissions


def test_every_process_has_a_directory_named_by_its_pid(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        assert rig.ls("/proc") == ["trace", str(rig.up.pid), str(p.pid)]
        assert rig.ls(f"/proc/{p.pid}") == FILES
        for name in ("0", f"0{p.pid}", f"+{p.pid}", "12x", "999", "-1", "x"):
            with pytest.raises(Error, match="does not exist"):
                rig.open(f"/proc/{name}")
        with pytest.raises(Error, match="does not exist"):
            rig.open(f"/proc/{p.pid}/nothing")
        p.pid, pid = 0, p.pid
        assert rig.ls("/proc") == ["trace", str(rig.up.pid)]
        p.pid = pid
        assert rig.ls(f"/proc/{p.pid}/..") == rig.ls("/proc")


def test_entries(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.procmode = 0o604
        p.user = "glenda"
        d = {e.name: e for e in rig.dirs(f"/proc/{p.pid}")}
        assert {e.uid for e in d.values()} == {"glenda"}
        modes = {name: e.mode for name, e in d.items()}
        assert modes["ctl"] == modes["mem"] == modes["text"] == 0o604
        assert modes["status"] == 0o444 and modes["args"] == 0o664 and modes["wait"] == 0o404
        lengths = {name: e.length for name, e in d.items() if e.length}
        assert lengths == {"fpregs": 528, "kregs": 76, "regs": 76, "status": 176}
        p.waitq.append(Waitmsg(1, (0, 0, 0), ""))
        assert rig.stat(f"/proc/{p.pid}/wait").length == 1
        rig.text(p, b"code")
        rig.ctl(rig.up, "noswap")
        assert rig.stat(f"/proc/{p.pid}/profile").length == 0
        p.user = rig.k.eve
        rig.ctl(p, "profile")
        assert rig.stat(f"/proc/{p.pid}/profile").length == BY2PG // 8 * 4
        assert rig.stat("/proc/trace").mode == 0o444
        assert rig.stat("/proc").qid.type == 0x80


@pytest.mark.parametrize("name", FILES)
def test_reading_and_writing_of_each_file(rig: ProcRig, name: str) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.text(p, b"code")
        readonly = {"fd", "kregs", "ns", "ppid", "proc", "profile", "segment", "status", "syscall", "wait", "text"}
        writable = not (readonly - {"status", "ppid", "wait", "syscall"}) & {name}
        path = f"/proc/{p.pid}/{name}"
        if name == "notepg":
            with pytest.raises(Error, match="permission denied"):
                rig.open(path, OREAD)
        else:
            rig.close(rig.open(path, OREAD))
        p.procmode = 0o666
        if name in readonly:
            with pytest.raises(Error, match="permission denied"):
                rig.open(path, OWRITE)
        else:
            assert writable
            rig.close(rig.open(path, OWRITE))


def test_a_mode_is_the_process_and_counts_for_who_is_not_its_user(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.user = "glenda"
        p.procmode = 0o600
        with pytest.raises(Error, match="permission denied"):
            rig.open(f"/proc/{p.pid}/ctl", OWRITE)
        rig.wstat(f"/proc/{p.pid}/ctl", Dir(mode=0o620))
        rig.open(f"/proc/{p.pid}/ctl", OWRITE)
        rig.wstat(f"/proc/{p.pid}/ctl", Dir(uid="bob"))
        assert (p.user, p.procmode) == ("bob", 0o620)
        rig.up.user = "mallory"
        for d in (Dir(mode=0o777), Dir(uid="mallory")):
            with pytest.raises(Error, match="permission denied"):
                rig.wstat(f"/proc/{p.pid}/status", d)
        rig.up.user = "bob"
        rig.wstat(f"/proc/{p.pid}/status", Dir(mode=0o1777, uid="bob"))
        assert p.procmode == 0o777
        with pytest.raises(Error, match="permission denied"):
            rig.wstat(f"/proc/{p.pid}/status", Dir(uid="eve"))
        for name in ("/proc/trace", f"/proc/{p.pid}"):
            with pytest.raises(Error, match="permission denied"):
                rig.wstat(name, Dir(mode=0))


def test_none_sees_nothing_of_others_state(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.procmode = 0o666
        rig.up.user = "none"
        for name in ("mem", "ctl", "args", "noteid", "status", "wait", "regs", "fpregs", "syscall", "ppid"):
            with pytest.raises(Error, match="permission denied"):
                rig.open(f"/proc/{p.pid}/{name}")
            rig.close(rig.open(f"/proc/{rig.up.pid}/{name}"))
        with pytest.raises(Error, match="permission denied"):
            rig.open(f"/proc/{p.pid}/notepg", OWRITE)
        rig.close(rig.open(f"/proc/{p.pid}/ns"))


def test_a_private_process_keeps_its_memory_to_itself(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.ctl(p, "private")
        for name in ("mem", "ctl", "note"):
            with pytest.raises(Error, match="permission denied"):
                rig.open(f"/proc/{p.pid}/{name}")
        rig.close(rig.open(f"/proc/{p.pid}/status"))


def test_a_channel_to_a_process_that_is_gone(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.text(p, b"code")
        names = [n for n in FILES if n not in ("notepg", "text")]
        fds = {n: rig.open(f"/proc/{p.pid}/{n}") for n in names}
        walked = {n: namec(rig.k, f"/proc/{p.pid}/{n}", Aaccess) for n in FILES}
        ctl = rig.open(f"/proc/{p.pid}/ctl", ORDWR)
        rig.ctl(p, "kill")
        rig.others()
        q = rig.target()
        assert q is p and q.pid != 0  # another process in the same place
        for n, fd in fds.items():
            with pytest.raises(Error, match="process exited"):
                rig.pread(fd, 100)
            with pytest.raises(Error, match="process exited"):
                rig.dev.open(walked[n], OREAD)
        with pytest.raises(Error, match="process exited"):
            rig.pwrite(ctl, b"kill")
        with pytest.raises(Error, match="process exited"):
            rig.dev.wstat(walked["ctl"], b"")


def test_a_write_to_what_is_not_for_writing(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.procmode = 0o666
        c = namec(rig.k, f"/proc/{p.pid}/status", Aopen, OREAD)
        with pytest.raises(Error, match="the front fell off"):
            rig.dev.write(c, b"x", 0)
        c = namec(rig.k, f"/proc/{p.pid}/ctl", Aopen, OREAD)
        with pytest.raises(Error, match="the front fell off"):
            rig.dev.read(c, 1, 0)
        c = namec(rig.k, f"/proc/{p.pid}", Aopen, OREAD)
        with pytest.raises(Error, match="file is a directory"):
            rig.dev.write(c, b"x", 0)
        with pytest.raises(Error, match="permission denied"):
            rig.create(f"/proc/{p.pid}/new", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.remove(f"/proc/{p.pid}/ctl")
        assert ufetch(rig.k, BUF, 1) == b"\0"


# Waiting


def test_wait_records_of_another(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        got: list[bytes | str] = []

        def reader() -> None:
            fd = rig.open(f"/proc/{p.pid}/wait")
            try:
                got.append(rig.pread(fd, 100))
                got.append(rig.pread(fd, 100))
            except Error as e:
                got.append(str(e))

        rig.spawn(reader, rig.up)
        rig.others()
        fd = rig.open(f"/proc/{p.pid}/wait")
        with pytest.raises(Error, match="device or object already in use"):
            rig.pread(fd, 100)
        p.waitq.append(Waitmsg(9, (10, 20, 30), "prog 9: it's over"))
        wakeup(rig.k, p.waitr)
        rig.others()
        assert got == [b"9 10 20 30 'prog 9: it''s over'"]
        rig.ctl(p, "kill")
        rig.others()
        assert got[1] == "process exited"
        fd = rig.open(f"/proc/{rig.up.pid}/wait")
        with pytest.raises(Error, match="no living children"):
            rig.pread(fd, 100)
        assert not rig.up.qwaitr.locked
        rig.up.waitq.append(Waitmsg(9, (0, 0, 0), ""))
        assert rig.pread(fd, 8) == b"9 0 0 0"


# Notes


def test_notes_are_posted(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        qlock(rig.k, p.debug)  # so that they wait
        qunlock(rig.k, p.debug)
        fd = rig.open(f"/proc/{p.pid}/note", OWRITE)
        p.notified = True
        for i in range(5):
            rig.pwrite(fd, b"note %d\0more" % i)
        with pytest.raises(Error, match="note not posted"):
            rig.pwrite(fd, b"one too many")
        assert [n.msg for n in p.note] == [f"note {i}" for i in range(5)]
        with pytest.raises(Error, match="read or write too large"):
            rig.pwrite(fd, b"x" * 127)
        p.note.clear()
        p.notepending = 0
        rig.pwrite(fd, b"x" * 126)
        assert p.note[0].msg == "x" * 126
        p.note.clear()
        p.notified = False


def test_a_group_is_that_of_the_time_of_opening(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p, q = rig.target(), rig.target()
        p.notified = q.notified = True
        p.noteid = q.noteid = rig.up.noteid
        fd = rig.open(f"/proc/{p.pid}/notepg", OWRITE)
        p.noteid = 12345
        rig.pwrite(fd, b"hello")
        assert [n.msg for n in q.note] == ["hello"] and not p.note and not rig.up.note
        with pytest.raises(Error, match="read or write too large"):
            rig.pwrite(fd, b"x" * 127)
        pgrp, p.pgrp = p.pgrp, None
        with pytest.raises(Error, match="process exited"):
            rig.open(f"/proc/{p.pid}/notepg", OWRITE)
        p.pgrp = pgrp
        q.note.clear()
        p.notified = q.notified = False


# What the scheduler does


def test_the_trace_of_the_scheduler(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        with pytest.raises(Error, match="permission denied"):
            rig.open("/proc/trace", OWRITE)
        fd = rig.open("/proc/trace")
        with pytest.raises(Error, match="already open"):
            rig.open("/proc/trace")
        postnote(k, p, 1, None, NUser)
        rig.others()
        assert rig.pread(fd, 1000) == b""  # nobody is marked
        rig.ctl(p, "trace 1")
        postnote(k, p, 1, None, NUser)
        rig.others()
        rig.ctl(rig.up, "trace 1")
        rig.ctl(p, "event")
        data = rig.pread(fd, 1000)
        events = [struct.unpack_from("<IIq", data, i) for i in range(0, len(data), 16)]
        assert [(pid, what) for pid, what, _ in events] == [
            (p.pid, SReady), (p.pid, SRun), (p.pid, SSleep), (rig.up.pid, SUser),
        ]  # fmt: skip
        assert [t for _, _, t in events] == sorted(t for _, _, t in events)
        for _ in range(Nevents + 10):
            tellproc(k, p, SUser)
        assert len(rig.dev.tevents) == Nevents
        assert len(rig.pread(fd, 40)) == 32
        rig.close(fd)
        assert k.procs.proctrace is None
        rig.close(rig.open("/proc/trace"))
