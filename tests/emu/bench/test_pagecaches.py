"""p9emu bench --pagecache: what of it is a count comes out as the two page caches are made."""

import json

import pytest

from emu.bench import pagecaches
from emu.bench.contention import Operation, Outcome, holds, play, seen, taken, work
from emu.bench.report import Table
from emu.machine.limits import PAGEOUT
from kernel.base.dat import Lock
from kernel.memory.page import newpage, putpage
from kernel.sched.taslock import lock, unlock
from tests.e2e.harness import p9emu


def operation(lk: Lock, before: int, within: int) -> Operation:
    return [("work", before), ("lock", lk), ("work", within), ("unlock", lk)]


def rows(table: Table) -> dict[tuple[str, ...], list[str]]:
    """The cells of numbers, by those of words."""
    return {tuple(line[: table.left]): list(line[table.left :]) for line in table.lines[1:]}


# What is seen


def test_locks_and_lines_of_an_operation_are_seen() -> None:
    with pagecaches.kernel("parent") as k:
        p = k.palloc

        def both() -> None:
            lock(k, p)
            unlock(k, p)
            pagecaches.fresh(k)

        steps = seen(both)
        assert taken(steps, p) == 3
        assert len(holds(steps, p)) == 3
        assert holds(steps, p)[0] == 1  # nothing but the release
        assert sum(holds(steps, p)) < work(steps)
        page = newpage(k, False, 0)
        assert page is not None
        assert [step[0] for step in seen(lambda: putpage(k, page)) if step[0] != "work"] == ["lock"] * 2 + [
            "unlock"
        ] * 2


# What is made of it


def test_one_processor_never_waits() -> None:
    assert play([[operation(Lock(), 5, 5)] * 10]) == Outcome(10, 0)


def test_processors_with_locks_of_their_own_do_not_wait() -> None:
    assert play([[operation(Lock(), 5, 5)] * 10, [operation(Lock(), 5, 5)] * 10]) == Outcome(5, 0)


def test_under_one_lock_all_the_time_processors_do_no_more_than_one() -> None:
    lk = Lock()
    made = play([[operation(lk, 0, 10)] * 10] * 4)
    assert made.each == 10
    assert 0.6 < made.waiting < 0.75


def test_who_came_first_has_the_lock_first() -> None:
    lk = Lock()
    made = play([[operation(lk, 0, 10)], [operation(lk, 2, 1)], [operation(lk, 1, 1)]])
    assert made.each == 12 / 3
    assert made.waiting == pytest.approx((9 + 9) / (10 + 12 + 11))


# The tables


def test_a_look_up_costs_the_parent_more_the_more_is_cached() -> None:
    lines = pagecaches.lookups((512, 8192)).lines[1:]
    few, many, parentfew, parentmany = (float(line[2]) for line in lines)
    assert few == many  # 512 chains for each of 16 images
    assert parentmany > parentfew > few
    assert {line[0]: line[3] for line in lines} == {"commit": "1", "parent": "5"}


def test_the_commit_looks_up_under_its_images_lock_alone() -> None:
    made = rows(pagecaches.held())
    look, parent = (made["look a page up and put it", name] for name in ("commit", "parent"))
    assert (look[0], look[1], look[3]) == ("0", "-", "-")
    assert int(parent[0]) > int(look[2]) > 0
    assert int(parent[1]) > 0 and int(parent[3]) > 0


def test_processors_wait_for_the_parents_allocator_and_not_for_other_images() -> None:
    made = rows(pagecaches.contention((1, 4), 30))
    own = "look up pages, each processor its own image's"
    one, four = made[own, "commit"]
    assert float(four.split(",")[0]) * 4 == pytest.approx(float(one.split(",")[0]), rel=0.02)
    assert four.endswith(" 0%")
    one, four = made[own, "parent"]
    assert float(four.split(",")[0]) * 4 > float(one.split(",")[0])
    assert int(four.split()[-1].rstrip("%")) > 20


def test_the_commit_reclaims_without_the_allocators_lock() -> None:
    made = rows(pagecaches.reclaiming(600))
    commit = made[("commit: pagereclaim, by the pager",)]
    once = made[("parent: imagereclaim, all at once",)]
    single = made[("parent: newpage, one by one",)]
    assert (commit[0], once[0], single[0]) == ("600", "600", "600")
    assert float(commit[2]) < 0.01 and float(single[2]) == 1
    assert int(commit[3]) < 20
    assert int(once[3].replace(",", "")) > 600 * 20


def test_sizes_are_those_of_the_claims() -> None:
    made = rows(pagecaches.sizes())
    assert made[("with cachectl[32]",)] == ["96", "60", "0.62"]


def test_the_optimum_of_a_program_that_has_room_is_nothing() -> None:
    assert pagecaches.optimum("touch 20", 8 << 20) == 0


def test_no_policy_beats_the_optimum_and_some_beat_others() -> None:
    table = pagecaches.policies([("thrash 390 1", 4), ("agewalk 600 200", 4)])
    thrash, walk = (
        {name: cell.split()[0].replace(",", "") for name, cell in zip(table.lines[0], line, strict=True)}
        for line in table.lines[1:]
    )
    for load in (thrash, walk):
        assert all(int(load[p]) >= int(load["optimum"]) > 0 for p in PAGEOUT)
    assert int(thrash["random"]) < int(thrash["lru"])
    assert int(walk["lru"]) < int(walk["fifo"])


def test_programs_are_run_with_both() -> None:
    made = rows(pagecaches.guests(["thrash 400 1"]))
    assert sorted(name for _, name in made) == ["commit", "parent"]
    assert all(int(cells[3].replace(",", "")) > 100 for cells in made.values())


def test_renderings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("lookups", "held", "contention", "reclaiming", "guests", "policies"):
        table = Table(name, [["a", "b"], [name, "1"]], 1)
        monkeypatch.setattr(pagecaches, name, lambda table=table: table)
    pagecaches.main("json")
    told = json.loads(capsys.readouterr().out)
    assert told["v"] == 1 and told["held"] == [["a", "b"], ["held", "1"]]
    pagecaches.main("markdown")
    assert "<!-- policies -->\n| a | b |\n| --- | ---: |\n| policies | 1 |\n" in capsys.readouterr().out
    pagecaches.main("text")
    assert "lookups  1\n" in capsys.readouterr().out


def test_it_is_measured_alone() -> None:
    r = p9emu("bench", "--pagecache", "--quick")
    assert r.returncode == 2
    assert b"measured alone" in r.stderr
