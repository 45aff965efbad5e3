"""Schedules on a Dask cluster: workers that die lose nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import p9emu


def start(module: str, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *args, "--no-dashboard"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and three workers, of this host."""
    file = tmp_path / "scheduler.json"
    processes = [start("dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(file))]
    try:
        while not (file.exists() and file.read_text().endswith("}")):
            assert processes[0].poll() is None
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        local = str(tmp_path / "workers")
        processes += [
            start("dask_worker", address, "--no-nanny", "--nthreads", "1", "--local-directory", local) for _ in range(3)
        ]
        yield address, processes[1:]
    finally:
        for p in processes[::-1]:
            p.kill()
            p.wait()


@pytest.mark.slow
def test_two_workers_of_three_die_and_nothing_is_lost(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    address, workers = cluster
    options = ["--dask", address, "--seeds", "200", "--all", "--format", "json", "--minimize-for", "0"]
    command = [sys.executable, "-m", "emu", "explore", *options, "mhead", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as run:
        assert run.stdout is not None
        lines = [json.loads(run.stdout.readline()) for _ in range(2)]  # the plain order, and a worker's first
        for worker in workers[:2]:
            worker.kill()
        lines += map(json.loads, run.stdout)
    told = Counter(o["seed"] for o in lines if o["event"] == "schedule" and o["n"] > 0)
    assert told == Counter(range(200))
    failures = [o for o in lines if o["event"] == "failure"]
    assert len({(o["kind"], o["place"]) for o in failures}) == len(failures)
    assert lines[-1]["event"] == "end"
    assert lines[-1]["schedules"] == 201
    assert run.returncode == (1 if failures else 0)


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    for address in ("tcp://127.0.0.1:1", "nowhere at all"):
        r = p9emu("explore", "--dask", address, "true", cwd=tmp_path)
        assert r.returncode == 125
        assert r.stderr.startswith(f"p9emu: --dask {address}: ".encode())
        assert r.stderr.count(b"\n") == 1
    r = p9emu("explore", "--dask", "x", "--strategy", "delay", "true")
    assert r.returncode == 2
