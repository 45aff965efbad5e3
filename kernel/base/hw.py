"""The hardware as the kernel sees it: physical memory and processors.

:mod:`emu` implements these on Unicorn; the tests implement them on plain memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Console(Protocol):
    """The machine's three streams; ``k.console``. May sleep the current process (k.procs.sleep)."""

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, as soon as there are any; none at its end."""

    def write(self, fd: int, data: bytes) -> None:
        """Write all of data to standard output (1) or standard error (2)."""

    def raw(self, on: bool) -> None:
        """Give each byte that is typed to the reader as it is, at once; or lines, edited."""


class Stream(Protocol):
    """The far side of a stream of bytes: what the kernel asks of it. Nothing is answered here, a Listener hears."""

    def send(self, data: bytes) -> None:
        """Take data, of which there is not more than was allowed for."""

    def fin(self) -> None:
        """No more will be sent."""

    def took(self, n: int) -> None:
        """n bytes of what came were read: so many more may come."""

    def reset(self) -> None:
        """Put an end to it."""

    def close(self) -> None:
        """Nothing more is asked, and nobody hears any more."""


class Listener(Protocol):
    """Who hears what becomes of a stream."""

    def established(self, now: int) -> None:
        """The call was answered; now is ns since boot."""

    def refused(self, why: str) -> None:
        """It was not."""

    def got(self, data: bytes) -> None:
        """Data has come, not more than was allowed for."""

    def sent(self, n: int) -> None:
        """So many bytes more may be sent."""

    def finsent(self) -> None:
        """The far side has all that was sent, and its end."""

    def ended(self) -> None:
        """The far side sends no more."""

    def reset(self) -> None:
        """There is no stream any more."""


class Datagrams(Protocol):
    """A port of the host's from which datagrams are sent, and where answers come."""

    def send(self, addr: bytes, port: int, data: bytes) -> bool:
        """Send one to an address of 16 bytes; False: that is not granted."""

    def close(self) -> None:
        """No more."""


class Network(Protocol):
    """The networks of the host, as far as the machine may use them; ``k.network``."""

    listening: Callable[[int], bool]
    """Whether a call for that port would be taken."""
    answer: Callable[[int, bytes, int, Any], Listener | None]
    """Take a call for a port, from an address and a port, by a Stream; None if nobody does."""

    def connect(self, addr: bytes, port: int, near: Listener) -> Stream | None:
        """Call an address of 16 bytes: near hears what comes of it. None: that is not granted."""

    def datagrams(self, got: Callable[[bytes, int, bytes], None]) -> Datagrams:
        """A port; got is called with where an answer comes from, and the answer."""

    def names(self, name: str) -> Sequence[bytes] | None:
        """The addresses of a host; may sleep the current process. None: that is not granted."""


class Memory(Protocol):
    """Physical memory: one buffer, shared by all processors.

    ``words`` is the same memory as 32-bit words and is for page directories and tables only.
    ``buf`` is the same as bytes. Frames that may hold code are changed through the methods, or
    after changing(): a 386 keeps its instruction fetch coherent with such writes, the emulated
    one has to be told.
    """

    @property
    def size(self) -> int:
        """Bytes of memory, a multiple of 4 MB."""

    @property
    def words(self) -> memoryview[int]:
        """All of memory as 32-bit words (format "I"); index is physical address / 4."""

    @property
    def buf(self) -> memoryview[int]:
        """All of memory as bytes."""

    def zero(self, pa: int) -> None:
        """Clear the frame at pa."""

    def copy(self, dst: int, src: int) -> None:
        """Copy the frame at src to the frame at dst."""

    def read(self, pa: int, n: int) -> bytes:
        """The n bytes at pa."""

    def write(self, pa: int, data: bytes | bytearray | memoryview[int]) -> None:
        """Store data at pa; it does not cross a frame boundary."""

    def changing(self, pa: int) -> None:
        """The frame at pa is about to be changed in buf."""

    def translate(self, pdb: int, va: int, write: bool) -> int:
        """Physical address of va by the page directory at pdb, for the kernel to read or write there.

        -1 if the access would fault, if there is an A or D bit to set first, or if the memory cannot tell: the kernel
        walks the tables itself then.
        """

    def table(self, pa: int) -> None:
        """The frame at pa is about to serve as a page directory or page table."""

    def data(self, pa: int) -> None:
        """The frame at pa no longer serves as a page directory or page table."""


class Disk(Protocol):
    """A disk of the machine."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def read(self, offset: int, n: int) -> bytes:
        """The n bytes at offset; fewer at the end. Raises OSError."""

    def write(self, offset: int, data: bytes) -> int:
        """Store data at offset; how many bytes were taken, fewer than all at the end. Raises OSError."""


class Regs(Protocol):
    """A user process's registers as a trap saved them: ints of 32 bits, to read and to write."""

    ax: int
    bx: int
    cx: int
    dx: int
    si: int
    di: int
    bp: int
    sp: int
    pc: int
    flags: int

    def fpstatus(self) -> tuple[int, int]:
        """FPU status word and address of the last FPU instruction."""

    def fppending(self) -> bool:
        """An FPU exception that is not masked waits to be taken."""

    def mxcsr(self) -> int:
        """SSE control and status."""

    def fpenable(self, on: bool) -> None:
        """Let FPU and SSE instructions run, or trap as coprocessor not available (CR0.TS)."""

    def fpmask(self) -> None:
        """Mask all FPU exceptions, as FSTENV does: those pending do not trap any more."""

    def fpsave(self) -> bytes:
        """FPU and SSE state as FXSAVE lays it out, 512 bytes."""

    def fprestore(self, data: bytes) -> None:
        """Take the state from what FXSAVE stored; reserved bits are left out."""

    def copyfrom(self, other: Regs) -> None:
        """Take over the complete state of other, floating point included (fork)."""

    def clear(self) -> None:
        """The state of a fresh program: zero registers, FPU as pc/l.s:fpinit leaves it, MXCSR 0 (exec)."""


class Cpu(Protocol):
    """One processor."""

    def putcr3(self, pa: int) -> None:
        """Load a page directory; forgets every translation (TLB)."""

    def getcr3(self) -> int:
        """Physical address of the loaded page directory."""

    def getcr2(self) -> int:
        """Address of the last page fault."""

    def invlpg(self, va: int) -> None:
        """Forget the translation of one page."""

    def forget(self, pa: int) -> None:
        """Forget what this processor decoded from the frame at pa."""

    def newregs(self) -> Regs:
        """Room for one process's registers."""

    def now(self) -> int:
        """Virtual time of this processor, ns since boot."""

    def spend(self, ns: int) -> int:
        """Let ns of virtual time pass on this processor; now() as it was before."""
