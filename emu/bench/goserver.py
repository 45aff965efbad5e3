"""A Go program that prints one line, as one of many that a go command has run: with its server and without."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import Final

from emu.bench.gotests import EXEC, PLAN9, environ, go, gocommand, hello
from emu.bench.startup import Start, compiling, start
from emu.failure import Failure

NAME: Final = "Go hello, one of many"
LIMIT: Final = 0.8
FEW, MANY = 3, 13  # the start of the server is in both

# As a go command, runs its last arguments so many times. Writes processor seconds of all processes: the server too is a
# child of this one, once the first run has ended.
LAUNCH: Final = """
import ctypes, os, resource, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
n, command = int(sys.argv[3]), sys.argv[4:]
if os.fork() == 0:
    with open("/proc/self/comm", "w") as f:
        f.write("go")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0), os.dup2(null, 1)
    for _ in range(n):
        _, status = os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)
        if status:
            os._exit(1)
    os._exit(0)
bad = 0
try:
    while True:
        bad |= os.wait()[1]
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime)
    sys.exit(bad != 0)
"""


def each(program: str, server: bool, env: dict[str, str]) -> float:
    """Processor milliseconds of one run among many. Raises RuntimeError."""
    seconds = []
    for n in (FEW, MANY):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCH, "test", "./...", str(n), *EXEC, program],
            env=env | {"P9EMU_GO_SERVER": "on" if server else "off"},
            cwd=os.path.dirname(program),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        seconds.append(float(done.stdout))
    return (seconds[1] - seconds[0]) / (MANY - FEW) * 1e3


def measure(rounds: int) -> list[Start]:
    """The row; none where there is no go command."""
    try:
        gocommand()
    except Failure:
        return []
    root = os.path.realpath(go("env", "GOROOT", target=PLAN9).strip())
    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as directory:
        program = hello(directory, PLAN9)
        env = environ({"GOROOT": root}, compiling(os.path.join(directory, "cache")))
        served, alone = (partial(each, program, server, env) for server in (True, False))
        served()  # makes the bytecode
        return [start(NAME, "ms", served, "without a server", alone, LIMIT, rounds)]
