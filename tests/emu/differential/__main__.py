"""The command: ``python -m tests.emu.differential``."""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.emu.differential import host
from tests.emu.differential.run import RECORDS, Report, chunk, compare, numbers, record, recorded

CHUNK: Final = 2000  # sequences that a worker runs at a time


def main() -> int:
    """Exit status 1 if anything is unexplained."""
    parser = argparse.ArgumentParser(
        prog="tests.emu.differential", description="Compare with this computer's processor."
    )
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--record", action="store_true", help="write recorded.bin")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as tmp:
        program = host.build(Path(tmp))
        total = Report()
        if options.record and program is not None:
            record(program)
            return 0
        if program is None:
            print("this computer runs no 32-bit programs: compared with what was recorded", file=sys.stderr)
            options.sequences = 0
            total = compare(numbers("recorded", 0, RECORDS), recorded())
        jobs = [
            (str(program), options.seed, start, min(CHUNK, options.sequences - start))
            for start in range(0, options.sequences, CHUNK)
        ]
        # No Pool, which waits for ever if a worker is killed
        with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
            for report in pool.map(chunk, jobs):
                total.add(report)
    for line in total.unexplained:
        print(line)
    for what, n in total.known.most_common():
        print(f"{n:7} {what}")
    print(
        f"{total.sequences} sequences, {total.differ} differ, {len(total.unexplained)} unexplained, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if total.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
