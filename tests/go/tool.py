"""The go command, and what its ``go test -json`` says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from emu.bench.gotests import LINUX as LINUX
from emu.bench.gotests import OWN
from emu.bench.gotests import PLAN9 as PLAN9

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).parent.parent / "go_known_failures.toml"


def scripts() -> str:
    """Where the go command and go_plan9_386_exec are installed."""
    return sysconfig.get_path("scripts")


def environ(target: Mapping[str, str] = PLAN9, opts: str | None = None) -> dict[str, str]:
    """The environment to run the go command in, with P9EMU_OPTS if ``opts`` is given."""
    env = {**os.environ, **OWN, **target}
    env["PATH"] = scripts() + os.pathsep + env["PATH"]
    if opts is not None:
        env["P9EMU_OPTS"] = opts
    return env


def go(
    *args: str, target: Mapping[str, str] = PLAN9, opts: str | None = None, cwd: str | Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the go command to its end."""
    return subprocess.run(
        [os.path.join(scripts(), "go"), *args],
        env=environ(target, opts),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


@cache
def goroot() -> str:
    """The root of the Go tree."""
    return os.path.realpath(go("env", "GOROOT").stdout.strip())


@cache
def packages(*patterns: str) -> tuple[str, ...]:
    """Names of the packages that have tests for plan9/386, in order."""
    done = go("list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", *patterns)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(sorted(filter(None, done.stdout.split())))


@dataclass
class Result:
    """One package: how it ended, in how many seconds, its tests, and what was printed."""

    package: str
    action: str = "fail"  # pass, fail, skip
    seconds: float = 0.0
    tests: dict[str, str] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)

    def count(self, action: str) -> int:
        """How many top-level tests and examples ended so."""
        return sum(a == action for name, a in self.tests.items() if "/" not in name)


def run_tests(
    names: Sequence[str], *flags: str, target: Mapping[str, str] = PLAN9, opts: str | None = None
) -> dict[str, Result]:
    """``go test`` of these packages, by name."""
    done = go(
        "test", "-json", "-short", "-vet=off", "-count=1", "-timeout=30m", *flags, *names, target=target, opts=opts
    )
    results = {name: Result(name) for name in names}
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        action, package = event["Action"], event.get("Package") or event.get("ImportPath", "").split(" ")[0]
        r = results.setdefault(package, Result(package))
        if action in ("output", "build-output"):
            r.output.append(event["Output"])
        elif action in ("pass", "fail", "skip"):
            if "Test" in event:
                r.tests[event["Test"]] = action
            else:
                r.action, r.seconds = action, event.get("Elapsed", 0.0)
    if done.returncode and all(r.action != "fail" for r in results.values()):
        raise RuntimeError(done.stderr or done.stdout)
    return results


@dataclass(frozen=True)
class Known:
    """A single test that fails, and why. ``cpus``: one that does not end in good time with so many processors."""

    package: str
    test: str
    reason: str
    cpus: tuple[int, ...] = ()

    @property
    def pattern(self) -> str:
        """For -run and -skip."""
        return "/".join(f"^{part}$" for part in self.test.split("/"))


def known() -> list[Known]:
    """The known failures."""
    data = tomllib.loads(KNOWN.read_text())
    return [Known(**entry) for entry in data["failure"]]


def hopeless() -> dict[str, str]:
    """Packages that cannot pass as a whole, and why."""
    data = tomllib.loads(KNOWN.read_text())
    return {entry["package"]: entry["reason"] for entry in data["package"]}


def expected(package: str, opts: str | None = None) -> list[Known]:
    """The known failures of a package with these options, or with P9EMU_OPTS."""
    asked = re.search(r"--cpus[ =](\d+)", os.environ.get("P9EMU_OPTS", "") if opts is None else opts)
    cpus = int(asked[1]) if asked else 1
    return [k for k in known() if k.package == package and (not k.cpus or cpus in k.cpus)]


def run_rest(package: str, *flags: str, opts: str | None = None) -> Result:
    """Test one package without its known failures, which count as failed."""
    entries = expected(package, opts)
    skip = ("-run=.", "-skip=" + "|".join(k.pattern for k in entries)) if entries else ()
    r = run_tests([package], *skip, *flags, opts=opts)[package]
    r.tests |= {k.test: "fail" for k in entries if not k.cpus}
    return r


def judge(
    names: Sequence[str], opts: str | None = None, flags: Sequence[str] = ()
) -> tuple[dict[str, Result], list[str]]:
    """Test these packages; their results, and a line for each thing that is not as it should be.

    Known failures are left out, and then run one by one: each must fail.
    """
    bad = []
    excepted = [n for n in names if expected(n, opts)]
    others = [n for n in names if n not in excepted]
    results = run_tests(others, *flags, opts=opts) if others else {}
    for package in excepted:
        results[package] = run_rest(package, *flags, opts=opts)
        for k in expected(package, opts):
            if not k.cpus and run_tests([package], f"-run={k.pattern}", *flags, opts=opts)[package].action == "pass":
                bad.append(f"{package}: {k.test} passes, but {KNOWN.name} says that it fails")
    bad += [complaint(r) for r in results.values() if r.action == "fail"]
    return results, bad


def complaint(r: Result) -> str:
    """Which tests of a package failed, and the end of what it printed."""
    failed = [name for name, action in r.tests.items() if action == "fail"]
    return f"{r.package}: {', '.join(failed) or 'failed'}\n" + "".join(r.output[-40:])


def totals(results: Iterable[Result]) -> str:
    """One line of figures."""
    rs = list(results)
    tests = {a: sum(r.count(a) for r in rs) for a in ("pass", "skip", "fail")}
    return (
        f"{len(rs)} packages, {tests['pass']} tests passed, {tests['skip']} skipped, "
        f"{tests['fail']} known to fail, {sum(r.seconds for r in rs):.0f} s"
    )
