"""Any debugger's doing, and the run is the same: stops, steps, watches and asked memory at random, in many guests."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from emu.debug.server import Server
from emu.machine.config import Config
from emu.machine.machine import Machine
from emu.program.aout import load
from emu.program.find import resolve
from tests.emu.debug.scripted import Console, Talk, ask, debug, field

pytestmark = pytest.mark.guest

GUESTS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("cow", "5"), {}),
    (("shm", "3"), {}),
    (("pipe", "20"), {}),
    (("sema", "20"), {}),
    (("notes",), {}),
    (("notes",), {"mmu": "plain"}),
    (("selfmod",), {}),
    (("exec", "/bin/cow", "2"), {}),
    (("segs",), {}),
    (("alarm",), {}),
    (("pingpong", "20"), {"cpus": 2}),
    (("swapfork", "20"), {"memory": 4 << 20, "swap": 4 << 20}),
    (("text", "3"), {}),
    (("group",), {}),
    (("stack", "4"), {"cpus": 2, "sched": "random", "seed": 2}),
)
STEPS = 80


def mischief(rng: random.Random, server: Server, addresses: list[int]) -> Talk:
    """So many things that gdb might want, then to the end."""
    pid = 2
    for _ in range(STEPS):
        what = rng.randrange(8)
        if pid not in server.session.attached:
            pid = next(iter(server.session.attached), 0)
            if not pid:
                break
            yield b"Hgp%x.%x" % (pid, pid)
        if what < 3:
            reply = yield from ask(b"vCont;s:p%x.%x" % (pid, pid))
        elif what == 3:
            reply = yield from ask(b"vCont;r%x,%x:p%x.%x" % (0x1020, 0x1020 + rng.randrange(512), pid, pid))
        elif what == 4:
            yield b"Z%d,%x,1" % (rng.randrange(2), rng.choice(addresses))
            continue
        elif what == 5:
            kind = rng.choice((2, 3, 4))
            sp = server.session.attached[pid].regs.sp  # type: ignore[union-attr]
            addr = rng.choice((0x3000, 0x4000, sp & ~3, sp - 4 & ~3))
            if len(server.session.watches.all) < 2:
                yield b"Z%d,%x,4" % (kind, addr)
            else:
                server.session.watches.all.clear()
            yield b"m%x,40" % addr
            continue
        elif what == 6:
            for key in list(server.session.breaks):
                if rng.randrange(2):
                    yield b"z0,%x,1" % key[1]
                    yield b"z1,%x,1" % key[1]
            yield b"g"
            continue
        else:
            reply = yield from ask(b"vCont;c")
        told = field(reply, "thread")
        if told:
            pid = int(told.partition(".")[0][1:], 16)
    yield b"D"


@pytest.mark.parametrize(("words", "options"), GUESTS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_the_run_is_the_same(words: tuple[str, ...], options: dict[str, Any]) -> None:
    console = Console()
    with closing(Machine(Config(**options), console=console)) as machine:
        expected = machine.run(words[0], words[1:])
    addresses = [s.value for s in load(resolve(words[0])).functions]
    for seed in range(1):
        rng = random.Random(f"{words} {seed}")

        def talk(server: Server, rng: random.Random = rng) -> Talk:
            return mischief(rng, server, addresses)

        result = debug(*words, talk=talk, **options)
        assert result.outcome is not None
        assert result.written == console.written
        assert replace(result.outcome.stats, host_seconds=0) == replace(expected.stats, host_seconds=0)
        assert result.outcome.status == expected.status
