"""Reading directories: unions, and entries of what is mounted there. Source: port/sysfile.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.chandat import OREAD, eqchantdqid
from kernel.base.dat import QLock
from kernel.base.error import Ebadstat, Edirseek, Error
from kernel.base.text import kbytes, kstr
from kernel.files.chan import validname
from kernel.files.channel import cclone, cclose, findmount, putmhead
from kernel.files.conv import BIT16SZ, STATFIXLEN, convM2D, direntries, packdir, statcheck
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.rwlock import rlock, runlock

if TYPE_CHECKING:
    from kernel.base.chandat import Chan, Mhead
    from kernel.base.kernel import Kernel
    from kernel.files.conv import Dir


STATMAX = 4096  # room mountfix has for a stat


def validstat(k: Kernel, b: bytes) -> None:
    """Raise unless b is an entry whose name, if it is short enough to look at, is valid.

    Source: port/sysfile.c:validstat.
    """
    if not statcheck(b):
        raise Error(Ebadstat)
    at = STATFIXLEN - 4 * BIT16SZ
    m = int.from_bytes(b[at : at + BIT16SZ], "little")
    if m + 1 > 64:
        return
    name = kstr(b[at + BIT16SZ : at + BIT16SZ + m].partition(b"\0")[0])
    if name != "/":
        validname(k, name, False)


def dirname(b: bytes) -> str:
    """The name in an entry, well-formed. Source: port/sysfile.c:dirname."""
    d = convM2D(b)
    return d[0].name if d is not None else ""


def dirsetname(name: str, b: bytes, maxn: int) -> bytes:
    """An entry under another name, or its size alone if it does not fit into maxn bytes.

    Source: port/sysfile.c:dirsetname.
    """
    d = convM2D(b)
    if len(b) == BIT16SZ or d is None:
        return b[:BIT16SZ]
    if len(kbytes(name)) != len(kbytes(d[0].name)) or name != d[0].name:
        d[0].name = name
        b = packdir(d[0])
    return b if len(b) <= maxn else b[:BIT16SZ]


def mountrewind(c: Chan) -> None:
    """Forget what overflowed. Source: port/sysfile.c:mountrewind."""
    c.dirrock = []


def _mountrockread(c: Chan, n: int) -> bytes:
    """As much of what overflowed as fits into n bytes. Source: port/sysfile.c:mountrockread."""
    out = b""
    while c.dirrock and len(out) + len(c.dirrock[0]) <= n:
        out += c.dirrock.pop(0)
    return out


def unionread(k: Kernel, c: Chan, n: int) -> bytes:
    """Read the union c was opened on, element after element; one that fails is skipped.

    Source: port/sysfile.c:unionread.
    """
    if c.umqlock is None:
        c.umqlock = QLock()
    eqlock(k, c.umqlock)
    m = c.umh
    assert m is not None
    rlock(k, m.lock)
    mount = m.mount
    i = 0
    while mount is not None and i < c.uri:  # where the last read stopped
        mount = mount.next
        i += 1
    data = b""
    while mount is not None:
        try:
            if c.umc is None:
                c.umc = cclone(k, mount.to)
                c.umc = k.devtab[c.umc.type].open(c.umc, OREAD)
            data = k.devtab[c.umc.type].read(c.umc, n, c.umc.offset)
            c.umc.offset += len(data)
        except Error:
            pass
        if data:
            break
        c.uri += 1
        if c.umc is not None:
            cclose(k, c.umc)
            c.umc = None
        mount = mount.next
    runlock(k, m.lock)
    qunlock(k, c.umqlock)
    return data


def unionrewind(k: Kernel, c: Chan) -> None:
    """Back to the first element. Source: port/sysfile.c:unionrewind."""
    if c.umqlock is None:  # no union was read yet
        return
    eqlock(k, c.umqlock)
    c.uri = 0
    if c.umc is not None:
        cclose(k, c.umc)
        c.umc = None
    qunlock(k, c.umqlock)


def _findmount(k: Kernel, d: Dir) -> tuple[int, Chan, Mhead] | None:
    """The type of the channel an entry was read from, and what is mounted there.

    Mounts and the directories of the host are both of type M; the device number tells them apart.
    """
    for type, dev in enumerate(k.devtab):
        if ord(dev.dc) == d.type:
            found = findmount(k, type, d.dev, d.qid)
            if found is not None:
                return type, *found
    return None


def _mounted(k: Kernel, entry: bytes, d: Dir) -> bytes:
    """The entry of what is mounted upon a file, under the file's name; entry itself if nothing is or stat fails."""
    found = _findmount(k, d)
    if found is None:
        return entry
    type, nc, mh = found
    held = k.variant.fix_55c3138c6
    if held:
        rlock(k, mh.lock)
    m = mh.mount
    while m is not None and not eqchantdqid(m.to, type, d.dev, d.qid, True):
        m = m.next
    if held:
        runlock(k, mh.lock)
    if m is None:  # the original is not part of a union
        try:
            b = dirsetname(d.name, k.devtab[nc.type].stat(nc, STATMAX), STATMAX)
            if len(b) != BIT16SZ:
                entry = b
        except Error:
            pass
    cclose(k, nc)
    putmhead(k, mh)
    return entry


def mountfix(k: Kernel, c: Chan, data: bytes, maxn: int) -> bytes:
    """Entries as the name space has them: mount points show what is mounted there.

    What does not fit into maxn bytes any more is kept in c.dirrock for the next read; the last entry goes
    first. Source: port/sysfile.c:mountfix.
    """
    ents = direntries(data)
    total = sum(map(len, ents))
    if total != len(data):
        raise Error("oops in rockfix")
    i = 0
    while i < len(ents):
        old = ents[i]
        got = convM2D(old)
        if got is None:
            raise Error("oops in rockfix")
        new = _mounted(k, old, got[0])
        if len(new) > len(old):
            while i < len(ents) and total - len(old) + len(new) > maxn:
                last = ents.pop()
                total -= len(last)
                c.dirrock.append(last)
            if i == len(ents):
                break
        ents[i] = new
        total += len(new) - len(old)
        i += 1
    return b"".join(ents)


def dirread(k: Kernel, c: Chan, n: int, off: int) -> tuple[int, bytes]:
    """Read a directory: how many bytes the device gave, and what the reader sees. Source: port/sysfile.c:read."""
    data = _mountrockread(c, n)
    if not data:
        if c.umh is not None:
            data = unionread(k, c, n)
        else:
            if off != c.offset:
                raise Error(Edirseek)
            data = k.devtab[c.type].read(c, n, c.devoffset)
    return len(data), mountfix(k, c, data, n)
