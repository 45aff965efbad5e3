"""``python -m tests.go.report [--again] [PATTERN...]``: the whole standard library, into the table of docs/go.md.

Each package is tested here and, built for linux/386, on the host, one after the other. Known failures are not run but
counted; what else fails is told by its name. Results are kept in build/go-std.jsonl as they come: a run that was ended
goes on where it was, and packages that are named are run anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.go import tool
from tests.go.tool import Result

PAGE = tool.ROOT / "docs" / "go.md"
STATE = tool.ROOT / "build" / "go-std.jsonl"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
LIMIT = 1200  # seconds of the host's for one package
SIGNS = {
    "[build failed]": "Does not build for plan9/386.",
    "p9emu: time limit": f"Takes more than {LIMIT // 60} minutes.",
}


@dataclass(frozen=True)
class Row:
    """One package: how it ended, its tests, seconds here and on the host, and why it failed."""

    package: str
    action: str
    passed: int
    failed: int
    skipped: int
    here: float
    there: float
    remark: str

    @property
    def ratio(self) -> float | None:
        """How many times as long it takes here; None if it did not pass, or is too short to tell."""
        return self.here / self.there if self.action == "pass" and self.there > 0 else None


def main(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.go.report")
    parser.add_argument("--again", action="store_true", help="forget the results that there are")
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args(argv)
    if args.again:
        STATE.unlink(missing_ok=True)
    rows = load(STATE)
    for name in tool.packages(*(args.patterns or ["std"])):
        if name in rows and not args.patterns:
            continue
        rows[name] = measure(name)
        STATE.parent.mkdir(exist_ok=True)
        with STATE.open("a") as f:
            f.write(json.dumps(asdict(rows[name])) + "\n")
        print(line(rows[name]), flush=True)
    missing = [n for n in tool.packages("std") if n not in rows]
    head, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(head + BEGIN + table([rows[n] for n in sorted(rows)], missing) + END + rest.split(END)[1])
    return 0


def load(path: Path) -> dict[str, Row]:
    """The results of earlier runs, the last of each package."""
    if not path.exists():
        return {}
    rows = (Row(**json.loads(text)) for text in path.read_text().splitlines())
    return {row.package: row for row in rows}


def measure(name: str) -> Row:
    """Test one package, here and on the host."""
    opts = os.environ.get("P9EMU_OPTS", "")
    here = tool.run_rest(name, opts=f"{opts} --timeout {LIMIT}")
    there = tool.run_tests([name], target=tool.LINUX)[name]
    figures = (here.count("pass"), here.count("fail"), here.count("skip"), here.seconds, there.seconds)
    return Row(name, here.action, *figures, remark(here))


def remark(r: Result) -> str:
    """Why a package, or a test of it, failed."""
    known = {k.test: k.reason for k in tool.expected(r.package)}
    failed = [name for name, action in r.tests.items() if action == "fail" and "/" not in name and name not in known]
    if r.action == "fail":
        hopeless = tool.hopeless()
        if r.package in hopeless:
            return hopeless[r.package]
        output = "".join(r.output)
        for sign, why in SIGNS.items():
            if sign in output:
                return why
        return ", ".join(failed[:3]) or "Ends early."
    return " ".join(dict.fromkeys(known.values()))


def line(row: Row) -> str:
    """One line of the table."""
    ratio = f"{row.ratio:.1f}" if row.ratio else ""
    figures = (row.passed, row.failed, row.skipped, f"{row.here:.1f}", f"{row.there:.1f}", ratio)
    return f"| `{row.package}` | " + " | ".join(map(str, figures)) + f" | {row.remark} |"


def table(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """The table, with what it was measured on, the totals, and the names of packages that were not run."""
    version = tool.go("version").stdout.split()[2]
    good = [row for row in rows if row.action == "pass"]
    ratios = [row.ratio for row in good if row.ratio]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else 0.0
    total = (
        sum(row.passed for row in rows),
        sum(row.failed for row in rows),
        sum(row.skipped for row in rows),
        f"{sum(row.here for row in rows):.0f}",
        f"{sum(row.there for row in rows):.0f}",
        f"{mean:.1f}",
    )
    return (
        f"{version}, CPython {platform.python_version()}; seconds, each package here, then on the host. The last\n"
        f"line's ratio is the geometric mean. Of {len(rows)} packages {len(good)} pass, but for tests that are known\n"
        "to fail.\n\n"
        "| package | passed | failed | skipped | here, s | linux/386, s | ratio | |\n"
        "|---|--:|--:|--:|--:|--:|--:|---|\n"
        + "".join(line(row) + "\n" for row in rows)
        + "| total | "
        + " | ".join(map(str, total))
        + " | |\n"
        + (f"\nNot run yet: {', '.join(f'`{name}`' for name in missing)}.\n" if missing else "")
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
