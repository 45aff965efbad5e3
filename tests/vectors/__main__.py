"""``python -m tests.vectors FILE...``: replay vector files on this kernel.

Exit status 0 if nothing differs, 1 if something does, 2 for a usage error or an unreadable file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.vectors.replay import Unreadable, replay

USAGE = "usage: python -m tests.vectors [-a] FILE...   (-a: the first difference of every sequence)"


def main(argv: list[str]) -> int:
    """Replay the files and print what came of each; the exit status."""
    everything = argv[:1] == ["-a"]
    files = argv[everything:]
    if not files or files[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    status = 0
    for name in files:
        start = time.perf_counter()
        try:
            report = replay(Path(name))
        except Unreadable as e:
            print(e, file=sys.stderr)
            return 2
        bad = report.differences
        verdict = f"{len(bad)} sequences differ" if bad else "all alike"
        seconds = time.perf_counter() - start
        print(f"{name}: {report.sequences} sequences, {report.operations} operations, {verdict} ({seconds:.1f} s)")
        for d in bad if everything else bad[:1]:
            print(f"  {d}")
        if bad:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
