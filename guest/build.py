"""Build the guest programs: ``python -m guest.build [-o DIR] [-j N] [--check] [NAME...]``.

Every program is made of ``src/NAME.c``, ``src/NAME.S`` or both and what it uses of ``lib/``; zig's C compiler
(package ziglang) compiles and links it, :mod:`guest.aout` turns the result into a Plan 9 a.out. The
result is the same, byte for byte, wherever it is built: no path, time or debug information goes in.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from guest import aout, cc
from guest.catalog import CATALOG
from guest.zig import DIALECT, LDFLAGS, BuildError, zig

HERE: Final = Path(__file__).resolve().parent
LIB: Final = HERE / "lib"
SRC: Final = HERE / "src"
BIN: Final = HERE / "bin"
__all__ = ["BIN", "HERE", "LIB", "SRC", "BuildError", "build", "linux", "main", "program", "sources"]
CFLAGS: Final = (*DIALECT, "-O2", "-g0", "-Wall", "-Wextra", "-Werror")


def _compile(source: Path, work: Path) -> Path:
    """Compile one file of lib or src to an object file under work."""
    target = work / f"{source.parent.name}-{source.name}.o"
    flags = CFLAGS if source.suffix == ".c" else ()
    where = source.relative_to(HERE) if source.is_relative_to(HERE) else source
    zig("cc", [*flags, "-I", "lib", "-c", where, "-o", target], HERE, work)
    return target


def sources(name: str) -> list[Path]:
    """The files that are program ``name`` alone."""
    return [p for p in (SRC / f"{name}.c", SRC / f"{name}.S") if p.exists()]


def _link(name: str, objects: Sequence[Path], work: Path) -> bytes:
    elf = work / f"{name}.elf"
    zig("cc", [*LDFLAGS, f"-Wl,-T,{LIB / 'link.ld'}", *objects, "-o", elf], work, work)
    try:
        return aout.fromelf(elf.read_bytes()).pack()
    except aout.FormatError as e:
        raise BuildError(f"{name}: {e}") from e


def build(names: Sequence[str], jobs: int = 2) -> dict[str, bytes]:
    """Compile and link programs; returns name -> a.out file. Raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="p9emu-guests-") as scratch, ThreadPoolExecutor(jobs) as pool:
        work = Path(scratch)
        libsources = sorted(p for p in LIB.iterdir() if p.suffix in (".c", ".S"))
        wanted = libsources + [s for n in names for s in sources(n)]
        objects = dict(zip(wanted, pool.map(lambda s: _compile(s, work), wanted), strict=True))
        lib = [objects[s] for s in libsources if s.name != "start.S"]
        start = objects[LIB / "start.S"]

        def program(name: str) -> bytes:
            own = sources(name)
            if not own:
                raise BuildError(f"{name}: no source")
            # a program in C starts in lib/start.S; one in assembly alone starts where it wants
            first = [start] if any(s.suffix == ".c" for s in own) else []
            return _link(name, [*first, *(objects[s] for s in own), *lib], work)

        return dict(zip(names, pool.map(program, names), strict=True))


def program(name: str, files: Sequence[Path], cwd: Path | None = None) -> bytes:
    """An a.out of C and assembly files from anywhere, with the library: guest.cc.compile's, in short.

    Warnings are not told; ``name`` is that of the program in an error. Raises BuildError.
    """
    try:
        return cc.compile(files, cwd=cwd).image
    except BuildError as e:
        raise BuildError(f"{name}: {e}") from e


def linux(names: Sequence[str]) -> dict[str, bytes]:
    """The same programs as static ELF files for Linux, as far as linux/start.S has their system calls."""
    with tempfile.TemporaryDirectory(prefix="p9emu-guests-") as scratch:
        work = Path(scratch)
        own = {"start.S", "sys.S"}
        libsources = sorted(p for p in LIB.iterdir() if p.suffix in (".c", ".S") and p.name not in own)
        common = [_compile(s, work) for s in (HERE / "linux" / "start.S", *libsources)]
        built = {}
        for name in names:
            elf = work / f"{name}.elf"
            objects = [*(_compile(s, work) for s in sources(name)), *common]
            zig("cc", [*LDFLAGS, *objects, "-o", elf], work, work)
            built[name] = elf.read_bytes()
        return built


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m guest.build", description="Build the guest programs.")
    parser.add_argument("-o", metavar="DIR", type=Path, default=BIN, help="where the programs go (guest/bin)")
    parser.add_argument("-j", metavar="N", type=int, default=2, help="compilers at a time (2)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a program would change")
    parser.add_argument("names", metavar="NAME", nargs="*", help="programs to build (all)")
    args = parser.parse_args(argv)
    known = [g.name for g in CATALOG]
    unknown = sorted(set(args.names) - set(known))
    if unknown:
        parser.error(f"no such program: {' '.join(unknown)}")
    try:
        built = build(args.names or known, args.j)
    except BuildError as e:
        print(e, file=sys.stderr)
        return 1
    changed = [n for n, image in built.items() if not _same(args.o / n, image)]
    if args.check:
        for name in changed:
            print(f"{name}: differs from what its sources give", file=sys.stderr)
        return 1 if changed else 0
    args.o.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (args.o / name).write_bytes(built[name])
        (args.o / name).chmod(0o755)
    print(f"{len(built)} programs, {len(changed)} changed")
    return 0


def _same(path: Path, image: bytes) -> bool:
    return path.is_file() and path.read_bytes() == image


if __name__ == "__main__":
    sys.exit(main())
