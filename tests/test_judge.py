"""p9emu judge: what it says of the tree as it is, and of patches."""

from __future__ import annotations

import difflib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from emu.cli.judge import judge
from emu.cli.toolcommands import PARTS
from emu.failure import Failure
from tests import judge as judging
from tests.e2e.terminal import hearing
from tests.emu.cli.faked import p9emu


def patch(tmp_path: Path, path: str, old: str, new: str) -> str:
    """A patch of one line."""
    before = (judging.ROOT / path).read_text()
    assert before.count(old) == 1
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), before.replace(old, new).splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    file = tmp_path / "patch"
    file.write_text("".join(lines))
    return str(file)


def test_the_command_knows_the_parts() -> None:
    assert set(PARTS) == judging.PARTS.keys()
    said = p9emu("judge", "--help").stdout
    assert all(f"\n    {part} " in said for part in PARTS)
    assert "2 there is no such PART" in said
    result = p9emu("judge", "--only", "nosuch")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert all(part in result.stderr for part in PARTS)


def test_names_of_what_was_changed() -> None:
    old = judging.names("A = 1\nclass C:\n    x: int = 2\n    def f(self): return 1\ndef g(): pass\n")
    new = judging.names("A = 1\nclass C:\n    x: int = 3\n    def f(self):\n        return 1\n")
    assert sorted(k for k in old | new if old.get(k) != new.get(k)) == ["C.x", "g"]


def test_counts_that_are_others() -> None:
    assert judging.changes(Counter(a=1, b=2), Counter(a=1, b=3, c=1)) == "b 2 -> 3, c 0 -> 1"


def test_the_kernel_is_what_it_was() -> None:
    assert [judging.PARTS[part]() for part in ("loads", "faults", "golden")] == [[], [], []]


def test_an_event_that_is_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernel.memory import fault

    source = fault.fixfault.__code__
    constants = tuple("cow" if c == "zero-fill" else c for c in source.co_consts)
    monkeypatch.setattr(fault.fixfault, "__code__", source.replace(co_consts=constants))
    found = judging.golden()
    assert len(found) == 16
    assert '{"class":"zero-fill"}, is {"class":"cow"}; in all fault cow 0 -> ' in found[0]


@pytest.mark.guest
def test_a_patch_that_loses_pages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = (judging.ROOT / "kernel/memory/page.py").read_bytes()
    bad = patch(tmp_path, "kernel/memory/page.py", "in range(p.first, p.last + 1)", "in range(p.first, p.last)")
    assert judge(bad, ["vectors"]) == 1
    out, _ = capfd.readouterr()
    assert "changed: kernel.memory.page:freepte\n" in out
    assert "CHANGED  loads" in out
    assert "has ref 1, 0 holders" in out
    assert (judging.ROOT / "kernel/memory/page.py").read_bytes() == before


def test_a_patch_that_does_not_apply(tmp_path: Path) -> None:
    file = Path(patch(tmp_path, "kernel/memory/page.py", "in range(p.first, p.last + 1)", "in range(p.first, p.last)"))
    file.write_text(file.read_text().replace("    for n", "    for m"))
    with pytest.raises(Failure, match="does not apply"):
        judge(str(file), [])
    with pytest.raises(Failure, match="No such file"):
        judge(str(tmp_path / "none"), [])


PROGRAM = [sys.executable, "-m", "emu", "judge", "--only", "loads"]


def test_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        r = subprocess.run(PROGRAM, cwd=judging.ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (r.returncode, r.stderr) == (125, b"p9emu: cannot write standard output: No space left on device\n")
    r = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM], cwd=judging.ROOT, stderr=subprocess.PIPE, check=False
    )
    assert (r.returncode, r.stderr) == (125, b"p9emu: cannot write standard output: it is closed\n")
    read, write = os.pipe()
    os.close(read)
    r = subprocess.run(PROGRAM, cwd=judging.ROOT, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (r.returncode, r.stderr) == (141, b"")


def test_another_repository_of_the_environment_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    bad = patch(tmp_path, "kernel/memory/page.py", "in range(p.first, p.last + 1)", "in range(p.first, p.last)")
    assert judge(bad, ["loads"]) == 1
    assert capfd.readouterr().out.startswith("changed: kernel.memory.page:freepte\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_copy(tmp_path: Path, number: signal.Signals) -> None:
    bad = patch(tmp_path, "kernel/memory/page.py", "in range(p.first, p.last + 1)", "in range(p.first, p.last)")
    copies = tmp_path / "copies"
    copies.mkdir()
    with subprocess.Popen(
        [*PROGRAM, bad],
        cwd=judging.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(copies)},
        preexec_fn=hearing,
    ) as p:
        assert p.stdout is not None
        assert p.stdout.readline().startswith(b"changed: ")
        p.send_signal(number)
        _, err = p.communicate()
    assert (p.returncode, err) == (128 + number, f"p9emu: ended by {number.name}\n".encode())
    assert list(copies.iterdir()) == []


def test_no_room_for_a_copy_is_one_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = patch(tmp_path, "kernel/memory/page.py", "in range(p.first, p.last + 1)", "in range(p.first, p.last)")

    def full(*_: object, **__: object) -> None:
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'"), ("c", "d", "another")])

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(Failure) as e:
        judge(bad, [])
    assert str(e.value) == "the tree cannot be copied: [Errno 28] No space left on device: 'b'"
