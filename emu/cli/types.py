"""Values on the command line: their syntax and their limits.

Each function takes the word that was typed and returns its value, or raises click.BadParameter.
"""

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from click import BadParameter

from emu.machine.config import INJECTABLE, MAXMEM, MAXSWAP, MINMEM

if TYPE_CHECKING:
    from emu.machine.counter import Kind

UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
BY2PG: Final = 4096


@dataclass(frozen=True)
class Options:
    """What run and trace have in common."""

    memory: int
    cpus: int
    binds: tuple[tuple[str, str, bool], ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    seed: int
    timeout: float | None
    check: bool
    counter: "Kind"
    stats: bool
    color: str
    verbose: bool
    swap: int
    swapfile: str | None
    sched: str
    inject: tuple[tuple[str, int, bool], ...]
    notefp: bool
    mmu: Literal["nested", "plain"]
    clock: str = "virtual"
    root: tuple[str, bool] | None = None


def size(text: str) -> int:
    """Bytes of memory, with a suffix K, M or G."""
    n = _bytes(text)
    if not MINMEM <= n <= MAXMEM:
        raise BadParameter(f"{text!r} is not between 4M and 3G.")
    if n % BY2PG:
        raise BadParameter(f"{text!r} is not a multiple of the page size, 4K.")
    return n


def swapsize(text: str) -> int:
    """Bytes of swap, with a suffix K, M or G; 0 is none."""
    n = _bytes(text)
    if n > MAXSWAP:
        raise BadParameter(f"{text!r} is more than 4G.")
    if n % BY2PG:
        raise BadParameter(f"{text!r} is not a multiple of the page size, 4K.")
    return n


def _bytes(text: str) -> int:
    unit = UNITS.get(text[-1:].upper(), 1)
    digits = text if unit == 1 else text[:-1]
    if not (digits.isascii() and digits.isdigit()):
        raise BadParameter(f"{text!r} is not a size; write 64M, 512K or 1G.")
    # A number this long is out of range, and Python refuses to convert very long ones.
    return int(digits) * unit if len(digits) <= 20 else MAXSWAP + 1


def injection(text: str) -> tuple[tuple[str, int, bool], ...]:
    """Kind, number and whether it repeats, of each KIND:N or KIND:N+."""
    plan = []
    for word in text.split(",") if text else ():
        kind, _, n = word.partition(":")
        digits = n.removesuffix("+")
        if kind not in INJECTABLE:
            raise BadParameter(f"{kind!r} cannot be made to fail; these can: {', '.join(INJECTABLE)}.")
        if not (digits.isascii() and digits.isdigit() and 0 < len(digits) < 10 and int(digits)):
            raise BadParameter(f"{word!r} is not {kind}:N or {kind}:N+, N being 1 or more.")
        plan.append((kind, int(digits), n != digits))
    return tuple(plan)


def seconds(text: str) -> float:
    """A length of time, more than nothing and finite."""
    try:
        n = float(text)
    except ValueError:
        raise BadParameter(f"{text!r} is not a number of seconds.") from None
    if not (math.isfinite(n) and n > 0):
        raise BadParameter(f"{text!r} is not a positive number of seconds.")
    return n


def bind(text: str) -> tuple[str, str, bool]:
    """Host path, guest path and whether writable, of HOST:GUEST or HOST:GUEST:rw.

    The last colon before GUEST separates, so HOST may hold colons.
    """
    rest = text.removesuffix(":rw")
    host, _, path = rest.rpartition(":")
    if not host or not path:
        raise BadParameter(f"{text!r} is not HOST:GUEST or HOST:GUEST:rw.")
    if not os.path.isdir(host):
        raise BadParameter(f"{host!r} is not a directory of the host.")
    if not guestdir(path).strip("/"):
        raise BadParameter("the guest's root cannot be replaced; --root does that.")
    return host, path, rest != text


def root(text: str) -> tuple[str, bool]:
    """Host path and whether writable, of DIR or DIR:rw."""
    host = text.removesuffix(":rw")
    if not os.path.isdir(host):
        raise BadParameter(f"{host!r} is not a directory of the host.")
    return host, host != text


def env(text: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE, a file /env/NAME in the guest."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadParameter(f"{text!r} is not NAME=VALUE.")
    if "/" in name or name in (".", ".."):
        raise BadParameter(f"{name!r} cannot be the name of a file in /env.")
    return name, value


def guestdir(text: str) -> str:
    """A path in the guest's name space, from its root."""
    if not text.startswith("/"):
        raise BadParameter(f"the guest's path {text!r} does not begin with '/'.")
    return text
