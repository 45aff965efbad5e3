"""p9emu: real Plan 9 programs on an emulated 386, with the kernel's memory subsystem under glass.

    from contextlib import closing
    from emu import Config, Machine

    with closing(Machine(Config(memory=8 << 20), sink=print)) as machine:
        outcome = machine.run("cow", ["4"])

``sink`` gets every event of the kernel (:mod:`kernel.base.event`). The rooms: ``machine`` is the computer, ``program``
what an executable is, ``observe`` what becomes of events, ``cli`` the command, ``bench`` what things cost.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emu.machine.config import Bind, Config, LoadError, MachineError, Outcome, Root, Stats
    from emu.machine.machine import Machine
    from emu.machine.signals import TimeLimit

__all__ = ["Bind", "Config", "LoadError", "Machine", "MachineError", "Outcome", "Root", "Stats", "TimeLimit"]

_HOME = {"Machine": "machine", "TimeLimit": "signals"}


def __getattr__(name: str) -> Any:
    """What ``__all__`` lists, imported when it is asked for: ``import emu`` alone takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"emu.machine.{_HOME.get(name, 'config')}"), name)
