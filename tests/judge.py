"""``python -m tests.judge [--jobs N]``: what a change of kernel/ breaks or changes, the fastest way to find out first.

Prints a line for each part and, of what is not as it was, a few lines in the kernel's own words. Exit status 0 if
nothing is, 1 if something is. ``p9emu judge`` runs it, in a copy of the tree if it was given a patch.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SHOWN: Final = 6  # findings of a part
PATIENCE: Final = 300.0  # seconds for a part: what takes longer does not end
MUTANTS: Final = 8  # are hunted at most
TROUBLE: Final = 2

Findings = list[str]


def loads() -> Findings:
    """The kernel can be imported, and a program starts and ends."""
    from emu import run

    r = run("hello")
    return [] if (r.status, r.text) == (0, "hello, world\n") else [f"hello ends with {r.status}: {r.exits}{r.text}"]


def vectors() -> Findings:
    """What the original C did, operation by operation."""
    from tests.vectors.replay import replay

    files = sorted((ROOT / "tests" / "vectors").glob("*.jsonl.gz"))
    return [str(d) for path in files for d in replay(path).differences]


def faults() -> Findings:
    """The page faults of the real 9front kernel."""
    from tests.realfaults import REAL, replayfile

    return [bad for path in sorted(REAL.glob("*.json")) for bad in replayfile(path, REAL / "guests")[1]]


def golden() -> Findings:
    """Whole traces: the first event of each that is another, and how many of which kinds there are now."""
    from emu.observe.jsonl import dumps
    from tests.e2e.harness import jsontrace
    from tests.e2e.test_golden import GOLDEN

    found = []
    for path in sorted(GOLDEN.glob("*.jsonl")):
        program, _, cpus = path.name.removesuffix(".jsonl").rpartition(".")
        old = path.read_text().splitlines()
        new = jsontrace(*program.split("-"), cpus=int(cpus)).splitlines()
        first = next(((a, b) for a, b in zip_longest(old, new) if a != b), None)
        if first is None:
            continue
        a, b = (json.loads(line) if line else {} for line in first)
        differs = {k: v for k, v in b.items() if a.get(k) != v} if a.get("event") == b.get("event") else b
        before = {k: a.get(k) for k in differs} if a.get("event") == b.get("event") else a
        counts = changes(_kinds(old), _kinds(new))
        where = f"{program.replace('-', ' ')} on {cpus}: {b.get('event', a.get('event'))} of pid {b.get('pid')}"
        found.append(f"{where}: was {dumps(before)}, is {dumps(differs)}{f'; in all {counts}' if counts else ''}")
    return found


def _kinds(lines: Sequence[str]) -> Counter[str]:
    """Events by kind, and what they say was done."""
    objs = map(json.loads, lines)
    return Counter(f"{o['event']} {o.get('class') or o.get('op') or o.get('name') or ''}".rstrip() for o in objs)


def changes(old: Counter[str], new: Counter[str]) -> str:
    """``fault cow-copy 4 -> 5`` for each count that is another."""
    return ", ".join(f"{k} {old[k]} -> {new[k]}" for k in sorted(old | new) if old[k] != new[k])


def invariants() -> Findings:
    """Random programs, in the kernel's order and in others, with all structures compared at each step."""
    return [said for catcher in ("workload", "explore") if (said := _hunt(catcher)) is not None]


def mutants() -> Findings:
    """The deliberate mistakes: those that fit no longer, and whether those in changed functions are caught."""
    from tests.quality.mutants import MUTANTS as ALL

    found, hunted = [], 0
    changed = set(changed_names())
    for m in ALL:
        try:
            m.source()
        except (ValueError, OSError) as e:
            found.append(f"the mutant {e}: write it anew (tests/quality/mutants.py)")
            continue
        if f"{m.module}:{m.function}" in changed and hunted < MUTANTS:
            hunted += 1
            if _hunt(m.caught[0], m.name) is None:
                found.append(f"the mutant {m.name} ({m.function}) is not caught by {m.caught[0]} any more")
    return found


def _hunt(catcher: str, *mutant: str) -> str | None:
    """What a catcher says against the kernel, or a mutant of it; None if nothing."""
    command = [sys.executable, "-m", "tests.quality.hunt", catcher, *mutant]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{catcher}: {(done.stdout or done.stderr).strip()}"


def _pytest(*words: str) -> Findings:
    """The tests that fail, with what they say."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *words]
    env = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", done.stdout, flags=re.MULTILINE)
    return failed or ([] if done.returncode == 0 else [done.stdout.strip().rpartition("\n")[2] or done.stderr.strip()])


def units() -> Findings:
    """The functions, each by itself."""
    return _pytest("tests/kernel", "-m", "not slow", "--ignore=tests/kernel/memory/test_properties.py")


def guests() -> Findings:
    """Every bundled program, with little memory, on several processors, all invariants checked."""
    return _pytest("tests/e2e/test_every_guest.py")


PARTS: Final[dict[str, Callable[[], Findings]]] = {
    f.__name__: f for f in (loads, vectors, faults, golden, mutants, invariants, guests, units)
}


def names(source: str) -> dict[str, str]:
    """Functions and other names that a module defines, classes' as ``Class.name``, each with what it is."""

    def walk(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
        for node in body:
            match node:
                case ast.ClassDef():
                    yield from walk(node.body, f"{prefix}{node.name}.")
                case ast.FunctionDef():
                    yield f"{prefix}{node.name}", ast.dump(node)
                case ast.Assign() | ast.AnnAssign():
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    yield f"{prefix}{ast.unparse(target)}", ast.dump(node)

    return dict(walk(ast.parse(source).body, ""))


def changed_names() -> list[str]:
    """``module:name`` of what is not as in the last commit; where there is no git, nothing."""
    command = ["git", "diff", "--name-only", "--no-renames", "HEAD", "--", "kernel", "emu", "guest"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = []
    for path in done.stdout.splitlines() if done.returncode == 0 else ():
        if not path.endswith(".py"):
            continue
        was = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, check=False)
        try:
            old = names(was.stdout)
            new = names((ROOT / path).read_text()) if (ROOT / path).exists() else {}
        except SyntaxError:
            continue  # loading it tells more
        module = path.removesuffix(".py").replace("/", ".")
        found += [f"{module}:{n}" for n in sorted(old.keys() | new.keys()) if old.get(n) != new.get(n)]
    return found


@dataclass
class Verdict:
    """What a part found, and how long it took in seconds."""

    part: str
    findings: Findings
    took: float

    def __str__(self) -> str:
        what = " ".join(str(PARTS[self.part].__doc__).partition(":")[0].rstrip(".").split())
        line = f"{'ok' if not self.findings else 'CHANGED':<8} {self.part:<11} {what}"
        more = len(self.findings) - SHOWN
        told = [f"         {finding}" for finding in self.findings[:SHOWN]]
        return "\n".join([line, *told, *([f"         ... and {more} more"] if more > 0 else [])])


def judged(part: str) -> Verdict:
    """Run a part in a process of its own, so that nothing of it can hold up the others."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.judge", "--part", part]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return Verdict(part, [f"does not come to an end in {PATIENCE:.0f} s"], PATIENCE)
    try:
        findings = json.loads(done.stdout.rpartition("\n")[2])
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        findings = [said[-1]]
    return Verdict(part, findings, time.monotonic() - began)


def main(argv: Sequence[str]) -> int:
    """All parts, or one."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parts at a time")
    args = parser.parse_args(argv)
    if args.part:
        sys.stdout.write(json.dumps(PARTS[args.part]()))
        return 0
    changed = changed_names()
    print("changed: " + (", ".join(changed) if changed else "nothing, beside the last commit"), flush=True)
    verdicts = [judged("loads")]
    print(verdicts[0], flush=True)
    rest = [part for part in PARTS if part != "loads" and (not args.only or part in args.only)]
    if not verdicts[0].findings:
        with ThreadPoolExecutor(max(1, args.jobs)) as pool:
            for verdict in pool.map(judged, rest):
                verdicts.append(verdict)
                print(verdict, flush=True)
    bad = [v.part for v in verdicts if v.findings]
    print(f"verdict: {'not as it was: ' + ', '.join(bad) if bad else 'as it was, as far as is looked at'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
