"""Where the changes of a tree go that is shown copied on write: a temporary directory, or one that is kept."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from emu.failure import BROKEN, USAGE
from emu.machine import temporary
from emu.machine.config import LoadError
from kernel.base.error import Error
from kernel.devices.upper import Changes

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel

BYTES: Final = 1 << 30  # what is forgotten is at most so much
FILES: Final = 100_000
PREFIX: Final = "p9emu-cow-"
MEMORY: Final = "/dev/shm"  # a file system in memory
ROOM: Final = 512 << 20  # that has so much room
LABEL: Final = "p9emu-changes"
VERSION: Final = b"p9emu changes 1\n"
TREE: Final = "tree"


def forgotten() -> Changes:
    """Changes for one machine, in memory if there is room. What machines left that were killed is removed.

    Raises OSError, Error.
    """
    path, lock = temporary.claim(PREFIX, place())

    def done() -> None:
        temporary.remove(path)
        os.close(lock)

    tree = os.path.join(path, TREE)
    try:
        os.mkdir(tree, 0o700)
        return Changes(tree, (BYTES, FILES), done=done)
    except (OSError, Error):
        done()
        raise


def place() -> str:
    """Where forgotten changes go."""
    try:
        st = os.statvfs(MEMORY)
        if st.f_bavail * st.f_frsize >= ROOM and os.path.ismount(MEMORY) and os.access(MEMORY, os.W_OK | os.X_OK):
            return MEMORY
    except OSError:
        pass
    return temporary.place()


def lost(k: "Kernel") -> Iterator[tuple[str, str]]:
    """Directories that were shown copied on write, of which the changes will be forgotten, and where these are.

    Both are names of open descriptors, good until the machine is closed.
    """
    from kernel.devices.devhost import hostdev
    from kernel.devices.overfile import Over

    for host in hostdev(k).trees:
        over = getattr(host.tree, "over", None)
        if isinstance(over, Over) and over.changes.done is not None:
            yield f"/proc/self/fd/{over.low}", f"/proc/self/fd/{over.changes.fd}"


def kept(path: str, lower: str) -> Changes:
    """Changes of the tree ``lower`` that stay in the directory ``path``, which is made if need be. Raises LoadError."""
    from emu.machine.origin import ORIGIN, Otherwise, sametree

    here, there = os.path.realpath(path), os.path.realpath(lower)
    common = os.path.commonpath((here, there))
    if common in (here, there):
        raise _refused(path, "lies within the root" if common == there else "the root lies within it")
    try:
        fresh = _label(path)
        tree = os.path.join(path, TREE)
        try:
            os.mkdir(tree, 0o700)
            fresh = True
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(tree).st_mode):  # a link would lead elsewhere, into the tree itself maybe
                raise _refused(path, f"{TREE} in it is not a directory") from None
        if not os.access(tree, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        sametree(path, lower, begun=bool(os.listdir(tree)))
        return Changes(tree, fresh=fresh)
    except Otherwise as e:
        note = os.path.join(path, ORIGIN)
        raise _refused(path, f"has changes of {e.path}; if {lower} is a copy of that, remove {note}") from None
    except Foreign:
        raise _refused(path, "is of another version of p9emu") from None
    except Error as e:
        raise _refused(path, str(e)) from None
    except OSError as e:
        user = e.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
        raise _refused(path, e.strerror or str(e), USAGE if user or e.errno == errno.EEXIST else BROKEN) from None


def _refused(path: str, why: str, status: int = USAGE) -> LoadError:
    return LoadError(f"--changes {path}: {why}", status)


def _label(path: str) -> bool:
    """See to it that the directory is there and is one of ours; whether it was made. Raises as check, LoadError."""
    made = False
    try:
        os.mkdir(path)
        made = True
    except FileExistsError:
        if not os.path.isdir(path):
            raise _refused(path, "is not a directory") from None
    label = os.path.join(path, LABEL)
    if check(path):
        return False
    # a label in the making is another machine's, or what one left that was killed
    if not made and any(not name.startswith(f"{LABEL}.") for name in os.listdir(path)):
        if check(path):  # by now
            return False
        raise _refused(path, "is not empty, and nothing that --changes has made")
    import tempfile

    fd, temp = tempfile.mkstemp(prefix=f"{LABEL}.", dir=path)
    try:
        with open(fd, "wb") as f:
            f.write(VERSION)
        os.chmod(temp, 0o644)
        os.rename(temp, label)
    except OSError:
        with suppress(OSError):
            os.unlink(temp)
        if made:
            with suppress(OSError):
                os.rmdir(path)
        raise
    return True


class Foreign(Exception):
    """A directory of changes is of another version of p9emu."""


def check(path: str) -> bool:
    """Whether a directory is one that --changes has made. Raises Foreign, OSError."""
    label = os.path.join(path, LABEL)
    try:
        fd = os.open(label, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        if os.read(fd, len(VERSION) + 1) != VERSION:
            raise Foreign
    finally:
        os.close(fd)
    return True
