"""Processes as files, what they tell: kernel/devices/procinfo.py."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import MAFTER, MBEFORE, MCACHE, MCREATE, ORDWR, OREAD, OWRITE, Aaccess, Aopen
from kernel.base.dat import BSEG, NSEG
from kernel.base.error import Error
from kernel.base.mem import BY2PG
from kernel.base.procdat import (
    STATENAME,
    FPactive,
    Note,
    NUser,
)
from kernel.devices.devproc import procdir
from kernel.devices.procinfo import int2flag
from kernel.devices.procmem import procctlmemio
from kernel.files.chan import namec
from kernel.files.channel import newpath
from kernel.process.ureg import UREG
from tests.kernel.fakes import UBASE
from tests.kernel.procrig import ProcRig, newprocrig

rig = pytest.fixture(newprocrig)

FILES = [name for name, *_ in procdir]

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
