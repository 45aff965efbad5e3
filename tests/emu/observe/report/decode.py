"""What a report has in it, read as the browser does."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from pathlib import Path
from typing import Any

FORMATS = {"u1": "B", "u2": "H", "u4": "I", "i4": "i", "f8": "d"}
NONE = -(2**53)


def payload(page: str) -> bytes:
    """The bytes of the events in a report."""
    found = re.search(r'<script type="text/plain" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return gzip.decompress(b"".join(base64.b64decode(line) for line in found[1].split()))


def events(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head, and each event as an object."""
    size = int.from_bytes(data[:4], "little")
    head = json.loads(data[4 : 4 + size])
    at = 4 + size + head["strings"]
    strings = json.loads(data[4 + size : at])

    def column(type: str, rows: int) -> list[Any]:
        nonlocal at
        width = struct.calcsize(FORMATS[type])
        planes = [data[at + i * rows : at + (i + 1) * rows] for i in range(width)]
        at += width * rows
        raw = bytes(b for cell in zip(*planes, strict=True) for b in cell)
        return list(struct.unpack(f"<{rows}{FORMATS[type]}", raw))

    common = {name: column(type, head["events"]) for name, type, _ in head["common"]}
    tables = []
    for t in head["tables"]:
        columns = {
            name: [strings[v] if word else None if v == NONE else int(v) for v in column(type, t["rows"])]
            for name, type, word in t["columns"]
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        tables.append((t["kind"], iter(rows)))
    out = []
    ns = 0
    for i in range(head["events"]):
        ns += int(common["ns"][i])
        kind, left = tables[common["kind"][i]]
        out.append({"event": kind, "ns": ns, "pid": common["pid"][i], "cpu": common["cpu"][i], **next(left)})
    assert at == len(data)
    return head, out


def decoded(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same of a file."""
    return events(payload(path.read_text()))
