"""The nested tables."""

from emu.machine import svm, x86
from emu.machine.svm import Region

SIZE = 16 << 20


def region() -> Region:
    r = Region()
    r.identity(SIZE)
    return r


def test_all_of_ram_is_writable_data_at_first_and_nothing_else_is_mapped() -> None:
    r = region()
    for frame in (0, 1, 511, 512, (SIZE >> 12) - 1):
        assert r.entry(frame) & (x86.NPT_PRESENT | x86.NPT_WRITE | x86.NPT_NX) == (
            x86.NPT_PRESENT | x86.NPT_WRITE | x86.NPT_NX
        )
    assert r.entry(SIZE >> 12) == 0
    assert r.entry(svm.REGION >> 12) == 0


def test_one_frame_changes_and_its_neighbours_do_not() -> None:
    r = region()
    r.set(600, execute=True, write=False)
    assert r.entry(600) == 600 << 12 | x86.NPT_PRESENT | x86.NPT_USER
    for frame in (599, 601, 512, 1023):
        assert r.entry(frame) == frame << 12 | svm.PRESENT | x86.NPT_NX
    assert r.entry(100) & x86.NPT_LARGE and r.entry(1024) & x86.NPT_LARGE
    r.set(600, execute=False, write=True)
    assert r.entry(600) == 600 << 12 | svm.PRESENT | x86.NPT_NX


def test_the_default_takes_no_table() -> None:
    r = region()
    r.set(600, execute=False, write=True)
    assert r.entry(600) & x86.NPT_LARGE


def test_there_is_room_for_the_tables_of_all_memory() -> None:
    r = Region()
    r.identity(svm.MAXRAM)
    for n in range(svm.MAXRAM // svm.LARGE):
        r.set(n * 512 + n % 512, execute=True, write=True)
    last = (svm.MAXRAM >> 12) - 1
    r.set(last, execute=True, write=True)
    assert r.entry(last) == last << 12 | svm.PRESENT
    assert r.entry(0) == svm.PRESENT
