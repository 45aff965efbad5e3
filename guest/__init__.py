"""Guest programs: small Plan 9 programs that p9emu brings along, and how they are built."""

import atexit
from functools import cache
from pathlib import Path

from guest.catalog import CATALOG, Guest

__all__ = ["Guest", "guests", "path"]


def guests() -> list[Guest]:
    """The bundled programs, in the order of the catalogue."""
    return list(CATALOG)


@cache
def path(name: str) -> Path:
    """The a.out file of a bundled program, good until this process ends; raises KeyError."""
    if name not in {g.name for g in CATALOG}:
        raise KeyError(name)
    for directory in __path__:
        found = Path(directory, "bin", name)
        if found.is_file():
            return found
    return _extracted(name)


def _extracted(name: str) -> Path:
    """The same where the package is no directory. What this needs takes a while to import."""
    from contextlib import ExitStack
    from importlib.resources import as_file, files

    kept = ExitStack()
    atexit.register(kept.close)
    return kept.enter_context(as_file(files(__name__).joinpath("bin", name)))
