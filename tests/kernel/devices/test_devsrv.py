"""Services: posting, opening, removing, permissions."""

from __future__ import annotations

import pytest

from kernel.base.chandat import OCEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Aopen
from kernel.base.dat import Qid
from kernel.base.error import Error
from kernel.devices.devsrv import srvname, srvrenameuser
from kernel.files.chan import namec
from kernel.files.conv import Dir
from tests.kernel.fakes import Rig, newrig
from tests.kernel.procrig import ProcRig, newprocrig

rig = pytest.fixture(newprocrig)
bare = pytest.fixture(newrig)


def post(rig: ProcRig, name: str, fd: int, perm: int = 0o600) -> None:
    """Post a descriptor."""
    s = rig.create(f"/srv/{name}", OWRITE, perm)
    rig.pwrite(s, str(fd).encode())
    rig.close(s)


def test_who_opens_a_service_has_the_channel_posted(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        r, w = rig.pipe()
        post(rig, "pipe", w)
        rig.close(w)
        fd = rig.open("/srv/pipe", ORDWR)
        rig.pwrite(fd, b"through")
        assert rig.pread(r, 100) == b"through"
        assert rig.up.fgrp is not None
        c = rig.up.fgrp.fd[fd]
        assert c is not None
        assert srvname(rig.k, c) == "#s/pipe"
        rig.close(fd)
        rig.remove("/srv/pipe")
        assert srvname(rig.k, c) is None
        assert rig.pread(r, 100) == b""  # the last reference is gone
        assert rig.ls("/srv") == []


def test_the_newest_is_listed_first(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        r, _ = rig.pipe()
        for name in ("a", "b", "c"):
            post(rig, name, r, 0o640)
        assert rig.ls("/srv") == ["c", "b", "a"]
        d = rig.stat("/srv/b")
        assert (d.uid, d.mode, d.length, chr(d.type)) == ("eve", 0o640, 0, "s")
        assert d.qid == Qid(2)
        assert rig.stat("/srv").qid.type == 0x80
        with pytest.raises(Error, match="does not exist"):
            rig.stat("/srv/d")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"99", "fd out of range or not open"),
        (b"-1", "fd out of range or not open"),
        (b"4294967296", "fd out of range or not open"),
        (b"1" * 32, "read or write too large"),
    ],
)
def test_bad_descriptors(rig: ProcRig, text: bytes, error: str) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/srv/x", OWRITE)
        with pytest.raises(Error, match=error):
            rig.pwrite(fd, text)


def test_what_cannot_be_posted(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        s = rig.create("/srv/x", OWRITE)
        fd = rig.open("/dev/null", OREAD | OCEXEC)
        with pytest.raises(Error, match="posted fd has remove-on-close or close-on-exec"):
            rig.pwrite(s, b"%d" % fd)
        assert rig.up.fgrp is not None
        fd = rig.open("/dev/null")
        c = rig.up.fgrp.fd[fd]
        assert c is not None
        c.qid = Qid(c.qid.path, 0, 0x08)
        with pytest.raises(Error, match="cannot post auth file in srv"):
            rig.pwrite(s, b"%d" % fd)
        assert c.ref == 1
        rig.pwrite(s, b" 0x1")  # any number that C knows
        with pytest.raises(Error, match="inappropriate use of fd"):
            rig.pwrite(s, b"1")
        rig.remove("/srv/x")
        with pytest.raises(Error, match="file does not exist"):
            rig.pwrite(s, b"1")


def test_opening(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        rig.close(rig.create("/srv/empty", OWRITE))
        with pytest.raises(Error, match="device shut down"):
            rig.open("/srv/empty")
        fd = rig.open("/dev/null", OREAD)
        post(rig, "null", fd)
        rig.open("/srv/null", OREAD)
        for mode in (OWRITE, ORDWR):
            with pytest.raises(Error, match="permission denied"):
                rig.open("/srv/null", mode)
        with pytest.raises(Error, match="file already exists"):
            rig.open("/srv/null", OREAD | OTRUNC)
        post(rig, "cons", rig.open("/dev/cons", ORDWR), 0o400)
        rig.open("/srv/cons", OREAD)
        with pytest.raises(Error, match="permission denied"):
            rig.open("/srv/cons", OWRITE)
        rig.up.user = "glenda"
        with pytest.raises(Error, match="permission denied"):
            rig.open("/srv/cons", OREAD)
        for mode, text in ((OWRITE, "file is a directory"), (OREAD | ORCLOSE, "permission denied")):
            with pytest.raises(Error, match=text):
                rig.open("#s", mode)


def test_creating(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        for mode in (OREAD, ORDWR):
            with pytest.raises(Error, match="permission denied"):
                rig.create("/srv/x", mode)
        with pytest.raises(Error, match="name too long"):
            rig.create("/srv/" + "n" * 128, OWRITE)
        rig.create("/srv/x", OWRITE, 0o7777)
        assert rig.stat("/srv/x").mode == 0o777
        c = namec(rig.k, "#s", Aopen, OREAD)
        with pytest.raises(Error, match="file already exists"):
            rig.srv.create(c, "x", OWRITE, 0o600)
        assert not rig.srv.srvlk.locked


def test_services_are_not_unlimited(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        for name in ("a", "b"):
            rig.create(f"/srv/{name}", OWRITE)
        rig.k.mainmem.maxsize = rig.k.mainmem.cursize + 1001  # a channel
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.create("/srv/c", OWRITE)


def test_removing(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        rig.create("/srv/system", OWRITE, 0o666)
        rig.up.user = "glenda"
        rig.create("/srv/own", OWRITE, 0o600)
        rig.create("/srv/public", OWRITE, 0o607)
        with pytest.raises(Error, match="permission denied"):
            rig.remove("/srv/system")
        rig.up.user = "bob"
        with pytest.raises(Error, match="permission denied"):
            rig.remove("/srv/own")
        rig.remove("/srv/public")
        with pytest.raises(Error, match="permission denied"):
            rig.srv.remove(namec(rig.k, "#s", Aopen, OREAD))
        rig.up.user = "eve"
        rig.remove("/srv/own")
        rig.remove("/srv/system")
        assert not rig.srv.srv


def test_remove_on_close(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/srv/x", OWRITE | ORCLOSE)
        assert rig.ls("/srv") == ["x"]
        rig.close(fd)
        assert rig.ls("/srv") == []
        fd = rig.create("/srv/y", OWRITE | ORCLOSE)
        rig.remove("/srv/y")
        rig.close(fd)  # there is nothing to remove any more


def test_changing_an_entry(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        rig.create("/srv/x", OWRITE, 0o600)
        rig.wstat("/srv/x", Dir(name="y", uid="glenda", mode=0o12345))
        d = rig.stat("/srv/y")
        assert (d.uid, d.mode) == ("glenda", 0o345)
        with pytest.raises(Error, match="bad character in file name"):
            rig.wstat("/srv/y", Dir(name="a/b"))
        with pytest.raises(Error, match="name too long"):
            rig.wstat("/srv/y", Dir(name="n" * 128))
        rig.up.user = "bob"
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/srv/y", Dir(mode=0o777))
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/srv", Dir(mode=0o777))
        rig.up.user = "glenda"
        rig.wstat("/srv/y", Dir(mode=0o777))
        fd = rig.open("/srv")
        with pytest.raises(Error, match="stat buffer too small"):
            rig.srv.wstat(namec(rig.k, "/srv/y", 0), b"short")
        rig.close(fd)


def test_a_new_host_owner_has_the_old_ones_services(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        rig.create("/srv/x", OWRITE)
        rig.echo("/dev/hostowner", "glenda")
        assert rig.stat("/srv/x").uid == "glenda"


def test_a_kernel_without_the_device(bare: Rig) -> None:
    @bare.run
    def _() -> None:
        assert bare.up.dot is not None
        assert srvname(bare.k, bare.up.dot) is None
        srvrenameuser(bare.k, "eve", "glenda")
