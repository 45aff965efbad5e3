"""emu/machine/sleeper.py and checkpoints.py: copies that sleep, go on when woken, and are never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emu.debug.past import Past as DebugPast
from emu.machine import checkpoints, sleeper
from emu.machine.checkpoints import Checkpoints
from emu.machine.config import Config
from emu.machine.copied import CopiedMachine
from emu.machine.sleeper import Channel, Sleeper, fall
from emu.session.past import Past
from tests.e2e.harness import ROOT


def kept(value: list[str]) -> Sleeper:
    """A sleeper whose copies tell the value, with what they are sent added to it."""
    made = fall(array("i"))
    if isinstance(made, Sleeper):
        return made
    try:
        while True:
            value.append(made.receive())
            made.send(value)
    finally:
        os._exit(0)


@pytest.mark.parametrize("plain", [False, True])
def test_each_that_is_woken_begins_where_it_was_left(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if plain:
        monkeypatch.setattr(sleeper, "_fall", lambda: sleeper.plain)
    value = ["then"]
    s = kept(value)
    value.append("later")
    one, two = s.wake(), s.wake()
    for channel, word in ((one, "a"), (two, "b"), (one, "c")):
        channel.send(word)
    assert one.receive() == ["then", "a"]
    assert one.receive() == ["then", "a", "c"]
    assert two.receive() == ["then", "b"]
    assert value == ["then", "later"]
    s.end()
    with closing(two), pytest.raises(EOFError):
        two.receive()
    with pytest.raises(EOFError):
        s.wake()
    s.end()
    one.close()


def test_a_large_message_comes_whole() -> None:
    s = kept([])
    channel = s.wake()
    channel.send("x" * 3_000_000)
    assert len(channel.receive()[0]) == 3_000_000
    s.end()
    channel.close()


def test_what_a_process_takes_is_known() -> None:
    assert 1 << 20 < checkpoints.memory(os.getpid()) < 1 << 33
    assert checkpoints.memory(0) == 0


SCRIPT = """
import os, sys, time
from array import array
from emu.machine import sleeper
from emu.machine.sleeper import Channel, fall
if sys.argv[1] == "plain":
    sleeper._fall = lambda: sleeper.plain
made = []
for _ in range(3):
    s = fall(array("i", [s.sock.fileno() for s in made]))
    if isinstance(s, Channel):
        s.send(os.getpid())
        while True:
            time.sleep(0.01)
    made.append(s)
pids = [s.pid for s in made] + [s.wake().receive() for s in made]
print(*pids, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Whether nothing runs by that number, or what there is has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("how", ["", "plain"])
def test_none_is_left_behind_by_one_who_is_killed(how: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, how], cwd=ROOT, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        pids = [int(word) for word in p.stdout.readline().split()]
        assert len(pids) == 6
        assert not any(map(gone, pids))
        for pid in pids:
            os.kill(pid, signal.SIGINT)  # as Ctrl-C does, to all of the terminal's
            os.kill(pid, signal.SIGHUP)
        assert not any(map(gone, pids))
        p.kill()
    until = time.monotonic() + 20
    while not all(map(gone, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    assert [pid for pid in pids if not gone(pid)] == []


class FakeSocket:
    def fileno(self) -> int:
        return -1


class Fake:
    """Stands in for a Sleeper."""

    def __init__(self, living: list[int]) -> None:
        self.sock = FakeSocket()
        self.pid = 0
        self.number = len(living)
        self.living = living
        living.append(self.number)

    def end(self) -> None:
        self.living.remove(self.number)


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sleepers that there are, none of them real."""
    out: list[int] = []
    made = [0]

    def fake(others: Any) -> Fake:
        list(others)
        f = Fake(out)
        out.remove(f.number)
        f.number = made[0]
        made[0] += 1
        out.append(f.number)
        return f

    monkeypatch.setattr(checkpoints, "fall", fake)
    clock = iter(range(10**6))
    monkeypatch.setattr("emu.machine.checkpoints.time.process_time", lambda: float(next(clock)))
    return out


def test_they_are_dense_near_now_and_sparse_long_ago(living: list[int]) -> None:
    points = Checkpoints(most=16, room=1 << 60)
    for at in range(1000):
        assert points.take(at) is None
    kept = [c.at for c in points.all]
    assert kept == living
    assert len(kept) == 16
    assert (kept[0], kept[-1]) == (0, 999)
    gaps = [b - a for a, b in pairwise(kept)]
    assert gaps[-1] <= 3
    assert max(gaps[:4]) > 100
    assert all((b - a) < (1000 - a) * 0.6 for a, b in pairwise(kept))
    found = points.before(500)
    assert found is not None
    assert found.at == max(at for at in kept if at <= 500)
    points.close()
    assert living == []


def test_they_take_no_more_memory_than_is_given(living: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    faults = iter(range(0, 10**9, 256))  # a megabyte from one look to the next
    usage = lambda who: type("Usage", (), {"ru_minflt": next(faults)})()  # noqa: E731
    monkeypatch.setattr("emu.machine.checkpoints.resource.getrusage", usage)
    monkeypatch.setattr(checkpoints, "memory", lambda pid: 2 << 20)
    points = Checkpoints(most=10**6, room=50 << 20)
    for at in range(100):
        points.take(at)
    assert sum(c.size for c in points.all) <= 50 << 20
    assert (points.all[0].at, points.all[-1].at) == (0, 99)
    points.close()


def test_one_that_is_in_use_stays(living: list[int]) -> None:
    points = Checkpoints(most=4, room=1 << 60)
    for at in range(3):
        points.take(at)
    points.all[1].used = 1
    for at in range(3, 50):
        points.take(at)
    assert 1 in [c.at for c in points.all]
    points.close()


def test_a_host_without_room_is_lived_with(living: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    points = Checkpoints(room=1 << 60)
    for at in range(20):
        points.take(at)

    def refuse(others: Any) -> Channel:
        raise BlockingIOError

    monkeypatch.setattr(checkpoints, "fall", refuse)
    assert points.take(20) is None
    assert len(points.all) == 10
    points.close()


def _bygdb(past: DebugPast, machine: CopiedMachine) -> None:
    past.leave(SimpleNamespace(here=0, time=lambda: 0, machine=machine))  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["gdb", "debug"])
def test_what_the_machine_resets_no_copy_holds(who: str) -> None:
    """The other side hears of it while copies sleep."""
    with closing(CopiedMachine(Config(net="listen=0=80"), warn=lambda text: None)) as machine:
        assert machine.hostnet is not None and machine.hostnet.sockets is not None
        sockets = machine.hostnet.sockets
        sockets.accepting(0, True)
        with closing(socket.create_connection(("127.0.0.1", sockets.ports[0]), 10)) as caller:
            events: list[Any] = []
            while not events:
                events = sockets.collect()
            past: DebugPast | Past = DebugPast() if who == "gdb" else Past()
            with closing(past):
                if isinstance(past, Past):
                    assert not past.told(machine, 0, lambda: None)
                else:
                    _bygdb(past, machine)
                sockets.reset(events[0][1])
                with pytest.raises(ConnectionResetError):
                    caller.recv(1)
