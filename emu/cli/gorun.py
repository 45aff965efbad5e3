"""What go_plan9_386_exec does: emu.cli.go has what can be typed.

The guest's name space has what the program would see had it been started on the host: the package's module, the Go
root and the current directory at their own paths, and /tmp, a directory of its own that is removed at the end. What is
written into the module is forgotten, but for the files that the go command has a test write by a flag.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from emu.cli.settings import Options, Shown
from emu.failure import BROKEN, Failure

if TYPE_CHECKING:
    from emu.machine.config import Outcome
    from emu.machine.machine import Machine

HOME: Final = "/usr/eve"
SHOWN: Final = ("module", "goroot", "env", "tmp")
MODES: Final = ("module:cow", "module:rw", "module:ro")  # cow unless told

# Flags of a test whose value is a file or directory to write: relative to -test.outputdir, or to the current directory.
PROFILES: Final = ("cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace")
FILES: Final = ("coverprofile", "testlogfile")
DIRECTORIES: Final = ("gocoverdir", "fuzzcachedir")


def gorun(options: Options, program: str, args: tuple[str, ...], show: frozenset[str] = frozenset(SHOWN)) -> int:
    """Run program; the status to exit with."""
    cwd = os.getcwd()
    env = dict(goenv(os.environ.items())) if "env" in show else {}
    env.update(options.env)
    options = options.but(env=tuple(env.items()), cwd=options.cwd or cwd)
    directories = _directories(cwd, show)
    shown = through(directories, outputs(args, cwd, env.get("GOCOVERDIR")))
    modules = [d.host for d in directories if d.cow]
    if "tmp" not in show:
        return _run(options.but(binds=(*shown, *options.binds)), program, args, modules, show)
    with _temporary() as directory:
        tmp, home = (os.path.join(directory, name) for name in ("tmp", "home"))
        for d in (tmp, home):
            os.mkdir(d)
        # What lies in the host's /tmp is mounted in the guest's, which must have a directory for it.
        for b in (*shown, *options.binds):
            if b.guest.startswith("/tmp/"):
                os.makedirs(os.path.join(tmp, b.guest[len("/tmp/") :]), exist_ok=True)
        own = Shown(tmp, "/tmp", writable=True), Shown(home, HOME, writable=True)
        return _run(options.but(binds=(*own, *shown, *options.binds)), program, args, modules, show)


def _run(options: Options, program: str, args: tuple[str, ...], modules: list[str], show: frozenset[str]) -> int:
    """Run program; the status to exit with. What it has changed in the modules, which is forgotten, is told."""
    from emu.cli.run import conclude, execute
    from emu.machine.console import warn

    told: list[str] = []

    def ended(machine: "Machine", _outcome: "Outcome") -> None:
        told.extend(_forgotten(machine, modules, show))

    status = conclude(options, execute(options, program, args, None, None, ended=ended))
    for line in told:
        warn(line)
    return status


def _forgotten(machine: "Machine", modules: list[str], show: frozenset[str]) -> Iterable[str]:
    from emu.machine.changes import lost

    for low, up in lost(machine.kernel):
        d = os.path.realpath(low)
        if d not in modules or not os.listdir(up):
            continue
        from emu.cli.changes import listing

        n = sum(change.path != b"/" for change in listing(up, low, []))
        if n:
            names = ",".join(["module:rw", *(name for name in SHOWN if name in show and name != "module")])
            what = "1 change in" if n == 1 else f"{n} changes in"
            yield f"{what} {d} will be forgotten; --show {names} in P9EMU_OPTS keeps such"


@contextmanager
def _temporary() -> Iterator[str]:
    """A temporary directory, removed at the end with whatever is in it; by the next run, if this one is killed."""
    from emu.machine import temporary

    try:
        path, lock = temporary.claim("p9emu-go-", temporary.place())
    except OSError as e:
        raise Failure(f"temporary directory: {e.strerror}", BROKEN) from None
    try:
        yield path
    finally:
        temporary.remove(path)
        os.close(lock)


def goenv(env: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The variables that can be files of /env."""
    return ((name, value) for name, value in env if name and "/" not in name and name not in (".", ".."))


def _directories(cwd: str, show: frozenset[str]) -> list[Shown]:
    """The directories to show, none of them within another. The Go root is read-only, whatever else it is."""
    found = {cwd: Shown(cwd, cwd)}
    for mode in ("module", *MODES):
        if mode in show:
            d = moduleroot(cwd)
            found[d] = Shown(d, d, writable=mode == "module:rw", cow=mode in ("module", "module:cow"))
    if "goroot" in show and (root := goroot()):
        d = os.path.realpath(root)
        found[d] = Shown(d, d)
    out: list[Shown] = []
    for d in sorted(found):
        if d != "/" and not any(_within(d, o.host) for o in out):
            out.append(found[d])
    return out


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def outputs(args: Iterable[str], cwd: str, coverdir: str | None) -> list[tuple[str, bool]]:
    """What a test is told to write by its flags: paths, and whether it is a directory.

    ``coverdir`` is GOCOVERDIR of the environment.
    """
    flags: dict[str, str] = {}
    words = iter(args)
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if word == "--":
            break
        if not word.startswith("-") or not name.startswith("test."):
            continue
        name = name.removeprefix("test.")
        if name in (*PROFILES, *FILES, *DIRECTORIES, "outputdir", "artifacts"):
            flags[name] = value if equals or name == "artifacts" else next(words, "")
    base = os.path.join(cwd, flags.get("outputdir", ""))
    found = [(os.path.join(base, flags[name]), False) for name in PROFILES if flags.get(name)]
    found += [(os.path.join(cwd, flags[name]), False) for name in FILES if flags.get(name)]
    found += [(os.path.join(cwd, flags[name]), True) for name in DIRECTORIES if flags.get(name)]
    if "artifacts" in flags and flags["artifacts"] != "false":
        found.append((os.path.join(base, "_artifacts"), False))  # made by the test
    if coverdir:
        found.append((os.path.join(cwd, coverdir), True))
    return [(os.path.normpath(path), isdir) for path, isdir in found]


def through(shown: list[Shown], files: Iterable[tuple[str, bool]]) -> list[Shown]:
    """The same directories, and others if need be, so that these files are written on the host."""
    shown = list(shown)
    for path, isdir in files:
        d = path if isdir else os.path.dirname(path)
        if d == "/" or _within(path, "/dev") or not os.path.isdir(d):
            continue
        real = os.path.realpath(d)
        name = "" if isdir else os.path.basename(path)
        for i, b in enumerate(shown):
            if _within(real, b.host):
                if b.cow:
                    rel = os.path.relpath(os.path.join(real, name), b.host)
                    shown[i] = b._replace(through=(*b.through, rel))
                break
        else:
            shown.append(Shown(real, d, writable=True) if isdir else Shown(real, d, cow=True, through=(name,)))
    return sorted(shown, key=lambda b: b.guest)


def moduleroot(cwd: str) -> str:
    """The nearest directory from cwd upwards that holds a go.mod; cwd if none does."""
    d = cwd
    while not os.path.isfile(os.path.join(d, "go.mod")):
        up = os.path.dirname(d)
        if up == d:
            return cwd
        d = up
    return d


def goroot() -> str | None:
    """The Go root: GOROOT, which go test sets, else what the go command says."""
    root = os.environ.get("GOROOT")
    if not root:
        import shutil
        import subprocess  # takes longer than all else here; go test sets GOROOT

        try:
            if shutil.which("go"):
                go = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, timeout=10)
                root = go.stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            root = None
    return root if root and os.path.isdir(root) else None
