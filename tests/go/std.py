"""``python -m tests.go.std [PATTERN...]``: packages of Go's standard library, tested with `go test` itself.

p9emu's options come from P9EMU_OPTS. Exit status 1 if a test failed that is not in go_known_failures.toml, or one
that is there passed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.go import tool
from tests.go.host import compile_both

PATTERNS = (
    "errors", "sort", "slices", "maps", "strings", "bytes", "strconv", "unicode/...", "container/...", "math/...",
    "bufio", "io/...", "fmt", "text/...", "path/...", "regexp/...", "encoding/...", "hash/...", "compress/...",
    "archive/...", "crypto/sha256", "crypto/md5", "crypto/aes", "go/parser", "go/ast", "go/format",
    "index/suffixarray", "html/...", "image/...", "log", "flag", "context", "sync/...", "time", "os", "os/exec",
    "os/signal", "runtime", "runtime/debug", "testing/...", "reflect",
)  # fmt: skip


def main(patterns: list[str]) -> int:
    """The command."""
    names = tool.packages(*(patterns or PATTERNS))
    results, bad = tool.judge(names)
    if not patterns:
        with tempfile.TemporaryDirectory() as d:
            host, guest = compile_both("text/tabwriter", Path(d), os.environ.get("P9EMU_OPTS", ""))
        if host != guest:
            bad.append("the compiler's object is another one in the guest than on the host")
    for line in bad:
        print(line)
    print(tool.totals(results.values()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
