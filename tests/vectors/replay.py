"""Replay of vector files: reads them, carries out the operations, compares results, events and states."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel.base.mem import BY2PG
from tests.linking import linked
from tests.vectors.machine import STUBS, VectorKernel, pattern
from tests.vectors.ops import Ended, Ops, UnknownOperation
from tests.vectors.state import Checksum, State, apply, difference, snapshot

Record = dict[str, Any]

CONF = ("nproc", "nimage", "nswap", "nswppo", "npages", "copymode")


class Unreadable(Exception):
    """Not a vector file; the text says what is wrong where."""


@dataclass
class Difference:
    """Where the kernel did not do what the original did."""

    seq: str
    index: int  # of the operation in its sequence; -1: before the first
    op: object
    what: str

    def __str__(self) -> str:
        at = f"operation {self.index} {json.dumps(self.op)}" if self.op is not None else "start"
        return f"sequence {self.seq}, {at}: {self.what}"


@dataclass
class Report:
    """What came of one file."""

    sequences: int = 0
    operations: int = 0
    differences: list[Difference] = field(default_factory=list)  # the first one of each sequence that has one


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """The lines of a file, plain or gzip, with their numbers."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        lines = data.decode().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
        raise Unreadable(f"{path}: {e}") from e
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rec = json.loads(line)
        except ValueError as e:
            raise Unreadable(f"{path}:{n}: not JSON: {e}") from e
        if not isinstance(rec, dict) or not rec.keys() & {"seq", "op", "full"}:
            raise Unreadable(f"{path}:{n}: neither a header, an operation nor a state")
        yield n, rec


def replay(path: Path) -> Report:
    """Replay every sequence of a file."""
    with linked(STUBS):
        return _replay(path)


def _replay(path: Path) -> Report:
    report = Report()
    seq: Sequence | None = None
    for n, rec in records(path):
        try:
            if "seq" in rec:
                seq = Sequence(rec)
                report.sequences += 1
            elif seq is None:
                raise Unreadable(f"{path}:{n}: no header before the first operation")
            else:
                report.operations += "op" in rec
                if not seq.failed:
                    seq.step(rec)
        except UnknownOperation as e:
            raise Unreadable(f"{path}:{n}: unknown operation {e}") from e
        except (KeyError, TypeError, ValueError) as e:
            raise Unreadable(f"{path}:{n}: not in the format: {type(e).__name__}: {e}") from e
        if seq.failed and seq.difference is not None:
            report.differences.append(seq.difference)
            seq.difference = None
    return report


class Sequence:
    """One sequence under replay."""

    def __init__(self, header: Record) -> None:
        self.name: str = header["seq"]
        conf = header["cfg"]
        self.k = VectorKernel(*(int(conf[key]) for key in CONF))
        self.ops = Ops(self.k)
        self.checksum = Checksum()
        self.index = -1
        self.op: object = None
        self.failed = False
        self.difference: Difference | None = None
        npages = self.k.palloc.user
        self.crc = [zlib.crc32(pattern(i)) for i in range(npages)]
        self.k.plain.dirty.clear()
        self.expected: State = snapshot(self.k)
        for key in ("highwater", "headroom"):
            self.same(key, header[key], getattr(self.k.swapalloc, key))
        self.same("h", header["h"], self.checksum.of(self.expected))

    def fail(self, what: str) -> None:
        if not self.failed:
            self.failed = True
            self.difference = Difference(self.name, self.index, self.op, what)

    def same(self, what: str, expected: object, actual: object) -> None:
        """Fail unless the two are equal."""
        if expected != actual:
            self.fail(f"{what}: expected {json.dumps(expected)}, actual {json.dumps(actual)}")

    def step(self, rec: Record) -> None:
        """Replay one record."""
        if "full" in rec:
            self.op = None
            self.same("operations", rec["n"], self.index + 1)
            self.states(rec["full"])
            return
        self.index += 1
        self.op = rec["op"]
        result, nested = self.carryout(rec)
        self.same("result", rec["r"], result)
        self.events(rec.get("ev", []))
        if "h" not in rec:  # the end of the run
            return
        self.same("nested results", rec.get("nr", []), nested)
        self.same("crc", rec.get("crc", {}), self.changed())
        self.expected = apply(self.expected, rec.get("d", {}))
        self.states(self.expected)
        if not self.failed:
            self.same("h", rec["h"], self.checksum.of(self.expected))

    def carryout(self, rec: Record) -> tuple[object, list[object]]:
        """Carry out an operation with its modifiers: its result, and those of the operations in its midst."""
        k = self.k
        k.events = []
        k.nomem = rec.get("nomem", 0)
        k.pager.waits = 0
        kind, count = rec.get("ioerr", (0, 0))
        k.ioerr = [kind] * count
        nested: list[object] = []
        k.during = None
        if "during" in rec:
            k.during = lambda: nested.extend(self.ops.run(op) for op in rec["during"])
            k.duringwrite = rec["op"][0] == "executeio"
        try:
            result = self.ops.run(rec["op"])
        except Ended as e:
            result = str(e)
        except UnknownOperation:
            raise
        except Exception as e:  # noqa: BLE001 - the kernel under test may do anything
            result = f"{type(e).__name__}: {e}"
        return result, nested

    def changed(self) -> dict[str, int]:
        """Checksums of the pool pages whose bytes changed."""
        k = self.k
        crc = {}
        for pa in k.plain.dirty:
            n = (pa - k.palloc.base) // BY2PG
            if 0 <= n < len(self.crc):
                c = zlib.crc32(k.mem.read(pa, BY2PG))
                if c != self.crc[n]:
                    self.crc[n] = crc[str(n)] = c
        k.plain.dirty.clear()
        return crc

    def events(self, expected: list[object]) -> None:
        """Compare the events; name the first that differs."""
        actual = self.k.events
        if expected == actual:
            return
        for n, (want, got) in enumerate(zip(expected, actual, strict=False)):
            if want != got:
                self.fail(f"event {n}: expected {json.dumps(want)}, actual {json.dumps(got)}")
        n = min(len(expected), len(actual))
        if len(expected) > n:
            self.fail(f"event {n}: expected {json.dumps(expected[n])}, actual none")
        elif len(actual) > n:
            self.fail(f"event {n}: expected none, actual {json.dumps(actual[n])}")

    def states(self, expected: State) -> None:
        """Compare the state of the kernel with the expected one."""
        what = difference(expected, snapshot(self.k))
        if what:
            self.fail(what)
