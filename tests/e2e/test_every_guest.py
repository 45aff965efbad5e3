"""Every bundled program on 1, 2 and 4 processors with all invariants checked, and where memory is short.

A program is missing in no list: each has its arguments here, or the reason why it takes none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guest.catalog import CATALOG
from tests.e2e.harness import run

M = 1 << 20

# Small arguments; the exit string is empty.
GOOD = {
    "agewalk": "200 20", "alarm": "", "blocks": "16 1000", "brk": "5", "build": "2", "cachefs": "20",
    "cat": "/dev/drivers", "cons": "churn 5", "cow": "5", "devswap": "", "dirs": "", "echo": "x", "exec": "echo x",
    "files": "stat 5 /bin/files", "forkbomb": "5",
    "fp": "", "fs9p": "2", "fuzz": "1 20", "group": "", "hello": "", "interrupt": "", "memrace": "shrink 5",
    "mhead": "20", "notes": "", "ns": "", "pingpong": "5", "pipe": "5", "pressure": "100 2 1", "procfs": "",
    "pwd": "", "read": "10", "segs": "", "selfmod": "", "sema": "3", "shm": "4", "shootdown": "2", "sieve": "100",
    "spin": "5", "stack": "5", "stopstart": "3", "stopwait": "3", "stream": "tcp 8192 20", "swapfork": "200",
    "syscalls": "20", "tcpecho": "5 2", "text": "10", "textpressure": "20 1", "thrash": "200 1", "tinyrc": "-c true",
    "touch": "10", "true": "", "udpecho": "5", "unionbind": "5", "wc": "/dev/drivers", "wired": "5",
}  # fmt: skip

# These end with a status of their own.
BAD = {
    "badop": "sys: trap: invalid opcode", "dial": "dial 2: tcp!localhost!echo: connection refused",
    "div0": "sys: trap: divide error", "false": "false 2: x",
    "nil": "sys: trap: fault read addr=0x0", "rotext": "sys: trap: fault write addr=0x1020",
    "wild": "sys: trap: fault read addr=0xdead0000",
}  # fmt: skip

ARGS = {**GOOD, "dial": "tcp!localhost!echo", "false": "x", "wild": "dead0000"}
ELSEWHERE = {
    "swapfull": "test_swap.py", "usertests": "test_command.py",  # too long for here
    "edges": "test_variants.py", "killbig": "test_variants.py", "pipeflow": "test_variants.py",
    "sparse": "test_variants.py", "tprof": "test_variants.py",  # the kernel as it is fails them
}  # fmt: skip
CHECKED = {
    "test_guests.py": "brk cow forkbomb pingpong pipe read segs selfmod sema shm spin stack syscalls text touch",
    "test_notes.py": "alarm fp group interrupt notes",
    "test_ns.py": "cachefs dirs fs9p ns",
    "test_procfs.py": "procfs",
}  # on 1, 2 and 4 processors, with all invariants
TWICE = {name for names in CHECKED.values() for name in names.split()}


def test_none_is_missing() -> None:
    assert {g.name for g in CATALOG} == GOOD.keys() | BAD.keys() | ELSEWHERE.keys()
    for file, names in {**CHECKED, **{file: name for name, file in ELSEWHERE.items()}}.items():
        text = (Path(__file__).parent / file).read_text()
        assert "cpus" in text
        assert [name for name in names.split() if name not in text] == []


def ended(name: str, exits: str) -> bool:
    """As it should."""
    return BAD[name] in exits if name in BAD else exits == ""


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("name", sorted((GOOD.keys() | BAD.keys()) - TWICE))
def test_with_every_invariant_checked(name: str, cpus: int) -> None:
    r = run(name, *ARGS.get(name, "").split(), cpus=cpus, memory=8 * M, swap=8 * M, timeout=60)
    assert ended(name, r.outcome.exits), r.outcome.exits


@pytest.mark.parametrize("name", sorted(GOOD | BAD))
def test_where_memory_is_short(name: str) -> None:
    """Another process has nearly all there is: the pager has to find room."""
    r = run("cons", "hog", "360", name, *ARGS.get(name, "").split(), memory=4 * M, swap=32 * M, check=False, timeout=60)
    assert ended(name, r.outcome.exits), r.outcome.exits
    assert r.outcome.stats.page_outs > 0
