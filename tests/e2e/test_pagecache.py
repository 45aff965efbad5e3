"""Every guest with the page cache that the commit replaced, and the pager with each policy: the output is the same."""

from __future__ import annotations

import pytest

from emu.machine.limits import PAGEOUT
from kernel.base.variant import fixes
from tests.e2e.harness import Run, p9emu, run
from tests.e2e.test_every_guest import ARGS, BAD, GOOD, ended
from tests.emu.observe.model.modelcheck import watched

M = 1 << 20


def same(a: Run, b: Run) -> None:
    """What can be seen from outside."""
    assert (a.outcome.status, a.outcome.exits, a.stdout) == (b.outcome.status, b.outcome.exits, b.stdout)


@pytest.mark.parametrize("name", sorted(GOOD | BAD))
def test_a_guest_does_the_same(name: str) -> None:
    args = ARGS.get(name, "").split()
    here, there = (run(name, *args, memory=8 * M, swap=8 * M, timeout=60, pagecache=pc) for pc in ("parent", "commit"))
    same(here, there)


@pytest.mark.parametrize("name", sorted(GOOD | BAD)[::4])
def test_where_memory_is_short(name: str) -> None:
    """As in test_every_guest, on two processors."""
    args = "cons", "hog", "360", name, *ARGS.get(name, "").split()
    r = run(*args, cpus=2, memory=4 * M, swap=32 * M, check=False, timeout=60, pagecache="parent")
    assert ended(name, r.outcome.exits), r.outcome.exits
    assert r.outcome.stats.page_outs > 0


BUSY = ("cow 20", "forkbomb 5", "text 10", "shm 4", "selfmod", "swapfork 200", "pressure 100 2 1", "cachefs 20")


@pytest.mark.parametrize(("seed", "argv"), list(enumerate(BUSY)))
def test_where_processes_interrupt_each_other(argv: str, seed: int) -> None:
    cpus = 1 + seed % 2
    r = run(*argv.split(), cpus=cpus, memory=8 * M, swap=8 * M, sched="random", seed=seed, pagecache="parent")
    assert r.outcome.exits == ""


@pytest.mark.parametrize("argv", ["swapfork 200", "text 10", "cachefs 20"])
def test_the_trace_tells_all_of_it(argv: str) -> None:
    _, watch = watched(*argv.split(), memory=4 * M, swap=8 * M, timeout=60, pagecache="parent")
    assert watch.compared > 5


def test_memory_and_swap_run_out() -> None:
    r = run("swapfull", memory=4 * M, swap=M, check=False, timeout=60, pagecache="parent")
    assert r.outcome.exits == ""


@pytest.mark.parametrize("argv", ["hello", "cow 3", "text 3"])
def test_with_all_later_fixes(argv: str) -> None:
    fix = tuple(fixes())
    r = run(*argv.split(), memory=4 * M, swap=8 * M, timeout=60, pagecache="parent", fix=fix)
    assert r.outcome.exits == ""


@pytest.mark.parametrize("pageout", PAGEOUT)
@pytest.mark.parametrize("argv", ["agewalk 200 20", "pressure 100 2 1", "thrash 450 1"])
def test_a_policy_changes_nothing_but_what_is_paged_out(argv: str, pageout: str) -> None:
    r = run(*argv.split(), memory=4 * M, swap=8 * M, timeout=60, check=False, pageout=pageout)
    same(r, run(*argv.split(), memory=4 * M, swap=8 * M, timeout=60, check=False))


@pytest.mark.parametrize("pagecache", ["commit", "parent"])
def test_the_default_policy_is_the_page_caches_own(pagecache: str) -> None:
    own = {"commit": "clock16", "parent": "average"}[pagecache]
    runs = [
        run("thrash", "450", "1", memory=4 * M, swap=8 * M, check=False, pagecache=pagecache, pageout=pageout)
        for pageout in (None, own)
    ]
    a, b = (r.outcome.stats for r in runs)
    assert (a.virtual_ns, a.page_outs, a.faults) == (b.virtual_ns, b.page_outs, b.faults)


def test_the_same_seed_draws_the_same_lots() -> None:
    def ns(seed: int) -> int:
        r = run("thrash", "450", "1", memory=4 * M, swap=8 * M, check=False, pageout="random", seed=seed)
        return r.outcome.stats.virtual_ns

    assert ns(1) == ns(1) != ns(2)


def test_the_command() -> None:
    r = p9emu("run", "--pagecache", "parent", "--pageout", "lru", "--check", "hello")
    assert (r.returncode, r.stdout) == (0, b"hello, world\n")


@pytest.mark.parametrize("option", ["--pagecache", "--pageout"])
def test_a_name_that_is_none_is_told_in_one_line(option: str) -> None:
    r = p9emu("run", option, "belady", "hello")
    assert r.returncode == 2
    assert b"belady" in r.stderr.splitlines()[-1]


def test_a_broken_kernel_tells_how_to_do_it_again() -> None:
    from emu.machine.config import Config
    from emu.machine.repeat import commandline

    words = commandline(Config(pagecache="parent", pageout="2q"), "hello", [])
    assert words == "p9emu run --check --pagecache parent --pageout 2q hello"
