"""Guest programs: small Plan 9 programs that p9emu brings along, and how they are built."""

import atexit
from contextlib import ExitStack
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from guest.catalog import CATALOG, Guest

__all__ = ["Guest", "guests", "path"]

_extracted = ExitStack()
atexit.register(_extracted.close)


def guests() -> list[Guest]:
    """The bundled programs, in the order of the catalogue."""
    return list(CATALOG)


@cache
def path(name: str) -> Path:
    """The a.out file of a bundled program, good until this process ends; raises KeyError."""
    if name not in {g.name for g in CATALOG}:
        raise KeyError(name)
    return _extracted.enter_context(as_file(files(__name__).joinpath("bin", name)))
