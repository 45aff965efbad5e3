"""emu.observe: each rendering of the event stream, and the expression that selects from it."""

import json
import os
from pathlib import Path

import pytest

from emu.observe import filter as selection
from emu.observe.filter import FilterError, parse
from emu.observe.fit import FittedWriter
from emu.observe.jsonl import JsonWriter
from emu.observe.output import FileOutput, OutputError, StderrOutput
from emu.observe.read import readfile
from emu.observe.summary import Summary
from emu.observe.text import TextWriter
from emu.plain import plain
from emu.program.lines import Place
from emu.program.symbols import Found
from kernel.base.event import (
    BootEvent,
    EntryEvent,
    Event,
    FaultEvent,
    ImageEvent,
    MmuEvent,
    NoteEvent,
    PageEvent,
    ProcEvent,
    SchedEvent,
    SegmentEvent,
    SyscallEvent,
    TlbEvent,
    took,
)

USERFAULT = FaultEvent(1_500_000_042, 2, 0, 0x3000, 0x1026, "user", "", 6, "write", "bss", "zero-fill", "", 0x345000)
KERNELFAULT = FaultEvent(
    7, 2, 1, 0x2000, 0x1030, "kernel", "sysread", 2, "write", "data", "cow-copy", "data-load", 0x346000
)
BADFAULT = FaultEvent(8, 2, 0, 0, 0x1030, "user", "", 4, "read", "", "unmapped", "", 0)
CALL = SyscallEvent(9, 2, 0, 50, "pread", "3, 0x2000, 16, -1", 0x1030, 16, "")
FAILED = SyscallEvent(10, 2, 0, 14, "open", '"/x", 0', 0x1030, -1, "'/x' does not exist")
NORETURN = SyscallEvent(11, 2, 0, 8, "exits", '""', 0x1030, None, "")
EVENTS: list[Event] = [
    USERFAULT,
    KERNELFAULT,
    BADFAULT,
    CALL,
    FAILED,
    NORETURN,
    ProcEvent(12, 2, 0, "fork", "cow", 3, ""),
    PageEvent(13, 2, 0, "cache", 0x345000, 0x2000, -2, 32, 1),
    ImageEvent(14, 2, 0, "attach", 4, "/bin/cow", 2, 1),
    SegmentEvent(15, 2, 0, "new", "bss", 0x3000, 0x5000, 1),
    NoteEvent(16, 2, 0, "post", 3, "kill"),
    TlbEvent(17, 2, 0, "flush", 0, 0x7000),
    SegmentEvent(18, 2, 0, "dup", "data", 0x3000, 0x5000, 1, 7, 4, 3),
    SegmentEvent(19, 2, 0, "attach", "data", 0x3000, 0x5000, 1, 7, 4, 0, 3, 2),
    EntryEvent(20, 2, 0, "page", 7, 0x3000, 0x345000, 0xFFFFFFFF),
    EntryEvent(21, 2, 0, "swap", 7, 0x3000, 0, 0x9000),
    EntryEvent(22, 2, 0, "none", 7, 0x3000, 0, 0xFFFFFFFF),
    MmuEvent(23, 2, 0, "map", 0x7000, 0x3000, 0x345000, "write"),
    MmuEvent(24, 2, 0, "clear", 0x7000, 0, 0, ""),
    SchedEvent(25, 2, 1, "wait", 2, "cow", "Wakeme", "Await"),
    SchedEvent(26, 2, 1, "off", 2, "cow", "Wakeme", ""),
    BootEvent(27, 0, 0, 1, 0x300000, 100, 0, 200),
]


class Lines:
    """An Output that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def close(self) -> None:
        pass


# -e


@pytest.mark.parametrize(
    ("exprs", "kinds"),
    [
        ([], "fault syscall proc note"),
        (["fault"], "fault"),
        (["fault,page"], "fault page"),
        (["fault", "page, tlb"], "fault page tlb"),
        (["%all"], "fault syscall proc page image segment note tlb entry mmu sched boot"),
        (["!tlb"], "fault syscall proc page image segment note entry mmu sched boot"),
        (["!tlb", "!page,!image,!mmu"], "fault syscall proc segment note entry sched boot"),
        (["%all,!fault"], "syscall proc page image segment note tlb entry mmu sched boot"),
        (["!fault", "%all"], "syscall proc page image segment note tlb entry mmu sched boot"),
        (["fault,page,!page"], "fault"),
    ],
)
def test_expressions(exprs: list[str], kinds: str) -> None:
    assert parse(exprs) == set(kinds.split())


@pytest.mark.parametrize("expr", ["faults", "", "fault,", "!", "!x", "%", "all", "Fault"])
def test_an_unknown_word_is_answered_with_the_list(expr: str) -> None:
    with pytest.raises(FilterError, match=r"the events are fault, syscall, .* and %all"):
        parse([expr])


@pytest.mark.parametrize("expr", ["!%all", "fault,!fault"])
def test_an_expression_that_selects_nothing(expr: str) -> None:
    with pytest.raises(FilterError, match="selects no event"):
        parse([expr])


def test_the_words_are_the_kinds_of_the_event_stream() -> None:
    assert set(selection.KINDS) == {ev.kind for ev in EVENTS} == {c.kind for c in Event.__subclasses__()}


# JSON


def test_json_of_a_fault_in_user_mode() -> None:
    assert JsonWriter(Lines()).line(USERFAULT) == (
        '{"v":1,"ns":1500000042,"pid":2,"cpu":0,"event":"fault","addr":12288,"pc":4134,"mode":"user","err":6,'
        '"access":"write","segment":"bss","class":"zero-fill","frame":3428352}\n'
    )


def test_json_of_a_fault_in_kernel_mode_tells_the_function_and_the_load() -> None:
    assert JsonWriter(Lines()).line(KERNELFAULT) == (
        '{"v":1,"ns":7,"pid":2,"cpu":1,"event":"fault","addr":8192,"pc":4144,"mode":"kernel","fn":"sysread","err":2,'
        '"access":"write","segment":"data","class":"cow-copy","load":"data-load","frame":3432448}\n'
    )


def test_json_of_every_event() -> None:
    out = Lines()
    sink = JsonWriter(out)
    for ev in EVENTS:
        sink(ev)
    sink.finish()
    rows = [json.loads(line) for line in out.text.splitlines()]
    assert [row["event"] for row in rows] == [ev.kind for ev in EVENTS]
    assert all(list(row)[:5] == ["v", "ns", "pid", "cpu", "event"] for row in rows)
    assert rows[3] == {
        "v": 1, "ns": 9, "pid": 2, "cpu": 0, "event": "syscall",
        "nr": 50, "name": "pread", "args": "3, 0x2000, 16, -1", "pc": 0x1030, "ret": 16, "error": "",
    }  # fmt: skip
    assert rows[5]["ret"] is None
    assert list(rows[8]) == ["v", "ns", "pid", "cpu", "event", "op", "image", "path", "ref", "pgref"]


def test_json_is_ascii_and_one_line_whatever_a_name_holds() -> None:
    line = JsonWriter(Lines()).line(ProcEvent(0, 1, 0, "exit", "a\nb\udcff·", 0, "\x1b[2J"))
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["name"] == "a\nb\udcff·"


def test_json_of_an_event_without_fields_or_with_one() -> None:
    from dataclasses import dataclass

    @dataclass(slots=True)
    class One(Event):
        kind = "one"
        x: "int"  # as those of kernel.base.event: a class that is not collected at once is one of its events

    assert JsonWriter(Lines()).line(Event(1, 0, 0)) == '{"v":1,"ns":1,"pid":0,"cpu":0,"event":"event"}\n'
    assert JsonWriter(Lines()).line(One(1, 0, 0, 5)) == '{"v":1,"ns":1,"pid":0,"cpu":0,"event":"one","x":5}\n'


# text


def lookup(pid: int, pc: int) -> Found | None:
    return Found("touch+0x6", bytes.fromhex("c60001")) if pid == 2 else None


def test_text() -> None:
    out = Lines()
    sink = TextWriter(out, lookup=lookup)
    for ev in EVENTS:
        sink(ev)
    sink.finish()
    fault = "frame 0x00345000 pc 0x00001026 touch+0x6: mov byte ptr [eax], 1"
    assert out.text.splitlines() == [
        f"   1.500000042 [2]    fault   0x00003000 write user             zero-fill          bss    {fault}",
        "   0.000000007 [2]    fault   0x00002000 write kernel sysread   cow-copy+data-load data   "
        "frame 0x00346000 pc 0x00001030 touch+0x6",
        "   0.000000008 [2]    fault   0x00000000 read  user             unmapped           -      "
        "frame -          pc 0x00001030 touch+0x6: mov byte ptr [eax], 1",
        "   0.000000009 [2]    syscall pread(3, 0x2000, 16, -1) = 16",
        '   0.000000010 [2]    syscall open("/x", 0) = -1 "\'/x\' does not exist"',
        '   0.000000011 [2]    syscall exits("") = ?',
        "   0.000000012 [2]    proc    fork   cow pid 3",
        "   0.000000013 [2]    page    cache   frame 0x00345000 va 0x00002000 image swap daddr 0x20 ref 1",
        "   0.000000014 [2]    image   attach  image 4 /bin/cow ref 2 pgref 1",
        "   0.000000015 [2]    segment new      bss      0x00003000-0x00005000 ref 1 id 0",
        '   0.000000016 [2]    note    post    to 3 "kill"',
        "   0.000000017 [2]    tlb     flush  va 0x00000000 pdb 0x00007000",
        "   0.000000018 [2]    segment dup      data     0x00003000-0x00005000 ref 1 id 7 image 4 of 3",
        "   0.000000019 [2]    segment attach   data     0x00003000-0x00005000 ref 1 id 7 image 4 pid 3 slot 2",
        "   0.000000020 [2]    entry   page    segment 7 va 0x00003000 frame 0x00345000",
        "   0.000000021 [2]    entry   swap    segment 7 va 0x00003000 daddr 0x9000",
        "   0.000000022 [2]    entry   none    segment 7 va 0x00003000",
        "   0.000000023 [2]    mmu     map       pdb 0x00007000 va 0x00003000 frame 0x00345000 write",
        "   0.000000024 [2]    mmu     clear     pdb 0x00007000",
        "   0.000000025 [2]    sched   wait  cow 2 Wakeme (Await)",
        "   0.000000026 [2]    sched   off   cow 2 Wakeme",
        "   0.000000027 [0]    boot    cpus 1, 100 frames from 0x00300000, 0 swap slots, 200 images",
    ]


def test_text_tells_the_processor_when_there_are_several() -> None:
    assert "[2]    cpu1 fault" in TextWriter(Lines(), cpus=2).line(KERNELFAULT)


def test_text_does_without_symbols_or_code() -> None:
    end = "pc 0x00001026"
    assert TextWriter(Lines()).line(USERFAULT).endswith(f"{end}\n")
    assert TextWriter(Lines(), lookup=lambda pid, pc: None).line(USERFAULT).endswith(f"{end}\n")
    assert TextWriter(Lines(), lookup=lambda pid, pc: Found("", b"")).line(USERFAULT).endswith(f"{end}\n")
    assert TextWriter(Lines(), lookup=lambda pid, pc: Found("f+0x0", b"")).line(USERFAULT).endswith(f"{end} f+0x0\n")
    assert TextWriter(Lines(), lookup=lambda pid, pc: Found("", b"\xf4")).line(USERFAULT).endswith(f"{end}: hlt\n")


def test_text_tells_the_source_line_behind_the_symbol() -> None:
    sink = TextWriter(Lines(), lookup=lambda pid, pc: Found("f+0x0", b"\xf4", Place("a\tb.c", 7)))
    assert sink.line(USERFAULT).endswith(" f+0x0 a\\tb.c:7: hlt\n")
    assert sink.line(KERNELFAULT).endswith(" f+0x0 a\\tb.c:7\n")


def test_json_of_a_fault_whose_source_line_is_known() -> None:
    sink = JsonWriter(Lines(), lambda pid, pc: ("a.c", 7) if pid == USERFAULT.pid else None)
    assert sink.line(USERFAULT).endswith(',"file":"a.c","line":7}\n')


def test_text_is_one_harmless_line_whatever_a_name_holds() -> None:
    sink = TextWriter(Lines(), lookup=lambda pid, pc: Found("f\n+0x0", b""))
    for ev in (
        ProcEvent(0, 1, 0, "exit", "a\nb", 0, "\x1b[2J"),
        SyscallEvent(0, 1, 0, 14, "open", "\r", 0, -1, "\n"),
        NoteEvent(0, 1, 0, "post", 2, "\x07"),
        USERFAULT,
    ):
        line = sink.line(ev)
        assert line[:-1].isprintable()
        assert line[-1] == "\n"


def test_text_shows_an_event_it_does_not_know() -> None:
    assert "Event(ns=1, pid=0, cpu=0)" in TextWriter(Lines()).line(Event(1, 0, 0))


def test_colour_changes_nothing_but_colour() -> None:
    import re

    plainly, coloured = TextWriter(Lines(), lookup=lookup), TextWriter(Lines(), color=True, lookup=lookup)
    for ev in EVENTS:
        assert "\x1b" not in plainly.line(ev)
        assert "\x1b" in coloured.line(ev)
        assert re.sub("\x1b\\[[0-9]*m", "", coloured.line(ev)) == plainly.line(ev)


# summary


def count(json: bool = False, color: bool = False) -> str:
    out = Lines()
    sink = Summary(out, json=json, color=color)
    for ev in [*EVENTS, USERFAULT]:
        sink(ev)
    sink.finish()
    return out.text


def test_summary_as_json_is_one_line_in_a_fixed_order() -> None:
    assert count(json=True) == (
        '{"v":1,"faults":{"cow-copy":1,"unmapped":1,"zero-fill":2},'
        '"by_segment":{"":{"unmapped":1},"bss":{"zero-fill":2},"data":{"cow-copy":1}},'
        '"syscalls":{"exits":1,"open":1,"pread":1},'
        '"events":{"boot":1,"entry":3,"fault":4,"image":1,"mmu":2,"note":1,"page":1,"proc":1,"sched":2,"segment":3,'
        '"syscall":3,"tlb":1}}\n'
    )


def test_summary_as_tables() -> None:
    rows = [line.replace("|", " ").split() for line in count().splitlines()]
    assert ["faults", "none", "bss", "data", "total", "%"] in rows
    assert ["zero-fill", "-", "2", "-", "2", "50.0"] in rows
    assert ["total", "1", "2", "1", "4", "100.0"] in rows
    assert ["syscall", "calls", "%", "errors"] in rows
    assert ["open", "1", "33.3", "1"] in rows
    assert ["total", "3", "100.0", "1"] in rows
    assert ["fault", "4", "17.4"] in rows
    assert ["total", "23", "100.0"] in rows
    assert "\x1b" not in count()


TIMED: list[Event] = [
    FaultEvent(2000, 2, 0, 0x3000, 0x1026, "user", "", 6, "write", "bss", "zero-fill", "", 0x345000, 1000, 70),
    FaultEvent(9000, 2, 0, 0x3000, 0x1026, "user", "", 6, "write", "bss", "cow-copy", "", 0x345000, 6000, 10),
    SyscallEvent(3000, 2, 0, 50, "pread", "", 0x1030, 16, "", 2500, 5),
    SyscallEvent(3000, 2, 0, 50, "pread", "", 0x1030, 16, "", 2500, 5),
    SyscallEvent(4000, 2, 0, 14, "open", "", 0x1030, -1, "no", 1000, 30),
    SyscallEvent(5000, 2, 0, 8, "exits", "", 0x1030, None, "", 1000, 5),
]


def table(title: str, sort: str = "", times: tuple[str, ...] = ()) -> list[list[str]]:
    out = Lines()
    sink = Summary(out, sort=sort, times=times)
    for ev in TIMED:
        sink(ev)
    sink.finish()
    rows = [line.replace("|", " ").split() for line in out.text.splitlines()]
    start = next(i for i, row in enumerate(rows) if row and row[0] == title)
    end = next(i for i in range(start, len(rows)) if rows[i] and rows[i][0] == "total")
    return [rows[start], *rows[start + 2 : end - 1], rows[end]]


def test_summary_tells_the_time_where_it_is_known() -> None:
    assert table("faults") == [
        ["faults", "bss", "total", "%", "time", "%"],
        ["cow-copy", "1", "1", "50.0", "0.000003000", "75.0"],
        ["zero-fill", "1", "1", "50.0", "0.000001000", "25.0"],
        ["total", "2", "2", "100.0", "0.000004000", "100.0"],
    ]
    assert table("syscall", times=("began", "host")) == [
        ["syscall", "calls", "%", "errors", "time", "%", "host", "time", "%"],
        ["pread", "2", "50.0", "-", "0.000001000", "25.0", "0.000000010", "22.2"],
        ["exits", "1", "25.0", "-", "0.000000000", "0.0", "0.000000005", "11.1"],
        ["open", "1", "25.0", "1", "0.000003000", "75.0", "0.000000030", "66.7"],
        ["total", "4", "100.0", "1", "0.000004000", "100.0", "0.000000045", "100.0"],
    ]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, "syscall calls % errors time % host time %"),
        (70, "syscall calls % errors time % host time"),
        (60, "syscall calls % errors time host time"),
        (52, "syscall calls errors time host time"),
        (10, "syscall calls errors time host time"),
    ],
)
def test_summary_on_a_narrow_terminal_goes_without_shares(width: int, shown: str) -> None:
    out = Lines()
    sink = Summary(out, times=("began", "host"), width=lambda: width)
    for ev in TIMED:
        sink(ev)
    sink.finish()
    lines = out.text.splitlines()
    head = next(line for line in lines if line.startswith("syscall"))
    assert head.replace("|", " ").split() == shown.split()
    assert max(map(len, lines)) <= max(width, 52)


@pytest.mark.parametrize(
    ("sort", "faults", "calls"),
    [
        ("", "cow-copy zero-fill", "pread exits open"),
        ("name", "cow-copy zero-fill", "exits open pread"),
        ("count", "cow-copy zero-fill", "pread exits open"),
        ("total", "cow-copy zero-fill", "pread exits open"),
        ("errors", "cow-copy zero-fill", "open exits pread"),
        ("time", "cow-copy zero-fill", "open pread exits"),
        ("host", "zero-fill cow-copy", "open pread exits"),
        ("bss", "cow-copy zero-fill", "pread exits open"),
        ("text", "cow-copy zero-fill", "pread exits open"),
    ],
)
def test_summary_is_sorted_by_a_column(sort: str, faults: str, calls: str) -> None:
    times = ("began", "host")
    assert [row[0] for row in table("faults", sort, times)[1:-1]] == faults.split()
    assert [row[0] for row in table("syscall", sort, times)[1:-1]] == calls.split()


def test_summary_as_json_tells_times_where_they_are_asked_for() -> None:
    out = Lines()
    for times in ((), ("began",), ("began", "host")):
        sink = Summary(out, json=True, times=times)
        for ev in TIMED:
            sink(ev)
        sink.finish()
    none, virtual, both = map(json.loads, out.text.splitlines())
    assert "took" not in none
    assert virtual["took"] == {
        "fault": {"cow-copy": 3000, "zero-fill": 1000}, "syscall": {"exits": 0, "open": 3000, "pread": 1000}
    }  # fmt: skip
    assert "host" not in virtual
    assert both["host"] == {
        "fault": {"cow-copy": 10, "zero-fill": 70}, "syscall": {"exits": 5, "open": 30, "pread": 10}
    }  # fmt: skip


def test_text_tells_what_faults_and_calls_took() -> None:
    sink = TextWriter(Lines(), times=("began",))
    ends = [line.rpartition(" <")[2].rstrip() for line in map(sink.line, TIMED)]
    assert ends[:5] == ["0.000001000>", "0.000003000>", "0.000000500>", "0.000000500>", "0.000003000>"]
    assert sink.line(TIMED[5]).endswith("exits() = ?\n")
    assert "<" not in sink.line(PageEvent(13, 2, 0, "cache", 0x345000, 0x2000, -2, 32, 1))
    assert TextWriter(Lines(), times=("began", "host")).line(TIMED[4]).endswith('"no" <0.000003000 host 0.000000030>\n')


def test_what_is_not_known_to_have_begun_took_no_time() -> None:
    assert TextWriter(Lines(), times=("began",)).line(CALL).endswith("= 16 <0.000000000>\n")
    assert took(SyscallEvent(900, 2, 0, 50, "pread", "", 0x1030, 16, "", 1000)) == 0, "on another processor's clock"


def test_text_tells_the_time_since_the_line_before() -> None:
    sink = TextWriter(Lines(), relative=True)
    times = [sink.line(ev)[:14] for ev in (TIMED[0], TIMED[1], TIMED[2])]
    assert times == ["   0.000002000", "   0.000007000", "  -0.000006000"]


def test_json_tells_when_faults_and_calls_began_where_it_is_asked_for(tmp_path: Path) -> None:
    out = Lines()
    for ev in [*TIMED, *EVENTS]:
        JsonWriter(out, times=("began", "host")).__call__(ev)
    first, *_ = out.text.splitlines()
    assert first.endswith('"class":"zero-fill","frame":3428352,"began":1000,"host":70}')
    (tmp_path / "t").write_text(out.text)
    events = readfile(str(tmp_path / "t")).events
    assert events == [*TIMED, *EVENTS]
    assert [(e.began, e.host) for e in events[:6] if isinstance(e, FaultEvent | SyscallEvent)] == [
        (e.began, e.host) for e in TIMED if isinstance(e, FaultEvent | SyscallEvent)
    ]


def test_summary_in_colour() -> None:
    assert "\x1b[" in count(color=True)


def test_summary_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = count()
    for name, value in {"COLUMNS": "20", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    assert count() == before


def test_summary_of_nothing() -> None:
    out = Lines()
    Summary(out).finish()
    Summary(out, json=True).finish()
    assert out.text == 'no events\n{"v":1,"faults":{},"by_segment":{},"syscalls":{},"events":{}}\n'


# output


def test_a_file_is_truncated_at_once_and_complete_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text("old")
    out = FileOutput(str(path))
    assert path.read_text() == ""
    out.write("a·\n")
    out.write("\udcff\n")
    out.close()
    out.close()
    out.write("late")
    assert path.read_text(encoding="utf-8") == "a·\n\\udcff\n"


def test_a_file_is_written_as_the_run_goes(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    out = FileOutput(str(path))
    for _ in range(3000):
        out.write("x" * 99 + "\n")
    assert path.stat().st_size >= 200_000
    out.close()
    assert path.stat().st_size == 300_000


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}: Is a directory"):
        FileOutput(str(tmp_path))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    out = FileOutput("/dev/full")
    out.write("x")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        out.write("x" * 100_000)
    out.write("x" * 100_000)
    out.close()
    out = FileOutput("/dev/full")
    out.write("x")
    with pytest.raises(OutputError):
        out.close()


def test_a_reader_that_went_away(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    out = FileOutput(str(path))
    os.close(reader)
    out.write("x")
    with pytest.raises(OutputError, match="Broken pipe"):
        out.close()


def test_standard_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = StderrOutput()
    out.write("x\n")
    out.close()
    assert capsys.readouterr().err == "x\n"
    monkeypatch.setattr("sys.stderr", None)
    out.write("x\n")


def test_standard_error_that_fails_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stderr", Gone())
    out = StderrOutput()
    with pytest.raises(OutputError, match="cannot write the trace to standard error: Broken pipe"):
        out.write("x\n")
    out.write("x\n")


def test_plain() -> None:
    assert plain("name·") == "name·"
    assert plain("a\nb\t\x1b\udcff") == "a\\nb\\t\\x1b\\udcff"


@pytest.mark.parametrize(
    ("name", "ret", "shown"),
    [
        ("exec", -0x20001038, "0xdfffefc8"),
        ("segattach", 0x10000000, "0x10000000"),
        ("segattach", -0x30000000, "0xd0000000"),
        ("pread", 0, "0"),
        ("rendezvous", -1, "-1"),
    ],
)
def test_an_address_that_a_call_returns_is_told_as_one(name: str, ret: int, shown: str) -> None:
    ev = SyscallEvent(1, 2, 0, 7, name, "", 0, ret, "")
    assert TextWriter(Lines()).line(ev).endswith(f"{name}() = {shown}\n")
    assert FittedWriter(Lines(), width=lambda: 100).line(ev).endswith(f"{name}() = {shown}\n")
