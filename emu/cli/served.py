"""A Go test that a server does: a process that has all imported, and forks for each (emu/cli/server.py).

This is the process that go has started, in place of which the server's child runs. All that it imports is what the
interpreter has in memory anyway, and _socket: typing, socket and signal alone would take as long as all else here.
"""

from __future__ import annotations

import _socket
import itertools
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, Final, NoReturn
else:
    import _signal as signal

SWITCH: Final = "P9EMU_GO_SERVER"  # "off": no server
PROTOCOL: Final = b"p9emu 1"
FILES: Final = 4  # that are handed on: the standard streams, and the current directory
PASSED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
LOST: Final = 125
PATIENCE: Final = 10.0  # s for the other side to answer before anything is begun

# Flags of go test that take no value in the next word
FLAGS: Final = frozenset(
    "-a -artifacts -benchmem -cover -failfast -json -n -race -short -v -work -x".split()  # noqa: SIM905
)


class Place:
    """Where the server of a go command listens: a socket in a directory of this user's. ``go`` is the command's pid."""

    def __init__(self, go: int, directory: str, name: str) -> None:
        self.go = go
        self.directory = directory
        self.path = f"{directory}/{name}"
        self.began = time.time_ns()  # what this process has of files is as old


def served(words: list[str]) -> Place | None:
    """Have a server do that run, and end as it does. Returns where there is none, or if anything fails.

    The place for a server, None if there is to be none.
    """
    try:
        place = _place()
        if place is None or not private(place.directory):
            return place
        s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            s.connect(place.path)
        except FileNotFoundError:
            return place
        if peer(s)[1] != os.geteuid():
            return None
        child = _asked(s, words)
    except OSError:
        return None
    return _follow(s, child) if child >= 0 else None


def ours() -> str:
    """The directory for sockets of this user's."""
    run = os.environ.get("XDG_RUNTIME_DIR")
    return f"{run}/p9emu" if run and os.path.isabs(run) else f"/tmp/p9emu-{os.geteuid()}"


def private(directory: str) -> bool:
    """Whether nobody else can have put there what is in it. It may be still to be made."""
    try:
        st = os.lstat(directory)
    except FileNotFoundError:
        return True
    return st.st_mode & 0o170077 == 0o040000 and st.st_uid == os.geteuid()


def peer(s: _socket.socket) -> tuple[int, int]:
    """The pid of the process at the other end, and whose that is."""
    creds = s.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(creds[:4], sys.byteorder), int.from_bytes(creds[4:8], sys.byteorder)


def _place() -> Place | None:
    """Where a server would listen, if one is wanted: for a go test of several packages that nobody sits at."""
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    if os.environ.get(SWITCH) == "off" or watched or not hasattr(os, "pidfd_open"):
        return None
    go = os.getppid()
    name = started(go)
    if not name or not several(contents(f"/proc/{go}/cmdline").decode(errors="replace").split("\0")[1:-1]):
        return None
    for fd in range(3):
        os.fstat(fd)
    return None if os.isatty(0) else Place(go, ours(), name)


def started(pid: int) -> str:
    """A name for a process that no other has had since the host started, if it is a go command; else nothing."""
    try:
        head, _, rest = contents(f"/proc/{pid}/stat").rpartition(b")")
    except OSError:
        return ""
    return f"{pid}-{rest.split()[19].decode()}" if head.endswith(b"(go") else ""


def several(words: list[str]) -> bool:
    """Whether the words of a go command have it test more than one package, as far as can be seen."""
    if "test" not in words:
        return False
    words = words[words.index("test") :]
    if "-args" in words:
        words = words[: words.index("-args")]
    pairs = itertools.pairwise(words)
    named = [w for b, w in pairs if w[:1] != "-" and (b[:1] != "-" or "=" in b or b in FLAGS)]
    return len(named) > 1 or any("..." in w or w in ("std", "all", "cmd") for w in named)


def contents(path: str) -> bytes:
    """All of a file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = part = os.read(fd, 1 << 16)
        while part:
            part = os.read(fd, 1 << 16)
            data += part
        return data
    finally:
        os.close(fd)


def program() -> bytes:
    """What is run, by which interpreter: a server of the same is asked."""
    return b"\0".join([PROTOCOL, *map(os.fsencode, (sys.executable, sys.prefix, __file__))])


def _asked(s: _socket.socket, words: list[str]) -> int:
    """Ask for the run: a descriptor of the process that does it, from now on, or -1 if none will."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    args = [os.fsencode(w) for w in words]
    env = [b"%s=%s" % v for v in os.environb.items()]
    text = b"\0".join([program(), b"%d" % len(args), *args, *env])
    files = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2, here))
    s.settimeout(PATIENCE)
    s.sendmsg([b"%16d" % len(text)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    s.sendall(text)
    data, got, _, _ = s.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    os.close(here)
    if data != b"?" or not got:
        return -1
    child = int.from_bytes(got[0][2], sys.byteorder)
    s.settimeout(None)
    old = _forward(child)
    try:
        s.sendall(b"!")
    except OSError:
        for number, handler in old.items():
            signal.signal(number, handler)
        raise
    return child


def _forward(child: int) -> dict[int, Any]:
    """What this process is told by signals, tell the one that does the run. What was done before about them."""

    def forward(number: int, _frame: object) -> None:
        _tell(child, number)

    def stop(_number: int, _frame: object) -> None:
        _tell(child, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _tell(child, signal.SIGCONT)

    new = {**dict.fromkeys(PASSED, forward), signal.SIGTSTP: stop}
    return {n: signal.signal(n, to) for n, to in new.items() if signal.getsignal(n) != signal.SIG_IGN}


def _tell(child: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(child, number)
    except OSError:  # it has ended, and will say how
        pass


def _follow(s: _socket.socket, child: int) -> NoReturn:
    """End as the run does: e and its status, or s and the signal that it died of."""
    told = b""
    try:
        while len(told) < 2 and (more := s.recv(2 - len(told))):
            told += more
    except OSError:
        pass
    if told[:1] == b"s":
        if told[1] not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(told[1], signal.SIG_DFL)
        os.kill(os.getpid(), told[1])
    if len(told) < 2:
        _tell(child, signal.SIGKILL)
        os.write(2, b"p9emu: the process that did this run is gone, and nobody knows how it ended\n")
    os._exit(told[1] if told[:1] == b"e" and len(told) == 2 else LOST)
