"""Which tree a directory of changes was begun with: changes of one tree make no sense over another.

It is known again by its path or, after it was moved, by its device and inode.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Final

ORIGIN: Final = "p9emu-tree"  # device and inode, a newline, the path
MAXPATH: Final = 1 << 16


class Otherwise(Exception):
    """The changes are another tree's: ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def sametree(directory: str, tree: str, begun: bool) -> None:
    """See to it that ``directory`` is of ``tree``, and note that where it is new or the tree was moved.

    Until changes have ``begun`` it is any tree's. Raises Otherwise, OSError.
    """
    path = os.fsencode(os.path.realpath(tree))
    st = os.stat(tree)
    now = b"%d %d" % (st.st_dev, st.st_ino), path
    was = _read(directory)
    if now == was:
        return
    if begun and was is not None and was[0] != now[0] and was[1] != path:
        raise Otherwise(os.fsdecode(was[1]))
    _write(directory, b"\n".join(now))


def _read(directory: str) -> tuple[bytes, bytes] | None:
    """Device and inode, and the path, that are noted; None if nothing is."""
    try:
        fd = os.open(os.path.join(directory, ORIGIN), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        inode, newline, path = os.read(fd, MAXPATH).partition(b"\n")
    except OSError:
        return None
    finally:
        os.close(fd)
    return (inode, path) if newline else None


def _write(directory: str, note: bytes) -> None:
    try:
        fd, temp = tempfile.mkstemp(prefix=f"{ORIGIN}.", dir=directory)
    except PermissionError:  # only what is in it may be changed: then nothing is noted
        return
    try:
        with open(fd, "wb") as f:
            f.write(note)
        os.chmod(temp, 0o644)
        os.rename(temp, os.path.join(directory, ORIGIN))
    except OSError:
        with suppress(OSError):
            os.unlink(temp)
        raise
