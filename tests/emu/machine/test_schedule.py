"""Schedule files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.machine.schedule import Schedule, ScheduleError, diverged, load, words
from kernel.sched.explore import HOLD, PAUSE, PICK, SCHED, TURN, At, Decision

NUMBER = st.integers(0, 1 << 40)
DECISION = st.one_of(
    st.builds(lambda pid, at, n, do: Decision(At(pid, at, n), do), NUMBER, st.text(), NUMBER,
              st.sampled_from([PAUSE, SCHED, HOLD])),
    st.builds(lambda m, n, to: Decision(At(m, PICK, n), PICK, to), NUMBER, NUMBER, NUMBER),
    st.builds(lambda n, to: Decision(At(0, TURN, n), TURN, to), NUMBER, NUMBER),
)  # fmt: skip


@given(st.lists(DECISION), st.text(), NUMBER)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, all: list[Decision], t: str, n: int) -> None:
    path = tmp_path_factory.getbasetemp() / "schedule.jsonl"
    s = Schedule(t, n, tuple(all), "random", t, "0.1.0")
    path.write_text(s.text())
    assert load(str(path)) == s


def test_it_can_be_read_by_people() -> None:
    s = Schedule("p9emu run mhead", 3, (Decision(At(2, "walk:rlock", 5), HOLD),), "pct, depth 2", "panic: x", "0.1.0")
    head, line = s.text().splitlines()
    assert json.loads(head) == {
        "schedule": 1, "version": "0.1.0", "command": "p9emu run mhead", "seed": 3, "strategy": "pct, depth 2",
        "failure": "panic: x",
    }  # fmt: skip
    assert line == '{"do": "hold", "pid": 2, "at": "walk:rlock", "n": 5}'


HEAD = '{"schedule": 1, "command": "p9emu run true", "seed": 0}\n'


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "x", "[]", "{}", "5", '{"schedule": 1}', HEAD + "x", HEAD + "{}", HEAD + '{"do": "dance"}',
        HEAD + '{"do": "turn", "n": -1, "processor": 0}', HEAD + '{"do": "turn", "n": true, "processor": 0}',
        HEAD + '{"do": "hold", "pid": 1, "at": 5, "n": 1}', HEAD + '{"do": "pick", "processor": 0, "n": 1}',
        HEAD.replace("1", "true", 1), HEAD.replace("1", "1.0", 1), HEAD.replace('"p9emu run true"', "5"),
        HEAD.replace("0}", '0, "strategy": null}'), HEAD.replace("0}", '"0"}'), "[" * 100_000, HEAD + "null",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    with pytest.raises(ScheduleError) as e:
        load(str(path))
    assert str(e.value) == f"{path}: is not a schedule that p9emu explore wrote"


def test_other_versions_and_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(HEAD.replace("1", "2", 1))
    (tmp_path / "g").write_bytes(b"\xff\xfe")
    with pytest.raises(ScheduleError, match="is a schedule of version 2; this p9emu reads 1"):
        load(str(tmp_path / "f"))
    with pytest.raises(ScheduleError, match="is not a schedule"):
        load(str(tmp_path / "g"))
    with pytest.raises(ScheduleError, match="No such file"):
        load(str(tmp_path / "h"))
    with pytest.raises(ScheduleError, match="Is a directory"):
        load(str(tmp_path))


def test_words() -> None:
    hold = Decision(At(3, "walk:rlock", 5), HOLD)
    assert words(hold) == "hold process 3 at walk:rlock, time 5"
    assert words(Decision(At(1, PICK, 2), PICK, 4)) == "processor 1 takes process 4, choice 2"
    assert words(Decision(At(0, TURN, 7), TURN, 1)) == "turn 7 is processor 1's"
    assert diverged([hold], 3) == (
        "replay: 1 of 3 decisions found no place in this run; the first: hold process 3 at walk:rlock, time 5"
    )
