"""A file server for tests: a process of the rig that keeps a tree in memory and speaks 9P2000."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kernel.base.chandat import DMDIR, MREPL, OTRUNC, QTDIR, UNKNOWN
from kernel.base.dat import Qid
from kernel.base.error import Error
from kernel.base.mntdat import Fcall
from kernel.base.procdat import Broken, Dead, Proc, Wakeme
from kernel.files.conv import NOLENGTH, Dir, convM2D, packdir
from kernel.files.fcall import (
    Rerror,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    convM2S,
    convS2M,
)
from kernel.sched.sched import sched
from kernel.syscalls.bindmount import sysmount
from tests.kernel.fakes import Rig

Answer: TypeAlias = Fcall | bytes | Sequence[Fcall | bytes] | None


class Node:
    """A file or directory of the server."""

    def __init__(self, server: Server, name: str, perm: int, data: bytes = b"") -> None:
        server.npath += 1
        self.name = name
        self.qid = Qid(server.npath, 0, perm >> 24 & 0xFF)
        self.perm = perm
        self.data = bytearray(data)
        self.kids: dict[str, Node] = {}
        self.parent: Node = self

    def dir(self) -> Dir:
        n = 0 if self.qid.type & QTDIR else len(self.data)
        return Dir(self.name, self.qid, self.perm, n, 0, 0, 1, 2, "glenda", "sys", "rob")

    def changed(self) -> None:
        self.qid = Qid(self.qid.path, self.qid.vers + 1, self.qid.type)


class Server:
    """Files by name in ``files``; ``log`` has every request; ``on`` may answer a type of request instead.

    A function of ``on`` gets the request and gives an answer, several, raw bytes, or None for none at all.
    """

    def __init__(self, rig: Rig, **files: bytes) -> None:
        self.rig = rig
        self.npath = 0
        self.root = Node(self, "/", DMDIR | 0o777)
        for name, data in files.items():
            self.add(self.root, Node(self, name, 0o666, data))
        self.fids: dict[int, Node] = {}
        self.log: list[Fcall] = []
        self.on: dict[int, Callable[[Fcall], Answer]] = {}
        self.fd = -1
        self.proc: Proc | None = None

    def add(self, dir: Node, node: Node) -> Node:
        node.parent = dir
        dir.kids[node.name] = node
        dir.changed()
        return node

    def start(self) -> int:
        """Start serving in a process of its own; the descriptor to mount."""
        rig = self.rig
        ours, theirs = rig.pipe()

        def body() -> None:
            rig.close(ours)
            try:
                self.serve(theirs)
            except Error:
                pass  # a note: the server dies

        self.proc = rig.spawn(body, rig.up)
        rig.close(theirs)
        return ours

    def mount(self, old: str, flag: int = MREPL, spec: str = "") -> None:
        """start(), and mount it."""
        self.rig.call(sysmount, self.start(), -1, old, flag, spec)

    def types(self, *but: int) -> list[int]:
        """The types of the requests so far, and forget them."""
        out = [f.type for f in self.log if f.type not in but]
        self.log.clear()
        return out

    def serve(self, fd: int) -> None:
        """Until the channel ends."""
        self.fd = fd
        buf = b""
        while data := self.rig.pread(fd, 65536):
            buf += data
            while len(buf) >= 4 and len(buf) >= (n := int.from_bytes(buf[:4], "little")):
                f = convM2S(buf[:n])
                assert f is not None
                buf = buf[n:]
                self.request(f)

    def request(self, f: Fcall) -> None:
        self.log.append(f)
        hook = self.on.get(f.type)
        self.reply(hook(f) if hook is not None else self.answer(f))

    def reply(self, r: Answer) -> None:
        """Send an answer."""
        if isinstance(r, Fcall):
            self.rig.pwrite(self.fd, convS2M(r, 1 << 20))
        elif isinstance(r, bytes):
            self.rig.pwrite(self.fd, r)
        elif r is not None:
            for one in r:
                self.reply(one)

    def answer(self, f: Fcall) -> Fcall:
        """What a server should say to f."""
        r = Fcall(f.type + 1, f.tag)
        try:
            self._answer(f, r)
        except Error as e:
            return Fcall(Rerror, f.tag, ename=str(e))
        return r

    def _answer(self, f: Fcall, r: Fcall) -> None:
        t = f.type
        if t == Tversion:
            r.msize, r.version = min(f.msize, 8192), "9P2000"
            return
        if t == Tauth:
            raise Error("authentication not required")
        if t == Tattach:
            self.fids[f.fid] = self.root
            r.qid = self.root.qid
            return
        if t == Tflush:
            return
        n = self.fids[f.fid]
        if t == Twalk:
            self._walk(f, r, n)
        elif t == Topen:
            if f.mode & OTRUNC:
                n.data.clear()
                n.changed()
            r.qid = n.qid
        elif t == Tcreate:
            if f.name in n.kids:
                raise Error("file already exists")
            n = self.fids[f.fid] = self.add(n, Node(self, f.name, f.perm))
            r.qid = n.qid
        elif t == Tread:
            if n.qid.type & QTDIR:
                out = b""
                for kid in [packdir(x.dir()) for x in n.kids.values()]:
                    out += kid
                r.data = out[f.offset :][: f.count]
            else:
                r.data = bytes(n.data[f.offset : f.offset + f.count])
        elif t == Twrite:
            n.data[len(n.data) :] = bytes(max(f.offset - len(n.data), 0))
            n.data[f.offset : f.offset + len(f.data)] = f.data
            n.changed()
            r.count = len(f.data)
        elif t == Tclunk:
            del self.fids[f.fid]
        elif t == Tremove:
            del self.fids[f.fid]
            del n.parent.kids[n.name]
        elif t == Tstat:
            r.stat = packdir(n.dir())
        elif t == Twstat:
            d = convM2D(f.stat)
            assert d is not None
            if d[0].name:
                del n.parent.kids[n.name]
                n.name = d[0].name
                n.parent.kids[n.name] = n
            if d[0].mode != UNKNOWN:
                n.perm = d[0].mode
            if d[0].length != NOLENGTH:
                del n.data[d[0].length :]
                n.changed()

    def _walk(self, f: Fcall, r: Fcall, n: Node) -> None:
        for i, name in enumerate(f.wname):
            to = n.parent if name == ".." else n.kids.get(name)
            if to is None:
                if i == 0:
                    raise Error("file does not exist")
                return
            n = to
            r.wqid.append(n.qid)
        self.fids[f.newfid] = n


def client(rig: Rig, body: Callable[[], object], out: list[object]) -> Proc:
    """A process beside the current one; what it gives, or its error, goes to out."""

    def main() -> None:
        try:
            out.append(body())
        except Error as e:
            out.append(str(e))

    return rig.spawn(main, rig.up)


def ended(p: Proc) -> bool:
    return p.state in (Dead, Broken)


def wait(rig: Rig, *procs: Proc) -> None:
    """Let others run until these have ended, or wait for good."""
    for _ in range(200):
        sched(rig.k)
        if procs and all(map(ended, procs)):
            return


def asleep(rig: Rig, *procs: Proc) -> None:
    """Let others run until these sleep."""
    for _ in range(200):
        sched(rig.k)
        if all(p.state == Wakeme for p in procs):
            return
    raise AssertionError


def answer(rig: Rig, s: Server, *answers: Fcall | bytes) -> None:
    """Have the server send answers, all in one piece."""
    k = rig.k
    b = b"".join(a if isinstance(a, bytes) else convS2M(a, 1 << 20) for a in answers)
    assert s.proc is not None and s.proc.fgrp is not None
    c = s.proc.fgrp.fd[s.fd]
    assert c is not None
    k.devtab[c.type].write(c, b, 0)


def held(s: Server, type: int = Tread) -> list[Fcall]:
    """Let the server keep requests of a type unanswered, in this list."""
    out: list[Fcall] = []
    s.on[type] = out.append
    return out
