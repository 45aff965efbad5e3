"""guest.build: the committed programs are what the sources give, on any path; failures are told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guest import build
from guest.catalog import CATALOG

pytest.importorskip("ziglang")


def test_rebuild_elsewhere_is_byte_for_byte_the_same(tmp_path: Path) -> None:
    """A copy of the sources, in another place, with caches and an environment of its own."""
    there = tmp_path / "some where" / "else"
    shutil.copytree(build.HERE, there / "guest", ignore=shutil.ignore_patterns("bin", "__pycache__"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ZIG_"))}
    env |= {"HOME": str(tmp_path), "LANG": "C", "TZ": "Asia/Tokyo", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "guest.build", "-j", "2"],
        cwd=there,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(CATALOG)} programs, {len(CATALOG)} changed\n"
    for g in CATALOG:
        assert (there / "guest" / "bin" / g.name).read_bytes() == (build.BIN / g.name).read_bytes(), g.name


def test_build_of_one_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["-o", str(tmp_path / "out"), "true"]) == 0
    assert capsys.readouterr().out == "1 programs, 1 changed\n"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["true"]
    assert build.main(["-o", str(tmp_path / "out"), "true"]) == 0
    assert capsys.readouterr().out == "1 programs, 0 changed\n"


def test_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check", "true"]) == 0
    (tmp_path / "true").write_bytes(b"old")
    assert build.main(["--check", "-o", str(tmp_path), "true"]) == 1
    assert (tmp_path / "true").read_bytes() == b"old"
    assert capsys.readouterr().err == "true: differs from what its sources give\n"


def test_unknown_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as e:
        build.main(["nosuch"])
    assert e.value.code == 2
    assert "no such program: nosuch" in capsys.readouterr().err


def _sources(monkeypatch: pytest.MonkeyPatch, here: Path, **files: str) -> None:
    """Let the build see a folder with the library and the given sources of the program `true`."""
    shutil.copytree(build.LIB, here / "lib")
    (here / "src").mkdir()
    for suffix, body in files.items():
        (here / "src" / f"true.{suffix}").write_text(body)
    for name, value in (("HERE", here), ("LIB", here / "lib"), ("SRC", here / "src")):
        monkeypatch.setattr(build, name, value)


def test_compiler_error_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _sources(monkeypatch, tmp_path, c="int main(void) { return nonsense; }\n")
    assert build.main(["-o", str(tmp_path / "out"), "true"]) == 1
    assert "nonsense" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_warning_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sources(monkeypatch, tmp_path, c="int main(void) { int unused; return 0; }\n")
    with pytest.raises(build.BuildError, match="unused"):
        build.build(["true"])


def test_section_that_an_aout_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ".text\n.globl _start\n_start: .long strange\n"
    _sources(monkeypatch, tmp_path, S=text + '.section .strange, "aw"\nstrange: .long 2\n')
    with pytest.raises(build.BuildError, match=r"true: section \.strange has no place"):
        build.build(["true"])


def test_program_without_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sources(monkeypatch, tmp_path)
    with pytest.raises(build.BuildError, match="true: no source"):
        build.build(["true"])
