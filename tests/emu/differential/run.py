"""Runs sequences on both sides and explains what differs."""

import functools
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.emu.bare import Bare
from tests.emu.differential import host
from tests.emu.differential.compare import differences
from tests.emu.differential.generate import sequence
from tests.emu.differential.known import Difference, known
from tests.emu.differential.layout import FXUSED, PAGE, Case, Result, contents, first
from tests.emu.differential.ours import Ours

RECORDED: Final = Path(__file__).with_name("recorded.bin")
RECORDS: Final = 800  # sequences of seed "recorded" in it
Processor = Callable[[Sequence[Case]], list[Result]]


@dataclass(slots=True)
class Report:
    """What came of a number of sequences."""

    sequences: int = 0
    differ: int = 0
    known: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Take over the figures of another."""
        self.sequences += other.sequences
        self.differ += other.differ
        self.known += other.known
        self.unexplained += other.unexplained


def numbers(seed: str, start: int, n: int) -> Iterable[str]:
    """The numbers of n sequences."""
    return (f"{seed}:{i}" for i in range(start, start + n))


def compare(names: Iterable[str], processor: Processor) -> Report:
    """Run sequences here and on the processor; each difference is traced to the first instruction that shows it."""
    cases = [sequence(name) for name in names]
    report = Report(len(cases))
    with Bare() as bare:
        ours = Ours(bare)
        wrong = [c for c, a, b in zip(cases, processor(cases), ours.run(cases), strict=True) if differences(c, a, b)]
        report.differ = len(wrong)
        parts = [first(case, n) for case in wrong for n in range(1, len(case.insns) + 1)]
        results = iter(zip(parts, processor(parts), ours.run(parts), strict=True))
        for case in wrong:
            mine = [next(results) for _ in case.insns]
            found = next(((c, a, b) for c, a, b in mine if differences(c, a, b)), mine[-1])
            _explain(report, Difference(found[0], differences(*found), found[1], found[2]))
    return report


def _explain(report: Report, d: Difference) -> None:
    what = known(d)
    if what is not None:
        report.known[what] += 1
        return
    report.unexplained.append(
        f"{d.case.number}: {d.name} {d.insn.code.hex()}: {', '.join(d.names)}; "
        f"trap {d.host.trapno} and {d.ours.trapno}, at 0x{d.host.pc:x} and 0x{d.ours.pc:x}, "
        f"flags 0x{d.host.flags:x} and 0x{d.ours.flags:x}"
    )


def live(program: Path) -> Processor:
    """This computer's."""
    return lambda cases: host.run(program, cases)


def chunk(job: tuple[str, str, int, int]) -> Report:
    """Compare with the processor of a program: n sequences of a seed from a number on."""
    program, seed, start, n = job
    return compare(numbers(seed, start, n), live(Path(program)))


# What was recorded: results of whole sequences and of all their beginnings, without what is as it was before


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _beginnings(cases: Iterable[Case]) -> list[Case]:
    return [first(case, n) for case in cases for n in range(1, len(case.insns) + 1)]


def record(program: Path) -> None:
    """Write what this computer's processor does."""
    cases = _beginnings(sequence(name) for name in numbers("recorded", 0, RECORDS))
    before = contents()
    out = bytearray()
    for case, r in zip(cases, host.run(program, cases), strict=True):
        changed = sum(1 << i for i, va in enumerate(host.PAGES) if va in r.memory)
        fx = _xor(r.fx, case.fx[:FXUSED])
        out += host.OUTPUT.pack(r.trapno, r.ecode, r.addr, r.pc, r.flags, *r.registers, changed, fx)
        for va in host.PAGES:
            if va in r.memory:
                out += _xor(r.memory[va], before[va])
    RECORDED.write_bytes(zlib.compress(bytes(out), 9))


@functools.cache
def recorded() -> Processor:
    """The processor of the recording; it knows the sequences of seed "recorded" only."""
    cases = _beginnings(sequence(name) for name in numbers("recorded", 0, RECORDS))
    before = contents()
    results: dict[tuple[str, int], Result] = {}
    for case, r in zip(cases, host.parse(zlib.decompress(RECORDED.read_bytes())), strict=True):
        memory = {va: _xor(page, before[va]) for va, page in r.memory.items()}
        assert all(len(page) == PAGE for page in memory.values())
        results[case.number, len(case.insns)] = replace(r, fx=_xor(r.fx, case.fx[:FXUSED]), memory=memory)
    return lambda wanted: [results[case.number, len(case.insns)] for case in wanted]
