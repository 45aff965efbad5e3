"""The command line's manners: every failure is one line on standard error and an exit status."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from emu.failure import BROKEN, INTERRUPTED, PIPE, Failure
from emu.plain import plain

T = TypeVar("T")

GCTHRESHOLD = 100_000  # objects between two looks for cyclic garbage, of which there is little


def concluded(call: Callable[[], int]) -> NoReturn:
    """Exit with the status that call returns, or with that of its failure. Never a traceback."""
    _streams()
    gc.set_threshold(GCTHRESHOLD)
    gc.enable()
    try:
        status = call()
    except Failure as e:
        status = e.status
        _tell(str(e), e.more)
    except OSError as e:
        status = BROKEN
        _tell(f"{plain(os.fsdecode(e.filename))}: {e.strerror}" if e.filename else f"{e.strerror or e}")
    except MemoryError:
        status = BROKEN
        _tell("the host has no memory left")
    except Exception as e:  # noqa: BLE001  the last line of defence: a bug of ours must not show as a traceback
        status = BROKEN
        _tell(_bug(e))
    gc.freeze()  # the interpreter would look through everything once more
    sys.exit(_settle(status))


def interruptible(call: Callable[[], T]) -> T:
    """Do that; interrupts and broken pipes end it quietly."""
    try:
        return call()
    except KeyboardInterrupt:
        raise Failure("interrupted", INTERRUPTED) from None
    except BrokenPipeError:
        raise Failure("", PIPE) from None


def leave(e: SystemExit) -> NoReturn:
    """End this process as concluded(), which has raised e, says.

    The interpreter would take everything apart first, module by module; what is to be done at exit is done. Somebody
    who looks on, or a thread that is still at work, gets its time.
    """
    if sys.getprofile() is not None or sys.gettrace() is not None or threading.active_count() > 1:
        raise e
    os._exit(ended(e))


def ended(e: SystemExit) -> int:
    """The status to exit with, after what is to be done at exit."""
    atexit._run_exitfuncs()
    return _settle(e.code if isinstance(e.code, int) else BROKEN)


def _streams() -> None:
    """Take the place of a standard stream that is closed: else the next file to be opened would be the guest's."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd else os.O_WRONLY)  # using it fails as before


def _bug(e: Exception) -> str:
    """Where an unexpected exception arose, for a report."""
    tb = e.__traceback__
    while tb and tb.tb_next:
        tb = tb.tb_next
    where = f" at {os.path.basename(tb.tb_frame.f_code.co_filename)}:{tb.tb_lineno}" if tb else ""
    return f"internal error: {type(e).__name__}: {e}{where}"


def _tell(message: str, more: str = "") -> None:
    """Write the one line, if there is anything to tell; a standard error that is gone hears nothing."""
    if not message or sys.stderr is None:
        return
    try:
        sys.stderr.write(f"p9emu: {plain(message)}\n")
        for line in more.splitlines():
            sys.stderr.write(f"{plain(line.expandtabs())}\n")
        sys.stderr.flush()
    except OSError:
        pass


def _settle(status: int) -> int:
    """Flush our streams while failure can still be told; a stream that is gone is replaced, so that
    the interpreter does not stumble over it at exit. The status to exit with."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError as e:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            if stream is sys.stdout and status == 0:
                status = PIPE if isinstance(e, BrokenPipeError) else BROKEN
                if status == BROKEN:
                    _tell(f"cannot write standard output: {e.strerror}")
    return status
