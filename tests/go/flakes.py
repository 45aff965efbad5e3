"""``python -m tests.go.flakes [PACKAGE...]``: the same tests many times over, each time another run.

Equal options give equal runs, so the seed, the number of processors and the scheduler are varied: run N has seed N, 1,
2 or 4 processors, and every fifth the exploring scheduler. Each package is built once. Exit status 1 if a run failed;
it is printed with the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.go import tool

PACKAGES = ("sync", "os/exec", "net", "net/http/httptest", "runtime")
CPUS = (1, 2, 4)
EXPLORED = 5
# Tests of runtime that need seconds each, by computing or by spinning: the others make more system calls.
SLOW = {
    "runtime": "TestParallelRWMutexReaders|TestGoroutineParallelism|TestFreegc|TestStackGrowth|TestUserArena|"
    "TestMemmove|TestRuntimeLockMetricsAndProfile|TestMapIterDuplicate|TestDeferPtrs|TestNoShrinkStackWhileParking|"
    "TestMapIterDeleteReplace|TestConcurrentReadsAfterGrowthReflect|TestSmhasherSanity|TestGCTestMoveStackOnNextCall"
}


def options(run: int, first: int) -> str:
    """p9emu's options for one run."""
    sched = " --sched random" if run % EXPLORED == EXPLORED - 1 else ""
    return f"--seed {first + run} --cpus {CPUS[run % len(CPUS)]}{sched}"


def skipped(package: str) -> str:
    """What -test.skip leaves out: the known failures and what is slow."""
    patterns = [k.pattern for k in tool.known() if k.package == package]
    return "|".join([*patterns, *filter(None, [SLOW.get(package)])])


def build(package: str, directory: Path) -> tuple[Path, str]:
    """The package's test binary, and the directory to run it in."""
    binary = directory / (package.replace("/", "-") + ".test")
    done = tool.go("test", "-c", "-vet=off", "-o", str(binary), package)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return binary, tool.go("list", "-f", "{{.Dir}}", package).stdout.strip()


def attempt(binary: Path, cwd: str, skip: str, opts: str) -> str | None:
    """Run it; the end of what it printed if it failed."""
    flags = ["-test.short", "-test.run=.", f"-test.skip={skip}"]
    command = [os.path.join(tool.scripts(), "go_plan9_386_exec"), str(binary), *flags]
    done = subprocess.run(
        command,
        env=tool.environ(opts=f"{opts} --timeout 600"),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return None if done.returncode == 0 and re.search(r"^PASS$", done.stdout, re.M) else done.stdout[-6000:]


def main(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.go.flakes")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    args = parser.parse_args(argv)
    failed = 0
    with tempfile.TemporaryDirectory() as d:
        for package in args.packages:
            binary, cwd = build(package, Path(d))
            for run in range(args.runs):
                opts = options(run, args.first)
                output = attempt(binary, cwd, skipped(package), opts)
                if output is not None:
                    failed += 1
                    print(
                        f"{output}\nP9EMU_OPTS='{opts}' go test -short -skip '{skipped(package)}' {package}", flush=True
                    )
            print(f"{package}: {args.runs} runs", flush=True)
    print(f"{failed} runs failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
