"""Traces for Perfetto: parsed back by the published schema, they hold what the events told."""

import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from emu.machine.config import Config
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from emu.observe.model import look
from emu.observe.model.model import Model
from emu.observe.perfetto import PerfettoWriter
from emu.observe.protobuf import number, varint
from emu.observe.residence import Residence
from emu.observe.summary import Summary
from emu.program.symbols import Symbols
from kernel.base.event import Event, FaultEvent, NoteEvent, SyscallEvent
from tests.emu.observe.test_observe import Lines

Packet = Any
"""A TracePacket; the package has no types for it."""


def parsed(data: bytes) -> list[Packet]:
    trace = Trace()
    trace.ParseFromString(data)
    assert len(trace.SerializeToString()) == len(data), "no field is written twice, or empty"
    return list(trace.packet)


@dataclass
class Bytes:
    data: bytearray = field(default_factory=bytearray)

    def writebytes(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        pass


@dataclass
class Slice:
    track: int
    name: str
    category: str
    begin: int
    flows: list[int]
    args: dict[str, Any]
    end: int = -1
    depth: int = 0


class Parsed:
    """Tracks, finished slices, instants and counters, by the rules of the format."""

    def __init__(self, packets: list[Packet]) -> None:
        self.tracks: dict[int, Packet] = {}
        self.slices: list[Slice] = []
        self.instants: list[Slice] = []
        self.counters: dict[int, list[tuple[int, int]]] = defaultdict(list)
        last: dict[int, int] = {}
        stacks: dict[int, list[Slice]] = defaultdict(list)
        assert packets[0].first_packet_on_sequence
        for p in packets:
            assert p.trusted_packet_sequence_id == 1
            if p.HasField("track_descriptor"):
                d = p.track_descriptor
                assert not d.parent_uuid or d.parent_uuid in self.tracks, "a parent comes first"
                self.tracks[d.uuid] = d
                continue
            e = p.track_event
            assert e.track_uuid in self.tracks, "a track is described before its events"
            assert p.timestamp >= last.get(e.track_uuid, 0), "time goes on"
            last[e.track_uuid] = p.timestamp
            args = {a.name: a.string_value or a.pointer_value or a.int_value for a in e.debug_annotations}
            stack = stacks[e.track_uuid]
            if e.type == 2:
                stack[-1].end = p.timestamp
                stack[-1].args |= args
                self.slices.append(stack.pop())
            elif e.type == 4:
                self.counters[e.track_uuid].append((p.timestamp, e.counter_value))
            else:
                s = Slice(e.track_uuid, e.name, e.categories[0], p.timestamp, list(e.flow_ids), args, depth=len(stack))
                (stack if e.type == 1 else self.instants).append(s)
        assert not any(stacks.values()), "every slice ends"

    def named(self, name: str) -> int:
        """The one track that is called that."""
        (uuid,) = [u for u, d in self.tracks.items() if d.name == name]
        return uuid


def run(program: str, *args: str, **options: Any) -> tuple[Parsed, list[Event], Model]:
    """A trace of a run, its events, and the state at the end; the counts are compared with the model's throughout."""
    out = Bytes()
    symbols = Symbols()
    writer = PerfettoWriter(out, symbols)
    events: list[Event] = []
    model = Model()
    counts = Residence()

    def sink(ev: Event) -> None:
        events.append(ev)
        model.apply(ev)
        counts(ev)
        writer(ev)
        if len(events) % 97 == 0:
            same(counts, model)

    with closing(Machine(Config(**{"memory": 8 << 20} | options), sink, console=MemoryConsole(b"", None))) as machine:
        symbols.machine = machine
        machine.run(program, args)
    writer.finish()
    same(counts, model)
    return Parsed(parsed(bytes(out.data))), events, model


def same(r: Residence, m: Model) -> None:
    assert r.pages - len(r.frames) == look.free(m)
    assert r.cached == sum(len(frames) for cache in look.cached(m).values() for frames in cache.values())
    assert set(r.slots) == set(look.slotrefs(m))
    assert {pid: r.resident(pid) for pid in r.places} == {
        pid: look.resident(m, pid) for pid, row in m.places.now.items() if row
    }


RUNS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("cow", "4"), {}),
    (("thrash", "1200", "1"), {"memory": 4 << 20, "swap": 16 << 20}),
    (("swapfork", "300"), {"memory": 4 << 20, "swap": 16 << 20}),
    (("forkbomb", "6"), {"cpus": 4}),
    (("notes",), {}),
    (("pipe", "20"), {"cpus": 2}),
    (("exec", "hello"), {}),
    (("shm", "3"), {}),
)


@pytest.mark.parametrize(("program", "options"), RUNS, ids=[" ".join(p) for p, _ in RUNS])
def test_the_trace_holds_what_the_events_told(program: tuple[str, ...], options: dict[str, Any]) -> None:
    trace, events, model = run(*program, **options)
    summary = Summary(Lines())
    for ev in events:
        summary(ev)
    classes = Counter(s.name for s in trace.slices if s.category == "fault")
    assert dict(classes) == summary.byclass()
    assert Counter(s.name for s in trace.slices if s.category == "syscall") == summary.calls
    assert len([s for s in trace.instants if s.category == "process"]) == summary.events["proc"]
    assert len([s for s in trace.instants if s.category == "note"]) == summary.events["note"]
    assert trace.counters[trace.named("free frames")][-1][1] == look.free(model)


def test_times_and_arguments() -> None:
    trace, events, _ = run("cow", "4")
    faults = iter(sorted((s for s in trace.slices if s.category == "fault"), key=lambda s: (s.end, s.begin)))
    told = [e for e in events if isinstance(e, FaultEvent)]
    for s, ev in zip(faults, sorted(told, key=lambda e: (e.ns, e.began)), strict=True):
        assert (s.begin, s.end, s.args["addr"], s.args["segment"]) == (ev.began, ev.ns, ev.addr, ev.segment)
        assert (s.args.get("kernel", ""), s.args["access"]) == (ev.fn, ev.access)
    calls = {(s.name, s.begin, s.end) for s in trace.slices if s.category == "syscall"}
    for call in (e for e in events if isinstance(e, SyscallEvent) and e.ret is not None):
        assert (call.name, call.began, call.ns) in calls
    assert any(s.args.get("symbol") == "main+0x53" for s in trace.slices)


def test_a_fork_leads_to_the_copies_that_it_caused() -> None:
    trace, _, _ = run("cow", "4")
    (fork,) = (s for s in trace.instants if s.name.startswith("fork"))
    copies = [s for s in trace.slices if s.name == "cow-copy"]
    assert len(fork.flows) == 1
    assert [s.flows for s in copies] == [fork.flows] * 5


def test_a_copy_of_a_page_of_the_file_has_no_fork_to_blame() -> None:
    trace, _, _ = run("read", "2")
    assert not any(s.flows for s in trace.slices)


def test_who_runs() -> None:
    trace, _, _ = run("shootdown", "2", cpus=2)
    cpus = [trace.named(f"processor {n}") for n in (0, 1)]
    busy = [[s for s in trace.slices if s.track == cpu] for cpu in cpus]
    assert all(busy)
    for row in busy:
        assert all(a.end <= b.begin for a, b in pairwise(row)), "one at a time"
    threads = {d.thread.tid: d.thread.thread_name for d in trace.tracks.values() if d.HasField("thread")}
    assert threads[2] == "shootdown"


def test_what_a_process_waits_for() -> None:
    trace, _, _ = run("pipe", "5")
    waits = [s for s in trace.slices if trace.tracks[s.track].name == "state" and s.name == "Wakeme"]
    assert any(s.args.get("at") == "Pread" for s in waits)


def test_faults_in_a_call_are_within_it() -> None:
    trace, _, _ = run("pipe", "5")
    inner = [s for s in trace.slices if s.category == "fault" and s.args.get("kernel") not in (None, "kexit")]
    calls = [s for s in trace.slices if s.category == "syscall"]
    within = [f for f in inner if any(c.track == f.track and c.begin <= f.begin <= f.end <= c.end for c in calls)]
    assert len(within) >= len(inner) - 3, "but those of the first exec"
    assert all(f.depth == 1 for f in within)


def test_a_part_of_the_events_gives_a_part_of_the_tracks() -> None:
    out = Bytes()
    writer = PerfettoWriter(out)
    writer(FaultEvent(500, 2, 0, 0x3000, 0x1000, "user", "", 6, "write", "bss", "zero-fill", "", 0x9000))
    writer(NoteEvent(600, 3, 0, "post", 2, "a\udcffb"))
    writer(SyscallEvent(700, 2, 0, 8, "exits", "nil", 0x1000, None, ""))
    writer.finish()
    trace = Parsed(parsed(bytes(out.data)))
    assert [(s.name, s.begin, s.end) for s in trace.slices] == [("zero-fill", 500, 500), ("exits", 700, 700)]
    assert trace.instants[0].args == {"text": "a\\udcffb"}
    assert not trace.counters


def test_the_wire() -> None:
    assert varint(0) == b"\0"
    assert varint(300) == b"\xac\x02"
    assert varint(-1) == b"\xff" * 9 + b"\x01"
    assert number(4, -1) == b"\x20" + varint(-1)


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "t.pftrace"
    p9emu = [sys.executable, "-m", "emu", "trace", "--format", "perfetto"]
    subprocess.run([*p9emu, "-o", file, "true"], check=True)
    assert {s.name for s in Parsed(parsed(file.read_bytes())).slices if s.category == "syscall"} == {"exits"}
    subprocess.run([*p9emu, "-o", f"|cat >{tmp_path}/again", "true"], check=True)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    r = subprocess.run([*p9emu, "true"], capture_output=True, text=True)
    assert r.returncode == 2
    assert r.stderr.startswith("p9emu: --format perfetto is no text: it needs -o FILE")
