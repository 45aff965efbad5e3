"""Names of files, walking, and namec. Source: port/chan.c; its first half is in :mod:`kernel.files.channel`.

Other parts of the kernel find all of chan.c here.
Errors that concern a name show it as far as it was walked: ``'/a/b' does not exist``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.chandat import (
    DMDIR,
    MAXWELEM,
    MCREATE,
    OCEXEC,
    OEXCL,
    OEXEC,
    ORCLOSE,
    OTRUNC,
    QTDIR,
    Aaccess,
    Abind,
    Acreate,
    Amount,
    Aopen,
    Aremove,
    Atodir,
    Chan,
)
from kernel.base.error import (
    ERRMAX,
    Ebadchar,
    Ebadsharp,
    Eexist,
    Efilename,
    Enoattach,
    Enocreate,
    Enotdir,
    Error,
    Etoolong,
    Panic,
)
from kernel.base.kernel import current
from kernel.base.text import GENBUF, cut, kbytes, kstr, kstrcpy, quote
from kernel.files.channel import (
    addelem,
    cclone,
    cclose,
    cunique,
    domount,
    findmount,
    namespace,
    pathclose,
    putmhead,
    undomount,
)
from kernel.files.dev import devno
from kernel.memory.uaccess import ufetch, vmemchr
from kernel.sched.ref import incref
from kernel.sched.rwlock import rlock, runlock

if TYPE_CHECKING:
    from kernel.base.chandat import Mhead, Path
    from kernel.base.devdat import Walkqid
    from kernel.base.kernel import Kernel


Edoesnotexist = "does not exist"
NAMEMAX: Final = 255  # bytes in the name of a file of ours, as on the host


def skipslash(name: str) -> str:
    """name without leading slashes and "./"s. Source: port/chan.c:skipslash."""
    while name[:1] == "/" or name == "." or name[:2] == "./":
        name = name[1:]
    return name


def validname(k: Kernel, name: str, slashok: bool) -> None:
    """Raise unless name is short enough and free of control characters and, unless slashok, of slashes.

    Source: port/chan.c:validname.
    """
    b = kbytes(name)
    if len(b) >= 1 << 16:
        raise Error("name too long")
    for c in b:
        if (c < 0x20 or c == 0x7F or c == 0x2F) and not (slashok and c == 0x2F):
            up = current(k)
            up.genbuf = f"{Ebadchar}: {quote(name, False, GENBUF - len(Ebadchar) - 2)}"
            raise Error(up.genbuf)


def checkelem(k: Kernel, name: str) -> None:
    """Raise unless a file of ours may be called so: a valid name, and not longer than the host's.

    namec has seen the names of create, but wstat a rename's only if they are short.
    """
    if len(kbytes(name)) > NAMEMAX:
        raise Error(Etoolong)
    validname(k, name, False)


def validnamedup(k: Kernel, addr: int, slashok: bool) -> str:
    """The valid name at a user address, whose first byte is known to be valid. Source: port/chan.c:validnamedup."""
    end = vmemchr(k, addr, 0, 1 << 16)
    if end == 0:
        raise Error("name too long")
    name = kstr(ufetch(k, addr, end - addr))
    validname(k, name, slashok)
    return name


def namelenerror(k: Kernel, aname: str, n: int, err: str) -> None:
    """Raise err with the first n characters of a name before it, or the end of them. Source: port/chan.c:namelenerror.

    A short name stands whole; of a long one as many last elements as fill a third of the text.
    """
    name = kbytes(aname[:n])
    errlen = len(kbytes(err))
    if not (len(name) < ERRMAX // 3 or len(name) + errlen < 2 * ERRMAX // 3):
        end = len(name)
        nxt = end
        while True:
            start = nxt
            nxt = name.rfind(b"/", 1, start) if start > 1 else -1
            if nxt < 0:
                nxt = 0
            length = end - nxt
            if not (length < ERRMAX // 3 or length + errlen < 2 * ERRMAX // 3):
                break
        if start == end:  # one element alone is too long
            start = end - ERRMAX // 4
            for _ in range(3):  # out of the middle of a rune
                if start >= end or name[start] & 0xC0 != 0x80:
                    break
                start += 1
        name = b"..." + name[start:]
    up = current(k)
    up.genbuf = cut(kstr(name), GENBUF)
    raise Error(cut(f"{quote(up.genbuf, True, ERRMAX)} {err}", ERRMAX))


def nameerror(k: Kernel, name: str, err: str) -> None:
    """Source: port/chan.c:nameerror."""
    namelenerror(k, name, len(name), err)


class Walkerror(Error):
    """walk failed; ``nerror`` elements of the name are worth showing."""

    def __init__(self, text: str, nerror: int) -> None:
        super().__init__(text)
        self.nerror = nerror


def _unionwalk(k: Kernel, c: Chan, mh: Mhead | None, names: list[str], nomount: bool) -> tuple[Walkqid, Chan]:
    """Walk from c, or else from the first element of c's union where it succeeds; and that element."""
    try:
        return k.devtab[c.type].walk(c, None, names), c
    except Error as e:
        err = str(e)  # e itself would hold this frame, and the frame the names
    if mh is not None and not nomount:
        rlock(k, mh.lock)
        f = mh.mount.next if mh.mount is not None else None  # the first element is c
        while f is not None:
            try:
                wq = k.devtab[f.to.type].walk(f.to, None, names)
            except Error as e:
                err = str(e)
            else:
                runlock(k, mh.lock)
                return wq, f.to
            f = f.next
        runlock(k, mh.lock)
    raise Error(err)


def walk(k: Kernel, start: Chan, names: list[str], nomount: bool) -> Chan:
    """Walk all the way to a channel of the caller's own; start is closed then.

    On Walkerror start stays as it was. Source: port/chan.c:walk.
    """
    c = start
    incref(k, c)
    assert c.path is not None
    path: Path | None = c.path
    incref(k, c.path)
    mh: Mhead | None = None
    # didmount: c is already on the far side of the mount point; its name is path either way
    didmount = False
    nhave = 0
    try:
        while nhave < len(names):
            if not c.qid.type & QTDIR:
                raise Walkerror(Enotdir, nhave)
            ntry = min(len(names) - nhave, MAXWELEM)
            elems = names[nhave : nhave + ntry]
            dotdot = elems[0] == ".."
            if dotdot:
                ntry = 1
            elif ".." in elems:
                ntry = elems.index("..")
            elems = elems[:ntry]
            if not dotdot and not nomount and not didmount:
                c, mh, path = domount(k, c, mh, path)
            try:
                wq, at = _unionwalk(k, c, mh, elems, nomount)
            except Error as e:
                raise Walkerror(str(e), nhave + 1) from None

            didmount = False
            assert path is not None
            nmh: Mhead | None = None
            if dotdot:
                assert wq.clone is not None
                path = addelem(k, path, "..", None)
                nc = undomount(k, wq.clone, path)
                n = 1
            else:
                found = None
                n = len(wq.qid)
                if not nomount:
                    for i, q in enumerate(wq.qid[: ntry - 1]):
                        found = findmount(k, at.type, at.dev, q)
                        if found is not None:
                            n = i + 1
                            break
                if found is not None:  # stop early, at a mount point
                    nc, nmh = found
                    didmount = True
                    if wq.clone is not None:
                        cclose(k, wq.clone)
                elif wq.clone is None:
                    if n == 0 or wq.qid[-1].type & QTDIR:
                        raise Walkerror(Edoesnotexist, nhave + n + 1)
                    raise Walkerror(Enotdir, nhave + n)
                else:
                    nc = wq.clone
                for i in range(n):
                    path = addelem(k, path, elems[i], nmh.from_ if nmh is not None and i == n - 1 else None)
            cclose(k, c)
            c = nc
            putmhead(k, mh)
            mh = nmh
            nhave += n
    except Walkerror:
        cclose(k, c)
        pathclose(k, path)
        putmhead(k, mh)
        raise
    putmhead(k, mh)
    c = cunique(k, c)
    pathclose(k, c.path)
    c.path = path
    cclose(k, start)
    return c


def createdir(k: Kernel, c: Chan, m: Mhead) -> Chan:
    """A copy of the first element of a union where files may be created. Takes c. Source: port/chan.c:createdir."""
    rlock(k, m.lock)
    try:
        f = m.mount
        while f is not None:
            if f.mflag & MCREATE:
                nc = cclone(k, f.to)
                break
            f = f.next
        else:
            raise Error(Enocreate)
    except Error:
        runlock(k, m.lock)
        raise
    runlock(k, m.lock)
    cclose(k, c)
    return nc


class Elemlist:
    """A name in pieces, and how far namec got with it.

    ``off[n]`` is where the n-th element ends in ``aname``; ``nerror`` is how many elements an error
    shows. A name that ends in "/" or "/." has ``mustbedir``. ``c`` is the channel walked to.
    Source: port/chan.c:parsename.
    """

    def __init__(self, c: Chan, aname: str, prefix: int) -> None:
        self.c = c
        self.aname = aname
        self.prefix = prefix
        self.elems: list[str] = []
        self.off: list[int] = []
        self.mustbedir = False
        self.nerror = 0

    def parse(self) -> None:
        """Take the name apart."""
        name = self.aname[self.prefix :]
        rest = skipslash(name)
        self.off = [self.prefix + len(name) - len(rest)]
        while True:
            rest = skipslash(rest)
            if not rest:
                self.mustbedir = True
                if self.elems:
                    self.off[-1] = len(self.aname)
                return
            elem, slash, rest = rest.partition("/")
            self.elems.append(elem)
            self.off.append(len(self.aname) - len(rest) - len(slash))
            if not slash:
                return


def _start(k: Kernel, name: str) -> tuple[Chan, int, bool]:
    """Where a name starts: its channel, how much of the name that took, whether mounts are to be ignored."""
    up = current(k)
    if name[0] == "#":
        n = 0
        while n < len(name) and (name[n] != "/" or n < 2):
            n += 1
        up.genbuf = name[:n]
        if len(kbytes(up.genbuf)) > GENBUF - 1:
            raise Error(Efilename)
        dc = name[1:2] if n > 1 else ""
        if dc in ("", "M"):
            raise Error(Enoattach)
        if namespace(k).noattach and dc not in "|decp":
            raise Error(Enoattach)
        t = devno(k, dc, True)
        if t < 0:
            raise Error(Ebadsharp)
        return k.devtab[t].attach(name[2:n]), n, True
    c = up.slash if name[0] == "/" else up.dot
    if c is None:
        raise Panic("namec: no root or current directory")
    incref(k, c)
    return c, 0, False


def _nopen(k: Kernel, e: Elemlist, nomount: bool, amode: int, omode: int) -> None:
    """Cross the mount point and open, or leave alone, a copy of e.c of our own."""
    path: Path | None = e.c.path
    assert path is not None
    incref(k, path)
    m: Mhead | None = None
    try:
        if not nomount:
            e.c, m, path = domount(k, e.c, None, path)
        e.c = cunique(k, e.c)
    except Error:
        pathclose(k, path)
        raise
    # it is our copy now: the name may go back
    pathclose(k, e.c.path)
    e.c.path = path
    e.c.ismtpt = m is not None
    if amode in (Aaccess, Aremove):
        putmhead(k, m)
        return
    # the mount head is of use only in a union of several elements
    held = m is not None and k.variant.fix_55c3138c6
    if m is not None and held:
        rlock(k, m.lock)
    union = m is not None and m.mount is not None and m.mount.next is not None
    if m is not None and held:
        runlock(k, m.lock)
    if union:
        e.c.umh = m
    else:
        putmhead(k, m)
    e.c = k.devtab[e.c.type].open(e.c, omode & ~OCEXEC)
    _mark(e.c, omode)


def _mark(c: Chan, omode: int) -> None:
    if omode & OCEXEC:
        c.flag |= Chan.CCEXEC
    if omode & ORCLOSE:
        c.flag |= Chan.CRCLOSE


def _ncreate(k: Kernel, e: Elemlist, nomount: bool, omode: int, perm: int) -> None:
    """Create the last element; if it exists, or comes to exist meanwhile, open it for truncation instead.

    create(2) and create(5) differ: the file server refuses an existing file. Of two processes
    that create the same file at once both get here, and one create fails; that one walks again.
    """
    last = e.elems[-1]
    e.nerror += 1
    try:
        e.c = walk(k, e.c, [last], nomount)
    except Walkerror:
        pass
    else:
        if omode & OEXCL:
            raise Error(Eexist)
        _nopen(k, e, nomount, Acreate, omode | OTRUNC)
        return

    # c stays on the near side of the mount point for the second walk; cnew crosses it
    m: Mhead | None = None
    cnew: Chan | None = None
    try:
        found = None if nomount else findmount(k, e.c.type, e.c.dev, e.c.qid)
        if found is not None:
            cnew, m = found
            cnew = createdir(k, cnew, m)
        else:
            cnew = e.c
            incref(k, cnew)
        # a copy of our own, for create moves it; and findmount may have given it another name
        cnew = cunique(k, cnew)
        pathclose(k, cnew.path)
        cnew.path = e.c.path
        assert cnew.path is not None
        incref(k, cnew.path)
        cnew = k.devtab[cnew.type].create(cnew, last, omode & ~(OEXCL | OCEXEC), perm)
    except Error:
        if cnew is not None:
            cclose(k, cnew)
        putmhead(k, m)
        if omode & OEXCL:
            raise
        appeared = True
        try:
            e.c = walk(k, e.c, [last], nomount)
        except Walkerror:
            appeared = False
        if not appeared:
            raise
        _nopen(k, e, nomount, Acreate, omode | OTRUNC)
        return
    _mark(cnew, omode)
    putmhead(k, m)
    cclose(k, e.c)
    e.c = cnew
    assert cnew.path is not None
    cnew.path = addelem(k, cnew.path, last, None)


def _namec(k: Kernel, e: Elemlist, nomount: bool, amode: int, omode: int, perm: int) -> None:
    e.parse()
    names = e.elems
    if amode == Acreate:
        # a name that ends in a slash, or /., is a directory's
        if e.mustbedir and not perm & DMDIR:
            e.nerror = len(e.elems)
            raise Error("create without DMDIR")
        if not e.elems:
            raise Error(Eexist)
        names = e.elems[:-1]
    try:
        e.c = walk(k, e.c, names, nomount)
    except Walkerror as w:
        e.nerror = w.nerror
        raise
    e.nerror = len(names)

    if e.mustbedir and not e.c.qid.type & QTDIR:
        raise Error("not a directory")
    if amode == Aopen and omode & 3 == OEXEC and e.c.qid.type & QTDIR:
        raise Error("cannot exec directory")

    if amode == Abind:
        m: Mhead | None = None
        if not nomount:
            e.c, m, _ = domount(k, e.c, None, None)
        # others have this channel too: the original drops the old head first, and of two binds at once both may
        if k.variant.original_umh:
            putmhead(k, e.c.umh)
            e.c.umh = m
        else:
            old, e.c.umh = e.c.umh, m
            putmhead(k, old)
    elif amode in (Aaccess, Aremove, Aopen):
        _nopen(k, e, nomount, amode, omode)
    elif amode == Atodir:
        # directories (for cd) are left on the near side, so that one may mount on / or . and see it
        if not e.c.qid.type & QTDIR:
            raise Error(Enotdir)
    elif amode == Acreate:
        _ncreate(k, e, nomount, omode, perm)
    elif amode != Amount:  # Amount: later mounts go to the original directory, not to its replacement
        raise Panic(f"unknown namec access {amode}")


def namec(k: Kernel, aname: str | bytes | int, amode: int, omode: int = 0, perm: int = 0) -> Chan:
    """The channel of a name, for the purpose amode; its last element is left in up.genbuf.

    ``aname`` is a kernel string or a user address whose first byte is known to be valid. For Aopen, Acreate,
    Aremove and Aaccess the channel is the only reference to its file. Errors besides those of the devices: Enomem.
    Source: port/chan.c:namec.
    """
    k.mainmem.need()
    if isinstance(aname, int):
        if ufetch(k, aname, 1, "namec") == b"\0":
            raise Error("empty file name")
        aname = validnamedup(k, aname, True)
    else:
        if isinstance(aname, bytes):
            aname = kstr(aname)
        if not aname:
            raise Error("empty file name")
        validname(k, aname, True)
    c, prefix, nomount = _start(k, aname)
    e = Elemlist(c, aname, prefix)
    try:
        _namec(k, e, nomount, amode, omode, perm)
    except Error as err:
        cclose(k, e.c)
        if e.nerror == 0:
            raise
        text = str(err)
    else:
        current(k).genbuf = kstrcpy(e.elems[-1] if e.elems else ".", GENBUF)
        return e.c
    namelenerror(k, aname, e.off[e.nerror], text)
    raise Panic("namec")  # not reached
