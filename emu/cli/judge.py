"""p9emu judge: what a change of the kernel breaks or changes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from emu.cli.ends import endable, needstdout
from emu.failure import BROKEN, Failure
from emu.plain import plain

LEFT = (".git", ".venv", ".*_cache", "__pycache__", "build", "*.egg-info")  # of no use to the copy


def judge(patch: str | None, only: Sequence[str]) -> int:
    """Judge the tree that p9emu runs from, or a copy of it with a patch: 0 as it was, 1 not. Raises Failure.

    The patch is a unified diff against the tree as it is, as git makes it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "tests" / "judge.py").is_file():
        raise Failure("judge needs a clone of p9emu with its tests: what is installed here has none", BROKEN)
    needstdout()
    with ExitStack() as stack:
        stack.enter_context(endable())
        if patch is not None:
            text = _read(patch)
            root = Path(stack.enter_context(_directory())) / "p9emu"
            _copy(Path(__file__).resolve().parents[2], root)
            _apply(text, patch, root)
        command = [sys.executable, "-m", "tests.judge", *(word for part in only for word in ("--only", part))]
        path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
        return _told(command, root, {**_environment(), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})


def _told(command: Sequence[str], root: Path, env: dict[str, str]) -> int:
    """Run it, and pass on what it prints; what it has started ends with us. Its status."""
    with subprocess.Popen(
        command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, process_group=0
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
            return child.wait()
        except BrokenPipeError:
            raise
        except OSError as e:
            raise Failure(f"cannot write standard output: {e.strerror}", BROKEN) from None
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)  # not reaped yet: the number is still its own


def _directory() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="p9emu-judge-", ignore_cleanup_errors=True)
    except OSError as e:
        raise Failure(
            f"no directory for a copy of the tree can be made: {plain(str(e.strerror))[:200]}", BROKEN
        ) from None


def _read(patch: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if patch == "-" else Path(patch).read_bytes()
    except OSError as e:
        raise Failure(f"{patch}: {e.strerror}", BROKEN) from None


def _copy(tree: Path, to: Path) -> None:
    """Copy the tree, with a commit of its own so that what the patch changes can be told."""
    try:
        shutil.copytree(tree, to, ignore=shutil.ignore_patterns(*LEFT), symlinks=True)
    except OSError as e:  # shutil.Error, which has a list of all that failed, is one too
        why = str(e.args[0][0][2]) if isinstance(e, shutil.Error) and isinstance(e.args[0], list) else str(e)
        raise Failure(f"the tree cannot be copied: {plain(why)[:200]}", BROKEN) from None
    identity = ("-c", "user.name=judge", "-c", "user.email=judge")
    for words in (("init", "-q"), ("add", "-f", "kernel", "emu", "guest"), (*identity, "commit", "-qm", "as it was")):
        if _git(to, *words).returncode != 0:
            return  # then it is judged all the same


def _apply(text: bytes, patch: str, root: Path) -> None:
    done = _git(root, "apply", "--whitespace=nowarn", "-", text=text)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["git cannot be run"]
        raise Failure(f"{patch}: does not apply: {plain(said[0].removeprefix('error: '))}", BROKEN)


def _environment() -> dict[str, str]:
    """Ours, without what tells git of another repository."""
    return {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}


def _git(cwd: Path, *words: str, text: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            ["git", *words], cwd=cwd, input=text, capture_output=True, check=False, env=_environment()
        )
    except OSError:
        raise Failure("judge needs git for a patch", BROKEN) from None
