"""Compile anybody's C and assembly against the library, into an a.out with symbols and line tables.

The sources may lie anywhere; ``#include "guest.h"`` finds the library's header. The library is compiled once and
kept in the user's cache directory. The result is the same, byte for byte, wherever it is made: names of files go in as
they were given, relative to where the compiler was called.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from guest import aout, debug, dwarf
from guest.zig import DIALECT, LDFLAGS, BuildError, need, zig

LIB: Final = Path(__file__).resolve().parent / "lib"
SHOWN: Final = "guest/lib"  # what the library's directory is called in line tables
SUFFIXES: Final = (".c", ".S", ".s")
LEVEL: Final = "1"  # of optimization: code that is still like its source

# Line tables and frames. A frame that does not change between prologue and epilogue is one that a debugger of
# Plan 9 understands: there it is one number for each function.
DEBUG: Final = (
    *("-g", "-gdwarf-4", "-fdebug-compilation-dir=.", "-fno-unwind-tables"),
    *("-mllvm", "-no-x86-call-frame-opt", "-mllvm", "-enable-shrink-wrap=false"),
)


@dataclass(frozen=True)
class Compiled:
    """``image`` is the a.out file, ``said`` what the compiler had to say of it: warnings, or nothing."""

    image: bytes
    said: str


def compile(
    files: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    define: Sequence[str] = (),
    level: str = LEVEL,
    warn: Sequence[str] = (),
    cwd: Path | None = None,
) -> Compiled:
    """Compile and link C (.c) and assembly (.S with preprocessor, .s) files with the library.

    ``include`` are directories to look for headers in, ``define`` macros as NAME or NAME=VALUE, ``level`` what
    follows -O, ``warn`` what follows -W, ``cwd`` the directory that all these names start from, if not the current one.
    A program in C begins with main, one in assembly with main or _start.
    Raises MissingError, or BuildError, whose text is the compiler's, lines that name files as they were given.
    """
    cwd = cwd or Path.cwd()
    for package in ("ziglang", "elftools"):
        need(package)
    flags: list[str] = [
        *(word for d in include for word in ("-I", d)),
        *(word for d in define for word in ("-D", d)),
        *(f"-W{w}" for w in ("all", *warn)),
        f"-O{level}",
    ]
    with _scratch() as scratch:
        work = Path(scratch)
        library = _library(work)
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            runs = [
                pool.submit(_compile, Path(f), work / f"{i}-{Path(f).name}.o", flags, cwd, work / f"zig{i}")
                for i, f in enumerate(files)
            ]
            wait(runs)
        finally:  # who is interrupted waits for those that run, and begins no other
            pool.shutdown(cancel_futures=True)
        said, failed = "", False
        for r in runs:
            try:
                said += r.result()
            except BuildError as e:
                said, failed = said + str(e), True
        if failed:
            raise BuildError(said)
        image, about = _link(work, [f"{i}-{Path(f).name}.o" for i, f in enumerate(files)], library)
        return Compiled(image, said if "no-main" in warn else said + about)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="p9emu-cc-")


def _compile(source: Path, target: Path, flags: Sequence[str], cwd: Path, caches: Path) -> str:
    """Compile a file as the user would, from cwd; what the compiler said. Raises BuildError.

    zig's cache is a new one, because what it finds there it gives without its warnings.
    """
    name = str(source)
    if name.startswith(("-", "@")):
        name = f"./{name}"
    own = ("-I", LIB, f"-ffile-prefix-map={LIB}={SHOWN}")
    words: list[str | Path] = [*_flags(source), *flags, *own, "-c", name, "-o", target]
    return zig("cc", words, cwd, caches)


def _flags(source: Path) -> tuple[str, ...]:
    return (*DIALECT, *DEBUG) if source.suffix == ".c" else ("-g", "-gdwarf-4", "-fdebug-compilation-dir=.")


def _library(work: Path) -> Path:
    """The library as an archive, from the user's cache, or compiled and put there. Raises BuildError."""
    sources = sorted(p for p in LIB.iterdir() if p.suffix in SUFFIXES)
    cache, name = _cachedir(), f"lib-{_key(sources)}"
    with suppress(OSError):
        for kept in cache.glob(f"{name}-*.a"):
            if kept.name == f"{name}-{_digest(kept.read_bytes())}.a":  # else it was damaged
                return kept
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = [work / f"lib-{s.name}.o" for s in sources]
        for run in [
            pool.submit(_compile, s, o, ["-O2"], work, work / f"zig-{s.name}")
            for s, o in zip(sources, objects, strict=True)
        ]:
            run.result()
    made = work / "lib.a"
    zig("ar", ["rcsD", made, *objects], work, work / "zig-ar")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        data = made.read_bytes()
        fd, temp = tempfile.mkstemp(dir=cache)
        with open(fd, "wb") as f:
            f.write(data)
        os.replace(temp, cache / f"{name}-{_digest(data)}.a")
    except OSError:  # a cache that cannot be had only costs time
        pass
    return made


def _cachedir() -> Path:
    """Where the library is kept: p9emu in XDG_CACHE_HOME, or in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "p9emu"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _key(sources: Sequence[Path]) -> str:
    """A name that is another one whenever the library would be."""
    try:
        compiler = version("ziglang")
    except PackageNotFoundError:
        compiler = ""
    sha = hashlib.sha256(repr((compiler, DIALECT, DEBUG)).encode())
    for s in (*sources, LIB / "guest.h"):
        sha.update(s.read_bytes() + b"\0")
    return sha.hexdigest()[:16]


def _link(work: Path, objects: Sequence[str], library: Path) -> tuple[bytes, str]:
    """The executable, and a warning of its main, if it deserves one. Raises BuildError."""
    words: list[str | Path] = [*LDFLAGS, f"-Wl,-T,{LIB / 'link.ld'}", *objects, library, "-o", "program.elf"]
    try:
        zig("cc", words, work, work / "zig-ld")
    except BuildError as e:
        raise BuildError(_readable(str(e))) from None
    try:
        elf = (work / "program.elf").read_bytes()
        program = aout.fromelf(elf)
        units, frames = dwarf.read(elf, aout.TEXTBASE, aout.TEXTBASE + len(program.text))
        return debug.annotate(program, aout.TEXTBASE, units, frames).pack(), _main(elf)
    except aout.FormatError as e:
        raise BuildError(f"{e}\n") from None


MAIN: Final = {
    "void": "returns nothing: unless it calls exits, the exit string is whatever is in AX",
    "number": "returns a number, where its exit string is expected: nil for success",
}


def _main(elf: bytes) -> str:
    """What clang, which knows no Plan 9, has not to say of main."""
    found = dwarf.result(elf, "main")
    return f"{found[0]}: warning: main {MAIN[found[1]]} [-Wmain]\n" if found and found[1] in MAIN else ""


UNDEFINED: Final = re.compile(r"ld\.lld: error: undefined symbol: (.+)\n>>> referenced by (.+)\n")
FULL: Final = re.compile(r"\S+:\d+ \((.+:\d+)\)$")  # FILE:LINE (PATH:LINE)


def _readable(said: str) -> str:
    """The linker's messages, as the compiler would put them where they are about the program alone."""
    out = []
    for name, where in UNDEFINED.findall(said):
        where = FULL.sub(r"\1", where)
        if name == "main" and where.startswith(SHOWN):
            out.append("no function main, and no _start\n")
        else:
            out.append(f"{where}: undefined symbol: {name}\n")
    return "".join(out) or said
