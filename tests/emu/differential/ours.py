"""p9emu's side."""

from collections.abc import Iterable, Iterator
from typing import Final

from tests.emu.bare import Bare
from tests.emu.differential.layout import (
    CODE,
    DATA,
    FXUSED,
    PAGE,
    READONLY,
    REGISTERS,
    STACK,
    WRITABLE,
    Case,
    Result,
    contents,
)

LIMIT: Final = 10_000_000  # ns: no sequence runs that long


class Ours:
    """A machine that runs one sequence after the other."""

    def __init__(self, bare: Bare) -> None:
        self.bare = bare
        self.contents = contents()
        self.frames = {va: bare.map(va) for va in (DATA, DATA + PAGE, STACK, CODE, CODE + PAGE)}
        self.frames[READONLY] = bare.map(READONLY)
        for va, page in self.contents.items():
            bare.memory.write(self.frames[va], page)
        for va in (READONLY, CODE, CODE + PAGE):
            bare.memory.words[bare._slot(va)] &= ~2
        self.regs = bare.regs(CODE)

    def run(self, cases: Iterable[Case]) -> Iterator[Result]:
        """What p9emu does with the cases."""
        for case in cases:
            yield self._run(case)

    def _run(self, case: Case) -> Result:
        bare, regs = self.bare, self.regs
        memory = bare.memory
        regs.clear()
        for name, value in zip(REGISTERS, case.registers, strict=True):
            setattr(regs, name, value)
        regs.pc, regs.flags = case.pc, case.flags
        regs.fprestore(case.fx)
        code, at = case.code, case.pc
        while code:
            n = min(len(code), PAGE - at % PAGE)
            memory.write(self.frames[at & ~(PAGE - 1)] + at % PAGE, code[:n])
            code, at = code[n:], at + n
        bare.traps.clear()
        assert not bare.run(regs, ns=LIMIT), case
        (trap,) = bare.traps
        registers = tuple(getattr(regs, name) for name in REGISTERS)
        result = Result(trap.trapno, trap.ecode, trap.addr, trap.pc, regs.flags, registers, regs.fpsave()[:FXUSED])
        for va in WRITABLE:
            frame = self.frames[va]
            page = bytes(memory.read(frame, PAGE))
            if page != self.contents[va]:
                result.memory[va] = page
                memory.write(frame, self.contents[va])
        return result
