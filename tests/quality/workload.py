"""Random programs on a kernel with two or more processors that have a TLB, but no instructions.

A program is a generator of memory accesses and system calls. Each access goes through the processor's TLB,
then the tables in memory, then the kernel's fault handler, as on a 386; each process remembers what it wrote, at
addresses no other process writes to, and must read that back wherever the pages went meanwhile. The invariants
are checked at every return to user mode.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from kernel.base.chandat import Chan
from kernel.base.dat import (
    BSEG,
    DSEG,
    SEG1,
    SG_BSS,
    SG_DATA,
    SG_RONLY,
    SG_SHARED,
    SG_STACK,
    SG_TEXT,
    SSEG,
    TSEG,
    Segment,
)
from kernel.base.error import Error
from kernel.base.mem import BY2PG, MB, PTEVALID, PTEWRITE, USTKTOP
from kernel.base.procdat import Mach, Proc
from kernel.files.pgrp import dupfgrp, newegrp, newpgrp, newrgrp
from kernel.memory.check import mustcheck
from kernel.memory.mmu import flushmmu, pteword
from kernel.memory.page import pagereclaim
from kernel.memory.recheck import begin
from kernel.memory.segment import attachimage, newseg, putseg
from kernel.memory.swap import setswapchan
from kernel.memory.uaccess import ustore
from kernel.process.notify import notify
from kernel.process.proc import pexit
from kernel.sched.clock import nexttimer
from kernel.sched.dispatch import dispatch
from kernel.sched.newproc import newproc, startproc, touser
from kernel.sched.sched import ready, sched
from kernel.sched.sleep import tsleep
from kernel.sched.taslock import unlock
from kernel.syscalls.sysrfork import RFFDG, RFMEM, RFPROC, sysrfork
from kernel.syscalls.sysseg import segflush, sysbrk_, syssegdetach, syssegfree
from kernel.trap import VectorPF, kexit, trap
from tests.kernel.plain import PlainCpu, PlainKernel
from tests.linking import linked

TEXT, DATA, BSS, SHARED = 0x1000, 0x20000, 0x40000, 0x10000000
STACK = USTKTOP - 1 * MB
FILEPAGES = 5
KCALL = 200  # trap number of a program's call into the kernel
ACCESSNS = 400
SLICE = 100_000

# Kinds of workload: pages of memory, first processes, how many there will be in all, steps of each, and how
# often it does what: touch, fork, brk, segfree, scratch, system, other
KINDS: dict[str, tuple[int, int, int, int, tuple[int, ...]]] = {
    "": (170, 2, 12, 25, (60, 10, 6, 4, 10, 4, 6)),
    "short": (170, 2, 7, 12, (60, 10, 6, 4, 10, 4, 6)),
    "tight": (140, 3, 9, 25, (70, 6, 6, 2, 6, 4, 6)),
    "scratch": (170, 4, 6, 25, (15, 4, 2, 2, 70, 2, 4)),
    "fork": (220, 2, 20, 14, (60, 30, 1, 1, 2, 2, 4)),
}

Access: TypeAlias = tuple[int, int | None]  # address; the byte to store, or None to load
Call: TypeAlias = Callable[[], int]
Life: TypeAlias = Generator[Access | Call, int, None]


class Wrong(Exception):
    """A process found other memory than it left."""


@dataclass(slots=True)
class TlbCpu(PlainCpu):
    """A processor that keeps translations until it is told not to."""

    tlb: dict[int, int] = field(default_factory=dict)

    def putcr3(self, pa: int) -> None:
        self.cr3 = pa
        self.tlb.clear()

    def invlpg(self, va: int) -> None:
        self.tlb.pop(va >> 12, None)

    def forget(self, pa: int) -> None:
        pass


class Program:
    """The user half of a process."""

    def __init__(self, work: Workload, p: Proc, memory: dict[int, int], seed: int) -> None:
        self.work = work
        self.p = p
        self.pid = p.pid
        self.memory = memory
        self.rng = random.Random(seed)
        self.sharing = False  # the next child shares data and bss
        self.own = p.pid % 250 * 16  # this process stores at this offset of any page
        self.life = self.live()
        self.next: Access | Call = next(self.life)

    def answer(self, value: int) -> None:
        """The access or call is done: on to the next one."""
        try:
            self.next = self.life.send(value)
        except StopIteration:
            self.next = self.work.exit

    # What programs do

    def live(self) -> Life:
        """Steps at random. Where memory is shared only bytes of its own are verified."""
        for _ in range(self.work.steps):
            do = self.rng.choices(self.doings, self.work.weights)[0]
            yield from do(self)

    def expected(self, va: int) -> int:
        b = self.memory.get(va)
        if b is not None:
            return b
        s = self.segment(va)
        if s is not None and s.image is not None and va - s.base < s.flen:
            return self.work.contents(s.image.qid.path)
        return 0

    def segment(self, va: int) -> Segment | None:
        return next((s for s in self.p.seg if s is not None and s.base <= va < s.top), None)

    def touch(self) -> Life:
        """Some loads and stores, in one segment."""
        s = self.p.seg[self.rng.choice([TSEG, DSEG, BSEG, BSEG, SSEG])]
        assert s is not None
        for _ in range(self.rng.randrange(1, 10)):
            page = s.base + self.rng.randrange(max(min(s.size, 40), 1)) * BY2PG
            va = page + self.own
            if s.size == 0:
                return
            if s is self.p.seg[TSEG] or self.rng.random() < 0.4:
                if self.memory and self.rng.random() < 0.5:
                    va = self.rng.choice(list(self.memory))
                got = yield (va, None)
                if got != self.expected(va):
                    raise Wrong(f"process {self.pid} has {got:#x} at {va:#x}, not {self.expected(va):#x}")
            else:
                v = self.rng.randrange(1, 256)
                yield (va, v)
                self.memory[va] = v

    def system(self) -> Life:
        """The kernel stores into memory that the process has just looked at, as read(2) does."""
        for _ in range(3):
            va = BSS + self.rng.randrange(4) * BY2PG + self.own
            if (self.segment(va)) is None:
                return
            v = self.rng.randrange(1, 256)
            yield (va, None)
            yield lambda va=va, v=v: self.store(va, v)  # type: ignore[misc]
            got = yield (va, None)
            if got != v:
                raise Wrong(f"process {self.pid} has {got:#x} at {va:#x} after the kernel stored {v:#x}")
            self.memory[va] = v

    def store(self, va: int, v: int) -> int:
        ustore(self.work, va, bytes([v]))
        return 0

    def fork(self) -> Life:
        if self.work.procs.pidgen < self.work.maxpid:
            self.sharing = self.rng.random() < 0.5
            flag = RFPROC | RFFDG | (RFMEM if self.sharing else 0)
            yield lambda: sysrfork(self.work, (flag,))

    def other(self) -> Life:
        """Sleep, exec, or take pages from a file's cache."""
        what = self.rng.randrange(4)
        if what < 2:
            yield self.sleep
        elif what == 2:
            yield self.exec
            self.memory.clear()
        else:
            yield lambda: pagereclaim(self.work, self.work.imagealloc.list[0], 3)

    def inherited(self) -> dict[int, int]:
        """What a child forked now has in memory for sure."""
        if not self.sharing:
            return dict(self.memory)
        return {va: b for va, b in self.memory.items() if va >= SHARED or va % BY2PG != self.own}

    def brk(self) -> Life:
        pages = self.rng.choice([1, 3, 10, 30, 30, 50])

        def call() -> int:
            s = self.p.seg[BSEG]
            assert s is not None
            return s.ref if s.ref > 1 else sysbrk_(self.work, (BSS + pages * BY2PG,)) - 100

        if (yield call) == -100:
            self.forget(BSS + pages * BY2PG, SHARED)

    def segfree(self) -> Life:
        s = self.p.seg[BSEG]
        assert s is not None
        n = self.rng.randrange(1, 6)
        start = s.base + self.rng.randrange(max(s.size - n, 1)) * BY2PG

        def call() -> int:
            assert s is not None
            if s.ref > 1 or start + n * BY2PG > s.top:
                return 1
            return syssegfree(self.work, (start, n * BY2PG))

        if (yield call) == 0:
            self.forget(start, start + n * BY2PG)

    def forget(self, start: int, end: int) -> None:
        for va in [a for a in self.memory if start <= a < end]:
            del self.memory[va]

    def scratch(self) -> Life:
        """Use a segment shared with all, whose contents nobody can rely on; others free its pages meanwhile."""

        def attach() -> int:
            if self.p.seg[SEG1] is None:
                return 1
            return syssegfree(self.work, (SHARED, 3 * BY2PG))

        def flush() -> int:
            return segflush(self.work, SHARED, 4 * BY2PG)

        def detach() -> int:
            return syssegdetach(self.work, (SHARED,)) if self.rng.random() < 0.2 else 0

        for _ in range(self.rng.randrange(25)):
            if self.p.seg[SEG1] is not None:
                yield (SHARED + self.rng.randrange(4) * BY2PG + self.rng.randrange(16) * 16, 0xEE)
        yield attach
        if self.p.seg[SEG1] is not None:
            yield flush
            yield detach

    doings = (touch, fork, brk, segfree, scratch, system, other)

    def sleep(self) -> int:
        k = self.work
        tsleep(k, self.p.sleep, lambda: False, self.rng.choice([10, 30]))
        return 0

    def exec(self) -> int:
        """Another program in this process: what sysexec does to memory."""
        k, p = self.work, self.p
        for i in (TSEG, DSEG, BSEG, SSEG):
            s, p.seg[i] = p.seg[i], None
            putseg(k, s)
        k.load(p, self.rng.randrange(len(k.texts)))
        flushmmu(k)
        return 0


class Workload(PlainKernel):
    """A kernel that runs such programs, from ``nproc`` first ones on, to the end of the last."""

    def __init__(self, seed: int, nmach: int, kind: str = "") -> None:
        npages, first, self.maxpid, self.steps, self.weights = KINDS[kind]
        super().__init__(npages, nmach=nmach, nproc=30, nimage=3, nswap=600, nswppo=16, copymode=int(nmach > 1))
        self.cpus = [TlbCpu(scale=50) for _ in range(nmach)]
        for m, cpu in zip(self.machs, self.cpus, strict=True):
            cpu.putcr3(m.pdb)
            m.cpu = cpu
        self.seed = seed
        self.rand = random.Random(seed)
        self.inherited: dict[int, dict[int, int]] = {}
        self.programs: dict[int, Program] = {}
        self.checking = True
        begin(self)
        self.texts: list[Chan] = [self.file(bytes([0xA0 + f]) * (FILEPAGES * BY2PG)) for f in range(3)]
        up = self.become(self.process("boot"))
        setswapchan(self, self.file(bytes(600 * BY2PG)))
        shared = newseg(self, SG_SHARED, SHARED, 8)
        self.up = up.mach = self.machs[0].proc = None
        self.hooks.trap = Workload.trap  # type: ignore[assignment]
        for _ in range(first):
            self.begin(shared)
        shared.ref -= 1
        up.state = up.pid = 0
        self.procs.freeprocs.append(up)

    def contents(self, path: int) -> int:
        """The byte the file of that qid.path is full of."""
        return 0xA0 + next(i for i, c in enumerate(self.texts) if c.qid.path == path)

    def begin(self, shared: Segment) -> None:
        """One of the first processes."""
        p = newproc(self)
        p.psstate = None
        p.pgrp, p.egrp, p.fgrp, p.rgrp = newpgrp(self), newegrp(self), dupfgrp(self, None), newrgrp(self)
        p.dot = self.file(b"")
        p.seg[SEG1] = shared
        shared.ref += 1

        def main() -> None:
            self.load(p, self.rand.randrange(len(self.texts)))
            kexit(self, p)
            touser(self)

        startproc(self, p, main)
        ready(self, p)

    def load(self, p: Proc, file: int) -> None:
        """Give p the segments of a program."""
        i = attachimage(self, SG_TEXT | SG_RONLY, self.texts[file], TEXT, FILEPAGES)
        assert i.s is not None
        p.seg[TSEG] = i.s
        i.s.flen = FILEPAGES * BY2PG
        unlock(self, i)
        s = p.seg[DSEG] = newseg(self, SG_DATA, DATA, FILEPAGES + 1)
        i.ref += 1
        s.image = i
        s.flen = FILEPAGES * BY2PG
        p.seg[BSEG] = newseg(self, SG_BSS, BSS, 30)
        p.seg[SSEG] = newseg(self, SG_STACK, STACK, MB // BY2PG)

    def exit(self) -> int:
        """A program's last call."""
        pexit(self, None, True)

    # User mode

    def trap(self, no: int, ecode: int) -> None:
        """In the process that trapped."""
        if no != KCALL:
            trap(self, no, ecode)
            return
        up = self.up
        assert up is not None
        program = self.program(up)
        call = program.next
        assert callable(call)
        up.kentry = self.m.cpu.now()
        self.nsyscall += 1
        up.insyscall = 1
        up.nerrlab = 1
        try:
            value = call()
        except Error as e:
            value = -len(str(e))
        up.nerrlab = 0
        up.insyscall = 0
        program.answer(value)
        if up.procctl or up.note:
            self.m.splhi = True
            notify(self, up)
        if up.delaysched:
            sched(self)
        kexit(self, up)

    def program(self, p: Proc) -> Program:
        """The program of a process; a child's begins with what its parent has in memory."""
        if p.pid not in self.programs:
            memory = self.inherited.get(p.pid, {})
            self.programs[p.pid] = Program(self, p, memory, self.seed * 1000 + p.pid)
        return self.programs[p.pid]

    def newprocess(self, atboot: bool = False) -> Proc:
        """A new process, which begins with what its parent has in memory now."""
        p = newproc(self, atboot)
        parent = self.programs.get(self.up.pid) if self.up is not None else None
        if parent is not None:
            self.inherited[p.pid] = parent.inherited()
        return p

    def user(self, m: Mach) -> None:
        """Run user mode on processor m until its turn is over or it has nothing to run."""
        cpu = m.cpu
        while cpu.now() < m.until and m.proc is not None and not m.proc.inkernel:
            program = self.program(m.proc)
            todo = program.next
            cpu.spend(ACCESSNS)
            if callable(todo):
                dispatch(self, m, KCALL)
                continue
            err = self.access(m, program, *todo)
            if err is not None:
                dispatch(self, m, VectorPF, err)

    def access(self, m: Mach, program: Program, va: int, v: int | None) -> int | None:
        """One load or store; the error code if it faults. A forbidding TLB entry is looked up again, as on a 386."""
        cpu = m.cpu
        assert isinstance(cpu, TlbCpu)
        pte = cpu.tlb.get(va >> 12)
        if pte is None or (v is not None and not pte & PTEWRITE):
            pte = pteword(self, cpu.cr3, va)
            if not pte & PTEVALID or (v is not None and not pte & PTEWRITE):
                cpu.tlb.pop(va >> 12, None)
                cpu.cr2 = va
                return 4 | (v is not None) << 1 | pte & PTEVALID
            cpu.tlb[va >> 12] = pte
        pa = (pte & ~0xFFF) + va % BY2PG
        if v is None:
            program.answer(self.mem.read(pa, 1)[0])
        else:
            self.mem.write(pa, bytes([v]))
            program.answer(0)
        return None

    def runall(self) -> None:
        """Run until every process has ended; then nothing may be left but cached pages."""
        with linked({newproc: Workload.newprocess}):
            while (m := self.nextmach()) is not None:
                m.until = min(m.nexttick, nexttimer(self))
                if len(self.machs) > 1:
                    m.until = min(m.until, m.cpu.now() + SLICE)
                m.until = max(m.until, m.cpu.now() + 1)
                if dispatch(self, m) is not None:
                    self.user(m)
                elif m.cpu.now() < m.until:
                    m.cpu.spend(1000)
        self.up = None
        left = [p for p in self.procs.proctab if p.pid and not p.kp]
        if left:
            raise Wrong(f"processes left: {left}")
        mustcheck(self)
