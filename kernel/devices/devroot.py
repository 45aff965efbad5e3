"""The root of the name space, ``#/``. Source: port/devroot.c, and what ramfs does for /tmp.

The original's root is a fixed directory of mount points. This one is a tree in memory: the boot makes
directories in it (:meth:`Rootdev.mkdir`), puts texts there, and shows single files of the host, read-only. Where
a directory's permissions allow it (/tmp), processes make files of their own, kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMAPPEND, DMDIR, ORCLOSE, OREAD, OTRUNC, OWRITE, UNKNOWN, Chan
from kernel.base.dat import Qid
from kernel.base.devdat import Walkqid
from kernel.base.error import (
    Ebadarg,
    Ebadstat,
    Eexist,
    Eisdir,
    Enegoff,
    Enonexist,
    Enotdir,
    Eperm,
    Error,
    Eshort,
)
from kernel.devices.hostfile import Hostfile
from kernel.files.chan import checkelem
from kernel.files.channel import isdir
from kernel.files.conv import BIT16SZ, NOLENGTH, Dir, convD2M, convM2D
from kernel.files.dev import PIECE, Dev, devattach, devclone, devpermcheck, openmode, readpieces

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Data
    from kernel.base.kernel import Kernel


ROOTDIRS: Final = (
    "adm", "bin", "boot", "dev", "env", "fd", "lib", "mnt", "n", "net", "net.alt", "proc", "root", "shr", "srv", "tmp",
    "usr",
)  # fmt: skip
MAXFILE: Final = 64 * 1024 * 1024  # of one file, and of all files together four times as much
MAXNODES: Final = 100_000  # files made by processes
Enotempty: Final = "directory not empty"
Efull: Final = "file system full"


class Node:
    """A file of the tree: a directory if ``kids`` is there, the host's if ``host`` is, else bytes in memory."""

    __slots__ = (
        "anyname", "data", "gone", "host", "kids", "mtime", "name", "opens", "parent", "passing", "path", "perm",
        "refs", "user", "vers",
    )  # fmt: skip

    def __init__(self, name: str, path: int, perm: int, parent: Node | None, user: str) -> None:
        self.name = name
        self.path = path
        self.vers = 0
        self.perm = perm
        self.parent = parent or self
        self.user = user
        self.mtime = 0
        self.kids: dict[str, Node] | None = {} if perm & DMDIR else None
        self.data = bytearray()
        self.host: Hostfile | None = None
        self.gone = False
        self.opens = 0
        self.anyname = False  # every name below is there
        self.passing = False  # and this is one of those, which ``refs`` channels lead to
        self.refs = 0

    @property
    def qid(self) -> Qid:
        """Its identity now."""
        vers = self.host.version() if self.host is not None else self.vers
        return Qid(self.path, vers, self.perm >> 24 & 0xFF)


class Rootdev(Dev):
    """Device 0: a channel that no device has taken yet counts as this one's, and closing it is a nop."""

    dc = "/"
    name = "root"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.npath = 0
        self.used = 0  # bytes in memory
        self.nnodes = 0  # files made by processes
        self.hidden: set[str] = set()  # names in the root that reading it does not tell
        self.root = Node("/", 0, DMDIR | 0o555, None, k.eve)
        for d in ROOTDIRS:
            self._new(self.root, d, DMDIR | (0o777 if d == "tmp" else 0o555))

    # For the boot

    def _new(self, parent: Node, name: str, perm: int) -> Node:
        self.npath += 1
        node = Node(name, self.npath, perm, parent, self.k.eve)
        assert parent.kids is not None
        parent.kids[name] = node
        return node

    def mkdir(self, path: str, perm: int = 0o555) -> None:
        """Make the directory, and those above it, where they are missing. Raises Error if a file is in the way."""
        at = self.root
        for elem in path.split("/"):
            if elem in ("", "."):
                continue
            if at.kids is None:
                raise Error(Enotdir)
            at = at.kids.get(elem) or self._new(at, elem, DMDIR | perm)
        if at.kids is None:
            raise Error(Enotdir)

    def _at(self, path: str) -> Node:
        """The directory, which is made if it is missing."""
        self.mkdir(path)
        at = self.root
        for elem in path.split("/"):
            if elem not in ("", "."):
                assert at.kids is not None
                at = at.kids[elem]
        return at

    def _place(self, path: str, perm: int) -> Node:
        head, _, last = path.rpartition("/")
        at = self._at(head)
        assert at.kids is not None
        if last in at.kids:
            raise Error(Eexist)
        return self._new(at, last, perm)

    def addfile(self, path: str, data: bytes, perm: int = 0o444) -> None:
        """Put a file of these bytes into the tree."""
        self._place(path, perm).data += data

    def addhost(self, path: str, host: str | bytes | Hostfile, perm: int = 0o555) -> None:
        """Show one regular file of the host, read-only. Raises Error if it is none or cannot be read."""
        file = host if isinstance(host, Hostfile) else Hostfile(host)
        self._place(path, perm).host = file

    def anyname(self, path: str) -> None:
        """Let every name below a directory of the tree be one, as mntgen(4): to mount and bind upon."""
        self._at(path).anyname = True

    def hide(self, hidden: Callable[[str], bool]) -> None:
        """Let a read of the root not tell of these: what stands before it in a union has them too."""
        assert self.root.kids is not None
        self.hidden = {name for name in self.root.kids if hidden(name)}

    def shutdown(self) -> None:
        """Close the host's files."""
        todo = [self.root]
        while todo:
            node = todo.pop()
            todo += (node.kids or {}).values()
            if node.host is not None:
                node.host.close()

    # The device

    def _node(self, c: Chan) -> Node:
        node = c.aux
        assert isinstance(node, Node)
        if node.gone:
            raise Error(Enonexist)
        return node

    def _dir(self, c: Chan, node: Node) -> Dir:
        k = self.k
        return Dir(
            name=node.name,
            qid=node.qid,
            mode=node.perm,
            length=0 if node.kids is not None else node.host.length() if node.host is not None else len(node.data),
            type=ord(self.dc),
            dev=c.dev,
            atime=node.mtime or k.files.kerndate,
            mtime=node.mtime or k.files.kerndate,
            uid=node.user,
            gid=k.eve,
            muid=node.user,
        )

    def attach(self, spec: str) -> Chan:
        """Source: port/devroot.c:rootattach."""
        c = devattach(self.k, "/", spec)
        c.aux = self.root
        c.qid = self.root.qid
        return c

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """As devwalk, on the tree."""
        if names:
            isdir(c)
        node: Node = self._node(c) if names else c.aux
        wq = Walkqid(None)
        for j, n in enumerate(names):
            kids = node.kids
            if kids is None:
                break
            if n == "..":
                node = node.parent
            elif n != ".":
                kid = kids.get(n)
                if kid is None and node.anyname:
                    kid = self._passing(node, n)
                if kid is None:
                    if j == 0:
                        raise Error(Enonexist)
                    break
                node = kid
            wq.qid.append(node.qid)
        if len(wq.qid) == len(names):
            wq.clone = nc if nc is not None else devclone(self.k, c)
            wq.clone.aux = self._hold(node)
            if wq.qid:
                wq.clone.qid = wq.qid[-1]
        return wq

    def _passing(self, parent: Node, name: str) -> Node:
        """A directory below one of any name; it is in the tree from the first channel to it on."""
        checkelem(self.k, name)
        self.npath += 1
        node = Node(name, self.npath, DMDIR | 0o555, parent, self.k.eve)
        node.passing = True
        node.mtime = self.k.nsec() // 1_000_000_000
        return node

    def _hold(self, node: Node) -> Node:
        """Count a channel to it."""
        if node.passing:
            assert node.parent.kids is not None
            node.refs += 1
            node.parent.kids[node.name] = node
        return node

    def _drop(self, node: Node) -> None:
        """The channel is no more; with the last one what is passing goes."""
        if node.passing:
            node.refs -= 1
            if node.refs == 0 and not node.kids:
                assert node.parent.kids is not None
                del node.parent.kids[node.name]

    def stat(self, c: Chan, n: int) -> bytes:
        """A file that was removed while open still has its entry."""
        b = convD2M(self._dir(c, c.aux), n)
        if not b:
            raise Error(Ebadarg)
        return b

    def open(self, c: Chan, omode: int) -> Chan:
        """Open with the permissions of the tree; truncate if asked to."""
        node = self._node(c)
        mode = openmode(omode)
        if node.kids is not None and (mode != OREAD or omode & (OTRUNC | ORCLOSE)):
            raise Error(Eperm)
        devpermcheck(self.k, node.user, node.perm, omode)
        if omode & OTRUNC:
            devpermcheck(self.k, node.user, node.perm, OWRITE)
        if node.host is not None and mode != OREAD:
            raise Error(Eperm)
        if omode & ORCLOSE:
            devpermcheck(self.k, node.parent.user, node.parent.perm, OWRITE)
        if omode & OTRUNC and not node.perm & DMAPPEND:
            self._setlength(node, 0)
        self._opened(c, node, mode)
        return c

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """A new file or directory where the directory may be written."""
        node = self._node(c)
        if node.kids is None:
            raise Error(Enotdir)
        devpermcheck(self.k, node.user, node.perm, OWRITE)
        checkelem(self.k, name)
        if name in node.kids:
            raise Error(Eexist)
        mode = openmode(omode)
        if perm & DMDIR:
            if mode != OREAD:
                raise Error(Eisdir)
            perm &= ~0o777 | node.perm & 0o777
        else:
            perm &= ~0o666 | node.perm & 0o666
        if self.nnodes >= MAXNODES:
            raise Error(Efull)
        self.nnodes += 1
        new = self._new(node, name, perm & (DMDIR | DMAPPEND | 0o777))
        self._touch(new)
        self._touch(node)
        c.aux = new
        self._opened(c, new, mode)
        return c

    def _opened(self, c: Chan, node: Node, mode: int) -> None:
        node.opens += 1
        c.qid = node.qid
        c.mode = mode
        c.flag |= Chan.COPEN
        c.offset = 0

    def close(self, c: Chan) -> None:
        """A nop for a channel that is not open; chan.c and sysremove count on that for one without a file.

        A file that was removed while open takes room until here.
        """
        node = c.aux
        if not isinstance(node, Node):
            return
        self._drop(node)
        if not c.flag & Chan.COPEN:
            return
        try:
            if c.flag & Chan.CRCLOSE:
                self.remove(c)
        finally:
            node.opens -= 1
            self._letgo(node)

    def _letgo(self, node: Node) -> None:
        """Free the room of a file that nobody can come to any more."""
        if node.gone and not node.opens:
            self.used -= len(node.data)
            node.data = bytearray()

    def remove(self, c: Chan) -> None:
        """Take a file or an empty directory out of the tree."""
        node = self._node(c)
        parent = node.parent
        devpermcheck(self.k, parent.user, parent.perm, OWRITE)
        if node.kids:
            raise Error(Enotempty)
        assert parent.kids is not None
        del parent.kids[node.name]
        node.gone = True
        self.nnodes -= 1
        self._letgo(node)
        self._touch(parent)

    def _touch(self, node: Node) -> None:
        node.vers = (node.vers + 1) & 0xFFFFFFFF
        node.mtime = self.k.nsec() // 1_000_000_000

    def _setlength(self, node: Node, n: int) -> None:
        grow = n - len(node.data)
        if grow > 0 and (n > MAXFILE or self.used + grow > 4 * MAXFILE):
            raise Error(Efull)
        if grow > 0:
            for at in range(0, grow, PIECE):
                node.data += bytes(min(PIECE, grow - at))
        else:
            del node.data[n:]
        self.used += grow
        self._touch(node)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Directories in the order their files were made."""
        node: Node = c.aux
        if node.kids is not None:
            return self._dirread(c, node.kids, n)
        if node.host is not None:
            return node.host.read(n, offset)
        return bytes(node.data[offset : offset + max(n, 0)])

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """read(), in pieces."""
        return readpieces(self, c, buf, offset)

    def _dirread(self, c: Chan, kids: dict[str, Node], n: int) -> bytes:
        """c.dri is the last file told of, so that removing files between reads loses none."""
        out = b""
        for kid in sorted(kids.values(), key=lambda f: f.path):
            if kid.path <= c.dri or (kid.parent is self.root and kid.name in self.hidden):
                continue
            b = convD2M(self._dir(c, kid), n - len(out))
            if len(b) <= BIT16SZ:
                if not out:
                    raise Error(Eshort)
                break
            out += b
            c.dri = kid.path
        return out

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Write into memory; past the end leaves zeros between."""
        node: Node = c.aux
        n = len(data)
        if node.kids is not None or node.host is not None:
            raise Error(Eperm)
        if node.perm & DMAPPEND:
            offset = len(node.data)
        if offset < 0:
            raise Error(Enegoff)
        if n:
            b = data[0 : min(n, PIECE)]  # it may fault; what follows then is not written
            if offset + n > len(node.data):
                self._setlength(node, offset + n)
            else:
                self._touch(node)
            node.data[offset : offset + len(b)] = b
            for at in range(PIECE, n, PIECE):
                b = data[at : min(at + PIECE, n)]
                if len(node.data) >= offset + at + len(b):  # who else has it open may have cut it meanwhile
                    node.data[offset + at : offset + at + len(b)] = b
        return n

    def wstat(self, c: Chan, data: bytes) -> int:
        """Rename, truncate, change permissions or mtime: all of it or, on an error, nothing."""
        k = self.k
        node = self._node(c)
        got = convM2D(data)
        if got is None:
            raise Error(Ebadstat)
        d, m = got
        parent = node.parent
        rename = d.name not in ("", node.name)
        if rename:
            devpermcheck(k, parent.user, parent.perm, OWRITE)
            assert parent.kids is not None
            if d.name in parent.kids:
                raise Error(Eexist)
            if node is self.root or d.name in (".", ".."):
                raise Error(Ebadstat)
            checkelem(k, d.name)
        if d.length != NOLENGTH:
            if node.kids is not None or node.host is not None:
                raise Error(Eperm)
            devpermcheck(k, node.user, node.perm, OWRITE)
        change = d.mode != UNKNOWN or d.mtime != UNKNOWN
        if change and (k.up is None or k.up.user != node.user or node.host is not None):
            raise Error(Eperm)
        if d.mode != UNKNOWN and (d.mode ^ node.perm) & DMDIR:
            raise Error(Eperm)
        if (d.uid not in ("", node.user)) or (d.gid not in ("", k.eve)):
            raise Error(Eperm)
        if d.length != NOLENGTH:
            self._setlength(node, d.length)
        if d.mode != UNKNOWN:
            node.perm = d.mode & (DMDIR | DMAPPEND | 0o777)
            c.qid = node.qid
        if d.mtime != UNKNOWN:
            node.mtime = d.mtime
        if rename:
            assert parent.kids is not None
            del parent.kids[node.name]
            node.name = d.name
            parent.kids[d.name] = node
            self._touch(parent)
        return m


def rootdev(k: Kernel) -> Rootdev:
    """The kernel's root device, for the boot."""
    dev = k.devtab[0]
    assert isinstance(dev, Rootdev)
    return dev
