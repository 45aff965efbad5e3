"""Under which headings --help lists commands, and the options that commands have in common."""

from typing import Final

import click

SECTIONS: Final = {
    "Run programs": ("run", "shell", "guests", "cc", "changes"),
    "See what happens": ("trace", "view", "report", "top", "mrc", "diff"),
    "Stop and ask": ("debug", "gdb", "elf"),
    "Keep a run": ("record", "replay"),
    "Find races, change the kernel": ("explore", "variants", "judge"),
    "Look into programs": ("info", "disasm"),
    "Measure": ("bench",),
}

SHARED: Final = {
    "Machine": ("--memory", "--cpus", "--swap", "--swap-file", "--net", "--counter", "--mmu"),
    "Files and environment": ("--tree", "--user", "--root", "--bind", "--changes", "--env", "--cwd"),
    "Time and chance": ("--seed", "--clock", "--epoch", "--timeout"),
    "Kernel": ("--check", "--fault-inject", "--original", "--fix", "--pagecache", "--pageout", "--note-fp"),
    "Orders of events": ("--sched", "--points", "--lock-order", "--lockset"),
    "What is told": ("--stats", "--color", "--verbose"),
}
LEAST: Final = 8  # shared options from which on headings help


def sections(names: list[str]) -> dict[str, list[str]]:
    """Commands by heading; those that have none are others."""
    found = {heading: [n for n in some if n in names] for heading, some in SECTIONS.items()}
    known = {n for some in SECTIONS.values() for n in some}
    found["Others"] = [n for n in names if n not in known]
    return {heading: some for heading, some in found.items() if some}


def headed(params: list[click.Option]) -> dict[str, list[click.Option]]:
    """Options by heading: a command's own come first, then those that it shares with others, if they are many."""
    heading = {opt: h for h, opts in SHARED.items() for opt in opts}
    of = [next((heading[o] for o in p.opts if o in heading), "Options") for p in params]
    if sum(h != "Options" for h in of) < LEAST:
        return {"Options": params}
    return {
        h: some for h in ("Options", *SHARED) if (some := [p for p, its in zip(params, of, strict=True) if its == h])
    }
