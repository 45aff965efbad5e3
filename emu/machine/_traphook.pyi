from collections.abc import Callable

from emu.machine.regs import Regs

class Hook:
    current: Regs
    cr3: int
    flush: bool
    held: bool
    apart: bool
    def __init__(
        self,
        service: Callable[[int, int], Regs | None],
        trapped: Callable[[int, bool], Regs | None],
        ended: Callable[[BaseException | None], None],
        flushtlb: Callable[[], None],
        uc: int,
        save: int,
        restore: int,
        size: int,
        isint: int,
        oldexception: int,
        cr3: int,
    ) -> None: ...
    @property
    def callback(self) -> int: ...
    @property
    def data(self) -> int: ...
    def resume(self, regs: Regs) -> None: ...
