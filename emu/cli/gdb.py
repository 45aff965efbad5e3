"""p9emu gdb: a server of gdb's remote protocol; p9emu elf: a program for gdb to read."""

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from emu.cli.run import conclude, configure, failureof, same
from emu.cli.settings import Options
from emu.failure import BROKEN, USAGE, Failure
from emu.observe.output import OutputError, StderrOutput
from emu.plain import plain

if TYPE_CHECKING:
    from emu.debug.link import Link


def gdb(options: Options, program: str, args: Sequence[str], address: str) -> int:
    """Run program with a gdb that connects at address; the status to exit with. Raises Failure."""
    from emu.debug.console import GdbConsole
    from emu.debug.link import AddressError, Gone, Listener, Stream
    from emu.debug.machine import DebugMachine
    from emu.debug.past import Past
    from emu.debug.server import Server, run
    from emu.debug.travel import Killed

    config = configure(options)
    console = GdbConsole() if address == "-" else None
    if address == "-":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is gdb's, which sends what it means
        listener = None
    else:
        try:
            listener = Listener(address)
        except AddressError as e:
            raise Failure(f"-l {plain(str(e))}", BROKEN if ": " in str(e) else USAGE) from None

    def connect() -> "Link":
        if listener is None:
            return Stream(0, 1)
        where = plain(listener.where)
        _say(f"gdb: listening at {where}: target remote {_quoted(where)}")
        if listener.open:
            _say("gdb: warning: whoever can reach that address can do with the program what they like")
        return listener.accept()

    server: Server | None = None
    replay = options.replay
    try:
        journal = replay.journal() if replay is not None else None
        past = Past(journal)
        with closing(DebugMachine(config, console if replay is None else None, journal=past.journal)) as machine:
            server = Server(machine, connect, past)
            if replay is not None:
                replay.prepare(machine)
            if console is not None:
                console.send = server.written
                if replay is not None:
                    replay.output = lambda fd, data: console.send(data)
            outcome = run(server, program, args)
    except Gone:
        raise Failure("gdb: the client went away; the program was ended", BROKEN) from None
    except Killed:
        return 128 + signal.SIGKILL
    except Exception as e:
        failure = failureof(e, options)
        if failure is None:
            raise
        raise failure from None
    finally:
        if server is not None:
            server.close()
        if listener is not None:
            listener.close()
    return conclude(options, outcome)


def _quoted(where: str) -> str:
    """As gdb is to be told it."""
    if re.fullmatch(r"[\w.:/\[\]-]+", where, re.ASCII):
        return where
    import shlex

    return shlex.quote(where)


def _say(text: str) -> None:
    with suppress(OutputError):
        StderrOutput().write(f"p9emu: {text}\n")


def elf(program: str, output: str | None) -> None:
    """Write the ELF file of a program. Raises Failure."""
    from emu.program.aout import AoutError, load
    from emu.program.elf import elf as make
    from emu.program.find import resolve

    path = resolve(program)
    output = output or f"{os.path.basename(path)}.elf"
    if same(output, program):
        raise Failure(f"{plain(output)}: is the program itself", BROKEN)
    try:
        data = make(load(path))
    except AoutError as e:
        raise Failure(str(e), e.status) from None
    temporary = f"{output}.{os.getpid()}.tmp"
    try:
        if output == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        if os.path.exists(output) and not os.path.isfile(output):
            with open(output, "wb") as f:
                f.write(data)
            return
        with open(temporary, "wb") as f:
            f.write(data)
        os.replace(temporary, output)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as e:
        with suppress(OSError, ValueError):
            os.unlink(temporary)
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        raise Failure(f"cannot write {plain(output)}: {why}", BROKEN) from None
