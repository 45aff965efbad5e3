"""p9emu cc: from C and assembly to a Plan 9 executable."""

import errno
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from emu.failure import BROKEN, Failure
from emu.machine.signals import ENDING, Ended
from emu.plain import plain
from emu.program.aout import AoutError, load

FAILED: Final = 1


def cc(
    files: Sequence[str],
    output: str,
    include: Sequence[str],
    define: Sequence[str],
    level: str,
    warn: Sequence[str],
) -> int:
    """Compile files into the executable output; the status to exit with. Raises Failure.

    The compiler's messages go to standard error as they are. The output is complete, or as it was.
    """
    from guest.cc import SUFFIXES, compile
    from guest.zig import BuildError, MissingError

    for f in files:
        _check(f, SUFFIXES)
        if _same(f, output):
            raise Failure(f"{output}: is a source", FAILED)
    if os.path.isdir(output):
        raise Failure(f"{output}: is a directory", BROKEN)
    try:
        with _signals():
            compiled = compile(files, include=include, define=define, level=level, warn=warn)
    except MissingError as e:
        raise Failure(f"cc {e}", FAILED) from None
    except BuildError as e:
        _say(str(e))
        return FAILED
    _say(compiled.said)
    _write(output, compiled.image)
    return 0


@contextmanager
def _signals() -> Iterator[None]:
    """Let who asks us to end be heard as an exception, so that temporary files go; who asks again is obeyed."""

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Ended(number)

    caught = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in caught:
        signal.signal(number, end)
    try:
        yield
    except Ended as e:
        raise Failure(str(e), e.status) from None
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _check(file: str, suffixes: Sequence[str]) -> None:
    """Refuse what is no source. Raises Failure."""
    try:
        mode = os.stat(file).st_mode
        os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))
    except ValueError:  # a name that holds a zero byte
        raise Failure(f"{file}: no such file", FAILED) from None
    except OSError as e:
        raise Failure(f"{file}: {(e.strerror or str(e)).lower()}", FAILED) from None
    if stat.S_ISDIR(mode):
        raise Failure(f"{file}: is a directory", FAILED)
    if not stat.S_ISREG(mode):
        raise Failure(f"{file}: is not a regular file", FAILED)
    if not file.endswith(tuple(suffixes)):
        raise Failure(f"{file}: is no source: its name ends in none of {', '.join(suffixes)}", FAILED)
    if "\n" in file:
        raise Failure(f"{file}: the compiler takes no name with a newline", FAILED)


def _same(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def _say(text: str) -> None:
    """Tell what the compiler told, byte for byte."""
    if text and sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
            os.write(sys.stderr.fileno(), text.encode("utf-8", "surrogateescape"))


def _write(output: str, image: bytes) -> None:
    """Put the executable in place, at once; into what is no regular file it is written. Raises Failure."""
    try:
        if os.path.exists(output) and not os.path.isfile(output):
            fd = os.open(output, os.O_WRONLY | os.O_NONBLOCK)  # of a FIFO: not without a reader
            os.set_blocking(fd, True)
            with open(fd, "wb") as f:
                f.write(image)
            return
        target = os.path.realpath(output)
        fd, name = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".p9emu-")
        try:
            with open(fd, "wb") as f:
                f.write(image)
            load(name)  # what cannot be run is not made
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o777 & ~mask)
            os.replace(name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except AoutError as e:
        raise Failure(f"{output}: {str(e).removeprefix(f'{plain(e.path)}: ')}", FAILED) from None
    except BrokenPipeError:
        raise
    except OSError as e:
        why = "nobody reads it" if e.errno == errno.ENXIO else (e.strerror or str(e)).lower()
        raise Failure(f"{output}: {why}", BROKEN) from None
