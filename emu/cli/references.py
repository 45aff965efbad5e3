"""p9emu trace --format csv and oracleGeneral: the pages that a program refers to, for cache simulators."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from emu.cli.run import binary, conclude, execute, opened, same, unwritten
from emu.cli.settings import Options
from emu.failure import BROKEN, Failure
from emu.machine.references import References
from emu.observe.cachesim import CsvReferences, OracleReferences
from emu.observe.output import OutputError


def references(options: Options, program: str, args: Sequence[str], output: str | None, fmt: str) -> int:
    """Run program and write its references; the status to exit with. Raises Failure.

    ``output`` is as for a trace. However the run ends, what was referred to until then is written.
    """
    if output is not None and not output.startswith("|") and same(output, program):
        raise Failure(f"{output}: is the program itself", BROKEN)
    try:
        out = opened(output)
        writer: CsvReferences | OracleReferences
        if fmt == "csv":
            writer = CsvReferences(out, lambda n: watched.pages[n].va)
        else:
            writer = OracleReferences(binary(out))
        watched = References(writer)
        try:
            outcome = execute(options, program, args, watched, None, watched.watch)
        except OutputError:
            with suppress(OutputError):
                out.close()
            raise
        except BaseException:
            with suppress(OutputError):  # the first failure is the one to tell
                if watched.pages:
                    watched.finish()
                    writer.finish()
                out.close()
            raise
        watched.finish()
        writer.finish()
        out.close()
    except OutputError as e:
        raise unwritten(e) from None
    return conclude(options, outcome)
