"""What is in gdb's packets: numbers, bytes, threads, and how to go on. Source: gdb's manual, appendix E."""

from __future__ import annotations

import re

from emu.debug.stops import Plan


class Wrong(ValueError):
    """A packet that is not well formed."""


def number(text: bytes) -> int:
    """A hexadecimal number. Raises Wrong."""
    if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", text):
        raise Wrong
    return int(text, 16)


def unhex(text: bytes) -> bytes:
    """Bytes in hexadecimal. Raises Wrong."""
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise Wrong from None


def thread(text: bytes) -> int:
    """The process of a thread's name, pPID.TID or TID; 0 any, -1 all. Raises Wrong."""
    m = re.fullmatch(rb"p(-1|[0-9a-fA-F]{1,8})(?:\.(-1|[0-9a-fA-F]{1,8}))?|(-1|[0-9a-fA-F]{1,8})", text)
    if m is None:
        raise Wrong
    return int(m[1] if m[1] is not None else m[3], 16)


def dotted(pid: int) -> str:
    """The name of a process's thread."""
    return f"p{pid:x}.{pid:x}"


def resumption(data: bytes, current: int) -> Plan | None:
    """The plan of a packet that resumes, with process ``current`` where none is named; else None. Raises Wrong."""
    if data[:1] in (b"c", b"C"):
        return Plan()
    if data[:1] in (b"s", b"S"):
        return Plan(current)
    if not data.startswith(b"vCont;"):
        return None
    actions = data[6:].split(b";")
    for action in actions:
        what, _, whom = action.partition(b":")
        if what[:1] in (b"s", b"S", b"r"):
            pid = thread(whom) if whom else current
            pid = pid if pid > 0 else current
            if what[:1] != b"r":
                return Plan(pid, alone=len(actions) == 1 and b"." in whom)
            start, _, end = what[1:].partition(b",")
            return Plan(pid, number(start), number(end))
        if what[:1] not in (b"c", b"C"):
            raise Wrong
    return Plan()
