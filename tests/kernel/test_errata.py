"""Surprises of the original that no vector shows; the numbers are those of docs/errata.md."""

import struct

import pytest

from kernel.base.chandat import MREPL, ORCLOSE, ORDWR, OWRITE, Abind, Amount, Mhead
from kernel.base.dat import PG_ONSWAP, SEG1, SG_BSS, SG_PHYSICAL, SG_RONLY, SG_STACK, SSEG, Page, Physseg, Pte
from kernel.base.error import Error, Panic
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, MB, PTEVALID, PTEWRITE, USTKTOP
from kernel.files.chan import namec
from kernel.files.channel import cclose, findmount, putmhead
from kernel.memory import mmu
from kernel.memory.fault import fault
from kernel.memory.mmu import flushmmu, pteword
from kernel.memory.palloc import mustpage
from kernel.memory.segment import mfreeseg, newseg
from kernel.memory.swap import executeio, pagepte
from kernel.memory.swapmap import swapcount
from kernel.memory.uaccess import ustore
from kernel.sched.ref import incref
from kernel.sched.sched import yield_
from kernel.syscalls.bindmount import sysbind
from kernel.syscalls.sysexec import sysexec
from kernel.syscalls.sysseg import syssegattach
from tests.kernel.devices.ip.net import Netrig
from tests.kernel.fakes import UBASE, Rig, err
from tests.kernel.plain import PlainKernel, entry
from tests.linking import linked

BASE = 0x100000


def test_5_frames_of_a_physical_segment_end_up_on_the_free_list(kernel: PlainKernel) -> None:
    up = kernel.up
    assert up is not None
    s = kernel.segment(up, SEG1, SG_PHYSICAL, BASE, 1)
    s.pseg = Physseg(SG_PHYSICAL, "fb", 0xC000_0000, BY2PG)
    assert fault(kernel, BASE, True) == 0
    mfreeseg(kernel, s, BASE, 1)
    assert kernel.palloc.head is not None
    assert kernel.palloc.head.pa == 0xC000_0000


def test_13_executeio_frees_a_live_slot_if_a_page_is_on_its_list_twice(kernel: PlainKernel) -> None:
    """The page remembers its second slot only: that loses two references, the first none."""
    kernel.swapimage.c = kernel.file(bytes(1 << 17))
    page = kernel.page()
    incref(kernel, page)
    parent, child = Pte(), Pte()
    for pte in (parent, child):
        pte.pages[0] = page
        pagepte(kernel, SG_BSS, pte, 0)
    executeio(kernel)
    slots = [e - PG_ONSWAP for e in (parent.pages[0], child.pages[0]) if isinstance(e, int)]
    assert [swapcount(kernel, slot) for slot in slots] == [2, 0]


@pytest.mark.parametrize(("copymode", "writable"), [(0, 0), (1, PTEWRITE)])
def test_16_a_read_only_segment_becomes_writable_by_reading_it(
    kernel: PlainKernel, copymode: int, writable: int
) -> None:
    kernel.copymode = copymode
    up = kernel.up
    assert up is not None
    kernel.segment(up, SEG1, SG_BSS | SG_RONLY, BASE, 1)
    assert fault(kernel, BASE, False) == -1
    assert fault(kernel, BASE, True) == 0
    assert up.mmupdb is not None
    assert pteword(kernel, up.mmupdb.pa, BASE) & (PTEVALID | PTEWRITE) == PTEVALID | writable


def test_25_page_taken_while_putmmu_waits_is_not_mapped(kernel: PlainKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.swapimage.c = kernel.file(bytes(1 << 17))
    up = kernel.up
    assert up is not None
    s = kernel.segment(up, SEG1, SG_BSS, BASE, 2)

    def waits(k: Kernel, va: int) -> Page:
        """The process sleeps, the pager takes its page, it comes back."""
        pte = s.map[0]
        if pte is not None and isinstance(pte.pages[0], Page) and up.mmupdb is not None:
            pagepte(k, SG_BSS, pte, 0)
            executeio(k)
            up.newtlb = True
            flushmmu(k)
        return mustpage(k, va)

    assert fault(kernel, BASE + 0x1000, True) == 0  # a directory, and the kernel's own table
    flushmmu(kernel)
    up.mmufree = None  # another table is wanted
    monkeypatch.setattr(mmu, "mustpage", waits)
    assert fault(kernel, BASE, True) == 0
    assert entry(s, BASE) == PG_ONSWAP  # in slot 0
    assert up.mmupdb is not None
    assert pteword(kernel, up.mmupdb.pa, BASE) & PTEVALID == 0
    assert fault(kernel, BASE, True) == 0
    page = entry(s, BASE)
    assert isinstance(page, Page)
    assert pteword(kernel, up.mmupdb.pa, BASE) & ~0xFFF == page.pa


def test_27_a_variable_that_the_end_of_its_process_removes() -> None:
    rig = Rig()
    rig.spawn(lambda: rig.create("#e/x", ORDWR | ORCLOSE))
    with pytest.raises(Panic, match="no environment"):
        rig.settle()


def test_28_two_binds_at_once_drop_the_old_head_once() -> None:
    rig = Rig()

    heads: list[Mhead] = []

    def another(k: Kernel, m: Mhead | None) -> None:
        """Before the old head is dropped another processor makes the same bind."""
        if m in heads:
            heads.clear()
            cclose(k, namec(k, "/env", Abind))
        putmhead(k, m)

    @rig.run
    def _() -> None:
        k = rig.k
        rig.call(sysbind, "#c", "/env", MREPL)
        rig.call(sysbind, "/env", "/fd", MREPL)  # the same channel is mounted upon both
        cclose(k, namec(k, "/fd", Abind))
        c = namec(k, "/fd", Amount)
        found = findmount(k, c.type, c.dev, c.qid)
        assert found is not None
        head = found[1]
        heads.append(head)
        refs = head.ref
        with linked({putmhead: another}):
            cclose(k, namec(k, "/env", Abind))
        assert not heads
        assert head.ref == refs - 1


def test_31_a_segment_name_without_an_end_is_a_bad_address() -> None:
    rig = Rig()

    @rig.run
    def _() -> None:
        end = UBASE + MB
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        ustore(rig.k, end - 6, b"shared")
        with pytest.raises(Error, match="bad arg in system call"):
            rig.call(syssegattach, 0, end - 6, 0, BY2PG)
        assert [n.msg for n in rig.up.note] == ["sys: bad address in syscall"]


@pytest.mark.parametrize("sizes", [(4, 0, 0xFFFFE000), (4, 0xFFFFE000, 0), (4, 0xF0000000, 0x10000000)])
def test_32_a_header_whose_sums_wrap_is_no_program(sizes: tuple[int, int, int]) -> None:
    rig = Rig()

    @rig.run
    def _() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        fd = rig.create("/tmp/prog", OWRITE, 0o777)
        rig.pwrite(fd, struct.pack(">8I", 0x1EB, *sizes, 0, 0x1020, 0, 0))
        rig.close(fd)
        with pytest.raises(Error, match="exec header invalid"):
            rig.call(sysexec, "/tmp/prog", bytes(4))


@pytest.mark.parametrize(
    ("file", "message"),
    [("tcp/clone", b"checksum"), ("tcp/clone", b"tcpporthogdefense"), ("iproute", b""), ("iproute", b" \n")],
)
def test_40_a_message_to_the_network_that_lacks_a_word_is_a_bad_argument(file: str, message: bytes) -> None:
    rig = Netrig()

    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open(f"/net/{file}", ORDWR)
        with pytest.raises(Error, match="bad arg in system call"):
            rig.pwrite(fd, message)


def test_41_what_was_written_without_a_connection_is_not_for_the_next_one() -> None:
    rig = Netrig()

    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("tcp", "announce *!80")
        fd, at = rig.clone("tcp")
        data = rig.data(at)
        rig.pwrite(data, b"mine")
        rig.close(data)
        rig.close(fd)
        _, again = rig.clone("tcp", "connect 127.0.0.1!80")
        assert again == at
        _, d, _ = rig.listen("/net/tcp/0")
        rig.pwrite(rig.data(at), b"theirs")
        assert rig.pread(d, 100) == b"theirs"


def test_42_all_who_listen_hear_of_the_hangup() -> None:
    rig = Netrig()

    @rig.run
    def _() -> None:
        rig.net()
        announced, lat = rig.clone("tcp", "announce *!80")
        said: list[str] = []
        for _ in range(3):
            rig.spawn(lambda: said.append(err(rig.open, f"{lat}/listen", ORDWR)), rig.up)
        yield_(rig.k)
        rig.pwrite(announced, b"hangup")
        for _ in range(10):
            yield_(rig.k)
        assert said == [f"'{lat}/listen' listen hungup"] * 3
