"""``python -m tests.go.std [--checked] [--paged] [PATTERN...]``: packages of Go's standard library, by `go test`.

p9emu's options come from P9EMU_OPTS. Exit status 1 if a test failed that is not in go_known_failures.toml, or one
that is there passed; with --paged also if a package did not page.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from tests.go import tool
from tests.go.host import compile_both
from tests.go.tool import Result

PATTERNS = (
    "errors", "sort", "slices", "maps", "strings", "bytes", "strconv", "unicode/...", "container/...", "math/...",
    "bufio", "io/...", "fmt", "text/...", "path/...", "regexp/...", "encoding/...", "hash/...", "compress/...",
    "archive/...", "crypto/sha256", "crypto/md5", "crypto/aes", "go/parser", "go/ast", "go/format",
    "index/suffixarray", "html/...", "image/...", "log", "flag", "context", "sync/...", "time", "os", "os/exec",
    "os/signal", "runtime", "runtime/debug", "testing/...", "reflect", "net", "net/rpc", "net/smtp", "net/textproto",
    "net/http/httptest",
)  # fmt: skip


# All the invariants checked all the time.
CHECK = "--check"
CHECKED = (
    "errors", "sort", "strings", "fmt", "sync", "context", "io", "os/exec", "os/signal", "bufio", "runtime/debug",
)  # fmt: skip

# Less memory than the heap needs.
PAGING = "-m 24M --swap 512M --stats"
PAGED = ("strings", "bytes", "encoding/json", "compress/flate", "go/parser")


def swapins(r: Result) -> int:
    """How many pages came back from swap in a run with --stats."""
    return sum(int(n) for n in re.findall(r"^swap ins +(\d+)$", "".join(r.output), re.M))


def main(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.go.std")
    parser.add_argument("--checked", action="store_true", help="with --check, fewer packages")
    parser.add_argument("--paged", action="store_true", help="with little memory, and swap, fewer packages")
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args(argv)
    opts = os.environ.get("P9EMU_OPTS", "")
    names = tool.packages(*(args.patterns or (CHECKED if args.checked else PAGED if args.paged else PATTERNS)))
    opts += f" {CHECK}" * args.checked + f" {PAGING}" * args.paged
    results, bad = tool.judge(names, opts=opts)
    if args.paged:
        bad += [f"{r.package}: nothing came back from swap" for r in results.values() if not swapins(r)]
    if not (args.patterns or args.checked or args.paged):
        with tempfile.TemporaryDirectory() as d:
            host, guest = compile_both("text/tabwriter", Path(d), opts)
        if host != guest:
            bad.append("the compiler's object is another one in the guest than on the host")
    for line in bad:
        print(line)
    print(tool.totals(results.values()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
