"""What the machine is, ``#P``. Source: pc/devarch.c.

Of the original's files those that tell something of this machine: the ports, registers and real mode memory behind the
others (iob, iow, iol, msr, realmodemem, irqalloc, gdt, ldt) are not there.
"""

from __future__ import annotations

from typing import Final

from kernel.base.chandat import DMDIR, QTDIR, Chan, Data
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Ebadarg, Eperm, Error
from kernel.base.kernel import Kernel
from kernel.devices.parse import Cmdtab, cmderror, lookupcmd, parsecmd
from kernel.files.dev import Dev, devdirread, readstr

Qdir, Qioalloc = range(2)
Qcputype, Qarchctl = 6, 7
MAXCTL: Final = 64 * 1024
CPUTYPE: Final = "P6"  # family 6, a model that the original does not know; SSE2, no global pages, no MTRRs
COMMANDS: Final = (Cmdtab("pge", 2), Cmdtab("coherence", 2), Cmdtab("i8253set", 2), Cmdtab("cache", 4))


class Archdev(Dev):
    """Source: pc/devarch.c."""

    dc = "P"
    name = "arch"
    tab = (
        Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o555),
        Dirtab("ioalloc", Qid(Qioalloc), 0, 0o444),
        Dirtab("cputype", Qid(Qcputype), 0, 0o444),
        Dirtab("archctl", Qid(Qarchctl), 0, 0o664),
    )

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.coherence = "mfence"
        self.i8253set = "on"

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: pc/devarch.c:archread, cputyperead, archctlread."""
        if c.qid.path == Qdir:
            return devdirread(self.k, c, n, self.gen)
        if c.qid.path == Qioalloc:
            return b""
        cpu = f"{CPUTYPE} {(self.k.files.fasthz + 999_999) // 1_000_000}\n"
        if c.qid.path == Qarchctl:
            cpu = f"cpu {cpu}pge off\ncoherence {self.coherence}\ncmpswap cmpswap486\ni8253set {self.i8253set}\n"
        return readstr(offset, n, cpu.encode())

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Settings are kept, and shown; nothing of this machine follows them. Source: pc/devarch.c:archctlwrite."""
        n = len(data)
        if c.qid.path != Qarchctl:
            raise Error(Eperm)
        if n > MAXCTL:
            raise Error(Ebadarg)
        f = parsecmd(bytes(data[:n]))
        match lookupcmd(f, COMMANDS):
            case "pge":
                raise Error("processor does not support pge")
            case "coherence":
                if f[1] not in ("mb386", "mb586", "mfence", "nop"):
                    raise cmderror(f, "invalid coherence ctl")
                if f[1] == "nop" and len(self.k.machs) > 1:
                    raise Error("cannot disable coherence on a multiprocessor")
                self.coherence = f[1]
            case "i8253set":
                if f[1] not in ("on", "off"):
                    raise cmderror(f, "invalid i2853set ctl")
                self.i8253set = f[1]
            case "cache":
                raise Error("mtrrs not supported")
        return n
