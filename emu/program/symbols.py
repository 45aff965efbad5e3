"""From a process and its pc to a symbol and code, for the text trace."""

from typing import Final, Protocol

from emu.program.aout import Aout, AoutError, load
from emu.program.disasm import LONGEST

IMAGES: Final = 8  # programs whose symbols are kept


class CodeSource(Protocol):
    """What a machine tells of its processes. Neither question changes anything in the guest."""

    def image(self, pid: int) -> str | None:
        """The host path of the executable that pid runs, if it has one."""

    def code(self, pid: int, pc: int) -> bytes:
        """Up to 15 bytes at pc in pid's memory; b"" if they are not there without a fault."""


class Symbols:
    """A text.Lookup. ``machine`` is set once there is one; what it cannot tell is left out."""

    def __init__(self) -> None:
        self.machine: CodeSource | None = None
        self.images: dict[str, Aout | None] = {}

    def __call__(self, pid: int, pc: int) -> tuple[str, bytes] | None:
        machine = self.machine
        if machine is None or not pid:
            return None
        path = machine.image(pid)
        aout = self._aout(path) if path else None
        code = machine.code(pid, pc)
        if aout is None:
            return ("", code) if code else None
        if not code:
            code = aout.bytes_at(pc, LONGEST)
        name, offset = aout.symbol(pc)
        return f"{name}+0x{offset:x}" if name else "", code

    def _aout(self, path: str) -> Aout | None:
        if path not in self.images:
            if len(self.images) >= IMAGES:
                del self.images[next(iter(self.images))]
            try:
                aout = load(path)
                aout.symbol(aout.entry)
                aout.bytes_at(aout.entry, 1)
                self.images[path] = aout
            except AoutError:
                self.images[path] = None
        return self.images[path]
