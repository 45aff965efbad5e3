"""What going back costs: copies of a machine that sleep, and a run under p9emu gdb that nobody stops.

``python -m emu.bench.copies N`` prints the megabytes that N copies take, one for each tick of a program, and the
machine with them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Final

from emu.bench.startup import P9EMU, Start, compiling, start, used
from emu.machine.checkpoints import Checkpoints, memory
from emu.machine.config import Config
from emu.machine.console import DroppingConsole
from emu.machine.copied import CopiedMachine

COPIES: Final = 1000  # of a machine of 64 MB
ROOM: Final = 1024.0  # MB that they must be under
PROGRAM: Final = "spin", "1000000"
# Runs under gdb beside the same without
DEBUGGED: Final = (("sieve", "4000000", "30"), ("syscalls", "300000"), ("pingpong", "80000"))
DEBUGS: Final = 1.2
# Runs p9emu gdb at a path, connects to it, and lets the program run to its end; it imports next to nothing
CLIENT: Final = """
import _socket, os, sys
path, *words = sys.argv[1:]
told, its = os.pipe()
command = [*words[:3], "gdb", "-l", path, *words[3:]]
pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, its, 2)])
os.close(its)
while not os.read(told, 4096).endswith(b"\\n"):
    pass
s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
s.connect(path)
s.sendall(b"$vCont;c#a8")
said = b""
while b"$W" not in said:
    more = s.recv(4096)
    if not more:
        break
    said += more
s.sendall(b"+")
s.close()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Enough(Exception):
    """There are as many copies as are wanted."""


def megabytes(n: int) -> float:
    """What n copies take, and the machine with them."""
    points = Checkpoints(most=n + 1, room=1 << 60)
    machine = CopiedMachine(Config(), console=DroppingConsole())

    def turn() -> None:
        if len(points.all) == n:
            raise Enough
        if points.take(len(points.all)) is not None:
            os._exit(0)

    machine.onturn = turn
    try:
        machine.run(PROGRAM[0], PROGRAM[1:])
    except Enough:
        pass
    if len(points.all) < n:
        raise RuntimeError(f"there was room for {len(points.all)} copies alone")
    size = sum(memory(c.sleeper.pid) for c in points.all) + memory(os.getpid())
    points.close()
    machine.close()
    return size / (1 << 20)


def measure(rounds: int, copies: int = COPIES) -> list[Start]:
    """All rows."""
    starts = []
    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as cache:
        env = compiling(cache)

        def ms(*command: str) -> Callable[[], float]:
            return lambda: used(command, env).seconds * 1e3

        for guest in DEBUGGED:
            ours = ms(sys.executable, "-I", "-S", "-c", CLIENT, os.path.join(cache, "gdb"), *P9EMU, *guest)
            name = f"p9emu gdb {' '.join(guest)}"
            starts.append(start(name, "ms", ours, "p9emu run", ms(*P9EMU, "run", *guest), DEBUGS, rounds))
        mb = float(subprocess.run([sys.executable, "-m", __name__, str(copies)], env=env, capture_output=True).stdout)
    ratio = mb / ROOM
    starts.append(Start(f"{copies:,} copies asleep", "MB", mb, "a gigabyte", ROOM, ratio, ratio, ratio, 1.0))
    return starts


if __name__ == "__main__":
    sys.stdout.write(f"{megabytes(int(sys.argv[1])):.0f}\n")
