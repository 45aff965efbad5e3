"""zig's C compiler (package ziglang): how it is called and for what it compiles."""

import os
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# Pentium code (RDTSC, no SSE), nothing of a host system, nothing that writes paths into the result.
TARGET: Final = ("-target", "x86-freestanding-none", "-mcpu=pentium")
DIALECT: Final = (
    *("-std=gnu11", "-ffreestanding", "-fno-builtin", "-fno-pic", "-fomit-frame-pointer"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-sanitize=all", "-fno-ident"),
    *("-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks", "-ffunction-sections"),
)
LDFLAGS: Final = ("-nostdlib", "-static", "-fno-pic", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,norelro")


class BuildError(Exception):
    """A compiler run failed; the text is what there is to tell of it."""


class MissingError(BuildError):
    """The extra ``guests`` is not installed."""


def need(package: str) -> Path:
    """Where a package of the extra ``guests`` is. Raises MissingError."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingError("needs the extra \"guests\": pip install 'p9emu[guests]'")
    return Path(spec.origin).parent


def command() -> Path:
    """zig's own program, which starts faster than the package does. Raises MissingError."""
    return need("ziglang") / "zig"


def zig(tool: str, args: Sequence[str | Path], cwd: Path, caches: Path) -> str:
    """Run a tool of zig's (cc, ar) in cwd; what it said. Raises BuildError with that.

    Its caches are made under caches, where ZIG_GLOBAL_CACHE_DIR and ZIG_LOCAL_CACHE_DIR do not say otherwise.
    """
    env = dict(os.environ)
    env.setdefault("ZIG_GLOBAL_CACHE_DIR", str(caches / "global"))
    env.setdefault("ZIG_LOCAL_CACHE_DIR", str(caches / "local"))
    env.pop("SOURCE_DATE_EPOCH", None)
    words: list[str | Path] = [command(), tool, *(TARGET if tool == "cc" else ()), *args]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as e:
        raise BuildError(f"{words[0]}: {e.strerror}\n") from None
    said = done.stdout.decode("utf-8", "surrogateescape")
    if done.returncode != 0:
        raise BuildError(said or f"{words[0]}: status {done.returncode}\n")
    return said
