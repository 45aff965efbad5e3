"""What single events mean, and the questions."""

from __future__ import annotations

from collections import Counter

from emu.observe.model import look
from emu.observe.model.model import Model
from emu.observe.model.records import NOADDR, ONSWAP, Image, Machine, Process, Segment
from kernel.base.event import (
    BootEvent,
    EntryEvent,
    Event,
    FaultEvent,
    ImageEvent,
    MmuEvent,
    PageEvent,
    PageOp,
    ProcEvent,
    SchedEvent,
    SegmentEvent,
    SegmentOp,
)
from tests.emu.observe.test_observe import EVENTS

POOL = 0x100000


def page(op: PageOp, n: int, va: int = 0, image: int = -1, daddr: int = NOADDR) -> PageEvent:
    return PageEvent(0, 2, 0, op, POOL + (n << 12), va, image, daddr, 1)


def entry(segment: int, va: int, n: int) -> EntryEvent:
    return EntryEvent(0, 2, 0, "page", segment, va, POOL + (n << 12), NOADDR)


def bss(op: SegmentOp, id: int = 1, old: int = 0, target: int = 0, slot: int = -1) -> SegmentEvent:
    return SegmentEvent(0, 2, 0, op, "bss", 0x3000, 0x8000, 1, id, -1, old, target, slot)


def after(*events: Event) -> Model:
    m = Model()
    for ev in events:
        m.apply(ev)
    return m


BOOT = BootEvent(0, 0, 0, 2, POOL, 12, 20, 200)
TWO = (BOOT, bss("new"), bss("attach", target=2, slot=3), page("alloc", 1, 0x3000), entry(1, 0x3000, 1))


def purposes(m: Model) -> list[str]:
    return list(look.purposes(m).values())


def test_a_machine_just_switched_on_is_free() -> None:
    m = after(BOOT)
    assert m.machine.now[0] == Machine(2, POOL, 12, 20, 200)
    assert look.free(m) == 12
    assert Counter(purposes(m)) == {"free": 12}


def test_each_purpose_of_a_frame() -> None:
    m = after(
        *TWO,
        page("alloc", 2), entry(1, 0x4000, 2), page("cache", 2, 0x4000, 5, 0x1000),
        page("alloc", 3), page("cache", 3, 0, 5, 0x2000),
        page("alloc", 4), page("cache", 4, 0, -2, 0), page("page-out", 4, 0, -2, 0),
        page("alloc", 5), MmuEvent(0, 2, 0, "directory", POOL + 0x5000, 0, 0, ""),
        page("alloc", 6), MmuEvent(0, 2, 0, "table", POOL + 0x5000, 0, POOL + 0x6000, ""),
        page("alloc", 7), MmuEvent(0, 2, 0, "kmap", POOL + 0x5000, 0, POOL + 0x7000, ""),
        page("alloc", 8), MmuEvent(0, 3, 1, "directory", POOL + 0x8000, 0, 0, ""),
        MmuEvent(0, 0, 1, "pool", POOL + 0x8000, 0, 0, ""),
        page("alloc", 9),
        page("alloc", 10), bss("new", 2), bss("attach", 2, 0, 2, 5), bss("attach", 2, 0, 3, 5), entry(2, 0x3000, 10),
        page("alloc", 11), entry(1, 0x5000, 11), entry(2, 0x5000, 11),
    )  # fmt: skip
    assert purposes(m) == [
        "free", "private", "cached", "idle", "swapping", "directory", "table", "kmap", "pool", "moving", "shared",
        "cow",
    ]  # fmt: skip
    assert set(purposes(m)) == set(look.PURPOSES)
    assert look.free(m) == 1
    assert m.directories.now == {2: POOL + 0x5000}
    assert look.cached(m) == {5: {0x1000: [POOL + 0x2000], 0x2000: [POOL + 0x3000]}, -2: {0: [POOL + 0x4000]}}
    assert look.slotrefs(m) == {0: 1}


def test_a_copy_of_a_segment_has_its_pages_and_slots() -> None:
    slot = EntryEvent(0, 2, 0, "swap", 1, 0x4000, 0, 0x9000)
    m = after(*TWO, slot, bss("new", 2), bss("dup", 2, 1), bss("attach", 2, 0, 3, 3))
    frame = POOL + 0x1000
    assert m.entries.row(2) == m.entries.row(1) == {0: frame, 1: 0x9000 | ONSWAP}
    assert look.holders(m) == {frame: [look.Holder(1, 0x3000), look.Holder(2, 0x3000)]}
    assert look.slots(m) == {0x9000: [look.Holder(1, 0x4000), look.Holder(2, 0x4000)]}
    assert look.framerefs(m)[frame] == look.slotrefs(m)[0x9000] == 2
    assert look.resident(m, 2) == look.resident(m, 3) == 1
    m.apply(bss("detach", 2, 0, 3, 3))
    m.apply(bss("free", 2))
    assert look.framerefs(m)[frame] == 1
    assert m.segments.now == {1: Segment("bss", 0x3000, 0x8000, -1)}
    assert look.sharers(m, 1) == [(2, 3)]
    assert look.resident(m, 3) == 0


def test_a_segment_that_moves_keeps_its_pages() -> None:
    m = after(*TWO)
    m.apply(SegmentEvent(0, 2, 0, "relocate", "bss", 0x13000, 0x18000, 1, 1))
    assert look.holders(m) == {POOL + 0x1000: [look.Holder(1, 0x13000)]}


def test_what_comes_for_a_segment_that_is_gone_is_dropped() -> None:
    m = after(*TWO, bss("detach", target=2, slot=3), bss("free"), entry(1, 0x3000, 1))
    assert m.entries.now == {}


def test_page_tables() -> None:
    pdb, table = POOL + 0x5000, POOL + 0x6000
    m = after(
        page("alloc", 5),
        MmuEvent(0, 2, 0, "directory", pdb, 0, 0, ""),
        page("alloc", 6),
        MmuEvent(0, 2, 0, "table", pdb, 0x400000, table, ""),
        MmuEvent(0, 2, 0, "map", pdb, 0x403000, 0x9000, "read"),
        MmuEvent(0, 2, 0, "map", pdb, 0x402000, 0xA000, "write"),
    )
    assert m.tables.row(pdb) == {1: table}
    assert look.mappings(m, 2) == [look.Mapping(0x402000, 0xA000, True), look.Mapping(0x403000, 0x9000, False)]
    assert look.mappings(m, 3) == []
    m.apply(MmuEvent(0, 2, 0, "clear", pdb, 0, 0, ""))
    assert look.mappings(m, 2) == []
    assert m.tables.row(pdb) == {}
    assert m.frames.now[table].purpose == "table"
    m.apply(page("free", 5))
    assert m.directories.now == {}


def test_a_process_from_beginning_to_end() -> None:
    m = after(
        SchedEvent(0, 2, 0, "new", 3, "*notext", "Scheding", "New"),
        ProcEvent(0, 2, 0, "fork", "cow", 3, ""),
        SchedEvent(0, 2, 0, "ready", 3, "cow", "Ready", "New"),
        SchedEvent(0, 3, 1, "run", 3, "cow", "Running", ""),
    )
    assert m.processes.now[3] == Process("cow", 2, "Running", "", "")
    assert look.processor(m, 3) == 1
    m.apply(ProcEvent(0, 3, 1, "exec", "hello", 0, "/bin/hello"))
    m.apply(SchedEvent(0, 3, 1, "wait", 3, "hello", "Wakeme", "Await"))
    m.apply(SchedEvent(0, 3, 1, "off", 3, "hello", "Wakeme", "Await"))
    assert m.processes.now[3] == Process("hello", 2, "Wakeme", "Await", "")
    assert look.processor(m, 3) is None
    m.apply(SchedEvent(0, 3, 0, "run", 3, "hello", "Running", ""))
    m.apply(ProcEvent(0, 3, 0, "exit", "hello", 0, "hello 3: no"))
    m.apply(SchedEvent(0, 3, 0, "end", 3, "hello", "Running", ""))
    assert m.processes.now[3] == Process("hello", 2, "Dead", "", "hello 3: no")
    assert m.running.now == {0: 0}
    m.apply(SchedEvent(0, 0, 0, "off", 0, "hello", "Moribund", ""))
    assert m.running.now == {}
    assert list(m.processes.now) == [3]


def test_an_image_is_open_closed_and_gone() -> None:
    m = after(ImageEvent(0, 2, 0, "attach", 4, "/bin/cow", 1, 0), page("alloc", 1), page("cache", 1, 0, 4, 0))
    m.apply(SegmentEvent(0, 2, 0, "image", "text", 0x1000, 0x2000, 1, 1, 4))
    assert m.images.now == {4: Image("/bin/cow", True)}
    assert look.imagerefs(m) == {4: 2}
    m.apply(ImageEvent(0, 2, 0, "close", 4, "/bin/cow", 1, 1))
    assert m.images.now == {4: Image("/bin/cow", False)}
    m.apply(page("reclaim", 1, 0, 4, 0))
    m.apply(ImageEvent(0, 2, 0, "free", 4, "", 0, 0))
    assert m.images.now == {}


def test_a_model_does_with_what_a_trace_tells() -> None:
    """Kinds left out, no beginning, things unheard of."""
    for events in (EVENTS, EVENTS[::-1], [e for e in EVENTS if isinstance(e, FaultEvent)]):
        m = after(*events)
        look.purposes(m)
        look.slots(m)
        look.imagerefs(m)
    m = after(page("free", 1), bss("detach", target=9, slot=1), bss("free", 9), bss("dup", 3, 8))
    assert look.free(m) == 0
    assert purposes(after(page("uncache", 1))) == ["moving"]
