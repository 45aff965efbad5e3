"""The file of a recording: a first line that says what it is, and blocks, each with its length and a checksum.

    p9emu recording 1\\n
    | kind, 1 byte | length, 4 | CRC-32 of kind, length and payload, 4 | payload |  ... until the file ends

Numbers are little-endian, payloads are deflated. The first block, ``H``, is the header, a JSON object. ``E`` has
entries of the journal, a JSON list each line; in them ``{"b": "..."}`` are bytes, as Latin-1, and ``{"h": "..."}`` are
those of an earlier block ``B``, named by their hash: what is read twice is kept once. A recording is good up to its
last whole block, whatever became of who wrote it.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, NoReturn

from emu.machine.config import MachineError
from emu.machine.journal import Entry
from emu.plain import plain

VERSION: Final = 1
WORDS: Final = b"p9emu recording "
HEAD: Final = struct.Struct("<cII")
HEADER, ENTRIES, BLOB = b"H", b"E", b"B"
KEPT: Final = 64 * 1024  # characters of entries that a block has at the least, unless it is time to write
SMALL: Final = 128  # bytes that are written where they are
HASHSIZE: Final = 16
LEVEL: Final = 1  # of deflating: it is done while the program waits
MAXBLOCK: Final = 1 << 28  # bytes that a block may have, deflated or not; and all that an entry has of those ``B``
MAXTEXT: Final = 1 << 25  # bytes that one of JSON may have: what is made of it takes some 20 times as much


class RecordingError(MachineError):
    """The recording cannot be written."""


class NoRecording(Exception):
    """The file is none, or none that this version can read. str() says why."""


class Writer:
    """Writes a recording. Where there is a file of that name, it takes its place when it is complete; not before.

    Raises RecordingError, for what the reader would not take too.
    """

    def __init__(self, path: str, header: dict[str, Any]) -> None:
        self.path = path
        self.at = path  # where it is now
        self._lines: list[str] = []
        self._size = 0
        self._room = 0  # as of Reader
        self._known: set[bytes] = set()
        self._encode = json.JSONEncoder(default=self._bytes, separators=(",", ":")).encode
        self._fd = -1
        try:
            self._open()
        except (OSError, ValueError) as e:
            raise self._error(e) from None
        try:
            self._write(b"%s%d\n" % (WORDS, VERSION))
            self._block(HEADER, json.dumps(header).encode())
        except RecordingError:
            self.drop()
            raise

    def put(self, entry: Entry) -> None:
        """Take an entry."""
        self._room = MAXBLOCK
        line = self._encode(entry)
        if len(line) > KEPT:  # it may be refused; what came before it is not
            self.flush()
        self._lines.append(line)
        self._size += len(line)
        if self._size > KEPT:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self._lines:
            data = "\n".join(self._lines).encode()
            self._lines.clear()
            self._size = 0
            self._block(ENTRIES, data)

    def close(self) -> None:
        """It is complete."""
        self.flush()
        try:
            os.close(self._fd)
            self._fd = -1
            if self.at != self.path:
                os.replace(self.at, self.path)
        except OSError as e:
            raise self._error(e) from None

    def drop(self) -> None:
        """Nothing came of it."""
        with suppress(OSError):
            if self._fd >= 0:
                os.close(self._fd)
            if self._made:
                os.unlink(self.at)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY
        self._made = True
        try:
            self._fd = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            if os.path.isfile(self.path):
                os.close(os.open(self.path, flags))  # it may be written
                self.path = os.path.realpath(self.path)
                self.at = f"{self.path}.{os.getpid()}"
                self._fd = os.open(self.at, flags | os.O_CREAT | os.O_EXCL, os.stat(self.path).st_mode & 0o777)
            else:
                self._made = False
                try:
                    self._fd = os.open(self.path, flags | os.O_NONBLOCK)  # a pipe would be waited for, for a reader
                except OSError as e:
                    if e.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(self.path).st_mode):
                        raise OSError(e.errno, "it is a pipe that nobody reads") from None
                    raise
                os.set_blocking(self._fd, True)

    def _bytes(self, x: object) -> dict[str, str]:
        if not isinstance(x, bytes | bytearray | memoryview):
            raise TypeError(type(x).__name__)
        data = bytes(x)
        if len(data) <= SMALL:
            return {"b": data.decode("latin-1")}
        if len(data) > self._room:
            self._toomuch()
        self._room -= len(data)
        key = blake2b(data, digest_size=HASHSIZE).digest()
        if key not in self._known:
            self._known.add(key)
            self._block(BLOB, data)
        return {"h": key.hex()}

    def _block(self, kind: bytes, data: bytes) -> None:
        payload = zlib.compress(data, LEVEL)
        if len(data) >= (MAXBLOCK if kind == BLOB else MAXTEXT) or len(payload) > MAXBLOCK:
            self._toomuch()
        head = kind + struct.pack("<I", len(payload))
        crc = zlib.crc32(payload, zlib.crc32(head))
        self._write(HEAD.pack(kind, len(payload), crc) + payload)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as e:
            raise self._error(e, self.at) from None  # what there is is there

    def _toomuch(self) -> NoReturn:
        self.flush()
        raise RecordingError(f"cannot write {plain(self.at)}: the host tells more at once than a recording holds")

    def _error(self, e: OSError | ValueError, at: str = "") -> RecordingError:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        return RecordingError(f"cannot write {plain(at or self.path)}: {why}")


def isrecording(path: str) -> bool:
    """Whether a file begins as a recording does; False too if it cannot be read."""
    try:
        if not os.path.isfile(path):  # a pipe is read once
            return False
        with open(path, "rb") as f:
            return f.read(len(WORDS)) == WORDS
    except (OSError, ValueError):
        return False


class Reader:
    """Reads a recording. Raises OSError, ValueError (not a name), NoRecording; when it is iterated nothing.

    A copy of the process may read on by itself: where it reads is no affair of the descriptor's.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.trouble = ""  # what was wrong where it ended
        self._blobs: dict[str, int] = {}
        self._at = 0
        self._room = 0  # bytes that an entry may yet have of other blocks
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.header = self._begin()
        except (OSError, NoRecording):
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __iter__(self) -> Iterator[Entry]:
        """Its entries, up to the last good block."""
        while (block := self._next()) is not None:
            kind, at, data = block
            if kind == BLOB:
                self._blobs[blake2b(data, digest_size=HASHSIZE).hexdigest()] = at
            elif kind == ENTRIES:
                try:
                    for line in io.StringIO(data.decode(), newline="\n"):
                        self._room = MAXBLOCK
                        yield self._entry(line)
                except (ValueError, LookupError, TypeError, RecursionError, MemoryError):
                    self.trouble = f"makes no sense in the block at byte {at}"
                    return

    def _begin(self) -> dict[str, Any]:
        first = self._read(0, len(WORDS) + 20).partition(b"\n")[0] + b"\n"
        self._at = len(first)
        version = first.removeprefix(WORDS).strip()
        if not first.startswith(WORDS) or not version.isdigit():
            raise NoRecording("is no recording (p9emu record makes them)")
        if int(version) != VERSION:
            raise NoRecording(f"is a recording of version {int(version)}; this p9emu reads {VERSION}")
        block = self._next()
        try:
            header = json.loads(block[2]) if block is not None and block[0] == HEADER else None
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict):
            raise NoRecording("is a recording of which nothing is left but its first line")
        return header

    def _read(self, at: int, n: int) -> bytes:
        return os.pread(self._fd, n, at)

    def _next(self) -> tuple[bytes, int, bytes] | None:
        """The next block: kind, place and content; None where there is no whole one."""
        try:
            at = self._at
            block = self._block(at)
        except (OSError, MemoryError):
            self.trouble = "cannot be read on"
            return None
        if block is None:
            return None
        kind, size, data = block
        self._at += size
        return kind, at, data

    def _block(self, at: int) -> tuple[bytes, int, bytes] | None:
        """A block: kind, length in the file, and content."""
        head = self._read(at, HEAD.size)
        if not head:
            return None
        if len(head) == HEAD.size:
            kind, size, crc = HEAD.unpack(head)
            payload = self._read(at + HEAD.size, size) if size <= MAXBLOCK else b""
            if len(payload) == size and crc == zlib.crc32(payload, zlib.crc32(head[:5])):
                try:
                    inflate = zlib.decompressobj()
                    data = inflate.decompress(payload, MAXBLOCK if kind == BLOB else MAXTEXT)
                    if inflate.eof:
                        return kind, HEAD.size + size, data
                except zlib.error:
                    pass
                self.trouble = f"makes no sense in the block at byte {at}"
                return None
            if len(payload) == size:
                self.trouble = f"is damaged at byte {at}"
                return None
        self.trouble = "breaks off"
        return None

    def _entry(self, line: str) -> Entry:
        what, about, outcome = json.loads(line, object_hook=self._object)
        if not isinstance(what, str):
            raise ValueError(what)
        return what, about, outcome

    def _object(self, d: dict[str, Any]) -> bytes:
        if "b" in d:
            return str(d["b"]).encode("latin-1")
        block = self._block(self._blobs[d["h"]])
        if block is None or len(block[2]) > self._room:
            raise ValueError
        self._room -= len(block[2])
        return block[2]
