"""What can be typed beside runs: executables, what comes along, the compiler, changes, benchmarks, the judge."""

from typing import Final

import click

from emu.cli.front import Headed
from emu.cli.options import HELP

PARTS: Final = ("loads", "vectors", "faults", "golden", "mutants", "invariants", "guests", "units")
"""What p9emu judge looks at: tests.judge has the same."""


@click.command(cls=Headed, context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("program")
def info(program: str, fmt: str) -> None:
    """Show PROGRAM's header, segments and symbols.

    \b
    Example:
      p9emu info hello

    \b
    Exit status: 126 if PROGRAM is no Plan 9 386 executable, 127 if there is no such file.
    """
    from emu.cli.inspect import info as command

    command(program, fmt == "json")


@click.command(cls=Headed, context_settings=HELP)
@click.argument("program")
@click.argument("symbol", required=False)
def disasm(program: str, symbol: str | None) -> None:
    """Disassemble PROGRAM's text, or only the function SYMBOL.

    \b
    Example:
      p9emu disasm hello main

    \b
    Exit status: 1 if there is no function SYMBOL, 126 if PROGRAM is no Plan 9 386
    executable, 127 if there is no such file.
    """
    from emu.cli.inspect import disasm as command

    command(program, symbol)


@click.command(cls=Headed, context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Describe each program.")
def guests(fmt: str, verbose: bool) -> None:
    """List the programs that come with p9emu; run takes their names.

    \b
    Example:
      p9emu guests -v
    """
    from emu.cli.inspect import guests as command

    command(fmt == "json", verbose)


@click.command(cls=Headed, context_settings=HELP, short_help="List what --fix and --original take.")
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
def variants(fmt: str) -> None:
    """List what --fix and --original take: later fixes of 9front, and cures of p9emu's own.

    Each line has the name, the day or the erratum, the kind (R race or order, D deadlock, S single-threaded, F double
    fetch, L leak), the C file, and what is wrong without the fix, or without the cure.

    \b
    Example:
      p9emu variants
    """
    from emu.cli.inspect import variants as command

    command(fmt == "json")


@click.command(cls=Headed, context_settings=HELP, short_help="Compile C and assembly into a program.")
@click.option("-o", "output", metavar="OUT", default="a.out", show_default=True, help="The program's file.")
@click.option("-I", "include", metavar="DIR", multiple=True, help="Look for headers in DIR too.")
@click.option("-D", "define", metavar="NAME[=V]", multiple=True, help="Define a macro, as V or 1.")
@click.option(
    "-O",
    "level",
    metavar="LEVEL",
    type=click.Choice(["0", "1", "2", "3", "s", "z", "g"]),
    default="1",
    show_default=True,
    help="How much to optimize: 0 to 3, s, z or g.",
)
@click.option("-W", "warn", metavar="WARNING", multiple=True, help="A warning as clang names it, besides -Wall.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def cc(
    files: tuple[str, ...],
    output: str,
    include: tuple[str, ...],
    define: tuple[str, ...],
    level: str,
    warn: tuple[str, ...],
) -> int:
    """Compile FILEs in C (.c) and assembly (.S, .s) into a Plan 9 386 executable with symbols and line tables.

    It is linked with the small library of the bundled guests, which #include "guest.h" declares. A program begins
    with main(argc, argv), which returns its exit string, nil for success; one in assembly may have _start instead.
    OUT is a.out unless told otherwise, as with other compilers. Needs the extra "guests".

    \b
    Examples:
      p9emu cc hello.c && p9emu run ./a.out
      p9emu cc -o prog -O2 -Wextra main.c fast.S

    \b
    Exit status: 1 if the program cannot be made of FILEs, 125 if OUT cannot be written.
    """
    from emu.cli.cc import cc as command

    return command(files, output, include, define, level, warn)


@click.command(cls=Headed, context_settings=HELP, short_help="List what --changes DIR has kept.")
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("directory", metavar="DIR")
@click.argument("tree", required=False)
def changes(directory: str, tree: str | None, fmt: str) -> None:
    """List what --changes DIR has kept: A for what is new, M for what is changed, D for what is removed.

    TREE is the directory that was the root. Without it new files and changed ones cannot be told apart: both are ?.

    \b
    Example:
      p9emu run --root plan9 --changes changes dirs /tmp
      p9emu changes changes plan9

    \b
    Exit status: 2 if DIR is no such directory.
    """
    from emu.cli.changes import changes as command

    command(directory, tree, fmt == "json")


@click.command(cls=Headed, context_settings=HELP, short_help="Measure the emulator on this computer.")
@click.option("--quick", is_flag=True, help="One round of each measurement instead of three.")
@click.option("--full", is_flag=True, help="Everything, in seven rounds and more: up to half an hour.")
@click.option("--format", "fmt", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--json", "asjson", is_flag=True, help="The same as --format json.")
@click.option("--curves", is_flag=True, help="Also how costs grow, from place to place.")
@click.option("--plot", type=click.Path(file_okay=False), metavar="DIR", help="Draw the curves, as SVG files in DIR.")
@click.option("--go", is_flag=True, help="Also tests of Go's standard library.")
@click.option("--pagecache", is_flag=True, help="Only the page caches and page-out policies beside each other.")
def bench(
    quick: bool, full: bool, fmt: str, asjson: bool, curves: bool, plot: str | None, go: bool, pagecache: bool
) -> None:
    """Measure the emulator on this computer, beside a bare Unicorn and, if installed, Qiling and qemu-i386.

    Takes two or three minutes; a bar on a terminal shows how far it is.

    \b
    Example:
      p9emu bench --quick
      p9emu bench --plot pictures
      p9emu bench --pagecache

    \b
    Exit status: 1 if --plot finds no matplotlib, or --go or --full no go command.
    """
    if asjson:
        fmt = "json"
    if pagecache:
        from emu.bench.pagecaches import main as caches

        if quick or full or curves or plot is not None or go:
            raise click.UsageError("--pagecache is measured alone")
        caches(fmt)
        return
    from emu.bench.suite import main as command

    if quick and full:
        raise click.UsageError("--quick and --full exclude each other")
    command(quick, fmt, curves, plot, go, full)


@click.command(cls=Headed, context_settings=HELP, short_help="Tell what a change of kernel/ breaks.")
@click.option("--only", multiple=True, metavar="PART", type=click.Choice(PARTS), help="Look at this part; repeatable.")
@click.argument("patch", required=False)
def judge(patch: str | None, only: tuple[str, ...]) -> int:
    """Tell what a change of kernel/ breaks or changes, in a minute or two.

    The tree that p9emu runs from is judged as it is, or a copy of it with PATCH (a unified diff; - is standard
    input): against the recordings of the original C and of the real kernel, whole traces, invariants in many orders,
    deliberate mistakes, every bundled program. Needs a clone, with its tests.

    \b
    Parts, of which loads comes first in any case:
      loads       the kernel can be imported, and a program runs
      vectors     what the original C did, operation by operation
      faults      the page faults of the real 9front kernel
      golden      whole traces
      mutants     deliberate mistakes are still found
      invariants  random programs, in many orders, all structures compared
      guests      every bundled program
      units       the functions, each by itself

    \b
    Exit status: 0 all is as it was, 1 something is not, 2 there is no such PART,
    125 PATCH does not apply or there is no clone.
    """
    from emu.cli.judge import judge as command

    return command(patch, only)
