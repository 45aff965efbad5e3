"""What a machine is made of, how a run of one ends, and what can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.record import constant, field, record

if TYPE_CHECKING:
    from emu.machine.counter import Kind


@constant
class Bind:
    """A host directory shown in the guest: read-only, ``writable``, or ``cow``, where changes are kept apart.

    ``through`` are files and directories in it, by names from there, that are written on the host all the same.
    """

    host: str
    guest: str
    writable: bool = False
    cow: bool = False
    through: tuple[str, ...] = ()


@constant
class Root:
    """A host directory as the root of the guest's name space, as a Bind.

    ``changes`` is the host directory that keeps the changes, and implies ``cow``; without it they are forgotten.
    """

    host: str
    writable: bool = False
    cow: bool = False
    changes: str | None = None


@constant
class Tree:
    """The root is a Plan 9 tree with programs of its own, set up as a terminal's boot leaves it.

    ``user`` is whose machine it is; None: glenda, if her home is there, else eve. With ``login`` the user's profile is
    run, and sets up what is the user's.
    """

    user: str | None = None
    login: bool = False


@constant
class Config:
    """What a machine is made of. ``memory`` in bytes, ``timeout`` in seconds of the host's time."""

    memory: int = 64 << 20
    cpus: int = 1
    seed: int = 0
    binds: tuple[Bind, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = "/"  # None: home, with a tree
    check: bool = False
    verbose: bool = False
    timeout: float | None = None
    counter: Kind = "auto"
    swap: int = 0  # bytes of a swap device to make; 0: none
    swapfile: str | None = None  # the host file it is in, to be kept
    sched: str = "fifo"  # or "random": an exploring scheduler, by seed
    points: tuple[str, ...] = ()  # switch points beside those at locks: kernel.sched.watch.POINTS
    lockorder: bool = False  # tell at the end which locks are taken while which are held
    lockset: bool = False  # tell at the end which shared fields no lock guards
    mmu: str = "nested"  # or "plain": without nested paging
    inject: tuple[tuple[str, int, bool], ...] = ()  # operation, number, whether every such number fails
    original: tuple[str, ...] = ()  # cures taken back, by name
    fix: tuple[str, ...] = ()  # later fixes applied, by commit
    notefp: bool = False  # note handlers may use floating point
    net: str = "loopback"  # or "off": no /net; or words as of --net: emu.machine.netconfig
    clock: str = "virtual"  # or "real": the host's
    epoch: int | None = None  # s since 1970 at the start; None: in June 2014, or with the host's clock now
    argv0: str | None = None  # what the program is called by; None: as a shell would call it
    root: Root | None = None  # a host directory as the root of the name space
    tree: Tree | None = None  # which is a Plan 9 tree
    pagecache: str = "commit"  # or "parent": the one that the commit replaced
    pageout: str | None = None  # a page-out policy, by its name; None: the page cache's own
    interrupts: bool = False  # every Ctrl-C is a note; else the second one ends the machine


class LimitError(Exception):
    """A bound that the caller has set is reached: of output, or of events kept. str() names it."""


class LoadError(Exception):
    """The program cannot be run: ``status`` 127 if it is not there, 126 if it is no program.

    2 if an option names what cannot be shown, 125 if the host has no room for changes.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class MachineError(Exception):
    """The emulator or its kernel failed (status 125). ``dump`` has the processes, one a line.

    ``repeat`` is the command line that does it again, after a panic or where an invariant is broken.
    """

    def __init__(self, message: str, dump: str = "", repeat: str = "") -> None:
        super().__init__(message)
        self.dump = dump
        self.repeat = repeat


@record
class Stats:
    """Figures of one run."""

    virtual_ns: int = 0
    faults: int = 0
    system_calls: int = 0
    context_switches: int = 0
    ticks: int = 0
    pages: int = 0
    free_pages: int = 0
    processes: int = 0
    page_outs: int = 0
    swap_writes: int = 0
    swap_ins: int = 0
    reclaimed_pages: int = 0
    host_seconds: float = 0.0
    unicorn: dict[str, int | str] = field(default_factory=dict)  # with Config.verbose: emu.machine.lookup


@record
class Outcome:
    """How the program ended: the exit status for the host, Plan 9's exit string, and figures.

    ``exits`` is as a parent has it, ``NAME PID: STRING``; ``name`` that of the program last executed.
    """

    status: int
    exits: str
    pid: int
    name: str
    stats: Stats


def hoststatus(string: str) -> int:
    """Exit status for an exit string: 0 for "", 1..255 for a decimal number (as Go's), else 1."""
    if not string:
        return 0
    if string.isascii() and string.isdigit() and len(string) <= 3 and 1 <= int(string) <= 255:
        return int(string)
    return 1
