"""Out of memory: the largest process must go. Source: port/proc.c:killbig."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import BSEG, SG_PHYSICAL, SG_SHARED, SG_TYPE
from kernel.base.mem import BY2PG
from kernel.base.procdat import Dead, Proc_exitbig
from kernel.memory.segment import mcountseg, mfreeseg
from kernel.sched.qlock import canqlock, qunlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


def killbig(k: Kernel, why: str) -> None:
    """Kill the process with most memory, and those that share its bss. Source: port/proc.c:killbig."""
    most = 0
    kp: Proc | None = None
    for p in k.procs.proctab:
        if p.state == Dead or p.kp or not canqlock(k, p.seglock):
            continue
        l = 0
        for s in p.seg[1:]:
            if s is None or not canqlock(k, s):
                continue
            l += mcountseg(k, s)
            qunlock(k, s)
        qunlock(k, p.seglock)
        if l > most and (p.procmode & 0o222 or p.user != k.eve):
            kp, most = p, l
    if kp is None or not canqlock(k, kp.seglock):
        return
    k.print(f"{kp.pid}: {kp.text} killed: {why}\n")
    for p in k.procs.proctab:
        if p.state == Dead or p.kp:
            continue
        if p is not kp and p.seg[BSEG] is not None and p.seg[BSEG] is kp.seg[BSEG]:
            p.procctl = Proc_exitbig
    kp.procctl = Proc_exitbig
    for s in kp.seg:
        if s is not None and k.variant.fix_82a797da7 and s.type & SG_TYPE in (SG_SHARED, SG_PHYSICAL):
            continue
        if s is not None and canqlock(k, s):
            mfreeseg(k, s, s.base, (s.top - s.base) // BY2PG)
            qunlock(k, s)
    qunlock(k, kp.seglock)
