"""What a machine is told on the command line. Nothing here needs click, whose import takes as long as the kernel's."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from emu.failure import Failure
from kernel.base.record import constant

if TYPE_CHECKING:
    from emu.machine.config import Outcome
    from emu.machine.counter import Kind
    from emu.machine.journal import Journal
    from emu.machine.machine import Machine


LISTEN: Final = "127.0.0.1:0"  # where gdb finds it


class Recorded(Protocol):
    """What a command needs of a recording that it runs again: emu.cli.replay.Replay."""

    output: "Callable[[int, bytes], None]"

    def journal(self) -> "Journal":
        """What takes the host's place, for one run."""

    def prepare(self, machine: "Machine") -> None:
        """Before the machine runs."""

    def ended(self, outcome: "Outcome") -> None:
        """The program came to its end: as it did? Raises MachineError."""

    def failed(self, why: str) -> Failure | None:
        """The run was ended by p9emu: None if it was so then."""

    def failure(self, e: BaseException) -> Failure | None:
        """How what a journal raised is told; None if something else did."""


class Shown(NamedTuple):
    """A directory of the host in the guest, as emu.machine.config.Bind."""

    host: str
    guest: str
    writable: bool = False
    cow: bool = False
    through: tuple[str, ...] = ()


@constant
class Options:
    """What run and trace have in common, as it is unless told otherwise."""

    memory: int = 64 << 20
    cpus: int = 1
    binds: tuple[Shown, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    seed: int = 0
    timeout: float | None = None
    check: bool = False
    counter: "Kind" = "auto"
    stats: bool = False
    color: str = "auto"
    verbose: bool = False
    swap: int = 0
    swapfile: str | None = None
    sched: str = "fifo"
    inject: tuple[tuple[str, int, bool], ...] = ()
    original: tuple[str, ...] = ()
    fix: tuple[str, ...] = ()
    notefp: bool = False
    mmu: Literal["nested", "plain"] = "nested"
    pagecache: str = "commit"
    pageout: str | None = None
    points: tuple[str, ...] = ()
    lockorder: bool = False
    lockset: bool = False
    net: str = "loopback"
    clock: str | None = "virtual"
    epoch: int | None = None
    root: tuple[str, bool, bool] | None = None  # host, whether writable, whether copied on write
    changes: str | None = None
    tree: str | None = None
    user: str | None = None
    login: bool = False
    interrupts: bool = False
    argv0: str | None = None
    replay: "Recorded | None" = None  # the recording that these are the options of

    def but(self, **changes: Any) -> "Options":
        """The same with these changes, without the import that dataclasses.replace takes."""
        return Options(**{**vars(self), **changes})
