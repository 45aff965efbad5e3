"""``python -m tests.fuzz [--seconds N] [--seed S] [--count N] [--net]``: random system calls of the guest ``fuzz``.

Each seed is one machine: 1, 2 or 4 processors, either scheduler, memory that suffices or swap, and two directories of
the host, one of them writable or, each third, copied on write. In all of them lie symbolic links of every kind, and
while the guest runs something else on the host keeps changing them, also between any two of the kernel's own steps.

What must hold: the program ends by itself, with nothing left running, and neither p9emu nor the invariants have
anything to say; outside these directories nothing is opened, asked about or changed; no descriptor of the host is
left open; and the same seed does the same again (each eighth is run twice, without the host's files, for their times
differ). Each seed runs in a process of its own, which is ended if it hangs.

Prints what failed with the command that repeats it; exit status 1 if anything did.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import select
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from emu.machine import changes as places
from emu.machine.config import Bind, Config
from emu.machine.machine import Machine
from kernel.base.event import Event
from kernel.base.procdat import Dead, Ready, Running
from kernel.devices import devhost, hostfile, layers, overfile, overlay, upper
from tests.e2e.harness import Console

M = 1 << 20
HANG = 400  # seconds of the host's, for one seed
MODULES = (hostfile, devhost, layers, overfile, overlay, upper)  # that use the host's files
KNOWN = {"panic: no environment": "erratum 27"}
SECRET = b"none of the guest's business\n"


class Escape(Exception):
    """The kernel did what it must not."""


# The host's directories


def plant(top: Path) -> None:
    """Fill a directory to be handed over; ``../outside`` is beside it."""
    (top / "d" / "a").mkdir(parents=True)
    (top / "d" / "b").write_bytes(bytes(range(256)) * 20)
    (top / "f").write_bytes(b"file\n")
    (top / "m").mkdir()
    (top / "x").write_bytes(b"")
    chain = top / "deep"
    for _ in range(20):
        chain /= "deep"
    chain.mkdir(parents=True)
    outside = top.parent / "outside"
    for name, target in (
        ("out", "../outside"),
        ("secret", str(outside / "secret")),
        ("abs", "/"),
        ("up", ".."),
        ("loop", "loop"),
        ("link", "d/b"),
        ("chain", "link"),
        ("d/up", "../.."),
        ("d/out", "../../outside/secret"),
        ("dangling", "nothing"),
        ("y" * 200, "d/../d/../d/b"),
    ):
        (top / name).symlink_to(target)
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(top)  # the name of a socket must be short
        s.bind("sock")
        os.chdir(here)
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe")).write_bytes(b"x")


def plantoutside(outside: Path) -> None:
    """What is not handed over."""
    (outside / "a").mkdir(parents=True)
    (outside / "secret").write_bytes(SECRET)
    for name in ("b", "f", "x", "g"):
        (outside / name).write_bytes(SECRET)
    for p in (*outside.rglob("*"), outside):
        os.utime(p, (1_000_000_000, 1_000_000_000))


def snapshot(outside: Path) -> list[tuple[Any, ...]]:
    """All that can be told of it from without."""
    seen = []
    for p in (outside, *sorted(outside.rglob("*"))):
        st = p.lstat()
        atime = 0 if p.is_dir() else st.st_atime_ns  # we look into directories ourselves
        seen.append((p.name, st.st_mode, st.st_size, st.st_nlink, atime, st.st_mtime_ns, st.st_ctime_ns))
    return seen


class Meddler:
    """Something else on the host: it puts links, files and directories in each other's places."""

    def __init__(self, tops: list[Path], seed: int) -> None:
        self.tops = tops
        self.rng = random.Random(seed)

    def meddle(self) -> None:
        """One change."""
        rng = self.rng
        top = os.fspath(rng.choice(self.tops))
        name = os.path.join(top, rng.choice(("swap", "swap", "d", "f", "a", "m", "x", "d/a", "d/b")))
        kind = rng.randrange(8)
        if os.path.islink(os.path.dirname(name)):
            return  # would lead ourselves astray
        try:
            if kind < 6:
                self.clear(name)
            if kind < 3:
                os.symlink(rng.choice(("../outside", "../../outside", "../outside/secret", "..", "d", "/", top)), name)
            elif kind == 3:
                os.mkdir(name)
                Path(name, "x").write_bytes(b"inside")
            elif kind == 4:
                Path(name).write_bytes(b"inside")
            elif kind == 5:
                os.mkfifo(name)
            elif kind == 6:
                os.rename(name, os.path.join(top, "swap"))
            elif not os.path.islink(name):
                os.chmod(name, rng.choice((0, 0o700, 0o777)))
        except OSError:
            pass  # something else is there

    @staticmethod
    def clear(name: str) -> None:
        """Make room."""
        if os.path.islink(name) or not os.path.isdir(name):
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass
        else:
            shutil.rmtree(name)


class Watchedos:
    """Stands for the module ``os`` where the kernel uses it for the host's files.

    Each call must be about a name in a directory handed over, or a descriptor that came of such a name. Before the
    call the meddler may act.
    """

    def __init__(self, shown: list[Path], writable: Path, guests: str, meddler: Meddler) -> None:
        self.writable = os.fspath(writable)
        self.allowed = [*map(os.fspath, shown), self.writable, guests]
        self.meddler = meddler
        self.calls = 0
        self.watching = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(os, name)
        check = getattr(self, f"check_{name}", None)
        if not callable(value) or name in ("fsencode", "fspath", "stat_result"):
            return value
        if check is None:
            raise Escape(f"os.{name} is used, and nobody watches it")

        def call(*args: Any, **kw: Any) -> Any:
            if not self.watching:
                return value(*args, **kw)
            self.calls += 1
            if self.meddler.rng.randrange(3) == 0:
                self.meddler.meddle()
            check(*args, **kw)
            result = value(*args, **kw)
            if name == "open":
                self.inside(result)
            return result

        return call

    def inside(self, fd: int, write: bool = False) -> None:
        """fd must be something below what was handed over."""
        where = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
        for top in [self.writable] if write else self.allowed:
            if where == top or where.startswith(top + "/"):
                return
        raise Escape(f"a descriptor of {where}")

    def at(self, name: bytes | str, dir_fd: int | None, write: bool = False) -> None:
        """name must be a single element in a directory that was handed over."""
        if dir_fd is None or (b"/" in name if isinstance(name, bytes) else True) or name == b"..":
            raise Escape(f"the name {name!r} in {dir_fd}")
        self.inside(dir_fd, write)

    def check_open(self, name: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        write = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        self.at(name, dir_fd, write)
        if not flags & os.O_NOFOLLOW and name != b".":
            raise Escape(f"open {name!r} would follow a link")

    def check_stat(self, name: bytes, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        self.at(name, dir_fd)
        if follow_symlinks and name != b".":
            raise Escape(f"stat {name!r} would follow a link")

    def check_readlink(self, name: bytes, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd)

    def check_mkdir(self, name: bytes, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd, True)

    def check_unlink(self, name: bytes, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd, True)

    def check_rmdir(self, name: bytes, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd, True)

    def check_rename(self, old: bytes, new: bytes, *, src_dir_fd: int | None, dst_dir_fd: int | None) -> None:
        self.at(old, src_dir_fd, True)
        self.at(new, dst_dir_fd, True)

    def check_link(
        self, old: bytes, new: bytes, *, src_dir_fd: int | None, dst_dir_fd: int | None, follow_symlinks: bool
    ) -> None:
        self.check_rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        if follow_symlinks:
            raise Escape(f"link {old!r} would follow a link")

    def check_symlink(self, target: bytes, name: bytes, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd, True)

    def check_mknod(self, name: bytes, mode: int, *, dir_fd: int | None = None) -> None:
        self.at(name, dir_fd, True)
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise Escape(f"mknod {mode:o}")

    def check_utime(
        self,
        name: bytes | int,
        times: object = None,
        *,
        ns: object = None,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        if isinstance(name, int):
            self.inside(name, True)
            return
        self.at(name, dir_fd, True)
        if follow_symlinks and name != b".":
            raise Escape(f"utime {name!r} would follow a link")

    def check_chmod(self, name: str | bytes, mode: int) -> None:
        if not isinstance(name, str) or not name.startswith("/proc/self/fd/"):
            raise Escape(f"chmod {name!r}")
        self.inside(int(name.rpartition("/")[2]), True)

    def _check_reading(self, fd: int, *_: object) -> None:
        self.inside(fd)

    def _check_writing(self, fd: int, *_: object) -> None:
        self.inside(fd, True)

    def check_getpid(self) -> None:
        pass

    def check_dup2(self, fd: int, fd2: int, *, inheritable: bool) -> None:
        self.inside(fd)
        self.inside(fd2)

    check_listdir = check_pread = check_fstat = check_dup = check_close = check_read = _check_reading
    check_pwrite = check_ftruncate = check_fchmod = check_fsync = check_write = _check_writing


# One seed


def again(seed: int) -> bool:
    """Whether the seed runs twice, and then without the host's files, whose times differ."""
    return seed % 8 == 0


def copied(seed: int) -> bool:
    """Whether /rw is copied on write."""
    return seed % 3 == 2


def config(seed: int, ro: Path, rw: Path) -> dict[str, Any]:
    """What the machine of a seed is like."""
    rng = random.Random(seed)
    c: dict[str, Any] = {
        "cpus": (1, 2, 4)[seed % 3],
        "seed": seed,
        "check": rng.random() < 0.3,
        "sched": rng.choice(("fifo", "random")),
        "timeout": HANG / 2,
        "binds": ()
        if again(seed)
        else (Bind(os.fspath(ro), "/ro"), Bind(os.fspath(rw), "/rw", not copied(seed), copied(seed))),
    }
    if rng.random() < 0.3:
        c |= {"memory": 4 * M, "swap": 16 * M}
    return c


def argv(seed: int, check: bool, net: bool = False) -> list[str]:
    """What the guest is called with: less to do where each step is checked; the network alone if asked."""
    rng = random.Random(~seed)
    n = rng.choice((10, 20, 40, 100))
    return [str(seed), str(10 if check else n), str(rng.choice((1, 2, 4, 8))), *["net"] * net]


def descriptors() -> set[str]:
    """What this process has open."""
    return set(os.listdir("/proc/self/fd"))


def once(seed: int, top: Path, net: bool = False) -> tuple[str, str]:
    """Run a seed below the empty directory ``top``: what went wrong, "" if nothing; and a digest of all that was."""
    ro, rw, outside = top / "ro", top / "rw", top / "outside"
    for d in (ro, rw):
        plant(d)
    plantoutside(outside)
    before = snapshot(outside)
    import guest

    guests = os.path.realpath(guest.directory())
    changes = top / "changes"
    changes.mkdir()
    cow = copied(seed)
    watched = Watchedos([ro, rw], changes if cow else rw, guests, Meddler([rw, ro, *[changes] * cow], seed))
    digest = hashlib.sha256()
    console = Console(b"typed\n" * 20)

    def sink(e: Event) -> None:
        digest.update(repr(e).encode("utf-8", "surrogateescape"))

    open_ = descriptors()
    wrong = ""
    for module in MODULES:
        module.os = watched  # type: ignore[attr-defined]
    forgotten = vars(places)["forgotten"]
    vars(places)["forgotten"] = lambda: upper.Changes(os.fspath(changes), (M, 1000))
    try:
        c = config(seed, ro, rw)
        with closing(Machine(Config(**c), sink)) as machine:
            machine.kernel.console = console
            watching(machine, watched)
            outcome = machine.run("fuzz", argv(seed, c["check"], net))
            if "do not die" in outcome.exits:
                wrong = immortals(machine)
    except Exception as e:  # noqa: BLE001 whatever it is, it is a finding
        wrong = "" if str(e) in KNOWN else f"{type(e).__name__}: {e}\n{traceback.format_exc()}"
    finally:
        vars(places)["forgotten"] = forgotten
        for module in MODULES:
            module.os = os  # type: ignore[attr-defined]
    if not wrong and snapshot(outside) != before:
        wrong = f"outside was touched: {before} is now {snapshot(outside)}"
    if not wrong and descriptors() != open_:
        wrong = f"descriptors left open: {sorted(descriptors() - open_)}"
    digest.update(bytes(console.output[1] + console.output[2]))
    return wrong, digest.hexdigest()


def immortals(machine: Machine) -> str:
    """Which processes could not be killed. One that waits for a file server to answer may be among them, as in the
    original: what would close the server's pipe may be posted in /srv, or be mounted itself.
    """
    out = []
    for p in machine.kernel.procs.proctab:
        if p.state == Dead or p.kp or p.greenlet is None or p is machine.kernel.m.proc:
            continue
        if p.privatemem:
            continue  # nobody may open its ctl file
        stack = traceback.extract_stack(p.greenlet.gr_frame)
        calls = {f.name for f in stack}
        ending = "pexit" in calls and p.state in (Ready, Running)  # it has only not come round to it
        if "mountio" not in calls and not ending:
            out.append(f"{p!r} cannot be killed:\n" + "".join(traceback.format_list(stack)))
    return "".join(out)


def watching(machine: Machine, watched: Watchedos) -> None:
    """Watch once the program itself runs; booting opens what was named on the command line."""
    k = machine.kernel
    sink = k.sink
    assert sink is not None

    def first(e: Event) -> None:
        if e.pid > 1:  # not init's
            watched.watching = True
            k.sink = sink
        sink(e)

    k.sink = first


def seedly(seed: int, net: bool = False) -> str:
    """Run a seed, and perhaps again, which must be the same. What went wrong."""
    digests = []
    for _ in range(1 + again(seed)):
        top = Path(tempfile.mkdtemp(prefix="p9emu-fuzz-")).resolve()
        try:
            wrong, digest = once(seed, top, net)
        finally:
            for p in top.rglob("*"):
                if p.is_dir() and not p.is_symlink():
                    p.chmod(stat.S_IRWXU)
            shutil.rmtree(top, ignore_errors=True)
        if wrong:
            return wrong
        digests.append(digest)
    return "" if len(set(digests)) == 1 else "not the same again"


def apart(run: Callable[[], str]) -> str:
    """What run() returns in a process of its own."""
    r, w = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        try:
            text = run()
        except BaseException:  # noqa: BLE001 it must get to the parent
            text = traceback.format_exc()
        with open(w, "wb") as f:
            f.write(text.encode("utf-8", "backslashreplace"))
        os._exit(0)
    os.close(w)
    out = b""
    end = time.monotonic() + HANG
    while True:
        if not select.select([r], [], [], max(end - time.monotonic(), 0))[0]:
            os.kill(pid, signal.SIGABRT)  # faulthandler tells where it was
            out = b"hangs"
            break
        some = os.read(r, 65536)
        if not some:
            break
        out += some
    os.close(r)
    _, status = os.waitpid(pid, 0)
    if status and not out:
        out = f"died: status {status}".encode()
    return out.decode()


def fuzz(seeds: Iterator[int], seconds: float, net: bool = False) -> tuple[int, int]:
    """Run seeds for so many seconds: how many there were, and how many failed."""
    end = time.monotonic() + seconds
    n = bad = 0
    for seed in seeds:
        if time.monotonic() > end:
            break
        n += 1
        wrong = apart(lambda seed=seed: seedly(seed, net))  # type: ignore[misc]
        if wrong:
            bad += 1
            print(f"seed {seed}: {wrong}\n    python -m tests.fuzz --seed {seed} --count 1{' --net' * net}", flush=True)
    return n, bad


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random system calls.")
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--count", type=int, default=1 << 30, help="how many seeds at most")
    parser.add_argument("--net", action="store_true", help="the network alone")
    args = parser.parse_args()
    start = time.monotonic()
    n, bad = fuzz(iter(range(args.seed, args.seed + args.count)), args.seconds, args.net)
    print(f"{n} seeds, {bad} failures, {time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
