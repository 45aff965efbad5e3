"""Questions to a machine, as functions that another process can be asked to call too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.api import looks, views

if TYPE_CHECKING:
    from emu.machine.machine import Machine


def time(machine: Machine) -> int:
    """How far the processor is that has the kernel, in ns."""
    return machine.kernel.m.cpu.now()


def walk(machine: Machine, pid: int, va: int) -> views.Walk:
    """The words of the page tables for an address."""
    return views.walk(machine.kernel, pid, va)


def process(machine: Machine, pid: int) -> views.ProcessView:
    """A process."""
    return views.process(machine.kernel, pid)


def doing(machine: Machine) -> dict[int, str]:
    """What each process is at in the kernel, in the word that ps has for it; "" if at nothing."""
    return {p.pid: p.psstate or "" for p in machine.kernel.procs.proctab if p.pid}


def queue(machine: Machine) -> tuple[looks.Ready, ...]:
    """Who waits for a processor."""
    return looks.queue(machine.kernel)


def locks(machine: Machine) -> looks.Locks:
    """The locks that are held."""
    return looks.heldlocks(machine.kernel)


def invariants(machine: Machine) -> looks.Invariants:
    """Whether all is in order."""
    return looks.invariants(machine.kernel)
