"""The channel to a file server: kernel/syscalls/auth.py, and the version in kernel/devices/devmnt.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import MREPL, ORDWR, QTAUTH, Chan, Fgrp
from kernel.base.dat import Qid
from kernel.base.mntdat import Fcall
from kernel.devices.devmnt import mntversion
from kernel.files.fcall import NOTAG, Rauth, Rclunk, Rerror, Rversion, Tattach, Tauth, Tclunk, Tversion, convS2M
from kernel.files.fd import MAXFD, fdtochan
from kernel.files.pgrp import dupfgrp
from kernel.memory.uaccess import ufetch
from kernel.syscalls.auth import sysfauth, sysfversion
from kernel.syscalls.bindmount import sysmount
from tests.kernel.fakes import Rig, err, newrig
from tests.kernel.server9p import Answer, Node, Server, client, wait

rig = pytest.fixture(newrig)


# Version


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Fcall(Rversion, NOTAG, msize=9000, version="9P2000"), "server tries to increase msize in fversion"),
        (Fcall(Rversion, NOTAG, msize=255, version="9P2000"), "nonsense value of msize in fversion"),
        (Fcall(Rversion, NOTAG, msize=4000, version="9P2001"), "bad 9P version returned from server"),
        (Fcall(Rversion, NOTAG, msize=4000, version="unknown"), "bad 9P version returned from server"),
        (Fcall(Rerror, NOTAG, ename="go away"), "go away"),
        (Fcall(Rclunk, NOTAG), "unexpected reply type in fversion"),
        (convS2M(Fcall(Rclunk, NOTAG), 10) + b"x", "bad fversion conversion on reply"),
        (b"junk", "bad fversion conversion on reply"),
    ],
)
def test_versions_refused(rig: Rig, reply: Fcall | bytes, text: str) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: reply

    @rig.run
    def _() -> None:
        fd = s.start()
        assert err(rig.call, sysmount, fd, -1, "/n", 0, "") == text
        c = fdtochan(rig.k, fd, -1, False, False)
        assert c.mux is None
        assert not c.flag & Chan.CMSG
        assert c.umqlock is not None
        assert not c.umqlock.locked
        # the conversation may begin again
        del s.on[Tversion]
        rig.call(sysmount, fd, -1, "/n", 0, "")


def test_eof_and_hangup_at_version(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        p = client(rig, lambda: rig.close(b), [])
        rig.close(b)
        wait(rig, p)
        assert err(rig.call, sysmount, a, -1, "/n", 0, "") == "i/o on hungup channel"


def test_fversion(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        fd = s.start()

        def fversion(msize: int, version: bytes, n: int | None = None) -> tuple[int, bytes]:
            got = rig.call(sysfversion, fd, msize, version, len(version) if n is None else n)
            return got, ufetch(rig.k, 0x10000, len(version))

        assert err(fversion, 0, b"9P2000", 6) == "bad arg in system call"  # no NUL
        assert err(fversion, 0, b"x", 0) == "bad arg in system call"
        assert err(fversion, 0, b"9P1999\0") == "bad 9P version specification"
        assert err(fversion, 0, b"9P2000" + b"x" * 9000 + b"\0") == "bad fversion conversion on send"
        assert s.log == []
        assert fversion(1000, b"9P2000.more\0") == (6, b"9P2000.more\0")
        assert (s.log[0].msize, s.log[0].version) == (1000, "9P2000.more")
        assert rig.k.mntalloc.list[0].msize == 1000
        # once is enough
        assert fversion(5000, b"\0junkjunk") == (6, b"9P2000unk")
        assert err(fversion, 0, b"9P2000\0", 5) == "bad arg in system call"
        assert err(fversion, 0, b"\0nk", 3) == "i/o count too small"
        assert len(s.log) == 1
        # from now on the descriptor is the kernel's
        assert err(rig.pread, fd, 1) == "inappropriate use of fd"
        assert err(rig.pwrite, fd, b"x") == "inappropriate use of fd"
        rig.call(sysmount, fd, -1, "/n", 0, "")
        assert s.types() == [Tversion, Tattach]


def test_versions_of_one_channel_agree(rig: Rig) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: Fcall(Rversion, f.tag, msize=1000, version="9P2000.x")

    @rig.run
    def _() -> None:
        fd = s.start()
        assert rig.call(sysfversion, fd, 0, b"9P2000.xy\0", 10) == 8
        assert err(rig.call, sysfversion, fd, 0, b"9P2000\0", 7) == "incompatible 9P versions 9P2000.x 9P2000"
        assert rig.call(sysfversion, fd, 0, b"9P2000.xz\0", 10) == 8


def test_size_of_messages(rig: Rig) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: Fcall(Rerror, f.tag, ename=f"{f.msize}")

    @rig.run
    def _() -> None:
        fd = s.start()
        c = fdtochan(rig.k, fd, -1, False, False)

        def asked(msize: int) -> str:
            return err(mntversion, rig.k, c, None, msize, 0)

        assert asked(0) == "8216"
        assert asked(100) == "100"
        assert asked(100000) == "65536"  # the pipe's own
        assert asked(-1) == "65536"
        c.iounit = 0
        assert asked(100000) == "100000"
        assert asked(-1) == "bad iounit in version call"


# Authentication


def test_fauth(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        fd = s.start()
        assert err(rig.call, sysfauth, fd, "tree") == "authentication not required"
        assert s.types() == [Tversion, Tauth]
        assert err(rig.call, sysfauth, rig.open("/dev/null"), "") == "inappropriate use of fd"
        talk = Node(s, "auth", 0o600)

        def auth(f: Fcall) -> Answer:
            s.fids[f.afid] = talk
            return Fcall(Rauth, f.tag, qid=Qid(99, 0, QTAUTH))

        s.on[Tauth] = auth
        afd = rig.call(sysfauth, fd, "tree")
        assert (s.log[0].aname, s.log[0].uname) == ("tree", "eve")
        c = fdtochan(rig.k, afd, -1, False, False)
        assert (c.mode, c.qid, c.flag) == (ORDWR, Qid(99, 0, QTAUTH), Chan.CCEXEC)
        assert rig.pwrite(afd, b"secret") == 6
        assert rig.pread(afd, 10, 0) == b"secret"
        rig.call(sysmount, fd, afd, "/n", MREPL, "tree")
        assert s.log[-1].afid == c.fid
        rig.close(afd)
        assert s.log[-1].type == Tclunk
        rig.up.fgrp = full(rig)
        fd = s.start()
        rig.call(sysfauth, fd, "")
        assert err(rig.call, sysfauth, fd, "") == "no free file descriptors"


def full(rig: Rig) -> Fgrp:
    """Descriptors with two free, that cannot grow."""
    f = dupfgrp(rig.k, rig.up.fgrp)
    null = fdtochan(rig.k, rig.open("/dev/null"), -1, False, False)
    f.fd = [null] * MAXFD
    null.ref += MAXFD
    f.maxfd = MAXFD - 1
    f.fd[-2:] = [None, None]
    return f
