"""Unicorn's interrupt hook of one processor: INT n, most exceptions, and exits of the nested guest.

Every trap goes through it. It saves the state in the current Regs, has the trap served, and goes on with the Regs
that come back. There is one in C too (emu/machine/_traphook.c), which spares each trap the way through ctypes.
"""

from __future__ import annotations

from ctypes import c_void_p
from typing import TYPE_CHECKING, Any, Protocol

from emu.machine import x86
from emu.machine.lib import INTRHOOK, Lib
from emu.machine.regs import NONE, Layout, Regs

if TYPE_CHECKING:
    from emu.machine.counter import Kind


class Handlers(Protocol):
    """What a trap leads to."""

    def service(self, trapno: int, ecode: int) -> Regs | None:
        """Serve a system call (64, 0): the Regs to go on with, or None to end emulation."""

    def trapped(self, intno: int, isint: bool) -> Regs | None:
        """The same for anything else, INT n if isint; None if emulation is being left already."""

    def ended(self, raised: BaseException | None) -> None:
        """Emulation is to end: service() has returned None, or one of these has raised."""

    def flushtlb(self) -> None:
        """Forget every translation of an address."""


class TrapHook(Protocol):
    """The hook."""

    current: Regs
    """Of what runs."""
    cr3: int
    """The page directory to go on with."""
    flush: bool
    """The TLB must be flushed before the guest goes on."""
    held: bool
    """What happens until emulation stops does not count."""
    apart: bool
    """System calls are not to be served at once: they go to trapped() too."""

    @property
    def callback(self) -> Any:
        """For uc_hook_add, with data. The hook must live as long as the engine."""

    @property
    def data(self) -> int | None:
        """For uc_hook_add."""

    def resume(self, regs: Regs) -> None:
        """In a hook: go on with regs."""


class PythonHook:
    """Implements TrapHook."""

    def __init__(self, handlers: Handlers, lib: Lib, uc: c_void_p, layout: Layout) -> None:
        self.current: Regs
        self.cr3 = 0
        self.flush = True
        self.held = False
        self.apart = False
        self.callback: Any = INTRHOOK(self._interrupt)
        self.data = None
        self._handlers = handlers
        self._lib = lib
        self._uc = uc
        self._layout = layout

    def _interrupt(self, _uc: int, intno: int) -> None:
        if self.held:
            return
        handlers, layout = self._handlers, self._layout
        regs = self.current
        try:
            self._lib.save(self._uc, regs.handle)
            words = regs.words
            isint = words[layout.isint] != 0
            words[layout.isint] = 0
            words[layout.oldexception] = NONE
            if intno == x86.SYSCALL and isint and not self.apart:
                new = handlers.service(intno, 0)
                if new is None:
                    handlers.ended(None)
            else:
                new = handlers.trapped(intno, isint)
            if new is not None:
                self.resume(new)
        except BaseException as e:  # noqa: BLE001 run() raises it
            handlers.ended(e)

    def resume(self, regs: Regs) -> None:
        """In a hook: go on with regs."""
        self.current = regs
        regs.words[self._layout.cr3] = self.cr3
        self._lib.restore(self._uc, regs.handle)
        if self.flush:
            self._handlers.flushtlb()


def traphook(kind: Kind, handlers: Handlers, lib: Lib, uc: c_void_p, layout: Layout) -> TrapHook:
    """The hook in C, if the extension was built and the block counter of that kind is not in Python."""
    if kind != "python":
        try:
            from emu.machine._traphook import Hook
        except ImportError:
            pass
        else:
            return Hook(
                service=handlers.service,
                trapped=handlers.trapped,
                ended=handlers.ended,
                flushtlb=handlers.flushtlb,
                uc=uc.value or 0,
                save=lib.saveaddress,
                restore=lib.restoreaddress,
                size=lib.contextsize(uc),
                isint=layout.isint,
                oldexception=layout.oldexception,
                cr3=layout.cr3,
            )
    return PythonHook(handlers, lib, uc, layout)
