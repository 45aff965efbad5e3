"""Errors: Plan 9's texts, and the exceptions that carry them.

``error(Ebadarg)`` of the original is ``raise Error(Ebadarg)`` here, and ``waserror()`` is
``except Error``. Kernel locks are released in ``except Error`` clauses, never in ``finally``:
a process that exits (:class:`Exited`) unwinds without touching locks, as in the original,
where pexit() never returns.
"""

from __future__ import annotations

from typing import Final

ERRMAX: Final = 128
Enoerror: Final = "no error"
Enonexist: Final = "file does not exist"
Eexist: Final = "file already exists"
Ebadsharp: Final = "unknown device in # filename"
Enotdir: Final = "not a directory"
Eisdir: Final = "file is a directory"
Ebadchar: Final = "bad character in file name"
Efilename: Final = "file name syntax"
Eperm: Final = "permission denied"
Ebadusefd: Final = "inappropriate use of fd"
Ebadarg: Final = "bad arg in system call"
Einuse: Final = "device or object already in use"
Eio: Final = "i/o error"
Etoobig: Final = "read or write too large"
Etoosmall: Final = "read or write too small"
Ehungup: Final = "i/o on hungup channel"
Ebadctl: Final = "bad process or channel control request"
Enodev: Final = "no free devices"
Eprocdied: Final = "process exited"
Enochild: Final = "no living children"
Eioload: Final = "i/o error in demand load"
Enovmem: Final = "virtual memory allocation failed"
Ebadfd: Final = "fd out of range or not open"
Enofd: Final = "no free file descriptors"
Eisstream: Final = "seek on a stream"
Ebadexec: Final = "exec header invalid"
Etimedout: Final = "connection timed out"
Econrefused: Final = "connection refused"
Econinuse: Final = "connection in use"
Eintr: Final = "interrupted"
Enomem: Final = "kernel allocate failed"
Enoswap: Final = "swap space full"
Esoverlap: Final = "segments overlap"
Eshort: Final = "i/o count too small"
Egreg: Final = "the front fell off"
Ebadspec: Final = "bad attach specifier"
Enoattach: Final = "mount/attach disallowed"
Eshortstat: Final = "stat buffer too small"
Ebadstat: Final = "malformed stat buffer"
Enegoff: Final = "negative i/o offset"
Edirseek: Final = "seek in directory"
Etoolong: Final = "name too long"
Enocreate: Final = "mounted directory forbids creation"
Eunmount: Final = "not mounted"
Emount: Final = "inconsistent mount"
Eunion: Final = "not in union"
Eismtpt: Final = "is a mount point"
Emountrpc: Final = "mount rpc error"
Eshutdown: Final = "device shut down"
Enoreg: Final = "process has no saved registers"
Ecmdargs: Final = "wrong #args in control message"
Ebadip: Final = "bad ip address syntax"


class Error(Exception):
    """error(): a call failed; the argument is Plan 9's own text. Source: port/proc.c:error."""

    def __str__(self) -> str:
        return str(self.args[0])


class Panic(Exception):
    """panic(): the kernel found itself broken. Ends the machine with a dump."""


class Wrong(Panic):
    """An invariant does not hold: ours, not the original's."""


class Exited(BaseException):
    """The current process has ended: unwind its kernel stack and never come back.

    Not an Exception, so that no ``except Error`` (waserror) catches it.
    """
