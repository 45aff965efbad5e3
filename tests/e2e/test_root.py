"""A directory of the host as the root of the name space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import guest
from emu.machine.config import Bind, LoadError, Root
from kernel.files.conv import convM2D, direntries
from tests.e2e.harness import p9emu, run


def cat(root: Path, *names: str, rw: bool = False, **config: Any) -> str:
    """What these files hold, or the error."""
    r = run("cat", *names, root=Root(str(root), rw), check=False, **config)
    return r.stdout or r.outcome.exits


@pytest.fixture
def plan9(tmp_path: Path) -> Path:
    """A small root, beside a secret."""
    root = tmp_path / "root"
    for d in ("386/bin", "rc/bin", "bin", "lib", "usr/me", "tmp", "dev"):
        (root / d).mkdir(parents=True)
    (root / "lib" / "words").write_text("words\n")
    (root / "dev" / "pid").write_text("not the device\n")
    (root / "386" / "bin" / "same").write_bytes(Path(guest.path("echo")).read_bytes())
    (root / "rc" / "bin" / "script").write_text("#!/bin/same of rc\n")
    for f in (root / "386" / "bin" / "same", root / "rc" / "bin" / "script"):
        f.chmod(0o755)
    (tmp_path / "secret").write_text("secret\n")
    return root


def test_files_and_devices_are_where_they_belong(plan9: Path) -> None:
    assert cat(plan9, "/lib/words", "/dev/pid", "/env/a", "/proc/2/ppid", env=(("a", "b\n"),)) == (
        "words\n          2 b\n          1 "
    )
    assert cat(plan9, "words", cwd="/lib") == "words\n"
    assert cat(plan9, "/n/x/secret", "/usr/you/there/secret", binds=tuple(
        Bind(str(plan9.parent), at) for at in ("/n/x", "/usr/you/there")
    )) == "secret\nsecret\n"  # fmt: skip
    assert run("exec", "/bin/same", "a", root=Root(str(plan9))).stdout == "a\n"
    assert run("exec", "script", "b", root=Root(str(plan9))).stdout.endswith("b\n")
    assert run("hello", root=Root(str(plan9))).stdout == "hello, world\n"


def test_the_program_is_the_one_that_was_named(plan9: Path) -> None:
    for d in ("bin", "386/bin"):
        (plan9 / d / "cat").write_text("another one")
    assert cat(plan9, "/lib/words") == "words\n"


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    assert cat(tmp_path, "/dev/pid", "/env/e", env=(("e", "x"),)) == "          2 x"
    assert cat(tmp_path, "/dev/null", cwd="/tmp") == ""
    assert os.listdir(tmp_path) == []


def test_each_name_is_listed_once(plan9: Path) -> None:
    binds = (Bind(str(plan9), "/usr/x/y"), Bind(str(plan9), "/386/z"))
    text = cat(plan9, "/", binds=binds)
    entries = direntries(text.encode("utf-8", "surrogateescape"))
    names = [d[0].name for d in map(convM2D, entries) if d is not None]
    assert len(names) == len(set(names))
    assert {"386", "lib", "dev", "bin", "tmp", "env", "fd", "proc", "srv", "n", "mnt"} <= set(names)


@pytest.mark.parametrize(
    "name", ["/../secret", "/..", "/usr/../../secret", "/link", "/up", "/lib/../link", "/dir/secret"]
)
def test_nothing_leads_out(plan9: Path, name: str) -> None:
    (plan9 / "link").symlink_to(plan9.parent / "secret")
    (plan9 / "up").symlink_to("../secret")
    (plan9 / "dir").symlink_to("..")
    for rw in (False, True):
        assert "secret\n" not in cat(plan9, name, rw=rw)


@pytest.mark.parametrize("rw", [False, True])
def test_what_may_be_written(plan9: Path, rw: bool) -> None:
    """dirs makes files in a directory. /tmp can be written in any case."""

    def times() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in sorted(plan9.rglob("*"))}

    before = times()
    option = f"{plan9}{':rw' if rw else ''}"
    assert p9emu("run", "--root", option, "dirs", "/usr/me").returncode == (0 if rw else 1)
    assert p9emu("run", "--root", option, "dirs").returncode == 0
    assert {p for p, t in times().items() if before.get(p) != t} == {str(plan9 / p) for p in ("usr/me", "tmp") if rw}


def test_roots_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text("no directory")
    with pytest.raises(LoadError, match=r"--root .*: /dev: ") as e:
        cat(tmp_path, "/dev/pid")
    assert e.value.status == 2
    r = p9emu("run", "--root", str(tmp_path / "dev"), "hello")
    assert (r.returncode, r.stderr.count(b"\n")) == (2, 1)
