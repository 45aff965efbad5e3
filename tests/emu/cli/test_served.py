"""Who is served, and who serves."""

import _socket
import os
from pathlib import Path

import pytest

from emu.cli import served


@pytest.mark.parametrize(
    ("words", "so"),
    [
        ("test ./...", True),
        ("test -v -count=1 ./...", True),
        ("-C dir test a b", True),
        ("test -run X a b", True),
        ("test -short a b", True),
        ("test std", True),
        ("test", False),
        ("test a", False),
        ("test -v a", False),
        ("test -run X a", False),
        ("test -run X... a", False),
        ("test a -args b c ...", False),
        ("run ./... a b", False),
        ("", False),
    ],
)
def test_which_commands_test_several(words: str, so: bool) -> None:
    assert served.several(words.split()) is so


def test_a_directory_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    d = tmp_path / "d"
    assert served.private(str(d))  # to be made
    d.mkdir(0o700)
    assert served.private(str(d))
    for mode in (0o710, 0o701, 0o722):
        d.chmod(mode)
        assert not served.private(str(d))
    d.chmod(0o700)
    (tmp_path / "link").symlink_to(d)
    (tmp_path / "file").write_text("")
    assert not served.private(str(tmp_path / "link"))
    assert not served.private(str(tmp_path / "file"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not served.private(str(d))


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/5")
    assert served.ours() == "/run/user/5/p9emu"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        assert served.ours() == f"/tmp/p9emu-{os.geteuid()}"


def test_who_is_at_the_other_end() -> None:
    a, b = _socket.socketpair()
    assert served.peer(a) == served.peer(b) == (os.getpid(), os.geteuid())
    a.close()
    b.close()


def test_a_process_that_is_no_go_command_has_no_name() -> None:
    assert served.started(os.getpid()) == ""
    assert served.started(1 << 30) == ""
