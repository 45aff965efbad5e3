"""The lines above and below the maps: the moment, counters, events, words, output."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Final

from emu.observe.model.records import FLAGS, ONSWAP
from emu.observe.text import TextWriter
from emu.observe.words import many, told
from emu.plain import plain
from emu.program.disasm import instruction
from emu.view.index import classof
from emu.view.look import FIXED
from emu.view.paint import BOLD, CLASSES, DIM, HERE, PLAIN, TITLE, Line, Paint, fit, wrap
from emu.view.session import Session
from emu.view.words import HELP, KEYS, LETTERS, NOTHING, SHORT, frame
from kernel.base.event import Event, FaultEvent

MINWIDTH: Final = 80
MINHEIGHT: Final = 24


class _Nowhere:
    def write(self, text: str) -> None:
        """Nothing is written: lines are asked for."""

    def close(self) -> None:
        """Nothing is open."""


TEXT: Final = TextWriter(_Nowhere())


def title(s: Session, name: str, width: int) -> Line:
    """What is looked at, how far, and what the source does."""
    ev = s.event
    when = f"{ev.ns / 1e9:.9f} s" if ev is not None else "0 s"
    short = f"{ev.ns / 1e9:.3f} s" if ev is not None else "0 s"
    who = f"  {s.look().name(ev.pid)}" if ev is not None and ev.pid else ""
    doing = f"running, {s.pace()}" if s.running else s.source.state()
    if s.target is not None:
        doing = f"on the way to {s.target:,}"
    left = plain(name)
    least = min(len(left), 8) + 2
    far = f"{s.at:,}/{s.newest:,}"
    for middle in (f"event {far}  {when}{who}", f"event {far}  {short}{who}", f"event {far}  {short}", f"event {far}"):
        right = f" {middle}  {doing} "
        if least + len(right) <= width:
            break
    room = max(width - len(right) - 1, 8)
    if len(left) > room:
        left = left[: room - 1] + "…"
    return fit([(f" {left}", TITLE), (" " * max(width - len(right) - len(left) - 1, 0), TITLE), (right, TITLE)], width)


def counters(s: Session, width: int) -> list[Line]:
    """Three lines: memory, what it is used for, faults and swap."""
    look, at = s.look(), s.at
    if not at:
        return [[("The machine is not switched on yet.", DIM)]]
    m = look.m
    machine = m.machine.now.get(0)
    used = len(m.frames.now)
    counts = look.counts()
    most = s.index.used(at)
    if machine is not None:
        highwater, headroom = bounds(machine.pages)
        free = machine.pages - used
        short = free < headroom
        memory: Line = [
            ("free ", DIM), (f"{free:,}", HERE if short else BOLD),
            (f" of {machine.pages:,}, least {machine.pages - most:,};", PLAIN),
            (f" headroom {headroom:,}, highwater {highwater:,}", BOLD if short else DIM),
            (" memory is short: the pager works" if short else "", BOLD),
        ]  # fmt: skip
    else:
        memory = [
            ("in use ", DIM),
            (f"{used:,}", BOLD),
            (f", most {most:,}", PLAIN),
            ("; the trace has no boot event", DIM),
        ]
    kept = sum(counts[u] for u in ("cached", "idle"))
    tables = sum(counts[u] for u in ("directory", "table", "kmap", "pool"))
    uses = {
        "own": counts["private"], "copy on write": counts["cow"], "shared": counts["shared"], "cached": kept,
        "tables": tables, "going to swap": counts["swapping"], "kernel": counts["moving"],
    }  # fmt: skip
    seldom = ("going to swap", "kernel")
    rest = f"used {used:,} (most {most:,}): " + ", ".join(f"{u} {n:,}" for u, n in uses.items() if n or u not in seldom)
    if len(rest) > width:
        rest = f"used {used:,}: " + ", ".join(f"{u} {n:,}" for u, n in uses.items() if n)
    slots = {e & ~FLAGS for row in m.entries.now.values() for e in row.values() if e & ONSWAP}
    slots |= {f.daddr for f in m.frames.now.values() if f.io}
    swap = f"swap {len(slots):,}, most {s.index.swapped(at):,};"
    faults = s.index.faultcounts(at)
    last: Line = [(swap, PLAIN), (f" {many(sum(faults.values()), 'fault')} ", BOLD)]
    for cls, n in faults.items():
        last.append((f" {cls} {n:,}", Paint(CLASSES.get(cls, ""))))
    return [fit(memory, width), fit([(rest, PLAIN)], width), fit(last, width)]


def bounds(pages: int) -> tuple[int, int]:
    """With how many free frames programs wait for memory, and with fewer than how many the pager works.

    A trace does not tell these; they are as kernel.base.kernel.Kernel computes them.
    """
    highwater = pages * 5 // 100
    return highwater, highwater + highwater // 4


def legend(s: Session, width: int) -> Line:
    """What the letters of the map stand for that are on it now."""
    look = s.look()
    counts = look.counts()
    uses = {use: said for use, (_, said) in LETTERS.items() if counts[use]}
    names = {pid: look.name(pid) for pid in sorted(p for p in look.m.places.now if look.m.places.row(p))}
    if _columns(names.values()) + _columns(uses.values()) > width + 1:
        uses = {use: SHORT.get(use, said) for use, said in uses.items()}
    room = width + 1 - _columns(uses.values())
    all = _columns(names.values()) <= room
    line: Line = []
    for pid, name in names.items():
        room -= _columns([name])
        if not all and room < 2:  # for the sign that there are more
            line.append(("… ", PLAIN))
            break
        line += [(look.names.letter(pid), look.names.paint(pid)), (f" {name} ", PLAIN)]
    for use, said in uses.items():
        line += [(LETTERS[use][0], FIXED[use][1] if use in FIXED else BOLD), (f" {said} ", DIM)]
    return fit(line, width)


def _columns(words: Iterable[str]) -> int:
    """What these take in the legend, each with its letter and a blank after it."""
    return sum(len(word) + 3 for word in words)


def what(s: Session, n: int) -> str:
    """What the event with number n is, shortly: for a fault address, access, class and who, with the instruction."""
    ev = s.history.events[n]
    if not isinstance(ev, FaultEvent):
        return TEXT.what(ev)
    cls = f"{ev.cls}+{ev.load}" if ev.load else ev.cls
    who = f" by {ev.fn or 'the kernel'}" if ev.mode == "kernel" else ""
    return f"{cls:<10} 0x{ev.addr:08x} {ev.access:<5} {ev.segment or 'none':<5}{who}{_place(s, n, ev)}"


def detail(s: Session, n: int, width: int) -> Line:
    """Of a fault the instruction, where it stands, and the frame; of another event all that it tells."""
    ev = s.history.events[n]
    if not isinstance(ev, FaultEvent):
        return fit([(TEXT.what(ev), PLAIN)], width)
    frame = f"frame 0x{ev.frame:08x}" if ev.frame else "no frame"
    return fit([(f"{ev.access} 0x{ev.addr:08x} {frame}{_place(s, n, ev)}", PLAIN)], width)


def _place(s: Session, n: int, ev: FaultEvent) -> str:
    found = s.found.get(n)
    if found is None:
        return f" at 0x{ev.pc:x}"
    where = f" {plain(found.symbol)}" if found.symbol else f" at 0x{ev.pc:x}"
    if found.place is not None:
        where += f" {plain(found.place.file)}:{found.place.line}"
    insn = instruction(found.code, ev.pc) if found.code and ev.mode != "kernel" else ""
    return f"{where}: {insn}" if insn else where


def paint(ev: Event) -> Paint:
    """How an event's kind is painted."""
    return Paint(CLASSES.get(ev.cls, ""), bold=True) if isinstance(ev, FaultEvent) else PLAIN


def eventline(s: Session, n: int, width: int, here: bool) -> Line:
    """The event with number n as a line of the list."""
    ev = s.history.events[n]
    head = f"{'>' if here else ' '}{n + 1:>7,} "
    line: Line = [
        (head, HERE if here else DIM), (f"{ev.ns / 1e6:>10.4f}ms ", DIM), (f"[{ev.pid}] ", PLAIN),
        (f"{ev.kind:<7} ", paint(ev)), (what(s, n), PLAIN),
    ]  # fmt: skip
    if n >= s.at:  # has not happened yet, where one stands
        line = [(t, DIM) for t, _ in line]
    elif here:
        line = [(t, p._replace(bold=True)) for t, p in line]
    return fit(line, width)


def window(s: Session, height: int) -> list[int]:
    """Where the events on the screen's list happened: two thirds of them are what has happened.

    The event that one stands at is among them, though it be none of those that are listed.
    """
    n, row = s.listed(), s.row()
    between = s.at > 0 and (row < 0 or s.position(row) < s.at)
    height -= between
    first = min(max(row - (2 * height) // 3, 0), max(n - height, 0))
    rows = [s.position(r) for r in range(first, min(first + height, n))]
    if between:
        insort(rows, s.at)
    return rows


def events(s: Session, width: int, height: int) -> list[Line]:
    """The list around the moment; the event that one stands at is marked."""
    rows = [eventline(s, at - 1, width, at == s.at) for at in window(s, height)]
    if len(rows) < height and s.source.live and not s.source.ended:
        rows.append([("          the next one has not happened yet: n runs the machine to it", DIM)])
    return rows


def words(s: Session, width: int, height: int) -> list[Line]:
    """What the event did; or what the chosen frame is; or why a key did nothing; and what went wrong."""
    troubles = [*s.source.troubles(), s.lacking()] if s.at == s.newest and s.source.ended else []
    if s.message:
        return [line for said in (s.message, *troubles) for line in wrap(said, width, BOLD)][:height]
    if s.frame is not None:
        return wrap(frame(s.look(), s.frame) + " Enter tells its life; Esc goes back.", width)[:height]
    ev = s.event
    lines: list[Line] = []
    for trouble in troubles:
        lines += wrap(trouble, width, BOLD)
    if ev is not None:
        lines.append(detail(s, s.at - 1, width))
    head = f"{ev.cls if isinstance(ev, FaultEvent) else classof(ev)}: " if ev is not None else ""
    rows = wrap(head + (told(ev) if ev is not None else NOTHING), width)
    if rows and head:
        rows[0] = [(head, BOLD), (rows[0][0][0][len(head) :], PLAIN)]
    return (lines + rows)[:height]


def output(s: Session, width: int, height: int) -> list[Line]:
    """The last lines of what the program had written at the moment."""
    if not s.source.live:
        return [[("output: a trace does not tell what the program wrote", DIM)]][:height]
    rows = [plainrow(row) for row in s.source.output(s.at).splitlines()]
    if not rows:
        return [[("output: nothing yet", DIM)]]
    return [[("| ", DIM), (row[: max(width - 2, 0)], PLAIN)] for row in rows[-height:]]


def keys(width: int) -> Line:
    """The keys, on one line."""
    short = "n/p step  f/F fault  c/C class  space run  +/- speed  Tab process  m frame  ? help  q quit"
    if width < len(short) + 2:
        short = "n p step  f fault  c class  space run  Tab process  m frame  ? help  q quit"
    return fit([(f" {short}", TITLE)], width)


def helptext() -> str:
    """All of them, and the letters."""
    rows = [f"{a:<10} {b:<25} {c:<9} {d}" for a, b, c, d in KEYS]
    return "\n".join(rows) + "\n\n" + HELP


def small(width: int, height: int) -> str:
    """What is told in place of all, if the screen is too small; "" if it is not."""
    if width >= MINWIDTH and height >= MINHEIGHT:
        return ""
    return (
        f"This terminal is {width} x {height}; p9emu view needs {MINWIDTH} x {MINHEIGHT}. Make it larger, or q quits."
    )


def story(life: list[tuple[int, Event]]) -> list[str]:
    """The life of a frame, a line for each event about it."""
    return [f"{i + 1:>7,} {ev.ns / 1e6:>10.4f}ms [{ev.pid}] {ev.kind:<6} {TEXT.what(ev)}" for i, ev in life]


def plainrow(row: str) -> str:
    """A line of the program's output, made safe."""
    return plain(row.expandtabs())
