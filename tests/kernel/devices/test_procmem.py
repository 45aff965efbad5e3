"""The memory of a process as a file: kernel/devices/procmem.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OREAD, OTRUNC, OWRITE, Chan
from kernel.base.dat import BSEG, DSEG, PG_TXTFLUSH, SG_DATA, SG_TEXT, SG_TYPE, TSEG, Page
from kernel.base.error import Error
from kernel.base.inject import Inject
from kernel.base.mem import BY2PG, KZERO, USTKTOP
from kernel.devices.procmem import kernelmem, procctlmemio
from kernel.memory.check import mustcheck
from kernel.memory.segment import dupseg, newseg
from tests.kernel.fakes import UBASE
from tests.kernel.plain import entry
from tests.kernel.procrig import CODE, ProcRig, newprocrig

rig = pytest.fixture(newprocrig)


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
