"""``python -m tests.go.report [PATTERN...]``: the whole standard library, into the table of docs/go.md.

Each package is tested here and, built for linux/386, on the host, one after the other in one run. Nothing is left
out: known failures run with the rest, and what fails is told with its first message.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable

from tests.go import tool
from tests.go.tool import Result

PAGE = tool.ROOT / "docs" / "go.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
LIMIT = "--timeout 900"  # seconds of the host's for one package
SIGNS = {
    "/net/": "no /net here: the package's tests listen on sockets",
    "build failed": "does not build for plan9/386",
    "time limit": "more than 15 minutes",
}


def main(patterns: list[str]) -> int:
    """The command."""
    names = tool.packages(*(patterns or ["std"]))
    rows = []
    for name in names:
        here = tool.run_tests([name], opts=LIMIT)[name]
        there = tool.run_tests([name], target=tool.LINUX)[name]
        rows.append(row(here, there))
        print(rows[-1], flush=True)
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + BEGIN + table(rows) + END + rest.split(END)[1])
    return 0


def row(here: Result, there: Result) -> str:
    """One line of the table."""
    ratio = f"{here.seconds / there.seconds:.1f}" if there.seconds and here.action != "fail" else ""
    figures = (
        here.count("pass"),
        here.count("fail"),
        here.count("skip"),
        f"{here.seconds:.1f}",
        f"{there.seconds:.1f}",
    )
    return f"| `{here.package}` | " + " | ".join(map(str, figures)) + f" | {ratio} | {remark(here)} |"


def remark(r: Result) -> str:
    """Why a package failed, in a few words."""
    if r.action != "fail":
        return ""
    reasons = {k.test: k.reason for k in tool.known() if k.package == r.package}
    failed = [name for name, action in r.tests.items() if action == "fail" and "/" not in name]
    output = "".join(r.output)
    for sign, why in SIGNS.items():
        if sign in output:
            return why
    if failed and all(name in reasons for name in failed):
        return reasons[failed[0]]
    return ", ".join(failed[:3]) or "ends early"


def table(rows: Iterable[str]) -> str:
    """The table, with what it was measured on."""
    version = tool.go("version").stdout.split()[2]
    return (
        f"{version}, CPython {platform.python_version()}, one run; seconds of the host.\n\n"
        "| package | passed | failed | skipped | here, s | linux/386, s | ratio | |\n"
        "|---|--:|--:|--:|--:|--:|--:|---|\n"
        + "".join(line + "\n" for line in rows)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
