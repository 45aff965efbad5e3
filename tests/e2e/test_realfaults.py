"""The faults of the recorded guests are those of the real kernel."""

from pathlib import Path

import pytest

from tests.realfaults import REAL, main, replayfile


@pytest.mark.parametrize("recording", ["uniprocessor.json", "two-processors.json"])
def test_faults_are_the_real_kernels(recording: str) -> None:
    runs, bad = replayfile(REAL / recording, REAL / "guests")
    assert bad == []
    assert runs == 24


def test_a_difference_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (REAL / "uniprocessor.json").read_text()
    at = text.index('"0x00002000"', text.index('"user"'))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text[:at] + '"0x00002004"' + text[at + 12 :])
    assert main([str(wrong)]) == 1
    assert "real 0x2004 0x6" in capsys.readouterr().out


def test_a_file_that_is_none() -> None:
    assert main(["/nonexistent"]) == 2
