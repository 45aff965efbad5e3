"""Delivering a note, and coming back from its handler. Source: pc/trap.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.base.error import ERRMAX
from kernel.base.event import NoteEvent
from kernel.base.mem import BY2WD
from kernel.base.procdat import FPactive, FPillegal, NDebug, NUser
from kernel.base.text import kbytes, kstr
from kernel.memory.fault import okaddr
from kernel.memory.uaccess import ufetch, usetword, ustore, uword
from kernel.process.proc import pexit
from kernel.process.ureg import UFLAGS, UFLAGSAT, UREG, packureg, unpackureg
from kernel.sched.note import procctl
from kernel.sched.qlock import qlock, qunlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


NCONT, NDFLT, NSAVE, NRSTR = range(4)


def notify(k: Kernel, up: Proc) -> bool:
    """Deliver the first note: call the handler, or die of it. Source: pc/trap.c:notify."""
    if up.procctl:
        procctl(k, up)
    if not up.note:
        return False
    assert up.regs is not None
    regs = up.regs
    up.fpstate |= FPillegal
    regs.fpenable(False)
    k.m.splhi = False
    qlock(k, up.debug)
    up.notepending = 0
    n = up.note[0]
    if n.msg.startswith("sys:"):
        n.msg = kstr(kbytes(n.msg)[: ERRMAX - 15]) + f" pc=0x{regs.pc:08x}"

    if n.flag != NUser and (up.notified or up.notify == 0):
        qunlock(k, up.debug)
        if n.flag == NDebug:
            k.hooks.pprint(k, f"suicide: {n.msg}\n")
        pexit(k, n.msg, n.flag != NDebug)
    if up.notified:
        qunlock(k, up.debug)
        k.m.splhi = True
        return False
    if up.notify == 0:
        qunlock(k, up.debug)
        pexit(k, n.msg, n.flag != NDebug)

    sp = (regs.sp - 256 - UREG.size) & 0xFFFFFFFF  # 256: keeps what caused the trouble
    if not okaddr(k, up.notify, 1, False) or not okaddr(
        k, (sp - ERRMAX - 4 * BY2WD) & 0xFFFFFFFF, UREG.size + ERRMAX + 4 * BY2WD, True
    ):
        qunlock(k, up.debug)
        k.hooks.pprint(k, "suicide: bad address in notify\n")
        pexit(k, "Suicide", False)

    ustore(k, sp, packureg(up))
    usetword(k, sp - BY2WD, up.ureg, "notify")  # word under the Ureg is the old one's address
    up.ureg = sp
    sp -= BY2WD + ERRMAX
    ustore(k, sp, kbytes(n.msg)[: ERRMAX - 1].ljust(ERRMAX, b"\0"))
    sp -= 3 * BY2WD
    ustore(k, sp, struct.pack("<3I", 0, up.ureg, sp + 3 * BY2WD), "notify")  # return pc, ureg, text
    regs.sp = sp
    regs.pc = up.notify
    up.notified = True
    up.lastnote = up.note.pop(0)
    qunlock(k, up.debug)
    k.m.splhi = True
    if k.sink is not None:
        k.emit(NoteEvent(0, 0, 0, "deliver", up.pid, n.msg))
    return True


def noted(k: Kernel, up: Proc, arg0: int) -> None:
    """Return from a note handler, or die of the note. Source: pc/trap.c:noted."""
    assert up.regs is not None
    regs = up.regs
    qlock(k, up.debug)
    if arg0 != NRSTR and not up.notified:
        qunlock(k, up.debug)
        k.hooks.pprint(k, "call to noted() when not notified\n")
        pexit(k, "Suicide", False)
    up.notified = False
    up.fpstate &= ~FPillegal
    if up.fpuser:
        regs.fprestore(up.fpuser)
        up.fpuser = b""
    regs.fpenable(up.fpstate == FPactive)
    oureg = up.ureg
    # The original asks for read access alone, then writes, and dies of it where it may not.
    if not okaddr(k, (oureg - BY2WD) & 0xFFFFFFFF, BY2WD + UREG.size, True):
        qunlock(k, up.debug)
        k.hooks.pprint(k, "bad ureg in noted or call to noted when not notified\n")
        pexit(k, "Suicide", False)

    u = list(UREG.unpack(ufetch(k, oureg, UREG.size)))
    u[UFLAGSAT] = regs.flags & ~UFLAGS | u[UFLAGSAT] & UFLAGS  # the system's flags are not the user's
    u[15] |= 3
    u[18] |= 3
    ustore(k, oureg, UREG.pack(*u))
    unpackureg(up, u)
    pc, usp = regs.pc, regs.sp

    if arg0 in (NCONT, NRSTR):
        if not okaddr(k, pc, 1, False) or not okaddr(k, usp, BY2WD, False):
            qunlock(k, up.debug)
            k.hooks.pprint(k, "suicide: trap in noted\n")
            pexit(k, "Suicide", False)
        up.ureg = uword(k, oureg - BY2WD, "noted")
        qunlock(k, up.debug)
    elif arg0 == NSAVE:
        if not okaddr(k, pc, BY2WD, False) or not okaddr(k, usp, BY2WD, False):
            qunlock(k, up.debug)
            k.hooks.pprint(k, "suicide: trap in noted\n")
            pexit(k, "Suicide", False)
        sp = (oureg - 4 * BY2WD - ERRMAX) & 0xFFFFFFFF
        if not okaddr(k, sp, 2 * BY2WD, True):  # not asked for in the original, which dies of it
            qunlock(k, up.debug)
            k.hooks.pprint(k, "suicide: trap in noted\n")
            pexit(k, "Suicide", False)
        qunlock(k, up.debug)
        regs.sp = sp
        ustore(k, sp, struct.pack("<2I", 0, oureg), "noted")
    else:
        if arg0 != NDFLT:
            up.lastnote.flag = NDebug
        qunlock(k, up.debug)
        if up.lastnote.flag == NDebug:
            k.hooks.pprint(k, f"suicide: {up.lastnote.msg}\n")
        pexit(k, up.lastnote.msg, up.lastnote.flag != NDebug)
