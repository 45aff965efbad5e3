"""guest.pctab: what it writes is what 8l writes, and emu.program.lines reads it back."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.program.lines import TEXT, Table
from guest.pctab import LINE, STACK, encode, merge


@pytest.mark.parametrize(
    ("runs", "table"),
    [
        ([(0x1020, 5)], "05 84 81 81"),  # 5 lines, on to the end, one more step, an even number of bytes
        ([(0x1020, 5), (0x1022, 4)], "05 81 41 82 81 81"),
        ([(0x1020, 64), (0x1021, 0)], "40 80 83 81"),
        ([(0x1020, 65)], "00 00 00 00 41 84 81 81"),
        ([(0x1020, 200), (0x1021, 1)], "00 00 00 00 c8 00 ff ff ff 39 83 81"),
        ([], ""),
    ],
)
def test_steps(runs: list[tuple[int, int]], table: str) -> None:
    assert encode(runs, 0x1020, 0x1025) == bytes.fromhex(table)


def test_a_long_way_takes_several_steps() -> None:
    assert encode([(0x1020 + 300, 1)], 0x1020, 0x1020 + 301) == bytes([255, 255, 128 + 46, 1, 129, 129])


def test_the_stack_moves_by_words_or_by_any_number() -> None:
    assert encode([(0x1020, 8), (0x1021, 2)], 0x1020, 0x1022, STACK)[:6] == b"\2\0\xff\xff\xff\xfa"


def test_of_runs_at_one_address_the_last_holds() -> None:
    assert merge([(5, 1), (7, 3), (5, 2), (6, 2)]) == [(5, 2), (7, 3)]


RUNS = st.dictionaries(st.integers(0, 2000), st.integers(0, 1 << 20)).map(lambda d: sorted(d.items()))


@given(RUNS, st.integers(1, 500), st.sampled_from([LINE, STACK]))
def test_what_is_written_is_read(runs: list[tuple[int, int]], more: int, unit: int) -> None:
    end = TEXT + max((at for at, _ in runs), default=0) + more
    table = Table(encode(((TEXT + at, v) for at, v in runs), TEXT, end, unit), end, unit)
    starts = [TEXT + at for at, _ in runs]
    if any(v for _, v in runs):
        for pc in range(TEXT, end):
            i = bisect_right(starts, pc) - 1
            assert table.at(pc) == (runs[i][1] if i >= 0 else 0)
    assert table.at(TEXT - 1) is None
    assert table.at(end + 2) is None
