"""User memory as the kernel touches it: through the process's own page tables, faulting as memmove would.

The original runs on the process's address space and simply dereferences user pointers; a missing page
faults in kernel mode (pc/trap.c:fault386). Here each access walks the current page directory in RAM
and calls :func:`kfault` when the 386 would have. ``fn`` names the kernel function in which the
original makes the access.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.mem import BY2PG, KZERO, PGMASK, PTEACCESSED, PTEDIRTY, PTEVALID, PTEWRITE, USTKTOP
from kernel.memory.fault import tracedfault, validaddr
from kernel.memory.mmu import pteword
from kernel.sched.clock import preempted

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


def livelock(k: Kernel, up: Proc, where: str, addr: int) -> None:
    """Tell, for the first time, of a process that takes the same page fault for ever."""
    if not k.stucktold:
        k.stucktold = True
        at = f"{where} address {addr:#010x}"
        k.warn(f"livelock: {up.text} {up.pid} takes the same page fault for ever, {at}")


WORD = Struct("<I")
ROUNDS = 100  # faults for one access that are told as a livelock, when time has passed as often


def uframe(k: Kernel, addr: int, write: bool, fn: str) -> int:
    """Physical address of user address addr, faulted in for the access; sets the A and D bits as the 386 does."""
    if k.watch is not None and fn != "cmpswap":  # one instruction
        k.watch.user(write)
    up = k.up
    assert up is not None
    if up.mmupdb is not None and addr < USTKTOP:
        pa = k.mem.translate(up.mmupdb.pa, addr, write)
        if pa >= 0:
            return pa
    return uwalk(k, addr, write, fn)


def uwalk(k: Kernel, addr: int, write: bool, fn: str) -> int:
    """The same where a fault is to be taken or a bit to be set."""
    w = k.mem.words
    rounds = 0
    while True:
        up = k.up
        assert up is not None
        present = 0
        rounds += 1
        if rounds > ROUNDS:  # the original is interrupted meanwhile
            if rounds == 2 * ROUNDS:
                livelock(k, up, f"in {fn}", addr)
            preempted(k)
        if up.mmupdb is not None and addr < USTKTOP:
            x = (up.mmupdb.pa >> 2) + (addr >> 22)
            pde = w[x]
            if pde & PTEVALID:
                w[x] = pde | PTEACCESSED
                x = ((pde & ~0xFFF) >> 2) + (addr >> 12 & 0x3FF)
                pte = w[x]
                if pte & PTEVALID:
                    # CR0.WP is set: the kernel may not write a read-only page either
                    if not write:
                        w[x] = pte | PTEACCESSED
                        return (pte & ~0xFFF) + (addr & 0xFFF)
                    if pte & PTEWRITE:
                        w[x] = pte | PTEACCESSED | PTEDIRTY
                        return (pte & ~0xFFF) + (addr & 0xFFF)
                    present = 1
        kfault(k, addr, write, present, fn)


def kfault(k: Kernel, addr: int, write: bool, present: int, fn: str) -> None:
    """A page fault in kernel mode; panics if it cannot be served. Source: pc/trap.c:fault386."""
    up = k.up
    assert up is not None
    if addr >= USTKTOP:
        raise Panic(f"kernel fault: bad address pc={fn} addr={addr:#010x}")
    insyscall, up.insyscall = up.insyscall, 1
    n = tracedfault(k, addr, not write, present | write << 1, "kernel", fn)
    if n < 0:
        raise Panic(f"fault: {addr:#x}")
    up.insyscall = insyscall


def ufetch(k: Kernel, addr: int, n: int, fn: str = "memmove") -> bytes:
    """The n bytes at user address addr."""
    if n <= 0:
        return b""
    if (addr & PGMASK) + n <= BY2PG:
        return k.mem.read(uframe(k, addr, False, fn), n)
    parts = []
    while n > 0:
        c = min(n, BY2PG - (addr & PGMASK))
        parts.append(k.mem.read(uframe(k, addr, False, fn), c))
        addr += c
        n -= c
    return b"".join(parts)


def uunpack(k: Kernel, fmt: Struct, addr: int, fn: str) -> tuple[int, ...]:
    """The numbers that fmt finds at user address addr."""
    if (addr & PGMASK) + fmt.size <= BY2PG:
        return fmt.unpack_from(k.mem.buf, uframe(k, addr, False, fn))
    return fmt.unpack(ufetch(k, addr, fmt.size, fn))


def ustore(k: Kernel, addr: int, data: bytes | bytearray | memoryview[int], fn: str = "memmove") -> None:
    """Store data at user address addr, lowest page first."""
    n = len(data)
    if (addr & PGMASK) + n <= BY2PG:
        if n:
            k.mem.write(uframe(k, addr, True, fn), data)
        return
    view = memoryview(data)
    o = 0
    while o < n:
        c = min(n - o, BY2PG - (addr & PGMASK))
        k.mem.write(uframe(k, addr, True, fn), view[o : o + c])
        addr += c
        o += c


def uword(k: Kernel, addr: int, fn: str = "memmove") -> int:
    """The 32-bit word at user address addr."""
    (v,) = uunpack(k, WORD, addr, fn)
    return v


def usetword(k: Kernel, addr: int, v: int, fn: str = "memmove") -> None:
    """Store a 32-bit word at user address addr."""
    ustore(k, addr, (v & 0xFFFFFFFF).to_bytes(4, "little"), fn)


def vmemchr(k: Kernel, a: int, c: int, n: int) -> int:
    """Address of the first byte c in the n bytes at a, or 0. The first byte is known to be valid.

    Source: port/fault.c:vmemchr.
    """
    while n > 0:
        m = min(n, BY2PG - (a & PGMASK))
        i = ufetch(k, a, m, "memchr").find(c)
        if i >= 0:
            return a + i
        a += m
        n -= m
        if n > 0 and a < KZERO:
            validaddr(k, a, 1, False)
    return 0


def memchr(k: Kernel, a: int, c: int) -> int:
    """Address of the first byte c from user address a on, whoever's memory that is."""
    while (i := ufetch(k, a, m := BY2PG - (a & PGMASK), "memchr").find(c)) < 0:
        a += m
    return a + i


def ustr(k: Kernel, addr: int, fn: str = "memchr") -> bytes:
    """The NUL-terminated string at user address addr, each of its pages checked as vmemchr does."""
    end = vmemchr(k, addr, 0, 0x7FFFFFFF)
    return ufetch(k, addr, end - addr, fn)


def ustreq(k: Kernel, addr: int, s: bytes) -> bool:
    """Whether the string at user address addr is s; looked at, and checked, as far as they are equal."""
    for i, c in enumerate(s + b"\0"):
        if not k.variant.original_twice:
            validaddr(k, addr + i, 1, False)
        if ufetch(k, addr + i, 1, "strcmp")[0] != c:
            return False
    return True


def umove(k: Kernel, dst: int, src: int, n: int) -> None:
    """Copy n bytes between user addresses, lowest first, no more than a page at a time."""
    while n > 0:
        c = min(n, BY2PG - (src & PGMASK))
        ustore(k, dst, ufetch(k, src, c))
        dst += c
        src += c
        n -= c


def peek(k: Kernel, addr: int, n: int) -> bytes:
    """Up to n bytes at user address addr without a fault, for observers; shorter where no page is mapped."""
    up = k.up
    out = b""
    while n > 0 and up is not None and up.mmupdb is not None and addr < USTKTOP:
        pte = pteword(k, up.mmupdb.pa, addr)
        if not pte & PTEVALID:
            break
        c = min(n, BY2PG - (addr & PGMASK))
        out += k.mem.read((pte & ~PGMASK) + (addr & PGMASK), c)
        addr += c
        n -= c
    return out
