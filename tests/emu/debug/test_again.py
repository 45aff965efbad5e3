"""Whatever a debugger does, and changes, on the way on: from the beginning, the same stops come again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from emu.program.aout import load
from emu.program.find import resolve
from tests.emu.debug.scripted import field
from tests.emu.debug.test_back import SUPPORTED, Debugger, debugged

pytestmark = pytest.mark.guest

GUESTS = (
    ("cow", "3"),
    ("shm", "2"),
    ("--cpus", "2", "--sched", "random", "--seed", "3", "pingpong", "5"),
    ("notes",),
    ("--clock", "real", "pipe", "5"),
    ("exec", "/bin/cow", "2"),
    ("-m", "4M", "--swap", "4M", "swapfork", "20"),
)
STOPS = 25


def asked(rng: random.Random, pid: int, addresses: list[int]) -> tuple[bytes, bool]:
    """A packet, and whether a stop answers it."""
    what = rng.randrange(24)
    if what < 14:
        return b"vCont;s:p%x.%x" % (pid, pid), True
    if what == 14:
        return b"vCont;c", True
    if what < 18:
        return b"Z0,%x,1" % rng.choice(addresses), False
    if what == 18:
        return b"Z2,%x,4" % rng.choice((0x3000, 0x4000)), False
    if what < 22:
        return b"P%x=%08x" % (rng.choice((1, 2, 3, 6, 7)), rng.getrandbits(3)), False
    return b"M%x,4:0%d000000" % (rng.choice((0x3000, 0x4000, 0x5000)), rng.randrange(9)), False


def stop(d: Debugger, reply: bytes) -> tuple[bytes, ...]:
    """What can be told of it."""
    pid = field(reply, "thread").partition(".")[0][1:]
    memory = d.ask(b"m3000,40") + d.ask(b"m4000,40")
    return reply, pid.encode(), d.ask(b"g"), d.monitor("time").encode(), memory


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("words", GUESTS, ids=" ".join)
def test_the_same_stops_come_again(words: tuple[str, ...], seed: int, tmp_path: Path) -> None:
    rng = random.Random(f"{words} {seed}")
    name = next(w for w in words if not w.startswith("-") and resolvable(w))
    addresses = [s.value for s in load(resolve(name)).functions]
    with debugged(tmp_path, *words) as d:
        d.ask(SUPPORTED + b";fork-events+")
        packets: list[bytes] = []
        stops: list[tuple[bytes, ...]] = []
        pid = 2
        while len(stops) < STOPS:
            packet, stopping = asked(rng, pid, addresses)
            packets.append(packet)
            if not stopping:
                d.ask(packet)
                continue
            reply = d.go(packet)
            if not reply.startswith(b"T"):
                packets.pop()
                break
            stops.append(stop(d, reply))
            pid = int(stops[-1][1], 16)
            d.ask(b"Hgp%x.%x" % (pid, pid))
        if reply.startswith(b"T"):
            for one in {2, *(int(s[1], 16) for s in stops)}:
                if d.ask(b"Hgp%x.%x" % (one, one)) == b"OK":
                    for packet in {p for p in packets if p.startswith(b"Z")}:
                        d.ask(b"z" + packet[1:])
            while b"replaylog" not in d.go(b"bc"):
                pass
            for pid in range(3, 16):
                d.ask(b"D;%x" % pid)  # it will be told of once more
            d.ask(b"Hgp2.2")
            came = []
            for packet in packets:
                if packet.startswith((b"P", b"M")):
                    continue
                if packet.startswith(b"Z"):
                    d.ask(packet)
                    continue
                reply = d.go(packet)
                came.append(stop(d, reply))
                pid = int(came[-1][1], 16)
                d.ask(b"Hgp%x.%x" % (pid, pid))
                assert came[-1] == stops[len(came) - 1]
            assert len(came) == len(stops)


def resolvable(word: str) -> bool:
    """Whether it is a program's name."""
    return word in ("cow", "shm", "pingpong", "notes", "pipe", "exec", "swapfork")
