"""The server of a go command: a run that it does is as without it, and nothing of it is left."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import guest
from tests.emu.cli.test_process import ROOT

pytestmark = pytest.mark.guest

# A process that looks like a go command. What it does is code that is added, which tells by ``tell``.
GO = """
import json, os, select, signal, subprocess, sys, time
open("/proc/self/comm", "w").write("go")
SCRIPT, BIN = [sys.executable, os.environ["SCRIPT"]], os.environ["BIN"]
NULL, PIPE = subprocess.DEVNULL, subprocess.PIPE

def begin(name, *args, script=SCRIPT, **how):
    how = {"stdin": NULL, "stdout": PIPE, "stderr": PIPE} | how
    return subprocess.Popen([*script, name if "/" in name else BIN + "/" + name, *args], **how)

def ended(p):
    "Status, what was written, and whether a server did it: then the process remained small."
    out, err = p.stdout.read(), p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return [p.returncode, out.decode(errors="replace"), err.decode(errors="replace"), usage.ru_maxrss < 25000]

def run(*args, **how):
    return ended(begin(*args, **how))

def within(seconds, what):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, what
        time.sleep(0.01)

def reading():
    "A run that waits for input."
    p = begin("cat", "/env/BEGUN", "/fd/0", stdin=PIPE, env={**os.environ, "BEGUN": "so"})
    assert p.stdout.read(2) == b"so"
    return p

def warm(**how):
    "Until there is a server."
    within(60, lambda: run("true", **how)[3])

def processes():
    "Of p9emu's, by pid: the parent, the session, whether it is stopped."
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", errors="replace").read().split("\\0")
            fields = open(f"/proc/{pid}/stat", errors="replace").read().rpartition(")")[2].split()
        except OSError:
            continue
        if SCRIPT[1] in words and fields[0] not in "ZX":
            found[int(pid)] = int(fields[1]), int(fields[3]), fields[0] == "T"
    return found

def server():
    return next((pid for pid, (_, session, _) in processes().items() if session == pid), None)

def runs():
    "Processes of the server's that run something."
    own = server()
    return [pid for pid, (parent, *_) in processes().items() if parent == own]

def tell(value):
    print(json.dumps(value), flush=True)
"""


class Go:
    """Starts such processes."""

    def __init__(self, tmp_path: Path) -> None:
        self.script = tmp_path / "script"
        shutil.copy(ROOT / "emu/cli/go_plan9_386_exec", self.script)
        self.run = tmp_path / "run"
        self.run.mkdir(0o700)
        self.where = tmp_path
        self.env = {
            **{k: v for k, v in os.environ.items() if k not in ("P9EMU_OPTS", "P9EMU_GO_SERVER")},
            "SCRIPT": str(self.script),
            "BIN": guest.directory(),
            "XDG_RUNTIME_DIR": str(self.run),
            "GOROOT": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
        }

    def __call__(self, code: str, *words: str, env: Mapping[str, str] | None = None, left: int = 0) -> Any:
        """What the code tells, as go test ./..., unless with other words.

        Nothing is left of it then, but for the temporary directories of so many runs that were killed, after which
        there was no other.
        """
        command = [sys.executable, "-c", GO + code, *(words or ("test", "./..."))]
        done = subprocess.run(
            command, cwd=self.where, env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=300
        )
        assert done.stderr == ""
        assert done.returncode == 0
        self.gone(left)
        return json.loads(done.stdout)

    def gone(self, left: int) -> None:
        """Wait until no process has to do with it; no socket is left, and no directory."""
        look = GO + "within(30, lambda: not processes())"
        subprocess.run([sys.executable, "-c", look], env=self.env, check=True)
        assert list(self.run.iterdir()) == []
        assert len([p for p in self.where.iterdir() if p.name.startswith("p9emu-")]) == left


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """A go command."""
    return Go(tmp_path)


ALIKE = """
open("data", "w").write("from a file")
open("text", "w").write("no program")
def all():
    yield run("echo", "a", "", "b c", "\\udcff")
    yield run("false", "no luck")
    yield run("false", "7")
    yield run("nil")
    yield run("cat", "/dev/time", "/dev/sysstat", "/dev/swap", "/proc/2/segment", "/proc/2/ns", "/env/MINE")
    yield run("pwd")
    yield run("cat", stdin=open("data"))
    yield run("./nosuch")
    yield run("./text")
    yield run("echo", "x" * 100000)
    yield run("pwd", cwd="/")
"""


def test_a_run_is_as_without_a_server(go: Go) -> None:
    env = {"MINE": "so"}
    without = go(ALIKE + "tell(list(all()))", env={**env, "P9EMU_GO_SERVER": "off"})
    served = go(ALIKE + "warm(); tell(list(all()))", env=env)
    assert [row[3] for row in without] == [False] * len(without)
    assert [row[3] for row in served] == [True] * len(served)
    assert [row[:3] for row in served] == [row[:3] for row in without]
    assert [row[0] for row in served] == [0, 1, 7, 1, 0, 0, 0, 127, 126, 1, 0]


@pytest.mark.parametrize(
    ("words", "so"),
    [(("test", "./..."), True), (("test", "-count", "1", "a"), False), (("run", "./..."), False)],
)
def test_only_where_many_are_to_come(go: Go, words: tuple[str, ...], so: bool) -> None:
    assert go("tell([run('true'), server() is not None])", *words) == [[0, "", "", False], so]


def test_options_and_a_switch_do_without(go: Go) -> None:
    code = "tell([run('true')[0], server()])"
    assert go(code, env={"P9EMU_OPTS": "--check"}) == [0, None]
    assert go(code, env={"P9EMU_GO_SERVER": "off"}) == [0, None]
    code = "warm(); tell([run('true', env={**os.environ, **{name: value}})[3] for name, value in MORE])"
    more = [("P9EMU_OPTS", "--check"), ("P9EMU_GO_SERVER", "off"), ("P9EMU_GO_SERVER", "")]
    assert go(f"MORE = {more}\n" + code) == [False, False, True]


def test_what_cannot_be_handed_on_must_be_the_same(go: Go) -> None:
    code = """
warm()
import resource
limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
hear = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
tell([run("true", **how)[::3] for how in (
    {}, {"preexec_fn": limit}, {"preexec_fn": lambda: os.umask(0o77)}, {"preexec_fn": lambda: os.nice(3)},
    {"preexec_fn": hear}, {"env": {**os.environ, "PYTHONHASHSEED": "5"}}, {"env": {**os.environ, "OTHER": "5"}})])
"""
    assert go(code) == [[0, True], *[[0, False]] * 5, [0, True]]


ASK = """
import sys, _socket
from emu.cli import served
s = _socket.socket(_socket.AF_UNIX)
s.connect(sys.argv[1])
child = served._asked(s, [sys.argv[2]])
print(child >= 0, flush=True)
if child >= 0:
    served._follow(s, child)
"""


def test_only_who_is_started_by_go_is_served(go: Go) -> None:
    code = """
warm()
where = os.environ["XDG_RUNTIME_DIR"] + "/p9emu/"
words = [sys.executable, "-c", os.environ["ASK"], where + os.listdir(where)[0], BIN + "/true"]
through = ["/bin/sh", "-c", '"$@"; true', "sh"]
tell([subprocess.run([*before, *words], stdin=NULL, stdout=PIPE, text=True).stdout for before in ([], through)])
"""
    assert go(code, env={"ASK": ASK}) == ["True\n", "False\n"]


def test_who_asks_is_killed(go: Go) -> None:
    code = """
warm()
p = reading()
p.kill()
within(30, lambda: not runs())
tell([p.wait(), run("true")[::3]])
"""
    assert go(code) == [-9, [0, True]]


def test_the_server_is_killed(go: Go) -> None:
    code = """
warm()
p = reading()
os.kill(server(), signal.SIGKILL)
within(30, lambda: server() is None)
p.stdin.write(b"still here")
p.stdin.close()
tell([ended(p), run("true")])
socket = os.path.join(os.environ["XDG_RUNTIME_DIR"], "p9emu")
assert len(os.listdir(socket)) == 1
os.unlink(os.path.join(socket, os.listdir(socket)[0]))
os.rmdir(socket)
"""
    assert go(code) == [[0, "still here", "", True], [0, "", "", False]]


def test_what_a_killed_server_left_is_removed_by_the_next(go: Go) -> None:
    directory = go.run / "p9emu"
    directory.mkdir(0o700)
    (directory / "1-5").write_text("")
    (directory / "else").mkdir()
    code = """
warm()
where = os.environ["XDG_RUNTIME_DIR"] + "/p9emu"
tell([name.split("-")[0].replace(str(os.getpid()), "own") for name in sorted(os.listdir(where))])
os.rmdir(where + "/else")
"""
    assert go(code) == ["own", "else"]


def test_the_run_is_killed(go: Go) -> None:
    code = """
warm()
def killed(number):
    p = reading()
    os.kill(runs()[0], number)
    return ended(p)
tell([killed(number) for number in (signal.SIGKILL, signal.SIGSEGV)])
"""
    assert go(code, left=1) == [[-9, "", "", True], [-11, "", "", True]]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_signals_end_a_run_as_without(go: Go, number: str) -> None:
    code = f"""
p = reading()
p.send_signal(signal.{number})
tell(ended(p))
"""
    without = go(code, env={"P9EMU_GO_SERVER": "off"})
    assert without[3] is False
    assert go("warm()\n" + code) == [*without[:3], True]


def test_a_stop_stops_both(go: Go) -> None:
    code = """
warm()
p = reading()
p.send_signal(signal.SIGTSTP)
within(30, lambda: [stopped for *_, stopped in processes().values()].count(True) == 2)
p.send_signal(signal.SIGCONT)
within(30, lambda: not any(stopped for *_, stopped in processes().values()))
p.stdin.close()
tell(ended(p))
"""
    assert go(code) == [0, "", "", True]


def test_fifty_side_by_side(go: Go) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    tell(list(pool.map(lambda n: run("echo", str(n)), range(50))))
"""
    done = go(code)
    assert [row[:3] for row in done] == [[0, f"{n}\n", ""] for n in range(50)]
    assert [row[3] for row in done].count(True) > 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Another tree of p9emu's."""
    where = tmp_path / "tree"
    for room in ("emu", "kernel", "guest"):
        shutil.copytree(ROOT / room, where / room, ignore=shutil.ignore_patterns("__pycache__"))
    return where


def test_another_tree_is_not_served(go: Go, tree: Path) -> None:
    code = """
warm()
tell([run("true", env={**os.environ, "PYTHONPATH": os.environ["OTHER"]})[::3], run("true")[::3]])
"""
    assert go(code, env={"OTHER": str(tree)}) == [[0, False], [0, True]]


def test_a_tree_that_changes_is_not_served_as_it_was(go: Go, tree: Path) -> None:
    code = """
warm()
old = server()
path = os.environ["PYTHONPATH"] + "/guest/__init__.py"
text = open(path).read()
open(path, "w").write(text + "raise SystemExit(9)\\n")
first = run("true")
within(30, lambda: old not in processes())
tell(first)
"""
    assert go(code, env={"PYTHONPATH": str(tree)}) == [9, "", "", False]


def test_a_directory_that_others_can_write_is_not_used(go: Go) -> None:
    directory = go.run / "p9emu"
    directory.mkdir()
    directory.chmod(0o777)
    code = """
tell([run("true")[::3], server()])
os.rmdir(os.environ["XDG_RUNTIME_DIR"] + "/p9emu")
"""
    assert go(code) == [[0, False], None]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_server_of_somebody_elses_is_not_asked(go: Go) -> None:
    code = """
import socket
from emu.cli.served import ours, started
os.mkdir(ours(), 0o700)
s = socket.socket(socket.AF_UNIX)
s.bind(f"{ours()}/{started(os.getpid())}")
os.seteuid(65534)
s.listen()
os.seteuid(0)
done = run("echo", "mine")
s.settimeout(5)
conn, _ = s.accept()
tell([done, conn.recv(1).decode()])
os.unlink(s.getsockname())
os.rmdir(ours())
"""
    assert go(code) == [[0, "mine\n", "", False], ""]


def test_a_server_that_says_nothing_or_nonsense(go: Go) -> None:
    code = """
import socket, threading
from emu.cli.served import ours, started
os.mkdir(ours(), 0o700)
s = socket.socket(socket.AF_UNIX)
s.bind(f"{ours()}/{started(os.getpid())}")
s.listen()
def answer(text):
    conn, _ = s.accept()
    conn.sendall(text)
    conn.recv(32)
    conn.close()
def against(text):
    t = threading.Thread(target=answer, args=(text,))
    t.start()
    done = run("echo", "mine")
    t.join()
    return done
def begins(text):
    "It has agreed, and is gone."
    conn, _ = s.accept()
    left = int(conn.recv(16))
    while left:
        left -= len(conn.recv(left))
    conn.shutdown(socket.SHUT_RD)
    socket.send_fds(conn, [b"?"], [os.pidfd_open(os.getpid())])
    conn.close()
done = [against(text) for text in (b"", b"?", b"e5")]
answer = begins
tell([*done, against(b"")])
os.unlink(s.getsockname())
os.rmdir(ours())
"""
    assert go(code) == [[0, "mine\n", "", False]] * 4


def test_it_ends_when_nobody_asks(go: Go) -> None:
    go.script.write_text("import emu.cli.server\nemu.cli.server.IDLE = 1500\n" + go.script.read_text())
    code = """
warm()
within(30, lambda: server() is None)
warm()
tell(server() is not None)
"""
    assert go(code) is True


def test_a_served_run_has_nothing_left_to_import(go: Go) -> None:
    go.script.write_text(
        """
import sys
import emu.cli.go as go
served = go._served
def told(words):
    before = set(sys.modules)
    status = served(words)
    open("imported", "w").write(" ".join(set(sys.modules) - before))
    return status
go._served = told
go.main()
"""
    )
    go("warm(); tell(run('echo', 'x'))")
    assert (go.where / "imported").read_text() == ""
