"""One command, one trace: byte for byte, on any number of processors, whatever counts blocks."""

from contextlib import closing

import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from tests.e2e.harness import Console, jsontrace, run

GUESTS = ("cow 20", "forkbomb 8", "pingpong 30", "sema 8", "pipe 20", "selfmod", "spin 25", "tcpecho 4 2")


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", GUESTS)
def test_same_command_same_trace(argv: str, cpus: int) -> None:
    first = jsontrace(*argv.split(), cpus=cpus)
    assert first == jsontrace(*argv.split(), cpus=cpus)
    assert first.count("\n") > 20


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("argv", GUESTS)
def test_other_counters_count_like_the_inline_one(argv: str, cpus: int) -> None:
    inline = jsontrace(*argv.split(), cpus=cpus, counter="inline")
    assert inline == jsontrace(*argv.split(), cpus=cpus, counter="hook")
    assert inline == jsontrace(*argv.split(), cpus=cpus, counter="python")


def test_two_machines_in_one_process_do_not_meet() -> None:
    alone = jsontrace("cow", "5")
    with closing(Machine(Config())) as other:
        other.kernel.console = Console()
        assert jsontrace("cow", "5") == alone
        assert other.run("cow", ["5"]).status == 0


def test_seed_is_what_dev_random_gives() -> None:
    def random(seed: int) -> bytes:
        with closing(Machine(Config(seed=seed))) as machine:
            return machine.kernel.random(8)

    assert random(1) == random(1) != random(2)


def test_seed_is_the_moment_at_which_time_starts() -> None:
    def nsec(seed: int) -> int:
        return int(run("cat", "/dev/time", seed=seed).stdout.split()[1])

    assert nsec(0) // 1000 == 1_402_963_200_000_003
    assert nsec(1) == nsec(1) != nsec(2)
    assert 0 <= nsec(2) - nsec(0) < 1_000_000_000


def test_time_starts_when_it_is_told_to() -> None:
    for clock in ("virtual", "real"):
        seconds, ns = map(int, run("cat", "/dev/time", epoch=1_577_836_800, clock=clock).stdout.split()[:2])
        assert ns // 1_000_000_000 == seconds >= 1_577_836_800
        assert clock == "real" or seconds == 1_577_836_800
