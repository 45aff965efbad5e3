"""The expression of -e with its fields, processes and paths."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.observe.fields import FilterError, fieldnames
from emu.observe.filter import KINDS, Filter, conditions, parse, select
from kernel.base.event import (
    EntryEvent,
    Event,
    FaultClass,
    FaultEvent,
    FaultSegment,
    MmuEvent,
    MmuOp,
    NoteEvent,
    PageEvent,
    ProcEvent,
    ProcOp,
    SchedEvent,
    SegmentEvent,
    SyscallEvent,
    TlbEvent,
)


def fault(cls: FaultClass = "remap", segment: FaultSegment = "bss", addr: int = 0x3004, pid: int = 2) -> FaultEvent:
    return FaultEvent(9000, pid, 0, addr, 0x1026, "user", "", 6, "write", segment, cls, "", 0x345000, 8000)


def call(name: str = "open", ret: int | None = 3, files: tuple[str, ...] = ()) -> SyscallEvent:
    return SyscallEvent(9, 2, 0, 14, name, "", 0x1030, ret, "" if ret != -1 else "no", 4, 0, files)


def page(va: int = 0x3000, image: int = -1) -> PageEvent:
    return PageEvent(1, 2, 0, "alloc", 0x345000, va, image, 0, 1)


def entry(va: int) -> EntryEvent:
    return EntryEvent(1, 2, 0, "none", 7, va, 0, 0)


def segment(base: int, top: int, pid: int = 2) -> SegmentEvent:
    return SegmentEvent(1, pid, 0, "new", "bss", base, top, 1)


def mmu(op: MmuOp, va: int) -> MmuEvent:
    return MmuEvent(1, 2, 0, op, 0x7000, va, 0x345000, "write" if op == "map" else "")


def proc(op: ProcOp, name: str, pid: int = 2, child: int = 0) -> ProcEvent:
    return ProcEvent(1, pid, 0, op, name, child, "")


@pytest.mark.parametrize(
    ("exprs", "wanted", "unwanted"),
    [
        (["fault:class=cow-copy"], fault("cow-copy"), fault()),
        (["fault:class=cow-copy|remap"], fault(), fault("zero-fill")),
        (["fault:class=cow-copy,class=remap"], fault(), fault("zero-fill")),
        (["fault:cls=remap"], fault(), fault("zero-fill")),
        (["fault:class=remap,segment=bss"], fault(), fault(segment="text")),
        (["fault:class=remap,segment=bss"], fault(), fault("cow-copy")),
        (["fault: class=remap , segment = bss"], fault(), fault("cow-copy")),
        (["fault:class!=remap"], fault("cow-copy"), fault()),
        (["fault:!class=remap|cow-copy"], fault("zero-fill"), fault()),
        (["fault:!class!=remap"], fault(), fault("zero-fill")),
        (["fault,class=remap"], fault(), fault("zero-fill")),
        (["fault:class=*-load"], fault("text-load"), fault()),
        (["fault:class=?emap"], fault(), fault("zero-fill")),
        (["fault:segment=none"], fault(segment=""), fault()),
        (["fault:segment=-"], fault(segment=""), fault()),
        (["fault:addr=0x3004"], fault(), fault(addr=0x3005)),
        (["fault:addr=0x3000-0x4000"], fault(), fault(addr=0x4000)),
        (["fault:addr=12292"], fault(), fault(addr=0x3000)),
        (["fault:pid=2-3"], fault(pid=3), fault(pid=4)),
        (["fault:took=1000"], fault(), FaultEvent(*[*astuple(fault())[:13], 8999])),
        (["syscall:ret=-1"], call(ret=-1), call()),
        (["syscall:ret=?"], call(ret=None), call()),
        (["syscall:ret=0-9"], call(), call(ret=None)),
        (["syscall:error=n*"], call(ret=-1), call()),
        (["page:image=swap"], page(image=-2), page()),
        (["page:image=none"], page(), page(image=0)),
        (["page:va=0x3000-0x5000"], page(0x4000), page(0x5000)),
        (["fault:class=remap", "fault:class=cow-copy"], fault("cow-copy"), fault("zero-fill")),
        (["fault", "fault:class=remap"], fault("zero-fill"), call()),
        (["fault:class=remap,syscall"], call(), fault("zero-fill")),
        (["fault:class=remap,syscall:name=open"], call(), call("close")),
        (["!fault:class=remap"], page(), fault()),
        (["!fault:class=remap"], fault("zero-fill"), fault()),
        (["fault,!fault:class=remap,segment=bss"], fault(segment="text"), fault()),
        (["addr=0x3000-0x5000"], fault(), fault(addr=0x5000)),
        (["addr=0x3fff"], fault(), fault(addr=0x4000)),
        (["addr=0x3fff|0x9000"], fault(addr=0x9001), fault(addr=0x4000)),
        (["addr=0x3000", "addr=0x9000"], fault(addr=0x9001), fault(addr=0x4000)),
        (["addr=0x3000"], page(), page(0x4000)),
        (["addr=0x0"], fault(addr=0), page(0)),
        (["fault", "addr=0x3000"], fault(), page()),
        (["%all,addr=0x3000"], page(), call()),
        (["addr=0x3800-0x3900"], entry(0x3000), entry(0x4000)),
        (["addr=0x3000"], segment(0x2000, 0x4000), segment(0x4000, 0x5000)),
        (["addr=0x3000"], mmu("map", 0x3000), mmu("map", 0x4000)),
        (["addr=0x3000"], mmu("table", 0), mmu("table", 0x400000)),
        (["addr=0x3000"], mmu("kmap", 0), mmu("clear", 0x3000)),
        (["addr=0"], TlbEvent(1, 2, 0, "page", 0, 0x7000), TlbEvent(1, 2, 0, "flush", 0, 0x7000)),
    ],
)  # fmt: skip
def test_fields_choose(exprs: list[str], wanted: Event, unwanted: Event) -> None:
    chosen = select(exprs)
    assert chosen(wanted)
    assert not chosen(unwanted)


def test_no_condition_is_no_test() -> None:
    assert select() == Filter(frozenset({"fault", "syscall", "proc", "note"}))
    assert select(["fault,page,!page"]) == Filter(frozenset({"fault"}))
    assert select(["fault"])(fault())
    assert not select(["fault"])(page())


def test_what_a_filter_can_want_is_in_its_kinds() -> None:
    assert select(["fault:class=remap,syscall"]).kinds == {"fault", "syscall"}
    assert select(["addr=1"]).kinds == {"fault", "page", "segment", "entry", "mmu", "tlb"}
    assert select(["fault,proc", "addr=1"]).kinds == {"fault"}
    assert select([], paths=["/x"]).kinds == {"syscall"}
    assert select(["fault"], paths=["/x"]).kinds == {"fault"}


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("fault:clas=x", "fault has no field 'clas'; it has ns, pid, cpu, addr, pc, mode, fn, err, access, segment,"),
        ("fault:host=1", "fault has no field 'host'; it has"),
        ("syscall:files=/x", "syscall has no field 'files'; it has"),
        ("fault:class=cow", "no fault has class 'cow'; there are text-load, data-load, cache-hit, zero-fill,"),
        ("fault:segment=heap", "no fault has segment 'heap'; there are none, text, data, bss, stack,"),
        ("syscall:name=opn", "no syscall has name 'opn'; there are sysr1, _errstr, bind, chdir,"),
        ("page:op=take", "no page has op 'take'; there are alloc, free, copy, cache,"),
        ("fault:addr=here", "fault:addr=here: neither a number nor a range"),
        ("fault:addr=", "fault:addr=: neither a number nor a range"),
        ("fault:addr=0x3000-0x3000", "the range is empty"),
        ("fault:pid=3-2", "the range is empty"),
        ("addr=x", "addr=x: neither a number nor a range"),
        ("addr=5-4", "the range is empty"),
        ("addr=-1", "addr=-1: an address is between 0 and 0xffffffff"),
        ("addr=0x100000000", "addr=0x100000000: an address is between 0 and 0xffffffff"),
        ("fault:addr=0x3000-0x100000001", "fault:addr=0x3000-0x100000001: an address is between"),
        ("fault:pc=" + "9" * 10000, "9...: an address is between"),
        ("!addr=5", "fault:addr!=0x3000-0x5000"),
        ("fault:", "'' is not FIELD=VALUE; fault has ns, pid"),
        ("fault:class", "'class' is not FIELD=VALUE; fault has ns, pid"),
        ("class=remap", "'class=remap' needs an event before it, as in fault:class=remap; class is a field of fault"),
        ("klass=remap", "no event has a field 'klass'; the events are fault, syscall"),
        ("%all:class=remap", "%all takes no field but addr="),
        ("%all,class=remap", "%all takes no field but addr="),
        ("faults:class=remap", "unknown event 'faults'; the events are fault, syscall"),
        ("proc,addr=3", "proc has no field 'addr'; it has"),
        ("fault:class=remap,,", "unknown event ''"),
    ],
)  # fmt: skip
def test_a_wrong_expression_names_what_there_is(expr: str, message: str) -> None:
    with pytest.raises(FilterError) as e:
        select([expr])
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_where_kinds_alone_are_taken() -> None:
    assert parse(["fault,page"]) == {"fault", "page"}
    with pytest.raises(FilterError, match="only kinds of events can be chosen here"):
        parse(["fault:class=remap"])


def test_a_number_of_any_length_is_a_number() -> None:
    assert not select(["fault:pid=" + "9" * 10000])(fault())
    assert not select(["fault:pid=0x" + "f" * 10000])(fault())
    assert select(["fault:addr=0x3000-0x100000000"])(fault())


def test_nothing_that_touches_an_address() -> None:
    with pytest.raises(FilterError, match="selects no event"):
        select(["proc", "addr=0x3000"])


def test_every_field_of_every_kind_can_be_asked_for() -> None:
    for kind in KINDS:
        for name, type in fieldnames(kind).items():
            assert select([f"{kind}:{name}={'1' if type.startswith('int') else '*'}"]).kinds == {kind}


def test_conditions_of_one_kind() -> None:
    test = conditions("fault", "class=cow-copy|remap, segment!=stack")
    assert test(fault())
    assert not test(fault(segment="stack"))
    with pytest.raises(FilterError, match="'class' is not FIELD=VALUE; fault has ns"):
        conditions("fault", "class")
    with pytest.raises(FilterError, match="proc has no field 'class'"):
        conditions("proc", "class=remap")


MARKS = [",", ":", "=", "!=", "!", "|", "*", "?", "-"]
WORDS = ["class", "addr", "segment", "op", "image", "ret", "pid", "0x3000", "5", "remap", "none", "%all"]


@given(st.lists(st.sampled_from([*KINDS, *MARKS, *WORDS]) | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        chosen = select([text])
    except FilterError:
        return
    for ev in (fault(), call(ret=None), page(), mmu("map", 0x3000), proc("exit", "x"), entry(0), segment(0, 1)):
        assert chosen(ev) in (True, False)


# processes


def test_events_of_processes_by_pid() -> None:
    chosen = select(["%all"], ["3", "4,5"])
    assert [chosen(fault(pid=n)) for n in (2, 3, 4, 5, 6)] == [False, True, True, True, False]


def test_what_happens_to_a_process_is_its_event_too() -> None:
    chosen = select(["%all"], ["3"])
    assert chosen(proc("fork", "cow", 2, child=3))
    assert chosen(NoteEvent(1, 2, 0, "post", 3, "kill"))
    assert chosen(SchedEvent(1, 0, 0, "run", 3, "cow", "Running", ""))
    assert chosen(SegmentEvent(1, 2, 0, "attach", "bss", 0, 0, 1, 7, -1, 0, 3, 2))
    assert not chosen(segment(0, 0))


def test_no_process_is_0() -> None:
    chosen = select(["%all"], ["0"])
    assert chosen(page()) is False
    assert chosen(segment(0, 0, pid=0))
    assert not chosen(segment(0, 0))


def test_events_of_processes_by_name() -> None:
    chosen = select(["fault"], ["cow"])
    assert chosen.whole
    assert not chosen(fault())
    assert not chosen(proc("exec", "cow")), "the kind is not wanted, but it told a name"
    assert chosen(fault())
    chosen(proc("fork", "cow", 2, child=3))
    assert chosen(fault(pid=3))
    chosen(proc("exec", "other"))
    assert not chosen(fault())
    assert chosen(fault(pid=3))
    chosen(SchedEvent(1, 0, 0, "new", 9, "cow", "Ready", ""))
    assert chosen(fault(pid=9))


def test_processes_and_conditions_must_both_hold() -> None:
    chosen = select(["fault:class=remap"], ["2"])
    assert chosen(fault())
    assert not chosen(fault("zero-fill"))
    assert not chosen(fault(pid=3))


def test_a_process_without_a_name() -> None:
    with pytest.raises(FilterError, match="a process is a pid or a name") as e:
        select([], ["2,"])
    assert e.value.option == "-p"


# paths


@pytest.mark.parametrize(
    ("path", "files", "named"),
    [
        ("/lib/words", ("/lib/words",), True),
        ("/lib/words/", ("/lib/words",), True),
        ("/lib", ("/lib/words",), False),
        ("/lib/*", ("/", "/lib/words"), True),
        ("/lib/word?", ("/lib/words",), True),
        ("/", ("/",), True),
        ("#c/cons", ("#c/cons",), True),
        ("/lib/[w]ords", ("/lib/words",), False),
        ("/lib/words", (), False),
    ],
)
def test_calls_by_path(path: str, files: tuple[str, ...], named: bool) -> None:
    chosen = select([], [], [path])
    assert chosen.files
    assert chosen(call(files=files)) is named
    assert not chosen(fault())


def test_paths_leave_what_an_expression_adds() -> None:
    chosen = select(["fault,syscall:name=open"], [], ["/x", "/y"])
    assert chosen(fault())
    assert chosen(call(files=("/y",)))
    assert not chosen(call("close", files=("/x",)))


def test_a_path_begins_at_the_root() -> None:
    with pytest.raises(FilterError, match="'words' does not begin with '/'") as e:
        select([], [], ["words"])
    assert e.value.option == "-P"
