"""Guest programs: small Plan 9 programs that p9emu brings along, and how they are built."""

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guest.catalog import Guest

__all__ = ["directory", "guests", "path"]


def guests() -> "list[Guest]":
    """The bundled programs, in the order of the catalogue."""
    from guest.catalog import CATALOG

    return list(CATALOG)


@cache
def directory() -> str:
    """Where the a.out files of the bundled programs are, as long as this process lives."""
    for package in __path__:
        found = os.path.join(package, "bin")
        if os.path.isdir(found):
            return found
    return os.path.dirname(_extracted("true"))


@cache
def path(name: str) -> str:
    """The a.out file of a bundled program, likewise; raises KeyError."""
    if all(g.name != name for g in guests()):
        raise KeyError(name)
    found = os.path.join(directory(), name)
    return found if os.path.isfile(found) else _extracted(name)


def _extracted(name: str) -> str:
    """The same where the package is no directory. What this needs takes a while to import."""
    import atexit
    from contextlib import ExitStack
    from importlib.resources import as_file, files

    kept = ExitStack()
    atexit.register(kept.close)
    return os.fspath(kept.enter_context(as_file(files(__name__).joinpath("bin", name))))
