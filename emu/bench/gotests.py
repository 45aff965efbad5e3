"""Tests of Go's standard library, here and on qemu-i386: p9emu bench --go.

The go command builds each package's test binary for plan9/386 and for linux/386; what is measured is the binary with
-test.short in the package's directory, after one run that warms the host's cache.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from emu.bench.ratio import ratios
from emu.bench.rivals import QEMU
from emu.bench.startup import compiling, used
from emu.failure import Failure

PACKAGES: Final = ("sort", "strings", "bytes", "strconv", "fmt")
EXEC: Final = (sys.executable, "-c", "from emu.cli.go import main; main()")
PLAN9: Final = {"GOOS": "plan9", "GOARCH": "386"}
LINUX: Final = {"GOOS": "linux", "GOARCH": "386", "CGO_ENABLED": "0"}
OWN: Final = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": ""}  # the go command that is there, no other
# The signals by which Go preempts crash qemu-i386; p9emu has one processor too.
NOSIGNALS: Final = {"GODEBUG": "asyncpreemptoff=1", "GOMAXPROCS": "1"}
LIMITED: Final = ("timeout", "-s", "KILL", "120", QEMU)  # now and then it hangs, threads waiting for each other
TRIES: Final = 3
HELLO: Final = "hello"  # a program that prints one line: what starting costs
SOURCE: Final = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
NOGO: Final = "--go needs the go command: install p9emu[go]"


@dataclass(frozen=True)
class Gotest:
    """Processor seconds of a package's tests, and the ratio to qemu-i386 if that is there."""

    package: str
    seconds: float
    qemu: float | None
    ratio: float | None
    lowest: float | None
    highest: float | None


def gocommand() -> str:
    """The go command: the one of this installation, else the first on PATH. Raises Failure."""
    own = os.path.join(sysconfig.get_path("scripts"), "go")
    found = own if os.access(own, os.X_OK) else shutil.which("go")
    if found is None:
        raise Failure(NOGO, 1)
    return found


def environ(more: Mapping[str, str], base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for the go command and for what it has built."""
    env = {**base, **OWN, **more}
    return {k: v for k, v in env.items() if k != "P9EMU_OPTS"}


def go(*args: str, target: Mapping[str, str]) -> str:
    """Run the go command; what it prints. Raises Failure."""
    done = subprocess.run(
        [gocommand(), *args], env=environ(target), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failure(f"go {' '.join(args)}: {done.stderr.strip()}", 1)
    return done.stdout


def tests(
    packages: Sequence[str],
    root: str,
    directory: str,
    command: Sequence[str],
    target: Mapping[str, str],
    base: Mapping[str, str],
) -> dict[str, Callable[[], float]]:
    """Build tests into the directory; for each package what runs them by the command and tells processor seconds."""

    def runner(package: str) -> Callable[[], float]:
        binary = os.path.join(directory, f"{package.replace('/', '_')}.{target['GOOS']}")
        go("test", "-c", "-o", binary, package, target=target)
        return lambda: used([*command, binary, "-test.short"], within, os.path.join(root, "src", package)).seconds

    within = environ({"GOROOT": root}, base)
    return {package: runner(package) for package in packages}


def hello(directory: str, target: Mapping[str, str]) -> str:
    """Build a program that prints one line; where it is."""
    source, binary = (os.path.join(directory, f"{HELLO}.{end}") for end in ("go", target["GOOS"]))
    with open(source, "w") as f:
        f.write(SOURCE)
    go("build", "-o", binary, source, target=target)
    return binary


def greeting(
    root: str, directory: str, command: Sequence[str], target: Mapping[str, str], base: Mapping[str, str]
) -> Callable[[], float]:
    """As tests(), for that program."""
    binary, within = hello(directory, target), environ({"GOROOT": root}, base)
    return lambda: used([*command, binary], within, directory).seconds


def measure(rounds: int, packages: Sequence[str] = PACKAGES) -> list[Gotest]:
    """Rows for a program that prints one line, for each package, and the total of these. Raises Failure."""
    root = os.path.realpath(go("env", "GOROOT", target=PLAN9).strip())
    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as directory:
        here = root, directory, EXEC, PLAN9, compiling(os.path.join(directory, "cache"))
        there = root, directory, LIMITED, LINUX, os.environ | NOSIGNALS
        found = shutil.which(QEMU) is not None
        ours = tests(packages, *here)
        theirs = {name: retried(run) for name, run in tests(packages, *there).items()} if found else None
        first = table({HELLO: greeting(*here)}, {HELLO: retried(greeting(*there))} if found else None, rounds)
        return [*first[:1], *table(ours, theirs, rounds)]


def retried(run: Callable[[], float]) -> Callable[[], float]:
    """The same, tried again if it fails. Raises what the last try raises."""

    def tries() -> float:
        for _ in range(TRIES - 1):
            try:
                return run()
            except RuntimeError:
                pass
        return run()

    return tries


def table(
    ours: Mapping[str, Callable[[], float]], theirs: Mapping[str, Callable[[], float]] | None, rounds: int
) -> list[Gotest]:
    """Measure by turns."""
    here: dict[str, list[float]] = {}
    there: dict[str, list[float]] = {}
    for name, run in ours.items():
        other = theirs[name] if theirs else None
        for n in range(rounds + 1):
            seconds = run(), other() if other else 0.0
            if n:
                here.setdefault(name, []).append(seconds[0])
                there.setdefault(name, []).append(seconds[1])
    here["total"] = [sum(times) for times in zip(*here.values(), strict=True)]
    there["total"] = [sum(times) for times in zip(*there.values(), strict=True)]
    return [row(name, here[name], there[name] if theirs else None) for name in here]


def row(name: str, here: Sequence[float], there: Sequence[float] | None) -> Gotest:
    """Medians, and the ratios of the rounds."""
    if there is None:
        return Gotest(name, median(here), None, None, None, None)
    return Gotest(name, median(here), median(there), *ratios(here, there))
