"""p9emu shell: a Plan 9 tree is at home. The tree is a stand-in of our own programs."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import guest
from tests.e2e.harness import p9emu
from tests.e2e.terminal import ENV, Emu, Tty
from tests.standin import ZONE, plan9


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plan9(tmp_path / "tree")


def shell(tree: Path, *words: str, options: str = "", stdin: bytes = b"", cwd: Path | None = None) -> str:
    """What a command in the tree prints, without complaint."""
    r = p9emu("shell", *options.split(), str(tree), *words, stdin=stdin, cwd=cwd)
    assert (r.returncode, r.stderr) == (0, b"")
    return r.stdout.decode(errors="replace")


def fails(*words: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> tuple[int, str]:
    """The status, and the one line on standard error."""
    r = p9emu(*map(str, words), stdin=stdin, cwd=cwd)
    assert r.stderr.startswith(b"p9emu: ")
    assert r.stderr.count(b"\n") == 1
    return r.returncode, r.stderr.decode()[len("p9emu: ") : -1]


def files(tree: Path) -> dict[str, object]:
    """All there is to see of a directory."""
    return {str(p): p.read_bytes() if p.is_file() else sorted(os.listdir(p)) for p in tree.rglob("*")}


# What is set up


def test_the_environment(tree: Path) -> None:
    names = ("timezone", "user", "home", "objtype", "cputype", "service", "sysname", "terminal", "path")
    text = shell(tree, "-c", ";".join(f"cat /env/{name}; echo" for name in names))
    assert text == f"{ZONE}\nglenda\n/usr/glenda\n386\n386\nterminal\np9emu\ngeneric p9emu\n.\0/bin\0\n"
    assert shell(tree, "cat", "/dev/user") == "glenda"
    assert shell(tree, "cat", "/env/timezone", options="--env timezone=mine") == "mine"


def test_the_time_zone_is_gmt_if_the_tree_has_no_own(tree: Path) -> None:
    (tree / "adm/timezone/local").rename(tree / "adm/timezone/GMT")
    assert shell(tree, "cat", "/env/timezone") == ZONE
    (tree / "adm/timezone/GMT").unlink()
    assert shell(tree, "cat", "/env/timezone") == "GMT 0 GMT 0\n0\n"


def test_bin_is_the_trees(tree: Path) -> None:
    assert shell(tree, "-c", "greet a; mine; /bin/aux/say b") == "hello a\nthis is mine\nb\n"
    assert shell(tree, "aux/say", "d") == "d\n"
    assert shell(tree, "./say", "e", options="--cwd /386/bin/aux") == "e\n"
    assert fails("shell", tree, "hello")[0] == 127  # is bundled, and not in the tree
    assert "hello" not in shell(tree, "cat", "/bin")
    assert "usertests" not in shell(tree, "cat", "/bin")


def test_home_is_where_one_is(tree: Path) -> None:
    assert shell(tree, "pwd") == "/usr/glenda\n"
    assert shell(tree, "pwd", options="--cwd /") == "/\n"
    assert shell(tree, "-c", "pwd; echo x > f; cat f /dev/user", options="--user bob") == "/usr/bob\nx\nbob"
    (tree / "usr/glenda").rename(tree / "usr/x")
    assert shell(tree, "-c", "pwd; echo x > f; cat f /dev/user") == "/usr/eve\nx\neve"


def test_a_tree_without_usr(tree: Path) -> None:
    (tree / "usr").rename(tree / "other")
    assert shell(tree, "-c", "pwd; echo x > f; cat f") == "/usr/eve\nx\n"


def test_tmp_is_the_users(tree: Path) -> None:
    (tree / "usr/glenda/tmp/old").write_text("old\n")
    assert shell(tree, "-c", "cat /tmp/old; echo new > /tmp/new; cat /usr/glenda/tmp/new") == "old\nnew\n"
    assert shell(tree, "-c", "echo x > /tmp/y; cat /tmp/y", options="--user bob") == "x\n"


def test_nothing_in_the_tree_changes(tree: Path, tmp_path: Path) -> None:
    before = files(tree)
    words = "echo a > /lib/words; echo b > /tmp/b; echo c > /new; echo d > mine; cat /lib/words"
    assert shell(tree, "-c", words) == "a\n"
    assert shell(tree, "cat", "/lib/words") == "one\ntwo\nthree\n"
    changes = f"--changes {tmp_path / 'changes'}"
    assert shell(tree, "-c", words, options=changes) == "a\n"
    assert shell(tree, "-c", "cat /lib/words /new mine", options=changes) == "a\nc\nd\n"
    assert files(tree) == before


@pytest.mark.parametrize("at", ["/n", "/mnt"])
@pytest.mark.parametrize("own", [False, True])
def test_every_name_is_a_mount_point(tree: Path, at: str, own: bool) -> None:
    """Whether or not the tree has a directory of its own there, whose files go first."""
    if own:
        (tree / at[1:]).mkdir()
        (tree / at[1:] / "own").write_text("its own\n")
        assert shell(tree, "cat", f"{at}/own") == "its own\n"
    assert shell(tree, "-c", f"cd {at}/any; pwd") == f"{at}/any\n"
    assert fails("shell", tree, "cat", f"{at}/any/more")[0] == 1
    assert "any" not in shell(tree, "cat", at)


def test_a_profile_is_run_on_request(tree: Path, tty: Tty) -> None:
    """The flag is rc's own; what the profile would set up is left to it."""
    emu = tty.shell("--login", str(tree))
    tty.expect(b"% ")
    tty.type(b"cat /env/service; echo; mine\n")
    tty.expect(b"con\r\n")
    tty.expect(b"tinyrc: mine: ")
    tty.type(b"exit\n")
    emu.end()
    assert fails("shell", "--login", tree)[0] == 2
    assert fails("shell", "--login", tree, "pwd")[0] == 2


# What is run


def test_commands_from_standard_input(tree: Path) -> None:
    assert shell(tree, stdin=b"echo a; echo b | cat\ncat /lib/words | wc") == "a\nb\n      3       3      14\n"
    r = p9emu("shell", str(tree), stdin=b"")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"", b"")


def test_arguments_of_rc(tree: Path) -> None:
    assert shell(tree, "-c", "echo $*", "a", "b c") == "a b c\n"
    assert shell(tree, "-l", "-c", "echo x | cat") == "x\n"
    assert fails("shell", tree, "-Q")[0] == 1


def test_arguments_stay_as_they_are(tree: Path, tmp_path: Path) -> None:
    words = ["", "a b", "*", "$home", "'", "it's", "'a b'", "a;b", "|", ">x", "\\", "`{pwd}", "-c", "é", "#"]
    (tmp_path / "script").write_text("#!/bin/echo\n")
    line = " ".join(words) + "\n"
    assert shell(tree, "echo", *words) == line
    assert shell(tree, str(tmp_path / "script"), *words) == f"/bin/script {line}"
    assert shell(tree, "-c", "echo $*", *words) == line


def test_files_of_the_host(tree: Path, tmp_path: Path) -> None:
    """A program, a script with an interpreter and one without, named by a path or by a name in this directory."""
    (tmp_path / "text").write_text("echo text $*\n")
    (tmp_path / "interpreted").write_text("#!/bin/rc\necho interpreted $*\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "wc").mkdir()  # no regular file: the tree's
    for name in ("text", "interpreted"):
        for path in (name, f"./{name}", str(tmp_path / name)):
            assert shell(tree, path, "a", "b", cwd=tmp_path) == f"{name} a b\n"
    assert shell(tree, "empty", cwd=tmp_path) == ""
    assert shell(tree, "wc", "/lib/words", cwd=tmp_path).startswith("      3")
    assert shell(tree, guest.path("hello")) == "hello, world\n"


def test_a_name_from_the_root_is_the_trees_first(tree: Path) -> None:
    """The host has a /bin/echo too, or at least a /bin/true, which cannot be run here."""
    assert shell(tree, "/bin/echo", "x") == "x\n"
    assert fails("shell", tree, "/bin/sh") == (126, "/bin/sh: is an ELF file, not a Plan 9 a.out")


def test_run_and_trace_have_the_tree_too(tree: Path) -> None:
    assert p9emu("run", "--tree", str(tree), "cat", "/env/user").stdout == b"glenda"
    r = p9emu("trace", "--tree", str(tree), "--user", "bob", "-e", "fault", "echo", "x")
    assert r.stdout == b"x\n"
    assert re.search(rb" \w+\+0x", r.stderr)  # the symbols of the tree's program
    assert fails("run", "--tree", tree, "--root", tree, "pwd")[0] == 2
    assert fails("run", "--user", "bob", "pwd") == (2, "--user needs --tree TREE")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 28, "a\nb"])
def test_names_that_no_user_has(tree: Path, name: str) -> None:
    assert fails("shell", "--user", name, tree, "pwd")[0] == 2


def test_the_status_is_as_that_of_run(tree: Path) -> None:
    assert p9emu("shell", str(tree), "true").returncode == 0
    assert fails("shell", tree, "false", "not today") == (1, "false 2: not today")
    assert p9emu("shell", str(tree), "-c", "exit 3").returncode == 3
    assert fails("shell", tree, "nosuch") == (127, "nosuch: no such command in the guest, and no file of the host")
    assert fails("shell", tree, "./no/such")[0] == 127
    assert fails("shell", tree, "aux")[0] == 127  # a directory
    (tree / "386/bin/junk").write_text("junk")
    status, text = fails("shell", tree, "junk")
    assert status == 126
    assert text.startswith("junk: ")
    assert fails("shell", "--cwd", "/no", tree, "pwd")[0] == 2


# What no tree is


def test_what_is_no_tree(tree: Path, tmp_path: Path) -> None:
    need = "a Plan 9 tree: a directory with 386/bin/rc, as the distributions"
    status, text = fails("shell")
    assert (status, need in text) == (2, True)
    for where, why in ((tmp_path / "no", "no such directory"), (tree / "lib/words", "is no directory")):
        status, text = fails("shell", where)
        assert (status, need in text, why in text) == (2, True, True)
        assert fails("run", "--tree", where, "pwd") == (status, text)
    (tree / "386/bin/rc").unlink()
    assert need in fails("shell", tree)[1]
    for name in ("arm", "amd64"):
        (tree / name / "bin").mkdir(parents=True)
        (tree / name / "bin/rc").write_text("x")
    assert fails("shell", tree) == (2, f"{tree}: is a tree for amd64, arm, without 386/bin/rc; only 386 is emulated")


def test_an_rc_that_cannot_be_run(tree: Path, tmp_path: Path) -> None:
    rc = tree / "386/bin/rc"
    good = rc.read_bytes()
    rc.write_bytes(Path("/bin/sh").read_bytes())
    assert fails("shell", tree, "pwd") == (2, f"{rc}: is an ELF file, not a Plan 9 a.out")
    rc.write_bytes(good[:1000])
    assert "is cut short" in fails("shell", tree, "pwd")[1]
    (tmp_path / "rc").write_bytes(good)
    rc.unlink()
    rc.symlink_to(tmp_path / "rc")
    assert fails("shell", tree, "pwd") == (2, f"{rc}: is a symbolic link that leads out of the tree")
    rc.unlink()
    rc.symlink_to("nowhere")
    assert fails("shell", tree, "pwd")[0] == 2
    rc.unlink()
    rc.mkdir()
    assert fails("shell", tree, "pwd") == (2, f"{rc}: is a directory")
    rc.rmdir()
    (tree / "386/bin/rc2").write_bytes(good)
    rc.symlink_to("rc2")  # within the tree
    assert shell(tree, "-c", "pwd") == "/usr/glenda\n"
    (tree / "rc/lib/rcmain").unlink()
    assert fails("shell", tree)[0] == 2


def test_what_is_no_directory_or_no_file_where_one_is_needed(tree: Path) -> None:
    why = "is not a directory, and home is"
    (tree / "usr/bob").write_text("")
    assert fails("shell", "--user", "bob", tree, "pwd") == (2, f"{tree}/usr/bob: {why} /usr/bob")
    (tree / "usr").rename(tree / "users")
    (tree / "usr").write_text("")
    assert fails("shell", tree, "pwd") == (2, f"{tree}/usr: {why} /usr/eve")
    rcmain = tree / "rc/lib/rcmain"
    rcmain.unlink()
    os.mkfifo(rcmain)
    assert fails("shell", tree, "pwd") == (2, f"{rcmain}: is not a regular file")


def test_a_time_zone_that_cannot_be_read_is_gmt(tree: Path) -> None:
    local = tree / "adm/timezone/local"
    local.unlink()
    os.mkfifo(local)
    assert shell(tree, "cat", "/env/timezone") == "GMT 0 GMT 0\n0\n"


# A terminal


def ready(tty: Tty) -> None:
    tty.expect(b"% ")


def test_a_session(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"cat /lib/words | wc\n")
    tty.expect(b"      3       3      14\r\n% ")
    tty.type(b"cd /lib; pwd\n")
    tty.expect(b"/lib\r\n% ")
    tty.type(b"\x04")
    assert emu.end() == (0, b"", b"")
    assert tty.same()


def test_time_is_the_hosts(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"cat /dev/time; echo .\n")
    tty.expect(b"\r\n")
    while b".\r\n" not in tty.seen:
        tty.seen += os.read(tty.master, 4096)
    assert int(tty.seen.split()[0]) > 1_750_000_000
    tty.type(b"exit\n")
    assert emu.end()[0] == 0
    assert int(shell(tree, "cat", "/dev/time").split()[0]) == 1_402_963_200


@pytest.mark.parametrize("command", ["cat", "cat | cat | cat", "interrupt spin", "cons ticks; cat"])
def test_ctrl_c_ends_the_command_and_not_the_shell(tree: Path, tty: Tty, command: str) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    for _ in range(4):
        tty.type(b"echo go; %s; echo went on\n" % command.encode())
        tty.expect(b"\r\ngo\r\n")
        tty.type(b"\x03")
        ready(tty)
        assert b"went on" not in tty.seen
    tty.type(b"echo still here\n")
    tty.expect(b"\r\nstill here\r\n% ")
    tty.type(b"exit\n")
    assert b"Error" not in emu.end()[2]


def test_ctrl_c_at_the_prompt(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    for _ in range(3):
        tty.type(b"echo never\x03")
        tty.expect(b"\n% ")
    tty.type(b"echo fresh\n")
    tty.expect(b"\r\nfresh\r\n% ")
    tty.type(b"\x04")
    assert emu.end() == (0, b"", b"")


def test_who_ignores_ctrl_c_goes_on(tree: Path, tty: Tty) -> None:
    """The way out of that is Ctrl-\\."""
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"interrupt ignore\n")
    tty.expect(b"ready\r\n")
    for _ in range(3):
        tty.type(b"\x03")
        tty.expect(b"ignored\r\n")
    tty.type(b"\x1c")
    tty.expect(b"p9emu: ended by SIGQUIT")
    assert emu.end()[0] == 131


def test_a_script_ends_with_the_first_ctrl_c(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree), "-c", "interrupt spin; echo went on")
    tty.expect(b"ready\r\n")
    tty.type(b"\x03")
    assert emu.end()[0] == 1


def test_typing_ahead(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"interrupt spin > /dev/null &\ncons churn 30; echo one\necho two\nexit\n")
    tty.expect(b"% one\r\n")
    tty.expect(b"% two\r\n")
    assert emu.end()[0] == 0  # what computes in the background does not keep it


def test_another_size_and_a_stop_disturb_nothing(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"cat\n")
    tty.expect(b"\r\n")
    for n in range(3):
        fcntl.ioctl(tty.master, termios.TIOCSWINSZ, struct.pack("4H", 20 + n, 70, 0, 0))
        emu.p.send_signal(signal.SIGWINCH)
        emu.p.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, emu.p.pid, os.WSTOPPED)
        tty.type(b"line %d\n" % n)
        emu.p.send_signal(signal.SIGCONT)
        tty.expect(b"\nline %d\r\n" % n)
    tty.type(b"\x04")
    ready(tty)
    tty.type(b"\x04")
    assert emu.end() == (0, b"", b"")


def test_the_terminal_is_put_back_after_ctrl_backslash(tree: Path, tty: Tty) -> None:
    emu = tty.shell(str(tree))
    ready(tty)
    tty.type(b"cons raw\n")
    tty.expect(b"raw\r\n")
    tty.expect(b"raw\r\n")
    assert not tty.same()
    tty.type(b"\x03")
    tty.expect(b"3\r\n")  # a byte like others
    tty.type(b"\x1c")
    tty.expect(b"p9emu: ended by SIGQUIT")
    assert emu.end()[0] == 131
    assert tty.same()


def test_the_second_interrupt_ends_a_shell_without_a_terminal(tree: Path) -> None:
    emu = Emu("shell", str(tree), "interrupt", "ignore")
    assert emu.line() == b"ready\n"
    emu.p.send_signal(signal.SIGINT)
    assert emu.line() == b"ignored\n"
    emu.p.send_signal(signal.SIGINT)
    assert emu.end()[0] == 130


def test_help_names_no_machine() -> None:
    """It is instant, and tells what differs from run."""
    r = subprocess.run([sys.executable, "-m", "emu", "shell", "--help"], capture_output=True, env=ENV, check=True)
    assert b"--login" in r.stdout
    assert b"--root" not in r.stdout
