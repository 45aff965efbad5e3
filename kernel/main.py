"""Making a kernel: its sizes, and the calls that go up. Source: pc/main.c."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from kernel.base.dat import Conf
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, KZERO, MASK32, MB
from kernel.devices.devcons import pprint
from kernel.devices.mountio import muxclose
from kernel.files.channel import cclose, ccloseq
from kernel.files.pgrp import forceclosefgrp
from kernel.memory.mmu import flushmmu, mmurelease, mmuswitch
from kernel.memory.policy import POLICIES
from kernel.memory.swap import kickpager
from kernel.process.proc import pexit
from kernel.trap import profclock, syscall, trap
from kernel.waits import checkchanged

if TYPE_CHECKING:
    from kernel.base.hw import Memory

KBASE = 1 * MB  # first byte of kernel memory that xspanalloc may use


def confinit(memory: int, nmach: int) -> Conf:
    """Sizes for a machine with so many bytes of memory, run as a terminal. Source: pc/main.c:confinit."""
    conf = Conf(nmach=nmach)
    conf.npage = (memory - KBASE) // BY2PG
    conf.nproc = min(100 + conf.npage * BY2PG // MB * 5, 2000)
    conf.nswap = conf.nproc * 80
    userpcnt = 50 if conf.npage * BY2PG < 16 * MB else 60
    kpages = conf.npage - conf.npage * userpcnt // 100
    # the kernel's own memory ends with its window
    kpages = min(kpages, (-KZERO & MASK32) // BY2PG)
    conf.upages = conf.npage - kpages
    conf.copymode = 1 if nmach > 1 else 0  # copy on reference (pc/mp.c)
    return conf


def link(k: Kernel, pagecache: str = "", pageout: str = "", seed: int = 0) -> None:
    """Fill in the calls that go up, and what can be chosen once: the page cache and the page-out policy.

    ``pagecache`` is "parent" for that of the commit's parent. ``pageout`` is one of
    :data:`kernel.memory.policy.POLICIES`; "" is the page cache's own. A policy that draws lots does so by seed.
    """
    if pagecache == "parent":
        from kernel.memory.parent import link as parent

        parent.link(k)
    k.policy = POLICIES[pageout or ("average" if k.parent is not None else "clock16")](random.Random(seed))
    k.onfault = k.policy.fault if k.policy.faults else None
    h = k.hooks
    h.mmuswitch, h.mmurelease, h.flushmmu, h.checkchanged = mmuswitch, mmurelease, flushmmu, checkchanged
    h.trap, h.syscall, h.profclock = trap, syscall, profclock
    h.forceclosefgrp, h.cclose, h.ccloseq = forceclosefgrp, cclose, ccloseq
    h.kickpager = kickpager
    h.muxclose = muxclose
    h.pexit, h.pprint = pexit, pprint


def newkernel(
    conf: Conf, mem: Memory, base: int | None = None, pagecache: str = "", pageout: str = "", seed: int = 0
) -> Kernel:
    """A kernel on that memory, without processors; the pool of user pages begins at physical address base.

    The rest is as for link().
    """
    k = Kernel(conf, mem, base)
    link(k, pagecache, pageout, seed)
    return k
