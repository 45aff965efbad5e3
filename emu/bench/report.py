"""What p9emu bench prints: its tables as text, as Markdown, or all of it as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Protocol

from emu.bench.claims import Claim
from emu.bench.curves import US, Curve
from emu.bench.files import Filework
from emu.bench.gotests import Gotest
from emu.bench.ratio import Rival
from emu.bench.rivals import QEMU
from emu.bench.scaling import Scale
from emu.bench.startup import Start

VERSION: Final = 5


@dataclass(frozen=True)
class Row:
    """One measurement: host microseconds of processor time for one operation."""

    name: str
    guest: str
    us: float
    rivals: dict[str, Rival] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All tables; the last two are empty unless asked for."""

    rows: Sequence[Row]
    scaling: Sequence[Scale]
    claims: Sequence[Claim]
    starts: Sequence[Start]
    files: Sequence[Filework]
    curves: Sequence[Curve] = ()
    go: Sequence[Gotest] = ()


@dataclass(frozen=True)
class Table:
    """A heading and lines of cells, of which the first ``left`` are words."""

    name: str
    lines: Sequence[Sequence[str]]
    left: int


class Spread(Protocol):
    """Whatever has a ratio."""

    @property
    def ratio(self) -> float: ...
    @property
    def lowest(self) -> float: ...
    @property
    def highest(self) -> float: ...


def spread(r: Spread) -> str:
    """A ratio with the lowest and the highest."""
    return f"{r.ratio:.2f} ({r.lowest:.2f}-{r.highest:.2f})"


def tables(report: Report) -> list[Table]:
    """Those that have lines."""
    made = [
        Table("rows", _rows(report.rows), 2),
        Table("scaling", _scaling(report.scaling), 1),
        Table("claims", _claims(report.claims), 1),
        Table("starts", _starts(report.starts), 1),
        Table("files", _files(report.files), 1),
        Table("curves", _curves(report.curves), 1),
        Table("go", _go(report.go), 1),
    ]
    return [t for t in made if len(t.lines) > 1]


def _rows(rows: Sequence[Row]) -> list[list[str]]:
    heads, others = _beside([r.rivals for r in rows], 4)
    lines = [["", "guest", "p9emu, us", *heads]]
    return lines + [[r.name, r.guest, f"{r.us:.4f}", *other] for r, other in zip(rows, others, strict=True)]


def _beside(all: Sequence[Mapping[str, Rival]], digits: int) -> tuple[list[str], list[list[str]]]:
    """Two columns for each other that has a row: their heads, and for each row what stands there."""
    names = [name for name in ("bare", "qiling", QEMU) if any(name in rivals for rivals in all)]
    heads = [head for name in names for head in (f"{name}, us", "ratio")]
    lines = []
    for rivals in all:
        line = []
        for name in names:
            o = rivals.get(name)
            line += ["", ""] if o is None else [f"{o.us:.{digits}f}", spread(o)]
        lines.append(line)
    return heads, lines


def _scaling(scales: Sequence[Scale]) -> list[list[str]]:
    lines = [["", "small, us", "large, us", "ratio"]]
    return lines + [[s.name, f"{s.small_us:.3f}", f"{s.large_us:.3f}", spread(s)] for s in scales]


def _claims(claims: Sequence[Claim]) -> list[list[str]]:
    lines = [["the commit", "measured", "said", "holds"]]
    return lines + [[c.name, f"{c.measured:.4g}", c.said, "yes" if c.holds else "no"] for c in claims]


def _starts(starts: Sequence[Start]) -> list[list[str]]:
    lines = [["", "p9emu", "beside", "", "ratio", "to be under"]]
    for s in starts:
        ours, theirs = f"{s.ours:.1f} {s.unit}", f"{s.theirs:.1f} {s.unit}"
        lines.append([s.name, ours, s.beside, theirs, spread(s), f"{s.limit:g}"])
    return lines


def _files(files: Sequence[Filework]) -> list[list[str]]:
    heads, others = _beside([f.rivals for f in files], 1)
    lines = [["", "p9emu, us", "Python's os, us", "ratio", *heads]]
    ours = [[f.name, f"{f.us:.1f}", f"{f.os_us:.1f}", spread(f)] for f in files]
    return lines + [line + other for line, other in zip(ours, others, strict=True)]


def _curves(curves: Sequence[Curve]) -> list[list[str]]:
    lines = [["curve", "at", "figure", "ratio"]]
    for c in curves:
        for p in c.points:
            at = f"{p.x:,} {c.x}"
            lines.append([f"{c.picture}: {c.series}", at, f"{p.y:.3f} {c.unit}", spread(p) if c.unit == US else ""])
    return lines


def _go(tests: Sequence[Gotest]) -> list[list[str]]:
    lines = [["package", "p9emu, s", f"{QEMU}, s", "ratio"]]
    for t in tests:
        other = ["", ""]
        if t.qemu is not None:
            other = [f"{t.qemu:.2f}", f"{t.ratio:.2f} ({t.lowest:.2f}-{t.highest:.2f})"]
        lines.append([t.package, f"{t.seconds:.2f}", *other])
    return lines


def _json(report: Report) -> str:
    return json.dumps({"v": VERSION, **asdict(report)}) + "\n"


def _text(report: Report) -> str:
    return "\n".join(aligned(t) for t in tables(report))


def aligned(table: Table) -> str:
    """Columns of equal width, the words to the left."""
    widths = [max(map(len, column)) for column in zip(*table.lines, strict=True)]
    out = ""
    for line in table.lines:
        columns = enumerate(zip(line, widths, strict=True))
        out += "  ".join(c.ljust(w) if i < table.left else c.rjust(w) for i, (c, w) in columns).rstrip() + "\n"
    return out


def _markdown(report: Report) -> str:
    """Each table under a comment with its name, by which tests/benchdocs.py finds it."""
    return "\n".join(f"<!-- {t.name} -->\n{pipes(t)}" for t in tables(report))


def pipes(table: Table) -> str:
    head, *lines = table.lines
    rule = ["---" if i < table.left else "---:" for i in range(len(head))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


RENDERINGS: Final = {"text": _text, "json": _json, "markdown": _markdown}
