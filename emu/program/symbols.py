"""From a process and its pc to a symbol, a source line and code, for traces."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from emu.program.aout import Aout, AoutError, load
from emu.program.disasm import LONGEST
from emu.program.lines import Lines, Place
from emu.program.stack import unwind

IMAGES: Final = 8  # programs whose symbols are kept


class Found(NamedTuple):
    """What is known of a pc: symbol with offset, "" if there is none; code, b"" likewise; the line it comes from."""

    symbol: str
    code: bytes
    place: Place | None = None


class Frame(NamedTuple):
    """A function on a stack: where it is, its name with offset and its source line, as far as they are known."""

    pc: int
    symbol: str
    place: Place | None


class CodeSource(Protocol):
    """What a machine tells of its processes. Neither question changes anything in the guest."""

    def image(self, pid: int) -> str | None:
        """The host path of the executable that pid runs, if it has one."""

    def code(self, pid: int, pc: int) -> bytes:
        """Up to 15 bytes at pc in pid's memory; b"" if they are not there without a fault."""

    def peek(self, pid: int, addr: int, n: int) -> bytes:
        """Up to n bytes at addr, likewise."""

    def registers(self, pid: int) -> tuple[int, int] | None:
        """pc and SP of pid where it left user mode; None if it is not the one that is at work."""


class Symbols:
    """A text.Lookup and a jsonl.Source. ``machine`` is set once there is one; what it cannot tell is left out."""

    def __init__(self) -> None:
        self.machine: CodeSource | None = None
        self.images: dict[str, tuple[Aout, Lines] | None] = {}

    def place(self, pid: int, pc: int) -> Place | None:
        """The source line of a process's pc, where its program tells it."""
        path = self.machine.image(pid) if self.machine is not None and pid else None
        image = self._image(path) if path else None
        return image[1].at(pc) if image else None

    def __call__(self, pid: int, pc: int) -> Found | None:
        machine = self.machine
        if machine is None or not pid:
            return None
        path = machine.image(pid)
        image = self._image(path) if path else None
        code = machine.code(pid, pc)
        if image is None:
            return Found("", code) if code else None
        aout, lines = image
        if not code:
            code = aout.bytes_at(pc, LONGEST)
        name, offset = aout.symbol(pc)
        return Found(f"{name}+0x{offset:x}" if name else "", code, lines.at(pc))

    def stack(self, pid: int) -> Sequence[Frame]:
        """The functions that a process is in, the innermost first; only the first where its program does not tell."""
        machine = self.machine
        registers = machine.registers(pid) if machine is not None and pid else None
        if machine is None or registers is None or not registers[0]:  # the first program begins with pc 0
            return ()
        path = machine.image(pid)
        image = self._image(path) if path else None
        if image is None:
            return (Frame(registers[0], "", None),)
        aout, lines = image
        frames = []
        for i, pc in enumerate(unwind(lines, *registers, lambda addr, n: machine.peek(pid, addr, n))):
            call = pc if i == 0 else pc - 1
            name, offset = aout.symbol(call)
            frames.append(Frame(pc, f"{name}+0x{offset + pc - call:x}" if name else "", lines.at(call)))
        return frames

    def _image(self, path: str) -> tuple[Aout, Lines] | None:
        if path not in self.images:
            if len(self.images) >= IMAGES:
                del self.images[next(iter(self.images))]
            try:
                aout = load(path)
                aout.symbol(aout.entry)
                aout.bytes_at(aout.entry, 1)
                lines = Lines(aout)
                lines.at(aout.entry)  # reads the tables, while they are there
                self.images[path] = aout, lines
            except AoutError:
                self.images[path] = None
        return self.images[path]
