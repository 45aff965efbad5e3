"""gdb's ``monitor``: the kernel's side of a process, in words. Asking changes nothing in the guest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from emu.api import views
from emu.debug import memory
from emu.debug.naming import callname
from emu.debug.position import Goal
from emu.plain import plain

if TYPE_CHECKING:
    from emu.debug.machine import DebugMachine
    from emu.debug.session import Session
    from kernel.base.procdat import Proc

FAULTS: Final = (
    "text-load", "data-load", "cache-hit", "zero-fill", "cow-copy", "cow-reuse", "remap", "swap-in", "protection",
    "unmapped",
)  # fmt: skip
HELP: Final = """\
procs               the processes, and what they are at
segs [PID]          the segments of a process
pages [PID]         its page table: each page that the processor finds
pte ADDR [PID]      how the processor finds an address, and what the kernel has there
frames              the frames of memory, counted by their use
frame PA            one of them, and whose it is
images              the files whose pages are kept
memory              how much there is and how much is free
time                virtual time since the machine was switched on
catch               what is caught
catch fault [class=CLASS,...]   stop at page faults, after they were served
catch syscall [NAME,...]        stop at system calls, before they are served
catch none          stop at neither
goto SECONDS        have the next continue go to that time, back or on
goto EVENTS N       likewise to the N-th of some events, counted from the start, as fault 118
goto none           think better of it
"""
MOST: Final = 200  # lines of a table
SECONDS: Final = re.compile(r"(\d{1,9})?(?:\.(\d{1,9})\d*)?s?")
SPACED: Final = re.compile(r"^\s*(!?\w+)\s+(?=\w+\s*!?=)")


class Monitor:
    """The commands. PID is the number of a process, in decimal; without it the program's own first one is meant."""

    def __init__(self, machine: DebugMachine, session: Session) -> None:
        self._k = machine.kernel
        self._session = session
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "help": lambda _: HELP,
            "procs": self._procs,
            "segs": self._segs,
            "pages": self._pages,
            "pte": self._pte,
            "frames": self._frames,
            "frame": self._frame,
            "images": self._images,
            "memory": self._memory,
            "time": lambda _: f"{session.time() / 1e9:.9f} s\n",
            "catch": self._catch,
            "goto": self._goto,
        }

    def command(self, line: str) -> str:
        """What the command tells: lines, each with its end."""
        name, *args = line.split() or ["help"]
        command = self._commands.get(name)
        if command is None:
            return f"{plain(name)}: no such command; monitor help tells them\n"
        try:
            return command(args)
        except (ValueError, LookupError) as e:
            return f"{plain(str(e.args[0] if e.args else e))}\n"

    def thread(self, p: Proc) -> str:
        """A process in a few words."""
        state = views.process(self._k, p.pid).state
        return "".join(c for c in f"{p.text} {p.pid}: {state}" if c.isprintable() and c not in "<>&\"'")

    def threads(self, named: Callable[[int], str]) -> bytes:
        """The list of those that are looked at, as gdb reads it."""
        rows = []
        for pid, p in self._session.attached.items():
            name = re.sub(r"[^\w.+-]", "?", p.text)
            core = p.mach.machno if p.mach is not None else 0
            rows.append(f'<thread id="{named(pid)}" core="{core}" name="{name}">{self.thread(p)}</thread>')
        return f'<?xml version="1.0"?><threads>{"".join(rows)}</threads>'.encode()

    def _pid(self, args: list[str], at: int = 0) -> int:
        if len(args) > at:
            return _number(args[at], 10)
        return next(iter(self._session.attached), 0)

    def _procs(self, _: list[str]) -> str:
        out = ""
        for p in views.processes(self._k):
            seen = "*" if p.pid in self._session.attached else " "
            where = "" if p.kernel else f"  pc 0x{p.registers.pc:08x}  {p.resident} pages"
            out += f"{seen}{p.pid:>5} {plain(p.name):<12} {p.state:<8} parent {p.parent}{where}\n"
        return out

    def _segs(self, args: list[str]) -> str:
        out = ""
        for s in views.process(self._k, self._pid(args)).segments:
            more = f", {s.swapped} on swap" if s.swapped else ""
            more += f", of image {s.image}" if s.image is not None else ""
            more += ", read-only" if s.readonly else ""
            more += f", shared by {s.ref}" if s.ref > 1 else ""
            out += f"{s.type:<8} 0x{s.base:08x} to 0x{s.top:08x}, {s.resident} pages in memory{more}\n"
        return out

    def _pages(self, args: list[str]) -> str:
        walks = views.pagetable(self._k, self._pid(args))
        rows = [f"0x{w.va:08x} in frame 0x{w.frame or 0:08x} {w.flags}\n" for w in walks[:MOST]]
        return "".join(rows) + _more(len(walks)) or "the page table is empty\n"

    def _pte(self, args: list[str]) -> str:
        if not args:
            raise ValueError("pte ADDR [PID]")
        va, pid = _number(args[0], 16), self._pid(args, 1)
        walk = views.walk(self._k, pid, va)
        p = self._session.process(pid) or next(p for p in self._k.procs.proctab if p.pid == pid)
        return f"{walk}\n0x{va:08x} {memory.told(p, va)}\n"

    def _frames(self, _: list[str]) -> str:
        uses: dict[str, int] = {}
        for f in views.frames(self._k):
            uses[f.use] = uses.get(f.use, 0) + 1
        return "".join(f"{n:>6} {use}\n" for use, n in sorted(uses.items()))

    def _frame(self, args: list[str]) -> str:
        if not args:
            raise ValueError("frame PA")
        pa = _number(args[0], 16) & ~0xFFF
        found = next((f for f in views.frames(self._k) if f.pa == pa), None)
        if found is None:
            raise LookupError(f"0x{pa:x} was never in use, or is no frame of the pool")
        out = f"0x{pa:x}: {found.use}, held {found.ref} times"
        out += f", of image {found.image}" if found.image is not None else ""
        return out + "".join(f"\n  process {m.pid} at 0x{m.va:08x}" for m in found.owners) + "\n"

    def _images(self, _: list[str]) -> str:
        rows = [f"{i.number:>4} {plain(i.path)}, {i.pgref} pages kept\n" for i in views.images(self._k)]
        return "".join(rows) or "none\n"

    def _memory(self, _: list[str]) -> str:
        m = views.memory(self._k)
        swap = f"; {m.swap_free} of {m.swap} slots of swap" if m.swap else ""
        return f"{m.free} of {m.pages} pages are free{swap}\n"

    def _goto(self, args: list[str]) -> str:
        if not args:
            raise ValueError("goto SECONDS, or goto EVENTS N, as goto fault 118")
        if args == ["none"]:
            self._session.chosen = None
            return "the next continue goes on as ever\n"
        self._session.chosen = chosen = goal(args)
        return f"the next continue, or reverse-continue, goes to {chosen.text} and nowhere else\n"

    def _catch(self, args: list[str]) -> str:
        catch = self._session.catch
        if args[:1] == ["fault"]:
            classes = ",".join(a.removeprefix("class=") for a in args[1:])
            wanted = frozenset(filter(None, classes.split(",")))
            wrong = sorted(wanted - set(FAULTS))
            if wrong:
                raise ValueError(f"{wrong[0]}: no class of faults; there are {', '.join(FAULTS)}")
            catch.faults = wanted
        elif args[:1] == ["syscall"]:
            names = frozenset(filter(None, ",".join(args[1:]).split(",")))
            known = {callname(nr) for nr in range(64)}
            wrong = sorted(names - known)
            if wrong:
                raise ValueError(f"{wrong[0]}: no system call")
            catch.named = names
        elif args == ["none"]:
            catch.faults = catch.named = None
        elif args:
            raise ValueError("catch fault [class=CLASS,...], catch syscall [NAME,...] or catch none")
        return f"faults: {_told(catch.faults)}; system calls: {_told(catch.named)}\n"


def goal(args: list[str]) -> Goal:
    """What is meant by a time in seconds, or by events and a number. Raises ValueError."""
    text = plain(" ".join(args))
    m = SECONDS.fullmatch(text)
    if m is not None and (m[1] or m[2]):
        return Goal(text, int(m[1] or 0) * 1_000_000_000 + int((m[2] or "").ljust(9, "0")))
    from emu.observe.filter import FilterError, select

    *words, count = args
    if not words or not (count.isascii() and count.isdigit() and len(count) <= 9 and int(count)):
        raise ValueError(f"{text}: no time in seconds, as 0.0123, and no events with their number, as fault 118")
    expr = "%all" if words == ["event"] else SPACED.sub(r"\1:", " ".join(words))  # as p9emu debug counts them
    try:
        select([expr])
    except FilterError as e:
        raise ValueError(str(e)) from None
    return Goal(text, expr=expr, left=int(count))


def _number(text: str, base: int) -> int:
    try:
        return int(text, 16 if text.startswith("0x") else base)
    except ValueError:
        raise ValueError(f"{text}: not a number") from None


def _told(wanted: frozenset[str] | None) -> str:
    return "none" if wanted is None else ", ".join(sorted(wanted)) or "all"


def _more(n: int) -> str:
    return f"and {n - MOST} more\n" if n > MOST else ""
