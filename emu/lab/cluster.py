"""Campaigns on many hosts: pieces of a range of seeds, handed out by Dask (dask.distributed).

A piece is done in a process of its own beside the worker, as this module run by Python: a worker has threads, and a
process with threads should not fork. A piece whose worker died is done again by another; what came back stays.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from emu.lab.campaign import DEFAULT, Campaign, CampaignError, Tally, Wanted
from emu.lab.plan import Plan
from emu.lab.zygote import PDEATHSIG, Result, Task, Zygote, pack, unpack

if TYPE_CHECKING:
    from emu.machine.config import Config

PIECE: Final = 50  # seeds
AHEAD: Final = 3  # pieces for each worker that wait or run
TRIES: Final = 10  # workers that may die of one piece


@dataclass(frozen=True)
class Piece:
    """Seeds of one campaign."""

    config: Config
    program: str
    args: tuple[str, ...]
    wanted: Wanted
    timeout: float


def work(piece: bytes) -> list[bytes]:
    """On a worker: do a piece; a line for each schedule. Raises RuntimeError if p9emu cannot run there."""
    done = subprocess.run([sys.executable, "-m", "emu.lab.cluster"], input=piece, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip()[-1000:])
    return done.stdout.splitlines()


def do(piece: Piece) -> Iterator[bytes]:
    """In a process of its own: a piece's results. Of the same failure only the first keeps its decisions."""
    lines: list[bytes] = []
    seen: set[tuple[str, str, str]] = set()

    def listener(tally: Tally, result: Result) -> None:
        if result.number == 0 and result.failure is None:
            return
        key = result.failure.key if result.failure is not None else None
        lines.append(pack(result if key is not None and key not in seen else replace(result, decisions=[])))
        if key is not None:
            seen.add(key)

    zygote = Zygote(piece.config, piece.program, list(piece.args), piece.timeout)
    try:
        Campaign(zygote, piece.wanted, listener).run()
    finally:
        zygote.close()
    yield from lines


class ClusterCampaign(Campaign):
    """A campaign whose schedules are tried by the workers of a Dask cluster."""

    def __init__(self, zygote: Zygote, wanted: Wanted, listener: Callable[[Tally, Result], None], address: str) -> None:
        super().__init__(zygote, wanted, listener)
        self.address = address

    def _try(self, plan: Plan, began: float) -> int:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise CampaignError('--dask needs the extra "dask": pip install \'p9emu[dask]\'') from None
        try:
            client = distributed.Client(self.address, timeout=5, set_as_default=False)
        except (OSError, ValueError) as e:
            raise CampaignError(f"--dask {self.address}: {str(e).splitlines()[0]}") from None
        with client:
            return self._gather(client, distributed.as_completed(loop=client.loop), began)

    def _gather(self, client: Any, queue: Any, began: float) -> int:
        w = self.wanted
        until = began + w.seconds if w.seconds is not None else None
        pieces = self._pieces()
        ahead = AHEAD * max(1, len(client.scheduler_info()["workers"]))
        left = n = 0
        stop = False
        while True:
            stop = stop or (until is not None and time.monotonic() >= until) or (bool(self.tally.found) and not w.all)
            while not stop and left < ahead and (piece := next(pieces, None)) is not None:
                queue.add(client.submit(work, pickle.dumps(piece), pure=False, retries=TRIES))
                left += 1
            if not left or stop:
                return n
            future = next(queue)
            left -= 1
            try:
                lines = future.result()
            except Exception as e:  # noqa: BLE001 whatever a worker raised, or that too many have died of it
                raise CampaignError(f"--dask: a worker failed: {' '.join(str(e).split())}") from None
            for line in lines:
                result = unpack(line)
                result.number = result.seed - w.seed + 1
                n += 1
                self._taken(Task(result.number, result.seed, _none, w.strategy), result, began)

    def _pieces(self) -> Iterator[Piece]:
        w, z = self.wanted, self.zygote
        total = w.seeds if w.seeds is not None else 1 << 62 if w.seconds is not None else DEFAULT
        for first in range(0, total, PIECE):
            few = min(PIECE, total - first)
            part = replace(w, seed=w.seed + first, seeds=few, seconds=None, all=True, jobs=1)
            yield Piece(z.config, z.program, tuple(z.args), part, z.timeout)


def _none() -> Any:
    raise NotImplementedError


def main() -> int:
    """Do the piece on standard input; end with the parent."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        return 1
    piece = pickle.load(sys.stdin.buffer)
    for line in do(piece):
        sys.stdout.buffer.write(line + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
