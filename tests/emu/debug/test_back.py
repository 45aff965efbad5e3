"""Going back under gdb's protocol: to the instruction, through faults, system calls and switches, on any processors."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from emu.debug.rsp import frame
from tests.e2e.harness import p9emu
from tests.emu.cli.test_gdb import Client, ended, server
from tests.emu.debug.scripted import field, pc, symbol
from tests.emu.machine.test_sleeper import gone

pytestmark = pytest.mark.guest

STEP = b"vCont;s:p2.2"
SUPPORTED = b"qSupported:multiprocess+;swbreak+;hwbreak+;exec-events+"


class Debugger:
    """Says packets, and understands what a stop is."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.said: list[bytes] = []  # what was shown on the way to the last stop
        assert b"ReverseStep+;ReverseContinue+" in client.ask(SUPPORTED)
        client.ask(b"?")
        client.ask(b"Hcp2.2")

    def ask(self, packet: bytes) -> bytes:
        return self.client.ask(packet)

    def go(self, packet: bytes) -> bytes:
        """On or back to the next stop."""
        self.said.clear()
        reply = self.client.ask(packet)
        while reply.startswith(b"O"):
            self.said.append(bytes.fromhex(reply[1:].decode()))
            reply = self.client.receive()
        return reply

    def monitor(self, line: str) -> str:
        return bytes.fromhex(self.ask(b"qRcmd," + line.encode().hex().encode()).decode()).decode()

    def state(self) -> tuple[bytes, str]:
        """All registers, and the time."""
        return self.ask(b"g"), self.monitor("time")


@contextmanager
def debugged(tmp_path: Path, *words: str, python: Sequence[str] = ("-m", "emu")) -> Iterator[Debugger]:
    with server(*words, path=tmp_path / "gdb", python=python) as (_, client):
        yield Debugger(client)


@pytest.mark.parametrize(
    ("skip", "words"),
    [
        (70, ["cow", "2"]),
        (100, ["--cpus", "2", "--sched", "random", "--seed", "5", "cow", "2"]),
        (90, ["--cpus", "4", "--sched", "random", "--seed", "7", "pingpong", "3"]),
        (70, ["--clock", "real", "cow", "2"]),
        (90, ["--clock", "real", "--cpus", "2", "pingpong", "3"]),
    ],
)
def test_steps_back_are_the_steps_on(skip: int, words: list[str], tmp_path: Path) -> None:
    with debugged(tmp_path, *words) as d:
        for _ in range(skip):
            d.go(STEP)
        states = [d.state()]
        for _ in range(16):
            assert d.go(STEP).startswith(b"T05")
            states.append(d.state())
        assert len(set(states)) == len(states)
        for was in states[-2::-1]:
            assert d.go(b"bs").startswith(b"T05")
            assert d.state() == was
        for was in states[1:]:
            assert d.go(STEP).startswith(b"T05")
            assert d.state() == was


# p9emu that writes a byte into a file for each instruction before which a hook in Python is called, in copies too
COUNTING = """
import os, runpy, sys
from emu.machine.probe import Probed
fd = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
instruction = Probed._instruction
def counted(self, pc):
    os.write(fd, b".")
    instruction(self, pc)
Probed._instruction = counted
runpy.run_module("emu", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("words", [[], ["--cpus", "2"]])
def test_a_step_back_over_a_call_that_blocks_hooks_nobody_else(words: list[str], tmp_path: Path) -> None:
    entry = symbol("fp", "await")
    counted = tmp_path / "counted"
    with debugged(tmp_path, *words, "fp", python=("-c", COUNTING, str(counted))) as d:
        d.ask(b"Z0,%x,1" % entry)
        assert pc(d.go(b"vCont;c")) == entry
        d.ask(b"z0,%x,1" % entry)
        d.go(STEP)
        d.go(STEP)
        behind = d.state()
        assert 0 < counted.stat().st_size < 10
        for _ in range(2):
            assert pc(d.go(b"bs")) == entry + 5
            assert d.go(STEP).startswith(b"T05")
            assert d.state() == behind
        assert counted.stat().st_size < 100


# p9emu that leaves a copy whenever the kernel is entered while somebody steps
COPYING = """
import runpy
from emu.debug import session
from emu.debug.past import Past
session.SELDOM = 0
enter, due = session.Session._enter, Past.due
def entered(self):
    Past.due = lambda past: self._step is not None or due(past)
    enter(self)
session.Session._enter = entered
runpy.run_module("emu", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("words", [[], ["--cpus", "2", "--sched", "random", "--seed", "3"]])
def test_a_step_back_over_a_fault_that_waits_for_the_disk(words: list[str], tmp_path: Path) -> None:
    entry = symbol("swapfork", "rfork")
    waited = 0
    with debugged(tmp_path, "-m", "4M", "--swap", "8M", *words, "swapfork", python=("-c", COPYING)) as d:
        d.ask(b"Z0,%x,1" % entry)
        d.go(b"vCont;c")
        assert pc(d.go(b"vCont;c")) == entry  # the second
        d.ask(b"z0,%x,1" % entry)
        for _ in range(50):
            was = d.state()
            d.go(STEP)
            state = d.state()
            if float(state[1].split()[0]) - float(was[1].split()[0]) < 0.00001:
                continue
            waited += 1
            d.go(b"bs")
            assert d.state() == was
            d.go(STEP)
            assert d.state() == state
    assert waited


def tofork(d: Debugger) -> None:
    """Go on to where cow's child is born."""
    d.ask(SUPPORTED + b";fork-events+")
    while b"fork:p3.3" not in d.go(b"vCont;c"):
        pass


def test_at_the_beginning_there_is_no_way_back(tmp_path: Path) -> None:
    with debugged(tmp_path, "hello") as d:
        for packet in (b"bs", b"bc"):
            reply = d.go(packet)
            assert b"replaylog:begin" in reply
            assert pc(reply) == 0x1020
            assert d.said == []
        d.monitor("goto 0")
        assert b"replaylog:begin" in d.go(b"bc")
        assert d.go(b"vCont;c").startswith(b"W00")


def test_packets_that_do_not_wait_for_a_stop_are_answered_one_after_the_other(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        states = []
        for _ in range(4):
            d.go(STEP)
            states.append(d.ask(b"g"))
        packets = b"bs", b"g", b"bs", b"g", b"bs", b"g", STEP, b"g", STEP, b"g", STEP, b"g", b"vCont;c"
        d.client.send(b"".join(map(frame, packets)))
        answers = [d.client.receive() for _ in packets]
        assert answers[1:12:2] == [*states[-2::-1], *states[1:]]
        assert all(a.startswith(b"T05") for a in answers[:12:2])
        assert answers[12].startswith(b"W00")


def test_the_beginning_of_who_is_looked_at_no_more(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        tofork(d)
        assert d.ask(b"D;2") == b"OK"
        d.ask(b"Hcp3.3")
        d.go(b"vCont;s:p3.3")
        assert b"replaylog:begin" in d.go(b"bc")
        assert d.ask(b"g").startswith(b"E")
        assert d.go(b"vCont;c").startswith((b"T05", b"W"))


def test_breakpoints_work_backwards(tmp_path: Path) -> None:
    with debugged(tmp_path, "cat", *["/dev/sysname"] * 4) as d:
        at = symbol("cat", "write")
        stops = []
        assert d.ask(b"Z0,%x,1" % at) == b"OK"
        for _ in range(4):
            assert pc(d.go(b"vCont;c")) == at
            stops.append(d.state())
        for was in stops[-2::-1]:
            assert pc(d.go(b"bc")) == at
            assert d.state() == was
        reply = d.go(b"bc")
        assert b"replaylog:begin;" in reply
        assert pc(reply) == 0x1020
        for was in stops:
            assert pc(d.go(b"vCont;c")) == at
            assert d.state() == was
        d.ask(b"z0,%x,1" % at)
        assert d.go(b"vCont;c").startswith(b"W00")


def test_who_wrote_a_word_last(tmp_path: Path) -> None:
    with debugged(tmp_path, "shm", "2") as d:
        word = symbol("shm", "area")
        assert d.ask(b"Z2,%x,4" % word) == b"OK"
        values, states = [], []
        while (reply := d.go(b"vCont;c")).startswith(b"T05"):
            assert field(reply, "watch") == f"{word:x}"
            values.append(d.ask(b"m%x,4" % word))
            states.append((d.state(), list(d.said)))
        assert reply.startswith(b"W00")
    assert len(values) >= 2
    with debugged(tmp_path, "shm", "2") as d:
        d.ask(b"Z2,%x,4" % word)
        for _ in values:
            d.go(b"vCont;c")
        for i in range(len(values) - 1, -1, -1):
            reply = d.go(b"bc")
            assert field(reply, "watch") == f"{word:x}"
            assert d.ask(b"m%x,4" % word) == (values[i - 1] if i else b"00000000")
            assert d.said == states[i][1]
        assert b"replaylog:begin" in d.go(b"bc")


def test_catches_work_backwards(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        d.monitor("catch fault")
        stops = []
        for _ in range(5):
            assert d.go(b"vCont;c").startswith(b"T05")
            stops.append((list(d.said), d.state()))
        for was in stops[-2::-1]:
            d.go(b"bc")
            assert (list(d.said), d.state()) == was
        d.monitor("catch none")
        d.monitor("catch syscall")
        first = d.go(b"vCont;c")
        here = d.state()
        d.go(b"vCont;c")
        edge = d.state()
        assert d.go(b"bc") == first
        assert d.state() == here
        d.go(b"vCont;c")  # on to where the machine stands
        assert d.state() == edge


def test_to_a_time_and_to_an_event(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        for where, when in (("0.000008", 8000), ("0.000002", 2000), ("0.000004", 4000)):
            assert (
                d.monitor(f"goto {where}")
                == f"the next continue, or reverse-continue, goes to {where} and nowhere else\n"
            )
            d.go(b"vCont;c")
            assert d.said == [f"p9emu: at {where}\n".encode()]
            ns = int(float(d.monitor("time").split()[0]) * 1e9 + 0.5)
            assert when <= ns < when + 1500
        d.monitor("goto fault class=cow-copy 2")
        d.go(b"bc")
        there = d.state()
        d.monitor("goto fault 1")
        reply = d.go(b"bc")
        assert b"replaylog:begin" in reply or d.said
        d.monitor("goto fault class=cow-copy 2")
        d.go(b"bc")
        assert d.state() == there
        d.monitor("goto event 108")  # as p9emu debug counts them: docs/debug.md
        d.go(b"bc")
        assert d.monitor("time") == "0.000009270 s\n"
        assert "no time in seconds" in d.monitor("goto nowhere")
        assert "syscal" in d.monitor("goto syscal 3")
        d.monitor("goto none")
        while (reply := d.go(b"vCont;c")).startswith(b"T05"):
            pass
        assert reply.startswith(b"W00")


@pytest.mark.parametrize("words", [[], ["--clock", "real"], ["--cpus", "2", "--sched", "random", "--seed", "3"]])
def test_what_never_comes_stops_at_the_programs_last_instruction(words: list[str], tmp_path: Path) -> None:
    end = "this is the end, but for the program's last instruction\n"
    with debugged(tmp_path, *words, "cow", "2") as d:
        d.monitor("goto fault 9999")
        reply = d.go(b"vCont;c")
        assert d.said == [f"p9emu: fault 9999 did not come: {end}".encode()]
        assert pc(reply) == symbol("cow", "exits") + 5
        last = d.state()
        d.monitor("goto fault 5")
        d.go(b"bc")
        assert d.said == [b"p9emu: at fault 5\n"]
        for goal in ("3000", "proc:op=exec 7"):
            d.monitor(f"goto {goal}")
            d.go(b"vCont;c")
            assert d.said == [f"p9emu: {goal} did not come: {end}".encode()]
            assert d.state() == last
        states = [d.state()]
        for _ in range(3):
            d.go(b"bs")
            states.append(d.state())
        for was in states[-2::-1]:
            d.go(STEP)
            assert d.state() == was
        assert d.go(b"vCont;c").startswith(b"W00")
        assert d.go(b"vCont;c") == b""


def test_a_goal_is_not_missed_for_a_breakpoint_at_the_edge(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        d.ask(b"Z0,%x,1" % symbol("cow", "waitgood"))
        d.go(b"vCont;c")
        edge = d.state()
        d.monitor("goto fault 2")
        d.go(b"bc")
        d.monitor("goto syscall:name=exits,pid=2 1")
        d.go(b"vCont;c")
        assert d.said == [b"p9emu: at syscall:name=exits,pid=2 1\n"]
        d.go(b"bc")
        assert d.state() == edge


def test_where_a_recording_breaks_off_one_can_look_and_go_back(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert p9emu("record", "-o", str(whole), "spin", "500").returncode == 0
    half.write_bytes(whole.read_bytes()[:-40])
    with server("--from", str(half), path=tmp_path / "gdb") as (process, client):
        d = Debugger(client)
        reply = d.go(b"vCont;c")
        assert reply.startswith(b"T06")
        assert b"before the run did" in d.said[-1]
        there = d.state()
        d.go(b"bs")
        assert d.state() != there
        assert b"replaylog" in d.go(b"bc")
        assert d.go(b"vCont;c").startswith(b"T06")
        assert d.state() == there
        assert d.go(b"vCont;c").startswith(b"X06")
        d.client.send(frame(b"vCont;c"))
        status, _, err = ended(process)
        assert status == 125
        assert err.count("\n") == 1


def test_to_a_time_of_the_hosts(tmp_path: Path) -> None:
    with debugged(tmp_path, "--clock", "real", "spin", "60") as d:
        began = float(d.monitor("time").split()[0])
        assert "exits" in d.monitor("catch syscall exits")
        d.go(b"vCont;c")
        edge = d.state()
        early, late = f"{began + 0.02:.9f}", f"{began + 0.04:.9f}"
        states = []
        for where, packet in ((early, b"vCont;c"), (late, b"vCont;c"), (early, b"bc"), (late, b"vCont;c")):
            d.monitor(f"goto {where}")
            assert d.go(packet).startswith(b"T05")
            assert d.said == [f"p9emu: at {where}\n".encode()]
            assert float(d.monitor("time").split()[0]) >= float(where)
            states.append(d.state())
        assert states[:2] == states[2:]
        d.go(b"vCont;c")
        assert d.state() == edge
        states.clear()
        for _ in range(3):
            d.go(b"bs")
            states.append(d.state())
        for was in states[-2::-1]:
            d.go(STEP)
            assert d.state() == was
        d.go(b"vCont;c")
        assert d.state() == edge
        assert d.go(b"vCont;c").startswith(b"W00")


def test_sleeps_and_alarms_of_the_hosts_time_are_gone_back_over(tmp_path: Path) -> None:
    with debugged(tmp_path, "--clock", "real", "alarm") as d:
        d.monitor("catch syscall sleep,alarm")
        stops = []
        while (reply := d.go(b"vCont;c")).startswith(b"T05"):
            stops.append((list(d.said), d.state()))
            if len(stops) == 5:
                break
        assert len(stops) == 5, reply
        for was in stops[-2::-1]:
            d.go(b"bc")
            assert (list(d.said), d.state()) == was
        d.monitor("catch none")
        while (reply := d.go(b"vCont;c")).startswith(b"T05"):
            pass
        assert reply.startswith(b"W")  # it looks at the time, which has gone on


def test_the_past_cannot_be_changed(tmp_path: Path) -> None:
    with debugged(tmp_path, "shm", "2") as d:
        word = symbol("shm", "area")
        d.ask(b"Z0,%x,1" % symbol("shm", "share"))
        d.go(b"vCont;c")
        d.go(STEP)
        d.go(b"bs")
        assert d.ask(b"P0=01000000").startswith(b"E.")
        assert d.ask(b"M%x,4:01020304" % word).startswith(b"E.")
        assert d.ask(b"G" + d.ask(b"g")).startswith(b"E.")
        d.go(STEP)
        assert d.ask(b"P0=01000000") == b"OK"  # where the machine stands
        assert d.ask(b"p0") == b"01000000"


@pytest.mark.parametrize("words", [[], ["--clock", "real"], ["--cpus", "2"]])
def test_what_was_changed_is_changed_again(words: list[str], tmp_path: Path) -> None:
    with debugged(tmp_path, *words, "cow", "2") as d:
        for _ in range(70):
            d.go(STEP)
        befores = [d.state()]
        for register in (b"P1=44332211", b"P2=88776655"):
            for _ in range(3):
                d.go(STEP)
            befores.append(d.state())
            assert d.ask(register) == b"OK"
        sp = int.from_bytes(bytes.fromhex(d.ask(b"p4").decode()), "little")
        assert d.ask(b"M%x,4:01020304" % (sp - 64)) == b"OK"
        afters = []
        for _ in range(5):
            d.go(STEP)
            afters.append(d.state())
        assert d.ask(b"m%x,4" % (sp - 64)) == b"01020304"
        for was in afters[-2::-1]:
            d.go(b"bs")
            assert d.state() == was
        d.go(b"bs")
        assert d.ask(b"m%x,4" % (sp - 64)) != b"01020304"
        for was in (befores[2], befores[1], befores[0]):
            assert d.state() == was
            for _ in range(3):
                d.go(b"bs")
        for _ in range(9):
            d.go(STEP)
        for was in afters:
            d.go(STEP)
            assert d.state() == was
        assert d.go(b"vCont;c") == b"W00;process:2"


def test_a_child_is_killed_again(tmp_path: Path) -> None:
    with debugged(tmp_path, "cow", "2") as d:
        tofork(d)
        assert d.ask(b"vKill;3") == b"OK"
        d.monitor("catch syscall await,exits")
        stops = []
        while (reply := d.go(b"vCont;c")).startswith(b"T05"):
            stops.append((reply, d.monitor("procs"), d.monitor("time")))
        assert reply.startswith(b"W01")
        assert len(stops) == 2
    with debugged(tmp_path, "cow", "2") as d:
        tofork(d)
        d.ask(b"vKill;3")
        d.monitor("catch syscall await,exits")
        d.go(b"vCont;c")
        while b"replaylog" not in d.go(b"bc"):
            pass
        again = []
        for _ in range(len(stops)):
            reply = d.go(b"vCont;c")
            again.append((reply, d.monitor("procs"), d.monitor("time")))
        assert again == stops


def test_a_register_of_a_system_call(tmp_path: Path) -> None:
    with debugged(tmp_path, "forkbomb", "3") as d:
        d.monitor("catch syscall")
        for _ in range(8):
            d.go(b"vCont;c")
        d.ask(b"P3=01000000")
        d.ask(b"P0=21000000")
        d.go(b"vCont;c")
        after = d.state()
        d.go(b"bc")
        d.go(b"bc")
        d.go(b"vCont;c")
        d.go(b"vCont;c")
        assert d.state() == after


def test_what_is_written_is_written_once(tmp_path: Path) -> None:
    with server("cat", "/dev/sysname", "/dev/sysname", path=tmp_path / "gdb") as (process, client):
        d = Debugger(client)
        assert "pwrite" in d.monitor("catch syscall pwrite")
        d.go(b"vCont;c")
        d.go(b"vCont;c")
        while b"replaylog" not in d.go(b"bc"):
            pass
        d.monitor("catch none")
        assert d.go(b"vCont;c").startswith(b"W00")
        client.connection.shutdown(socket.SHUT_WR)
        status, out, err = ended(process)
    assert (status, err) == (0, "")
    assert out == 2 * out[: len(out) // 2] != ""


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found, todo = [], [pid]
    stats = {}
    for p in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    while todo:
        one = todo.pop()
        more = [p for p, parent in stats.items() if parent == one]
        found += more
        todo += more
    return found


@pytest.mark.parametrize("how", ["kill", "client", "int"])
def test_no_copy_is_left_behind(how: str, tmp_path: Path) -> None:
    with server("cow", "2", path=tmp_path / "gdb") as (process, client):
        d = Debugger(client)
        for _ in range(5):
            d.go(STEP)
        d.go(b"bs")
        copies = children(process.pid)
        assert len(copies) >= 2
        if how == "kill":
            process.kill()
        elif how == "int":
            process.send_signal(signal.SIGTERM)
        else:
            client.connection.shutdown(socket.SHUT_RDWR)
        process.wait(30)
        until = time.monotonic() + 20
        while not all(map(gone, copies)) and time.monotonic() < until:
            time.sleep(0.01)
        assert [pid for pid in copies if not gone(pid)] == []


def test_a_copy_that_is_gone_is_told(tmp_path: Path) -> None:
    with server("cow", "2", path=tmp_path / "gdb") as (process, client):
        d = Debugger(client)
        for _ in range(5):
            d.go(STEP)
        now = d.state()
        d.go(b"bs")
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        assert d.ask(b"g") == b"E01"
        assert d.go(b"vCont;c").startswith(b"T02")
        assert b"gone" in d.said[0]
        assert d.state() == now
