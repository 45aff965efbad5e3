"""Work on files of the host: each row in earnest."""

from emu.bench import files


def test_rows() -> None:
    rows = files.measure(1)
    assert [r.name for r in rows] == [case[0] for case in files.CASES]
    assert all(r.us > 0 and r.os_us > 0 and r.ratio > 0 for r in rows)
