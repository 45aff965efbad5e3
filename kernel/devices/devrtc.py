"""The real time clock and its memory, ``#r``. Source: pc/devrtc.c.

There is no chip: the clock is the time of day and what was written to it, and the 256 bytes beside it begin as zeros
and end with the machine. In the original the upper half of them is the chip's own registers once more.
"""

from __future__ import annotations

from typing import Final

from kernel.base.chandat import DMDIR, OREAD, QTDIR, Chan, Data
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Ebadarg, Eperm, Error
from kernel.base.kernel import Kernel
from kernel.base.mem import MASK32
from kernel.devices.parse import strtoul
from kernel.files.dev import Dev, devdirread, iseve, openmode, readnum, readstr

Qdir, Qrtc, Qnvram = range(3)
Nvsize: Final = 256
DAY: Final = 86_400
Y2070, MARCH2100 = 3_155_760_000, 4_107_542_400


class Rtcdev(Dev):
    """Source: pc/devrtc.c."""

    dc = "r"
    name = "rtc"
    tab = (
        Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o555),
        Dirtab("nvram", Qid(Qnvram), Nvsize, 0o664),
        Dirtab("rtc", Qid(Qrtc), 0, 0o664),
    )

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.ahead = 0  # seconds that the clock is before the time of day
        self.nvram = bytearray(Nvsize)

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: pc/devrtc.c:rtcopen."""
        omode = openmode(omode)
        if not iseve(self.k) and (c.qid.path == Qnvram or (c.qid.path == Qrtc and omode != OREAD)):
            raise Error(Eperm)
        return super().open(c, omode)

    def _time(self) -> int:
        return self.k.nsec() // 1_000_000_000

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: pc/devrtc.c:rtcread."""
        if c.qid.path == Qdir:
            return devdirread(self.k, c, n, self.gen)
        if c.qid.path == Qrtc:
            return readstr(offset, n, readnum(asrtc(self._time() + self.ahead)))
        return readstr(offset, n, bytes(self.nvram))

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Seconds since 1970, after whatever is no digit; or bytes from the beginning. Source: pc/devrtc.c:rtcwrite."""
        n = len(data)
        if offset & MASK32 != 0 or c.qid.path == Qdir:
            raise Error(Ebadarg)
        if c.qid.path == Qrtc:
            text = bytes(data[: min(n, 64)])
            start = next((i for i, ch in enumerate(text) if ch in b"0123456789"), len(text))
            self.ahead = asrtc(strtoul(text[start:])) - self._time()
            return n
        n = min(n, Nvsize)
        self.nvram[:n] = bytes(data[:n])
        return n


def asrtc(seconds: int) -> int:
    """The time as the chip keeps it, the year in two digits: from 1970 to 2069. Source: pc/devrtc.c:_rtctime."""
    seconds &= MASK32
    if seconds < Y2070:
        return seconds
    return seconds - Y2070 + (DAY if seconds >= MARCH2100 else 0)  # 2100 has no 29 February, but 2000
