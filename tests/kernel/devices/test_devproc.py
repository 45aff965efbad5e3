"""Processes as files."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import MAFTER, MBEFORE, MCACHE, MCREATE, ORDWR, OREAD, OTRUNC, OWRITE, Aaccess, Aopen, Chan
from kernel.base.dat import BSEG, DSEG, NSEG, PG_TXTFLUSH, SG_DATA, SG_TEXT, SG_TYPE, TSEG, Page
from kernel.base.error import Error
from kernel.base.inject import Inject
from kernel.base.mem import BY2PG, KZERO, USTKTOP
from kernel.base.procdat import (
    STATENAME,
    FPactive,
    Note,
    NUser,
    Proc,
    Proc_exitme,
    Proc_tracesyscall,
    Stopped,
    Waitmsg,
    Wakeme,
)
from kernel.devices.devproc import Nevents, procdir
from kernel.devices.procinfo import int2flag
from kernel.devices.procmem import kernelmem, procctlmemio
from kernel.files.chan import namec
from kernel.files.channel import newpath
from kernel.files.conv import Dir
from kernel.memory.check import mustcheck
from kernel.memory.segment import dupseg, newseg
from kernel.memory.uaccess import ufetch, ustore
from kernel.process.proc import pexit
from kernel.process.ureg import UREG
from kernel.sched.newproc import procpriority
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sched import SReady, SRun, SSleep, SUser, ready, tellproc
from kernel.sched.sleep import wakeup
from kernel.trap import syscall
from tests.kernel.fakes import BUF, UBASE
from tests.kernel.plain import entry
from tests.kernel.procrig import CODE, ProcRig, newprocrig

rig = pytest.fixture(newprocrig)

FILES = [name for name, *_ in procdir]


def refused(rig: ProcRig, p: Proc, request: str, text: str) -> None:
    with pytest.raises(Error) as e:
        rig.ctl(p, request)
    assert str(e.value) == text


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


# Texts


def test_status(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.text = "a name of more than twenty-seven bytes"
        p.time = [1, 2, rig.k.machs[0].ticks - 30, 4, 5, 6]
        p.basepri, p.priority = 7, 8
        p.psstate = "Tsemacquire"
        s = p.seg[BSEG]
        assert s is not None
        procctlmemio(rig.k, p, UBASE, 1, None)
        procctlmemio(rig.k, p, UBASE + BY2PG, 1, None)
        text = rig.slurp(f"/proc/{p.pid}/status")
        assert len(text) == 176
        assert text[:28] == b"a name of more than twenty- "
        assert text[28:56] == b"eve".ljust(28)
        assert text[56:68] == b"Tsemacquire "
        assert [int(f) for f in text[68:].split()] == [10, 20, 300, 40, 50, 60, 8, 7, 8]
        assert text[68:80] == b"         10 "
        p.psstate = None
        assert rig.slurp(f"/proc/{p.pid}/status")[56:68] == b"Wakeme".ljust(12)
        assert STATENAME[-1] == "Rendez"
        fd = rig.open(f"/proc/{p.pid}/status")
        assert rig.pread(fd, 3, 28) == b"eve"
        assert rig.pread(fd, 10, 176) == b""


def test_segments(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.text(p, b"code")
        fd = rig.open(f"/proc/{p.pid}/segment")
        text = b"Text   R      1000     2000    1\nBss          10000   110000    1\n"
        assert rig.pread(fd, 1000) == text
        assert rig.pread(fd, 1000, 5) == text[5:]
        assert rig.pread(fd, 4, 5) == text[5:9]
        with pytest.raises(Error, match="no free segments"):
            rig.dev.read(namec(rig.k, f"/proc/{p.pid}/segment", Aopen, OREAD), 0, 0)
        rig.ctl(p, "profile")
        assert b"Text   RP" in rig.slurp(f"/proc/{p.pid}/segment")
        p.seg = [None] * NSEG
        assert rig.slurp(f"/proc/{p.pid}/segment") == b""


def test_arguments(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.text = "prog"
        assert rig.slurp(f"/proc/{p.pid}/args") == b""
        p.args = b"prog\0a b\0it's\0\0"
        assert rig.slurp(f"/proc/{p.pid}/args") == b"prog 'a b' 'it''s' ''"
        p.args = b"x" * 100 + b"\0" + b"y" * 27 + b"\0"
        assert rig.slurp(f"/proc/{p.pid}/args") == b"x" * 100 + b" " + b"y" * 26
        rig.echo(f"/proc/{p.pid}/args", "idle")
        assert rig.slurp(f"/proc/{p.pid}/args") == b"prog [idle]"
        rig.echo(f"/proc/{p.pid}/args", b"nul\0")
        assert p.args == b"nul\0"
        with pytest.raises(Error, match="i/o count too small"):
            rig.echo(f"/proc/{p.pid}/args", "")
        with pytest.raises(Error, match="read or write too large"):
            rig.echo(f"/proc/{p.pid}/args", "x" * 128)


def test_descriptors(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        fd = rig.open("/dev/null")
        assert p.fgrp is not None and rig.up.fgrp is not None
        p.fgrp.fd[4], rig.up.fgrp.fd[fd] = rig.up.fgrp.fd[fd], None
        p.fgrp.maxfd = 4
        whole = rig.slurp(f"/proc/{p.pid}/fd")
        lines = whole.decode().splitlines()
        assert lines[0] == "/" and len(lines) == 5
        assert lines[1] == "  0 r  c    0 (0000000000000002 0 00)     0        0 #c/cons"
        assert lines[4].startswith("  4 r  c ") and lines[4].endswith(" /dev/null")
        # read in pieces that a line fits: the last byte of a piece is a NUL's
        for n in (80, 100, 255, 8192):
            fd = rig.open(f"/proc/{p.pid}/fd")
            out = b""
            while data := rig.pread(fd, n):
                assert len(data) < n
                out += data
            assert out == whole
            rig.close(fd)
        # a smaller buffer loses what is cut off each line
        fd = rig.open(f"/proc/{p.pid}/fd")
        assert [rig.pread(fd, 2) for _ in range(3)] == [b"/", b" ", b" "]
        c = namec(rig.k, f"/proc/{p.pid}/fd", Aopen, OREAD)
        assert rig.dev.read(c, 0, 0) == b""  # the original overruns its buffer
        p.fgrp.fd[4] = None
        dot, p.dot = p.dot, None
        assert rig.slurp(f"/proc/{p.pid}/fd") == b""
        p.dot = dot


def test_the_name_space_line_by_line(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        fd = rig.open(f"/proc/{p.pid}/ns")
        lines = []
        while data := rig.pread(fd, 1000):
            lines.append(data.decode())
        assert lines == [
            "bind  #c /dev\n", "bind  #d /fd\n", "bind -c #e /env\n", "bind  #p /proc\n", "bind -c #s /srv\n", "cd /\n",
        ]  # fmt: skip
        assert rig.pread(fd, 1000) == b""
        fd = rig.open(f"/proc/{p.pid}/ns")
        assert rig.pread(fd, 8) == b"bind  #"  # what does not fit is lost
        assert rig.pread(fd, 1000) == b"bind  #d /fd\n"
        pgrp, p.pgrp = p.pgrp, None
        with pytest.raises(Error, match="process exited"):
            rig.pread(fd, 10)
        p.pgrp = pgrp


def test_a_mounted_server_has_the_name_it_was_posted_under(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        r, w = rig.pipe()
        assert rig.up.fgrp is not None and rig.up.pgrp is not None
        server = rig.up.fgrp.fd[r]
        assert server is not None
        to = namec(k, "/tmp", Aaccess)
        to.path = newpath("#M")
        to.mchan = server
        server.ref += 1
        rig.mount(to, "/n", MBEFORE | MCREATE | MCACHE)
        mount = next(m for chain in rig.up.pgrp.mnthash for m in chain if m.from_.path and m.from_.path.s == "/n")
        assert mount.mount is not None
        mount.mount.spec = "main"

        def line() -> str:
            fd = rig.open(f"/proc/{rig.up.pid}/ns")
            found = ""
            while data := rig.pread(fd, 1000):
                if data.startswith(b"mount"):
                    found = data.decode()
            return found

        assert line() == "mount -bcC #|/data /n main\n"
        rig.close(rig.create("/srv/fs", OWRITE, 0o600))
        fd = rig.create("/srv/boot", OWRITE, 0o600)
        rig.pwrite(fd, str(r).encode())
        assert line() == "mount -bcC #s/boot /n main\n"
        rig.close(w)


def test_flags_of_a_mount() -> None:
    assert int2flag(0) == ""
    assert int2flag(MAFTER) == "-a"
    assert int2flag(MBEFORE | MCREATE | MCACHE) == "-bcC"


def test_numbers(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.noteid, p.parentpid = 77, 78
        assert rig.slurp(f"/proc/{p.pid}/noteid") == b"         77 "
        assert rig.slurp(f"/proc/{p.pid}/ppid") == b"         78 "


def test_noteid_is_joined_by_number(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p, q = rig.target(), rig.target()
        rig.echo(f"/proc/{p.pid}/noteid", f"{q.noteid} ")
        assert p.noteid == q.noteid
        rig.echo(f"/proc/{p.pid}/noteid", f"{p.pid}\n")
        assert p.noteid == p.pid
        for text in ("0", "-3", "x", "12345"):
            with pytest.raises(Error, match="bad arg in system call"):
                rig.echo(f"/proc/{p.pid}/noteid", text)
        q.user = "bob"
        with pytest.raises(Error, match="permission denied"):
            rig.echo(f"/proc/{p.pid}/noteid", str(q.noteid))
        q.user, p.kp = p.user, True
        with pytest.raises(Error, match="permission denied"):
            rig.echo(f"/proc/{p.pid}/noteid", str(p.pid))
        with pytest.raises(Error, match="permission denied"):
            rig.echo(f"/proc/{p.pid}/note", "x")
        p.kp = False


# Registers


def test_registers(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        r = p.regs
        assert r is not None
        r.ax, r.sp, r.pc, r.flags, r.di = 0x11, 0x22, 0x33, 0x202, 0x44
        u = UREG.unpack(rig.slurp(f"/proc/{p.pid}/regs"))
        assert (u[0], u[7], u[12], u[13], u[14], u[15], u[16], u[17], u[18]) == (
            0x44, 0x11, 64, 0xF010021C, 0x33, 0x23, 0x202, 0x22, 0x1B,
        )  # fmt: skip
        fd = rig.open(f"/proc/{p.pid}/regs", ORDWR)
        assert rig.pwrite(fd, struct.pack("<2I", 0x99, 0xFFFFFFFF), 14 * 4) == 8
        assert (r.pc, r.flags) == (0x99, 0x202)  # cs is not the user's to change
        assert rig.pwrite(fd, struct.pack("<I", 0xFFFFFFFF), 16 * 4) == 4
        assert r.flags == 0x202 | 0xCD5
        assert rig.pwrite(fd, b"123456", 75) == 1
        assert rig.pwrite(fd, b"123456", 76) == 0
        assert rig.pread(fd, 100, 72) == struct.pack("<I", 0x1B)
        assert rig.slurp(f"/proc/{p.pid}/kregs") == bytes(76)
        p.trapno = -1  # it has not come out of user mode yet
        for op in (lambda: rig.pread(fd, 4, 0), lambda: rig.pwrite(fd, b"1234", 0)):
            with pytest.raises(Error, match="process has no saved registers"):
                op()


def test_floating_point_registers(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        r = p.regs
        assert r is not None
        r.fprestore(b"\x11" * 512)
        fd = rig.open(f"/proc/{p.pid}/fpregs", ORDWR)
        assert rig.pread(fd, 1000, 0) == bytes(528)  # not in use yet
        rig.pwrite(fd, b"lost", 0)
        assert r.fpsave() == b"\x11" * 512
        p.fpstate = FPactive
        assert rig.pread(fd, 1000, 0) == b"\x11" * 512 + bytes(16)
        assert rig.pwrite(fd, b"\x22" * 20, 510) == 18
        assert rig.pwrite(fd, b"\x22", 528) == 0
        assert r.fpsave() == b"\x11" * 510 + b"\x22" * 2


def test_the_structure_itself(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.scallnr, p.alarm = 50, 1234
        p.note = [Note("abc", NUser)]
        b = rig.slurp(f"/proc/{p.pid}/proc")
        # sizes and places are those that a C compiler gives the original's structure on a 386
        assert len(b) == 3016
        places = {44: 8, 132: p.pid, 376: p.procmode, 472: 1234, 1112: 50, 2880: p.priority}
        assert {at: struct.unpack_from("<I", b, at)[0] for at in places} == places
        assert b[2052:2056] == b"abc\0" and struct.unpack_from("<h", b, 2712)[0] == 1
        p.note = []


# Memory


def test_memory_is_read_up_to_a_page_and_written_when_stopped(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        fd = rig.open(f"/proc/{p.pid}/mem", ORDWR)
        assert rig.pread(fd, 100, UBASE) == bytes(100)
        assert rig.pread(fd, 100, UBASE + BY2PG - 4) == bytes(4)
        assert rig.pread(fd, 100, UBASE + (1 << 20) - 1) == b"\0"
        assert rig.pread(fd, 4, UBASE + (1 << 32)) == bytes(4)  # addresses have 32 bits
        with pytest.raises(Error, match="bad process or channel control request"):
            rig.pwrite(fd, b"x", UBASE)
        rig.stop(p)
        p.newtlb = False
        assert rig.pwrite(fd, b"hello", UBASE + BY2PG - 3) == 3
        assert rig.pread(fd, 10, UBASE + BY2PG - 3) == b"hel"
        assert p.newtlb
        for at in (UBASE - 1, UBASE + (1 << 20), USTKTOP):
            with pytest.raises(Error, match="bad arg in system call"):
                rig.pread(fd, 1, at)
            with pytest.raises(Error, match="bad arg in system call"):
                rig.pwrite(fd, b"x", at)


def test_memory_that_is_shared_is_copied_before_it_is_written(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p, q = rig.target(), rig.target()
        rig.stop(p)
        fd = rig.open(f"/proc/{p.pid}/mem", ORDWR)
        rig.pwrite(fd, b"before", UBASE)
        q.seg[BSEG] = dupseg(k, p.seg, BSEG, 0)
        rig.pwrite(fd, b"after!", UBASE)
        other = rig.open(f"/proc/{q.pid}/mem")
        assert rig.pread(other, 6, UBASE) == b"before"
        assert rig.pread(fd, 6, UBASE) == b"after!"


def test_text_that_is_written_becomes_data(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        s = rig.text(p, b"old code")
        q = rig.target()
        q.seg[TSEG] = dupseg(k, p.seg, TSEG, 0)
        rig.stop(p)
        fd = rig.open(f"/proc/{p.pid}/mem", ORDWR)
        assert rig.pread(fd, 8, CODE) == b"old code"
        assert p.seg[TSEG] is s
        rig.pwrite(fd, b"new", CODE)
        assert rig.pread(fd, 9, CODE) == b"new code\0"
        new = p.seg[TSEG]
        assert new is not None and new is not s
        assert new.type & SG_TYPE == SG_DATA and new.image is s.image and new.flushme
        page = entry(new, CODE)
        assert isinstance(page, Page) and set(page.cachectl) == {PG_TXTFLUSH}
        assert q.seg[TSEG] is s and s.ref == 1
        assert rig.pread(rig.open(f"/proc/{q.pid}/mem"), 8, CODE) == b"old code"
        # a child of it has text again, as the file has it
        child = dupseg(k, p.seg, TSEG, 0)
        assert child.type & SG_TYPE == SG_TEXT and child.image is s.image
        p.seg[DSEG] = child  # for somebody to have it
        # no memory for the new segment: nothing has changed, and nothing stays locked
        rig.stop(q)
        k.inject = Inject({"malloc": (1, True)})
        with pytest.raises(Error, match="kernel allocate failed"):
            procctlmemio(k, q, CODE, 1, b"x")
        k.inject = None
        assert q.seg[TSEG] is s and not s.locked and s.steal == 0


def test_an_error_while_a_page_is_fetched_is_the_readers(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        s = rig.text(p, b"code")
        rig.up.nerrlab = 1
        rig.k.inject = Inject({"textread": (1, True)})
        with pytest.raises(Error, match="i/o error in demand load"):
            rig.pread(rig.open(f"/proc/{p.pid}/mem"), 4, CODE)
        rig.k.inject = None
        assert s.steal == 0
        assert [n.msg[:24] for n in rig.up.note] == ["i/o error in demand load"]
        assert not p.note
        rig.up.note.clear()
        rig.up.notepending = 0


def test_the_kernels_memory_is_for_eve(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        k.mem.write(0x5000, b"kernel")
        fd = rig.open(f"/proc/{rig.up.pid}/mem", ORDWR)
        assert rig.pread(fd, 6, KZERO + 0x5000) == b"kernel"
        assert rig.pread(fd, 6, KZERO + k.palloc.base - 2) == bytes(2)
        with pytest.raises(Error, match="bad arg in system call"):
            rig.pread(fd, 6, KZERO + k.palloc.base)
        with pytest.raises(Error, match="bad arg in system call"):
            kernelmem(k, 0xFFFFFFFF, 10)
        rig.up.user = "glenda"
        with pytest.raises(Error, match="permission denied"):
            rig.pread(fd, 6, KZERO + 0x5000)


def test_the_text_file_is_the_images_channel(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        name = f"/proc/{p.pid}/text"
        with pytest.raises(Error, match="file does not exist"):
            rig.open(name)
        s = rig.text(p, b"code")
        assert s.image is not None
        fd = rig.open(name)
        assert rig.up.fgrp is not None and rig.up.fgrp.fd[fd] is s.image.c
        assert rig.pread(fd, 10) == b"code"
        for mode in (OWRITE, ORDWR, OREAD | OTRUNC):
            if mode == OREAD | OTRUNC:
                rig.close(rig.open(name, mode))  # openmode() drops it
                continue
            with pytest.raises(Error, match="permission denied"):
                rig.open(name, mode)
        # the segment is not the one its image would give to the next exec
        other = newseg(k, SG_TEXT, CODE, 1)
        s.image.s = other
        with pytest.raises(Error, match="process exited"):
            rig.open(name)
        s.image.s = s
        c = s.image.c
        assert c is not None
        c.flag &= ~Chan.COPEN
        ref = c.ref
        with pytest.raises(Error, match="process exited"):
            rig.open(name)
        assert c.ref == ref and not s.image.key
        c.flag |= Chan.COPEN
        s.image.c = None
        with pytest.raises(Error, match="process exited"):
            rig.open(name)
        s.image.c = c


# Control


def test_stop_and_start(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        done: list[str] = []

        def debugger() -> None:
            rig.ctl(p, "stop")
            done.append(p.psstate or "")

        d = rig.spawn(debugger, rig.up)
        rig.others()
        assert d.psstate == "Stopwait" and not done  # it stops when it is done with its call
        postnote(rig.k, p, 1, None, NUser)
        rig.others()
        assert done == ["Stopped"] and p.state == Stopped and p.pdbg is None
        rig.ctl(p, "stop")
        rig.ctl(p, "waitstop")
        rig.ctl(p, "start")
        rig.others()
        assert p.state == Wakeme and p.psstate is None
        for request in ("start", "startstop", "startsyscall"):
            refused(rig, p, request, "bad process or channel control request")


def test_one_debugger_at_a_time(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.procctl = 0
        failed: list[str] = []

        def first() -> None:
            try:
                rig.ctl(p, "waitstop")
            except Error as e:
                failed.append(str(e))

        d = rig.spawn(first, rig.up)
        rig.others()
        assert (d.psstate, p.pdbg) == ("Stopwait", d)
        for request in ("stop", "waitstop"):
            refused(rig, p, request, "device or object already in use")
        postnote(rig.k, d, 1, "enough", NUser)
        rig.others()
        assert (failed, p.pdbg, p.debug.locked) == (["interrupted"], None, False)
        rig.spawn(first, rig.up)
        rig.others()
        rig.ctl(p, "kill")
        rig.others()
        assert failed == ["interrupted", "process exited"]


def test_startstop_stops_for_a_note_alone(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        rig.stop(p)
        stopped: list[int] = []

        def debugger() -> None:
            rig.ctl(p, "startstop")
            stopped.append(len(p.note))

        rig.spawn(debugger, rig.up)
        rig.others()
        postnote(k, p, 1, None, NUser)  # an interrupted call is no note
        rig.others()
        assert not stopped and p.state == Wakeme
        postnote(k, p, 1, "wait", NUser)
        rig.others()
        assert stopped == [1] and p.state == Stopped
        assert rig.slurp(f"/proc/{p.pid}/note") == b"wait\0"
        assert not p.notepending
        assert rig.slurp(f"/proc/{p.pid}/note") == b""
        postnote(k, p, 1, "a long one", NUser)
        fd = rig.open(f"/proc/{p.pid}/note")
        assert rig.pread(fd, 5) == b"a lo\0"
        with pytest.raises(Error, match="read or write too small"):
            rig.dev.read(namec(k, f"/proc/{p.pid}/note", Aopen, OREAD), 0, 0)


def test_a_call_is_told_twice(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        ustore(k, UBASE, struct.pack("<6I", 0, 3, 0, 100, 0xFFFFFFFF, 0xFFFFFFFF))

        def traced() -> None:
            up = rig.up
            assert up.regs is not None
            ustore(k, UBASE, struct.pack("<6I", 0, 3, BUF, 100, 0xFFFFFFFF, 0xFFFFFFFF))
            up.regs.ax, up.regs.sp, up.regs.pc = 50, UBASE, 0x2000
            up.procctl = Proc_tracesyscall
            up.seg[9] = newseg(k, 3, USTKTOP - BY2PG, 1)  # for the Tos
            syscall(k)

        p = rig.spawn(traced, rig.up)
        p.text = "prog"
        rig.others()
        assert p.state == Stopped
        assert rig.slurp(f"/proc/{p.pid}/syscall").decode() == f"{p.pid} prog Pread 2000 3 {BUF:#x} 100 -1"
        ready(k, p)  # as "start": it is not traced any more
        p.procctl = Proc_tracesyscall
        rig.others()
        assert p.state == Stopped
        text = rig.slurp(f"/proc/{p.pid}/syscall").decode()
        # -1 counts as data, so the error is not shown: the original's slip
        assert text.startswith(f' {BUF:#x}/"{"." * 64}" 100 -1 = -1 "" 1402963200')
        rig.ctl(p, "start")
        rig.others()


def test_kill(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.ctl(p, "kill")
        assert p.procctl == Proc_exitme and [n.msg for n in p.note] == ["sys: killed"]
        rig.others()
        assert p.pid == 0
        p = rig.target()
        rig.stop(p)
        rig.ctl(p, "kill")
        rig.others()
        assert p.pid == 0
        p = rig.spawn(lambda: pexit(rig.k, "broken", False), rig.up)
        rig.others()
        assert p.pid != 0 and p in rig.k.procs.broken
        rig.ctl(p, "kill")
        rig.others()
        assert p.pid == 0 and not rig.k.procs.broken
        p = rig.target()
        p.kp = True
        refused(rig, p, "kill", "permission denied")
        p.kp = False


def test_descriptors_are_closed(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        f = p.fgrp
        assert f is not None
        rig.ctl(p, "close 1")
        assert [c is not None for c in f.fd[:3]] == [True, False, True]
        rig.ctl(p, "close 17")
        refused(rig, p, "close -1", "fd out of range or not open")
        rig.ctl(p, "closefiles")
        assert not any(f.fd) and f.ref == 1
        p.fgrp = None
        refused(rig, p, "closefiles", "process exited")
        p.fgrp = f


def test_priorities_and_processors(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        rig.ctl(p, "pri 5")
        assert (p.basepri, p.priority, p.fixedpri) == (5, 5, False)
        rig.ctl(p, "fixedpri 99")
        assert (p.basepri, p.fixedpri) == (19, True)
        rig.ctl(p, "pri -4")
        assert p.basepri == 0
        rig.up.user = "glenda"
        p.user = "glenda"
        rig.ctl(p, "pri 10")
        for request in ("pri 11", "fixedpri 12"):
            refused(rig, p, request, "permission denied")
        rig.ctl(p, "wired -1")
        assert p.wired is k.machs[0]
        rig.ctl(p, "wired 7")
        assert p.mp is k.machs[0]
        # on a run queue the queue is kept
        q = rig.spawn(lambda: None, rig.up)
        pri = q.priority
        procpriority(k, q, 3, False)
        assert (q.basepri, q.priority) == (3, pri)
        rig.others()


def test_flags(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        for request, flag, value in (
            ("hang", "hang", True),
            ("nohang\n", "hang", False),
            ("'noswap'", "noswap", True),
            ("trace", "trace", True),
            ("trace", "trace", False),
            ("trace 2", "trace", True),
            ("trace 0", "trace", False),
            ("interrupt", "notepending", 1),
            ("nointerrupt", "notepending", 0),
        ):
            rig.ctl(p, request)
            assert getattr(p, flag) == value
        refused(rig, p, "trace 1 2", "args")
        postnote(rig.k, p, 1, "x", NUser)
        refused(rig, p, "nointerrupt", "notes pending")
        p.note.clear()
        p.notepending = 0
        rig.others()


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("", "empty control message"),
        (" \n", "empty control message"),
        ("jump", 'unknown control message "jump"'),
        ("jump 'very high'", "unknown control message \"jump 'very high'\""),
        ("kill me", 'wrong #args in control message "kill me"'),
        ("pri", 'wrong #args in control message "pri"'),
        ("period 10ms", 'unknown control message "period 10ms"'),
        ("admit", 'unknown control message "admit"'),
        ("x" * 200, 'unknown control message "' + "x" * 92 + '"'),
    ],
)
def test_bad_requests(rig: ProcRig, request_: str, text: str) -> None:
    @rig.run
    def _() -> None:
        refused(rig, rig.target(), request_, text)


def test_profile(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        refused(rig, p, "profile", "bad process or channel control request")
        s = rig.text(p, b"code")
        fd = rig.open(f"/proc/{p.pid}/profile")
        with pytest.raises(Error, match="profile is off"):
            rig.pread(fd, 10)
        rig.ctl(p, "profile")
        up, k.up = k.up, p
        from kernel.memory.segment import segclock

        segclock(k, CODE + 17)
        segclock(k, 0x9999999)
        k.up = up
        counters = struct.unpack("<512I", rig.pread(fd, 4096))
        assert (counters[0], counters[2], sum(counters)) == (20, 10, 30)
        assert rig.pread(fd, 100, 2048) == b""
        # counters take a word for eight bytes: more than the kernel's own memory is refused
        s.top = s.base + (1 << 30)
        refused(rig, p, "profile", "kernel allocate failed")
        assert s.profile is None
        s.top = s.base + BY2PG
        p.seg[TSEG] = newseg(k, SG_DATA, CODE, 1)
        refused(rig, p, "profile", "bad process or channel control request")
        p.seg[TSEG] = s


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


def test_a_process_that_ends_while_its_page_is_read(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        s = rig.text(p, b"code")
        assert s.image is not None and s.image.c is not None
        dev = k.devtab[s.image.c.type]
        read = dev.read
        free = k.palloc.freecount

        def slow(c: Chan, n: int, offset: int) -> bytes:
            del dev.read
            rig.ctl(p, "kill")
            rig.others()
            assert p.pid == 0
            return read(c, n, offset)

        dev.read = slow  # type: ignore[method-assign]
        with pytest.raises(Error, match="process exited"):
            procctlmemio(k, p, CODE, 4, None)
        image = s.image
        assert s.ref == 0 and s.steal == 0
        assert image.ref == image.pgref == 1 and image.c is None  # the page is cached, as after any exit
        assert k.palloc.freecount >= free - 2
        mustcheck(k)
