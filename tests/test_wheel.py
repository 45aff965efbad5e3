"""A project outside this tree tests its own guest, with p9emu installed from a wheel."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOURCE = """
#include "guest.h"

const char *
main(int argc, char *argv[])
{
	print("%d %s\\n", argc, argv[1]);
	return 0;
}
"""

TEST = """
import emu
import pytest

@pytest.mark.p9emu(cpus=2)
def test_mine(p9):
    r = p9.run(p9.build("mine.c"), "word").check_status()
    assert r.text == "2 word\\n"
    assert r.faults.count(segment="text", cls="text-load") == 1
    print("from", emu.__file__)
"""


def command(*args: str | Path, cwd: Path, path: str = "") -> str:
    """What Python says, which must succeed."""
    env = {**os.environ, "PYTHONPATH": path, "P9EMU_UPDATE": ""}
    done = subprocess.run([sys.executable, *args], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def copied(tmp_path: Path) -> Path:
    """What of this tree an installation needs."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    for name in ("emu", "kernel", "guest"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with space", "long" * 62])
def test_scripts_run_where_no_first_line_can_name_the_interpreter(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    command("-m", "venv", "--without-pip", place, cwd=tmp_path)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(site.getsitepackages())}
    install = (*PIP, "install", "--no-deps", "--no-index", "--no-build-isolation", copied(tmp_path))
    subprocess.run([place / "bin/python", *install], cwd=tmp_path, env=env, check=True)
    for script in ("p9emu", "go_plan9_386_exec"):
        told = subprocess.check_output([place / "bin" / script, "--help"], cwd=tmp_path, env=env)
        assert told.startswith(b"Usage: ")


@pytest.mark.slow
def test_a_project_elsewhere(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    command(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, tree, cwd=tmp_path)
    (wheel,) = tmp_path.glob("p9emu-*.whl")
    with zipfile.ZipFile(wheel) as z:
        names = z.namelist()
        (entry,) = (n for n in names if n.endswith("/entry_points.txt"))
        assert "[pytest11]\np9emu = emu.testing.plugin" in z.read(entry).decode()
        (script,) = (n for n in names if n.endswith(".data/scripts/go_plan9_386_exec"))
        assert z.read(script).startswith(b"#!python\n")  # which an installer replaces
    inits = [p for d in ("emu", "kernel", "guest") for p in (ROOT / d).rglob("__init__.py")]
    packages = {str(p.parent.relative_to(ROOT)) for p in inits}
    assert {os.path.dirname(n) for n in names if n.endswith("/__init__.py")} == packages
    assert "emu/py.typed" in names
    page = "emu/observe/report/page"
    assert {n for n in names if n.startswith(page)} == {f"{page}/{p.name}" for p in (ROOT / page).iterdir()}
    target = tmp_path / "site"
    command(*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel, cwd=tmp_path)
    project = tmp_path / "project"
    project.mkdir()
    (project / "mine.c").write_text(SOURCE)
    (project / "test_mine.py").write_text(TEST)
    out = command("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", cwd=project, path=str(target))
    assert f"from {target}/emu/__init__.py" in out
    assert "1 passed" in out
