"""The file: the page in page/ with its style, its scripts, the words and the events in it."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from typing import Final

SCRIPTS: Final = (
    "data.js",
    "model.js",
    "history.js",
    "look.js",
    "text.js",
    "lanes.js",
    "view.js",
    "timeline.js",
    "counters.js",
    "pagemap.js",
    "life.js",
    "spaces.js",
    "events.js",
    "flame.js",
    "images.js",
    "main.js",
)
"""The page's scripts, each after those that it uses. They make one module."""
LEVEL: Final = 6
PIECE: Final = 3 << 18  # bytes at a time; a multiple of 3, which base64 makes 4 characters of


def page(title: str, command: str, summary: str, data: Iterable[bytes]) -> Iterator[bytes]:
    """The file's pieces. ``summary`` is HTML, ``data`` what the scripts read."""
    here = files("emu.observe.report") / "page"
    parts: dict[str, Iterable[bytes]] = {
        "title": (escape(title).encode(),),
        "command": (escape(command).encode(),),
        "style": ((here / "report.css").read_bytes(),),
        "summary": (summary.encode(),),
        "data": base64(gzip(data)),
        "script": ((here / name).read_bytes() for name in SCRIPTS),
    }
    for i, piece in enumerate((here / "report.html").read_text("utf-8").split("@@")):
        if i % 2:
            yield from parts[piece]
        else:
            yield piece.encode()


def gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compressed, without a time or a name: equal events give equal bytes."""
    c = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    for piece in pieces:
        yield c.compress(piece)
    yield c.flush()


def base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """As characters, in lines that are each a whole number of them."""
    kept = bytearray()
    for piece in pieces:
        kept += piece
        while len(kept) >= PIECE:
            yield b64encode(kept[:PIECE]) + b"\n"
            del kept[:PIECE]
    yield b64encode(kept)
