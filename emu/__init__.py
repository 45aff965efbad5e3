"""p9emu: real Plan 9 programs on an emulated 386, with the kernel's memory subsystem under glass.

    from emu import run

    result = run("cow", "4")
    print(result.faults(cls="cow-copy"))

This is the face for other programs; docs/api.md tells of it. The rooms: ``machine`` is the computer, ``program`` what
an executable is, ``observe`` what becomes of events, ``api`` what is behind this face, ``testing`` the plugin for
pytest, ``session`` a run that is looked at, ``view`` and ``prompt`` how it is, ``cli`` the command, ``bench`` what
things cost.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes longer than a run that is served (emu/cli/served.py)
if TYPE_CHECKING:
    from typing import Any

    from emu.api.log import Fault
    from emu.api.machine import Machine, run
    from emu.api.result import ExitError, Result
    from emu.api.views import NotPresent
    from emu.machine.config import Bind, Config, LimitError, LoadError, MachineError, Root, Stats
    from emu.machine.signals import TimeLimit

__all__ = [
    "Bind",
    "Config",
    "ExitError",
    "Fault",
    "LimitError",
    "LoadError",
    "Machine",
    "MachineError",
    "NotPresent",
    "Result",
    "Root",
    "Stats",
    "TimeLimit",
    "run",
]

_HOME = {
    "ExitError": "api.result",
    "Fault": "api.log",
    "Machine": "api.machine",
    "NotPresent": "api.views",
    "Result": "api.result",
    "TimeLimit": "machine.signals",
    "run": "api.machine",
}


def __getattr__(name: str) -> Any:
    """What ``__all__`` lists, imported when it is asked for: ``import emu`` alone takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"emu.{_HOME.get(name, 'machine.config')}"), name)
