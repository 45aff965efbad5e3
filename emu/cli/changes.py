"""p9emu changes: what is in a directory that --changes has made."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from emu.cli.inspect import put
from emu.failure import BROKEN, USAGE, Failure
from emu.machine.changes import TREE, Foreign, check
from emu.plain import plain
from kernel.devices.hostfile import ODIR, lookat
from kernel.devices.upper import MARK, META, OPAQUE

WORDS: Final = {"A": "added", "M": "modified", "D": "removed", "?": "added or modified"}
PIECE: Final = 1 << 16


@dataclass(frozen=True, order=True)
class Change:
    """One file: its path in the guest, and a letter of WORDS."""

    path: bytes
    kind: str


def changes(directory: str, tree: str | None, json: bool) -> None:
    """Print what was changed, in the order of names. Raises Failure."""
    if tree is not None and not os.path.isdir(tree):
        raise Failure(f"{tree}: is not a directory", USAGE)
    try:
        if not check(directory):
            raise Failure(f"{directory}: is nothing that --changes has made", USAGE)
        unread: list[str] = []
        found = sorted(listing(os.path.join(directory, TREE), tree, unread))
    except Foreign:
        raise Failure(f"{directory}: is of another version of p9emu", USAGE) from None
    except OSError as e:
        raise Failure(f"{directory}: {e.strerror}", BROKEN) from None
    if json:
        from emu.observe.jsonl import VERSION, dumps

        rows = [{"change": WORDS[c.kind], "path": os.fsdecode(c.path)} for c in found]
        put([dumps({"v": VERSION, "changes": rows})])
    else:
        put(f"{c.kind} {plain(os.fsdecode(c.path))}" for c in found)
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        raise Failure(f"{min(unread)}{more}: what is in it is not listed", BROKEN)


def listing(upper: str, tree: str | None, unread: list[str]) -> Iterator[Change]:
    """What differs, in no order. Without ``tree`` nobody knows what is new, nor what a directory has replaced.

    Directories that the host does not let us read are added to ``unread``, with its reason.
    """
    if not os.path.isdir(upper):
        return
    with ExitStack() as stack:
        up = _opened(stack, upper)
        low = _opened(stack, tree) if tree is not None else None
        if low is not None and _mode(up) != _mode(low):
            yield Change(b"/", "M")
        todo: list[tuple[bytes, ...]] = [()]
        while todo:
            path = todo.pop()
            with ExitStack() as here:
                try:
                    at = upper
                    u = _descend(here, up, path)
                    names = os.listdir(u) if u is not None else []
                    if low is not None and tree is not None:
                        at = tree
                        old = _descend(here, low, path)
                        below = os.listdir(old) if old is not None else []
                    else:
                        old, below = None, []
                except OSError as e:
                    unread.append(f"{os.path.join(at, *map(os.fsdecode, path))}: {e.strerror}")
                    continue
                if u is not None:
                    yield from _directory(path, (u, names), (old, below), low is not None, todo)


def _directory(
    path: tuple[bytes, ...],
    upper: tuple[int, list[str]],
    lower: tuple[int | None, list[str]],
    known: bool,
    todo: list[tuple[bytes, ...]],
) -> Iterator[Change]:
    """One directory of the upper layer, and what the tree has there, with their names; ``known``: there is a tree."""
    (up, listed), (low, beneath) = upper, lower
    names = set(map(os.fsencode, listed))
    marks = {n[len(MARK) :] for n in names if n.startswith(MARK) and not n.startswith(META)}
    files = {n for n in names if not n.startswith(MARK)}
    gone = marks - files
    if known:
        below = set(map(os.fsencode, beneath))
        gone = below - files if OPAQUE in names else gone & below
    yield from (Change(_name(path, n), "D") for n in gone if not n.startswith(MARK))
    if not known and path and (OPAQUE in names or not (files or gone)):
        yield Change(_name(path), "?")
    for name in files:
        st = lookat(up, name)
        if st is None:
            continue
        old = lookat(low, name) if low is not None else None
        if st.isdir:
            todo.append((*path, name))
        if not known:
            if not st.isdir:
                yield Change(_name(path, name), "?")
        elif old is None:
            yield Change(_name(path, name), "A")
        elif st.isdir and old.isdir:
            if st.mode != old.mode:
                yield Change(_name(path, name), "M")
        elif (st.mode, st.size, st.mtime_ns) != (old.mode, old.size, old.mtime_ns) or not _same(up, low, name):
            yield Change(_name(path, name), "M")


def _name(path: tuple[bytes, ...], *more: bytes) -> bytes:
    return b"/" + b"/".join((*path, *more))


def _opened(stack: ExitStack, path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _descend(stack: ExitStack, top: int, path: tuple[bytes, ...]) -> int | None:
    """The directory of that path, without links; None if there is none. Raises OSError."""
    fd = top
    for name in path:
        try:
            fd = os.open(name, os.O_RDONLY | ODIR, dir_fd=fd)
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        stack.callback(os.close, fd)
    return fd


def _mode(fd: int) -> int:
    return os.fstat(fd).st_mode


def _same(up: int, low: int | None, name: bytes) -> bool:
    """Whether two files of the same kind and size hold the same."""
    if low is None:
        return False
    with suppress(OSError), ExitStack() as stack:
        if stat.S_ISLNK(os.stat(name, dir_fd=up, follow_symlinks=False).st_mode):
            return os.readlink(name, dir_fd=up) == os.readlink(name, dir_fd=low)
        fds = [os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=d) for d in (up, low)]
        for fd in fds:
            stack.callback(os.close, fd)
        while True:
            a, b = (os.read(fd, PIECE) for fd in fds)
            if a != b:
                return False
            if not a:
                return True
    return False
