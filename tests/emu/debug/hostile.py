"""``python -m tests.emu.debug.hostile [--seconds N] [--seed S] [--count N]``: what no gdb would send to p9emu gdb.

Each seed is one machine and one client: packets of every kind, well formed and not, with wrong sums, cut off, within
each other, of a megabyte, Ctrl-C and acknowledgements between them, in pieces of any size; then the client goes away,
in the middle of a packet or not. Some come by a port, where a second client tries to get in as well.

What must hold: the server ends by itself, by the program's end or because the client is gone; all that it sends is
well formed; nobody else gets in; as long as the connection lives, ``?`` and ``qC`` are answered; no copy of the
machine ends before it is asked to.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from types import FrameType
from typing import Final

from emu.debug.link import Gone, Link, Listener, Stream
from emu.debug.machine import DebugMachine
from emu.debug.past import Past
from emu.debug.rsp import MAXPACKET, Bad, Packet, Parser, frame
from emu.debug.server import Server, run
from emu.debug.travel import Killed
from emu.machine.config import Config, MachineError, Outcome
from tests.emu.debug.scripted import FEATURES, Console

GUESTS: Final = (
    ("cow", "20"), ("exec", "/bin/true"), ("notes",), ("spin", "1000"), ("nil",), ("pipe", "50"), ("hello",),
    ("forkbomb", "20"), ("shm", "5"), ("sema", "50"), ("cat", "/bin/true"), ("sieve", "100000"),
)  # fmt: skip
HANG: Final = 120  # s of the host's, for one seed
PORT: Final = 5  # each so many seeds the client comes by a port
MB: Final = 1 << 20
GONE: Final = b"p9emu: a copy of the machine is gone".hex().encode()
Rng = random.Random

FIXED: Final = (
    b"?", b"g", b"s", b"vCont?", b"vCont;s", b"vCont;s:p2.2;c", b"vCont;c:p-1.-1",
    b"qC", b"qfThreadInfo", b"qsThreadInfo", b"qAttached", b"qAttached:2", b"qSupported", FEATURES, b"qSymbol::",
    b"qOffsets", b"QStartNoAckMode", b"QNonStop:0", b"QNonStop:1", b"!", b"R00", b"vMustReplyEmpty", b"vCtrlC",
    b"Hg0", b"Hc-1", b"Hgp2.2", b"Hgp-1.-1", b"T2", b"Tp2.2", b"bs", b"bs", b"bc", b"bc", b"vCont;c:p-1.-1",
    b"Z2,3000,4", b"z2,3000,4",
    b"QCatchSyscalls:1", b"QCatchSyscalls:0", b"QCatchSyscalls:1;8;33", b"QPassSignals:e;14", b"qTStatus", b"",
    b"vFile:setfs:0", b"vFile:open:2f62696e2f636f77,0,0", b"vFile:fstat:0", b"vFile:close:0", b"vFile:readlink:2f",
    b"vRun;", b"vAttach;2", b"X1000,0:", b"qXfer:features:read:target.xml:0,ffb", b"qXfer:memory-map:read::0,1000",
    b"qXfer:threads:read::0,1000", b"qXfer:exec-file:read:2:0,1000", b"qXfer:auxv:read::0,1000", b"tthread",
)  # fmt: skip
LAST: Final = b"c", b"vCont;c", b"D", b"k", b"vKill;2", b"D;2", b"D;ffffffff"  # much may not come after it
MONITOR: Final = (
    "help", "procs", "segs", "pages", "pte 0x2000", "pte", "frames", "frame 0x3fff000", "images", "memory", "time",
    "catch fault", "catch syscall", "catch fault cow-copy", "catch off", "goto 0", "goto fault 3",
    "goto fault 9999", "goto event 40", "goto 0.000005", "goto 0.001", "goto 9", "goto none", "goto",
    "goto syscall:name=pwrite 1", "catch none", "segs 2", "pte 2 99", "x" * 300, "\xff\0", "help help",
)  # fmt: skip


def number(rng: Rng) -> str:
    """A number, likely and unlikely."""
    few = (0, 1, 2, 4, 0x1000, 0x1020, 0x2000, 0x3000, 0xDEFFFFFC, 0xDFFFF000, 0xF0000000, 0xFFFFFFFF, 1 << 32, 1 << 63)
    n = rng.choice(few) if rng.random() < 0.8 else rng.getrandbits(rng.randrange(1, 70))
    return rng.choice(("%x", "%X", "0x%x", "-%x", "%d", "+%x")) % n if rng.random() < 0.1 else f"{n:x}"


def packet(rng: Rng) -> bytes:
    """The data of a packet that might be meant."""

    def n() -> str:
        return number(rng)

    kind = rng.randrange(14)
    if kind < 4:
        return rng.choice(LAST if rng.random() < 0.02 else FIXED)
    if kind == 4:
        return f"m{n()},{n()}".encode()
    if kind == 5:
        data = rng.randbytes(rng.choice((0, 1, 4, 20)))
        return f"M{n()},{len(data):x}:{data.hex()}".encode()
    if kind == 6:
        data = rng.randbytes(rng.choice((0, 1, 4, 20)))
        return f"X{n()},{len(data):x}:".encode() + data
    if kind == 7:
        return f"{rng.choice('Zz')}{rng.randrange(6)},{n()},{n()}".encode()
    if kind == 8:
        return f"P{rng.randrange(50):x}={rng.randbytes(rng.choice((1, 4, 10, 16))).hex()}".encode()
    if kind == 9:
        return f"p{n()}".encode()
    if kind == 10:
        return b"G" + rng.randbytes(rng.choice((0, 3, 300, 308, 500))).hex().encode()
    if kind == 11:
        return b"qRcmd," + rng.choice(MONITOR).encode("latin-1").hex().encode()
    if kind == 12:
        objects = ("features", "threads", "exec-file", "memory-map", "libraries", "siginfo", "")
        return f"qXfer:{rng.choice(objects)}:read:{rng.choice(('', 'target.xml', n()))}:{n()},{n()}".encode()
    return f"vCont;{rng.choice(('s', 's', 'S05', 't', 'r' + n() + ',' + n()))}:p{n()}.{n()}".encode()


def mangled(rng: Rng, data: bytes) -> bytes:
    """The same data with something done to it."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) + 1)
        what = rng.randrange(4)
        if what == 0 and out:
            out[at % len(out)] = rng.randrange(256)
        elif what == 1:
            out[at:at] = rng.randbytes(rng.randrange(1, 5))
        elif what == 2:
            del out[at : at + rng.randrange(1, 5)]
        else:
            out[at:at] = rng.choice((b"}", b"*", b":", b";", b",", b"\0", b"p-1", b"ffffffff"))
    return bytes(out)


def wire(rng: Rng) -> bytes:
    """What goes over the line: a packet, or what should be one."""
    data = packet(rng)
    if rng.random() < 0.4:
        data = mangled(rng, data)
    whole = frame(data)
    what = rng.randrange(24)
    if what < 14:
        return whole
    if what == 14:
        return whole[: rng.randrange(len(whole))]  # half a packet, and the next begins
    if what == 15:
        return whole[:-2] + rng.choice((b"00", b"zz", b"-1", b"+f", b"\xff\xff"))
    if what == 16:
        return b"\x03" * rng.randrange(1, 4)
    if what == 17:
        return rng.choice((b"+", b"-")) * rng.randrange(1, 20)
    if what == 18:
        return rng.randbytes(rng.randrange(1, 200))
    if what == 19:
        return b"$" * rng.randrange(1, 50) + whole
    if what == 20:
        return b"$%s#%02x" % (data, sum(data) & 0xFF)  # not escaped
    if what == 21 and rng.random() < 0.1:
        return frame(
            rng.choice((b"m", b"X0,0:", b"qRcmd,", b"vCont;", b"")) + b"0" * rng.choice((MB, MAXPACKET, MAXPACKET + 1))
        )
    if what == 22:
        return whole.replace(b"#", b"}#")
    return whole + whole


class Client:
    """Sends, takes what is sent, and goes away. ``wrong`` is what was not well formed."""

    def __init__(self, sock: socket.socket, seed: int, packets: int) -> None:
        self.sock = sock
        self.rng = Rng(seed)
        self.wrong = ""
        self.answers = 0
        self._packets = packets
        self._parser = Parser()

    def _pieces(self) -> Iterator[bytes]:
        yield frame(FEATURES)
        for _ in range(self._packets):
            data = wire(self.rng)
            cut = self.rng.randrange(len(data) + 1) if self.rng.random() < 0.3 else len(data)
            yield data[:cut]
            yield data[cut:]

    def run(self) -> None:
        """Until all is said, or the server has ended."""
        with suppress(OSError), self.sock:
            for n, piece in enumerate(self._pieces()):
                self._send(piece)
                if n == 0 and not self._take(HANG):
                    return
            how = self.rng.randrange(3)
            if how == 0:
                self._send(b"$vCont;c")  # it goes in the middle of a packet
            elif how == 1:
                self._send(b"+" + frame(b"?") + frame(b"qC"))
                self.sock.shutdown(socket.SHUT_WR)
                while self._take(0.5):
                    pass

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            _, writable, _ = select.select([], [self.sock], [], 0)
            self._take(0 if writable else 0.05)
            if writable:
                view = view[self.sock.send(view[:65536], socket.MSG_DONTWAIT) :]

    def _take(self, seconds: float) -> bool:
        if not select.select([self.sock], [], [], seconds)[0]:
            return False
        data = self.sock.recv(1 << 16)
        if not data:
            raise OSError
        for item in self._parser.feed(data):
            if isinstance(item, Bad):
                self.wrong = self.wrong or item.why
            if isinstance(item, Packet):
                self.answers += 1
                if item.data.startswith(b"O" + GONE):
                    self.wrong = self.wrong or "that a copy is gone"
        return True


def pair(seed: int, packets: int) -> tuple[Callable[[], Link], int, int, Callable[[], str]]:
    """Both ends of a connection: what the server makes of it; the client, a process that was forked and writes at its
    end what became of it; and what is wrong afterwards.
    """
    told, its = os.pipe()
    if seed % PORT:
        here, there = socket.socketpair()
        pid = forked(lambda: there, (here,), (told,), its, seed, packets)
        there.close()
        return lambda: Stream(here.fileno(), here.fileno(), here), pid, told, lambda: ""
    listener = Listener("127.0.0.1:0")
    host, _, port = listener.where.rpartition(":")
    where = host, int(port)
    pid = forked(lambda: socket.create_connection(where), (listener.socket,), (told,), its, seed, packets)

    def second() -> str:
        try:
            with socket.create_connection(where, timeout=5):
                return "a second client was let in"
        except OSError:
            return ""

    return listener.accept, pid, told, second


def forked(
    connect: Callable[[], socket.socket],
    sockets: Sequence[socket.socket],
    fds: Sequence[int],
    told: int,
    seed: int,
    packets: int,
) -> int:
    """A client in a process of its own, without the server's descriptors: no copy of the machine has its end."""
    pid = os.fork()
    if pid:
        os.close(told)
        return pid
    wrong, answers = "", 0
    try:
        signal.alarm(2 * HANG)
        for sock in sockets:
            sock.close()
        for fd in fds:
            os.close(fd)
        client = Client(connect(), seed + 1, packets)
        client.run()
        wrong, answers = client.wrong, client.answers
    except BaseException:  # noqa: BLE001 it is told
        wrong = traceback.format_exc()
    finally:
        os.write(told, pickle.dumps((wrong, answers)))
        os._exit(0)


class Hostile(DebugMachine):
    """Tells what ended a copy."""

    server: Server

    def run(self, program: str, args: Sequence[str]) -> Outcome:
        """As of Machine."""
        try:
            return super().run(program, args)
        except BaseException:
            if self.server.copied:
                traceback.print_exc()
            raise


def session(seed: int, packets: int = 300) -> tuple[str, int]:
    """What went wrong with a seed, nothing if all was well; and how many packets came in answer."""
    rng = Rng(seed)
    program, *args = rng.choice(GUESTS)
    config = Config(cpus=rng.choice((1, 1, 2)), clock=rng.choice(("virtual", "virtual", "real")))
    past = Past()
    connect, pid, told, after = pair(seed, packets)
    problem = ""
    with closing(Hostile(config, Console(), journal=past.journal)) as machine:
        server = machine.server = Server(machine, connect, past)
        try:
            run(server, program, args)
        except (Gone, Killed):
            pass
        except MachineError as e:
            if not str(e).startswith("no progress"):  # as what was put into registers and memory may have it
                problem = f"{type(e).__name__}: {e}"
        except Exception:  # noqa: BLE001 that is what is looked for
            problem = traceback.format_exc()
        finally:
            problem = problem or after()
            server.close()
    wrong, answers = "the client cannot go", 0
    with open(told, "rb") as f:
        if select.select([f], [], [], HANG)[0]:
            wrong, answers = pickle.loads(f.read())
        else:
            os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if wrong:
        problem = problem or f"the client: {wrong}"
    if not answers and seed % PORT:  # by a port, what was sent is lost where the server ends first
        problem = problem or "nothing was answered"
    return problem, answers


def _hang(number: int, _frame: FrameType | None) -> None:
    raise RuntimeError(f"nothing has happened for {HANG} s")


def main() -> int:
    """Run seeds until the time is over."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--count", type=int, default=0)
    chosen = options.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    until = time.monotonic() + chosen.seconds
    seed, sent, failed = chosen.seed, 0, 0
    while time.monotonic() < until and (not chosen.count or seed - chosen.seed < chosen.count):
        signal.alarm(HANG)
        problem, n = session(seed)
        signal.alarm(0)
        sent += n
        if problem:
            failed += 1
            print(f"seed {seed} (python -m tests.emu.debug.hostile --count 1 --seed {seed}):\n{problem}", flush=True)
        seed += 1
    print(f"{seed - chosen.seed} sessions, {sent:,} packets answered, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
