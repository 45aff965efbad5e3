"""What people would use instead: each runs a benchmark's work and says how much processor time that took.

``p9emu`` is this emulator, ``bare`` the least that does the same on Unicorn (emu/bench/bare.py), ``qiling`` and
``qemu`` run the same C files built for Linux, where they are installed.
"""

import gc
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import guest as guests
from emu.machine.config import Config
from emu.machine.machine import Machine

Run = Callable[[Sequence[str]], float]

MEMORY: Final = 256 << 20
QEMU: Final = "qemu-i386"


def p9emu(words: Sequence[str]) -> float:
    """On the whole machine, in a process of its own, as a user runs it: where translated code lies matters."""
    return _child("emu.bench.rivals", "machine", *words)


def machine(words: Sequence[str], config: Config | None = None) -> float:
    """The same in this process, without what runs before have left. Raises RuntimeError if the guest fails."""
    gc.collect()
    started = time.process_time()
    with closing(Machine(config or Config(memory=MEMORY))) as m:
        outcome = m.run(words[0], words[1:])
    if outcome.status:
        raise RuntimeError(f"{' '.join(words)}: {outcome.exits}")
    return time.process_time() - started


def bareprogram(words: Sequence[str]) -> float:
    """A guest on a bare Unicorn."""
    return _bare("program", guests.path(words[0]), *words[1:])


def bareloop(kind: str) -> Run:
    """A loop of emu/bench/bare.py that does the work of a guest whose last argument is a number."""
    return lambda words: _bare(kind, words[-1])


def _bare(*words: str) -> float:
    return _child("emu.bench.bare", *words)


def _child(*words: str) -> float:
    """What a module prints last when it is run: seconds of processor time."""
    command = [sys.executable, "-m", *words]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


@contextmanager
def linux(names: Sequence[str], directory: str | None = None) -> Iterator[dict[str, Run]]:
    """The emulators of Linux that are installed, each ready to run the named guests; none without a compiler.

    ``directory`` is what Qiling shows as ``/``, if that matters.
    """
    found = [q for q in (QEMU,) if shutil.which(q)] + [q for q in ("qiling",) if importlib.util.find_spec(q)]
    if not found or importlib.util.find_spec("ziglang") is None:
        yield {}
        return
    from guest.build import linux as build

    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as temporary:
        root = directory or temporary
        for name, image in build(names).items():
            path = Path(root, name)
            path.write_bytes(image)
            path.chmod(0o755)
        runs = {QEMU: _qemu(root), "qiling": _qiling(root)}
        yield {name: runs[name] for name in found}


def _qemu(directory: str) -> Run:
    def run(words: Sequence[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [QEMU, os.path.join(directory, words[0]), *words[1:]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return run


def _qiling(directory: str) -> Run:
    return lambda words: _child("emu.bench.rivals", "qiling", os.path.join(directory, words[0]), *words[1:])


def qiling(words: Sequence[str]) -> float:
    """A program on Qiling, in a process in which nothing of Unicorn was replaced."""
    from qiling import Qiling
    from qiling.const import QL_VERBOSE

    started = time.process_time()
    Qiling(list(words), os.path.dirname(words[0]), verbose=QL_VERBOSE.DISABLED).run()
    return time.process_time() - started


if __name__ == "__main__":
    here: dict[str, Run] = {"machine": machine, "qiling": qiling}
    sys.stdout.write(f"{here[sys.argv[1]](sys.argv[2:])}\n")
