"""The options that run and trace have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from emu.cli.types import (
    bind,
    env,
    epoch,
    fix,
    guestdir,
    injection,
    net,
    netwithin,
    original,
    points,
    rootdir,
    sched,
    seconds,
    size,
    swapsize,
    user,
)
from emu.machine.limits import MAXCPUS, PAGEOUT

STATUS = """
\b
Exit status of run, trace, report, top, mrc and shell:
  0        the guest's exit string is empty
  1..255   the exit string is that number
  1        any other exit string, told as "p9emu: PROGRAM PID: STRING"
  2        wrong usage
  124      time limit
  125      the emulator itself failed, or could not write its output
  126      the program cannot be loaded
  127      the program was not found
  130      interrupted
  141      the reader of the output is gone
  128+N    ended by the host's signal N (HUP, QUIT, TERM)
"""
GUEST_ARGS = {"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]}
HELP = {"help_option_names": ["-h", "--help"]}

NETWITHIN = (
    "What there is at /net: loopback, an IP stack that reaches this machine alone, or off, nothing. With delay=Nms, "
    "loss=N%, reorder=N%, reset=N% the loopback is a bad one. Repeatable.  [default: loopback]"
)
NET = NETWITHIN.replace(
    "Repeatable.",
    "Of the host's network the guest reaches what connect=HOST:PORT allows, and is reached at "
    "listen=[ADDRESS:]PORT[=GUESTPORT]; resolve lets it ask for names. Repeatable.",
)

Function = TypeVar("Function", bound=Callable[..., Any])


def machine_options(
    memory: str = "64M", notefp: bool = False, clock: str | None = "virtual", root: bool = True, once: bool = True
) -> Callable[[Function], Function]:
    """Decorate a command with them; it receives the fields of types.Options as keywords.

    ``memory``, ``notefp`` and ``clock`` are what holds unless told; without ``root`` there is no --root. What is for
    one run alone is left out unless ``once``.
    """
    options = [
        click.option(
            "-m",
            "--memory",
            type=size,
            default=memory,
            show_default=True,
            metavar="SIZE",
            help="Memory of the machine, 4M to 3G; suffixes K, M, G.",
        ),
        click.option(
            "--cpus",
            type=click.IntRange(1, MAXCPUS),
            default=1,
            show_default=True,
            metavar="N",
            help="Processors, 1 to 8.",
        ),
        click.option(
            "--bind",
            "binds",
            type=bind,
            multiple=True,
            metavar="HOST:GUEST[:rw|:cow]",
            help="Show a host directory in the guest's name space, read-only unless :rw follows; with :cow the guest "
            "may change everything, the host's files stay as they are, and changes are forgotten. Repeatable.",
        ),
        *([_root()] if root else []),
        click.option(
            "--changes",
            type=click.Path(),
            metavar="DIR",
            help="Keep the changes of the root, which is :cow then, in this host directory; needs --root or --tree."
            if root
            else "Keep what is changed in TREE in this host directory.",
        ),
        click.option(
            "--env",
            type=env,
            multiple=True,
            metavar="NAME=VALUE",
            help="Set /env/NAME. Repeatable; the host's environment is not passed on.",
        ),
        click.option(
            "--cwd",
            type=guestdir,
            metavar="DIR",
            help="The program's current directory, in the guest.  [default: /; with a Plan 9 tree, home]",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            metavar="N",
            help="Seed of everything random; equal seeds give equal runs.",
        ),
        click.option(
            "--clock",
            type=click.Choice(["virtual", "real"]),
            default=clock,
            show_default=clock or "real for an interactive shell on a terminal, else virtual",
            help="What time is in the guest: computed and repeatable, or the host's.",
        ),
        click.option(
            "--epoch",
            type=epoch,
            metavar="TIME",
            help="When time begins in the guest: now, a date as 2014-06-17T12:00 (UTC), or seconds since 1970.  "
            f"[default: 2014-06-17{', or with --clock real now' if once else ''}]",
        ),
        click.option(
            "--swap",
            type=swapsize,
            default="0",
            metavar="SIZE",
            help="Give the machine a swap device of so many bytes, in a file that is removed at the end.",
        ),
        click.option(
            "--swap-file",
            "swapfile",
            type=click.Path(dir_okay=False),
            metavar="PATH",
            help="Keep the swap device in this host file; needs --swap.",
        ),
        click.option(
            "--sched",
            type=sched,
            default="fifo",
            show_default=True,
            metavar="fifo|random|replay:FILE",
            help="random switches at every lock and blocking point by --seed, to find races; replay does again what "
            "p9emu explore wrote to FILE.",
        ),
        click.option(
            "--points",
            type=points,
            default="",
            metavar="NAME,...|all",
            help="More places where the exploring scheduler may switch: fields (loads and stores of shared fields of "
            "the kernel's structures), memory (before each look at user memory), interrupts (the clock and timers "
            "come there)" + ("; needs --sched random or replay." if once else "."),
        ),
        click.option(
            "--lock-order",
            "lockorder",
            is_flag=True,
            help="Tell at the end which locks are taken while which are held, in a circle.",
        ),
        click.option(
            "--lockset", is_flag=True, help="Tell at the end which shared fields are touched with no lock in common."
        ),
        click.option(
            "--fault-inject",
            "inject",
            type=injection,
            default="",
            metavar="KIND:N[+],...",
            help="Let the N-th operation of a kind fail (N+: every N-th): newpage, malloc, swapread, swapwrite, "
            "textread, hostread.",
        ),
        click.option(
            "--original",
            type=original,
            default="",
            metavar="NAME,...|all",
            help="Take back what p9emu cured of the original; p9emu variants lists the names.",
        ),
        click.option(
            "--fix",
            type=fix,
            default="",
            metavar="COMMIT,...|all",
            help="Apply later fixes of 9front; p9emu variants lists them.",
        ),
        click.option(
            "--note-fp/--no-note-fp",
            "notefp",
            default=notefp,
            show_default=True,
            help="Let note handlers use floating point, as 9front's amd64 kernel does; the 386 kernel kills them.",
        ),
        click.option(
            "--net",
            multiple=True,
            callback=net if once else netwithin,
            metavar="WORD,...",
            help=NET if once else NETWITHIN,
        ),
        click.option(
            "--timeout",
            type=seconds,
            metavar="SECONDS",
            help="End the run after so much of the host's time, with status 124.",
        ),
        click.option("--check", is_flag=True, help="Check the kernel's invariants all the time: 2 to 3 times the run."),
        click.option(
            "--counter",
            type=click.Choice(["auto", "native", "inline", "call", "hook", "python"]),
            default="auto",
            show_default=True,
            help="What counts executed blocks, and so drives virtual time.",
        ),
        click.option(
            "--mmu",
            type=click.Choice(["nested", "plain"]),
            default="nested",
            show_default=True,
            help="How Unicorn pages: nested is fast; plain, for one processor, does without SVM.",
        ),
        click.option(
            "--pagecache",
            type=click.Choice(["commit", "parent"]),
            default="commit",
            show_default=True,
            help="parent is the page cache before the commit: one hash of all pages, cached pages on the free list.",
        ),
        click.option(
            "--pageout",
            type=click.Choice(PAGEOUT),
            help="Which pages go when memory is short.  [default: clock16; with --pagecache parent, average]",
        ),
        click.option("--stats", is_flag=True, help="Print figures about the run on standard error at its end."),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="Colour what p9emu prints; auto is on a terminal, unless NO_COLOR is set.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Print the kernel's messages, processes left over, and a panic's dump on standard error.",
        ),
    ]

    if not once:
        options = [o for o in options if not _once(o)]
    return _decorator(*options)


ONCE = ("--sched", "--clock", "--swap-file", "--stats", "--changes")


def _once(option: Callable[[Any], Any]) -> bool:
    """Whether an option is for one run alone, and not for many in a row."""

    def probe() -> None: ...

    option(probe)
    params: list[click.Parameter] = vars(probe)["__click_params__"]
    return any(opt in ONCE for p in params for opt in p.opts)


def _root() -> Callable[[Function], Function]:
    return click.option(
        "--root",
        type=rootdir,
        metavar="DIR[:rw|:cow]",
        help="Make a host directory the root of the guest's name space, read-only unless :rw or :cow follows.",
    )


def tree_options(f: Function) -> Function:
    """Decorate run or trace with what makes a Plan 9 tree of the host its world."""
    return _decorator(
        click.option(
            "--tree",
            metavar="TREE",
            help="Run it in a Plan 9 tree of the host, as shell does: PROGRAM may be a command of the tree's, and the "
            "tree is not written.",
        ),
        user_option(),
    )(f)


def user_option() -> Callable[[Function], Function]:
    """Whose a machine with a tree is."""
    return click.option(
        "--user",
        type=user,
        metavar="NAME",
        help="With a Plan 9 tree: who runs it, with the home /usr/NAME.  [default: glenda, if the tree has her home, "
        "else eve]",
    )


def _decorator(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(f: Function) -> Function:
        for option in reversed(options):
            f = option(f)
        return f

    return decorate
