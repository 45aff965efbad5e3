"""Values on the command line: their syntax and their limits.

Each function takes the word that was typed and returns its value, or raises click.BadParameter.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from click import BadParameter, Context, Parameter

from emu.cli.settings import Shown
from emu.machine.limits import INJECTABLE, MAXMEM, MAXSWAP, MAXTIME, MINMEM, POINTS

UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
BY2PG: Final = 4096
NAMELEN: Final = 28  # of a user's name with its NUL. Source: portdat.h's KNAMELEN


def size(text: str) -> int:
    """Bytes of memory, with a suffix K, M or G."""
    n = _bytes(text)
    if not MINMEM <= n <= MAXMEM:
        raise BadParameter(f"{text!r} is not between 4M and 3G.")
    if n % BY2PG:
        raise BadParameter(f"{text!r} is not a multiple of the page size, 4K.")
    return n


def sizes(text: str) -> tuple[int, ...]:
    """Sizes of memory, each once, by size."""
    return tuple(sorted({size(word) for word in text.split(",")}))


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


def original(text: str) -> tuple[str, ...]:
    """Cures to take back, of NAME,... or all."""
    from kernel.base.variant import originalnames

    return _variants(originalnames, text)


def fix(text: str) -> tuple[str, ...]:
    """Later fixes to apply, of COMMIT,... or all."""
    from kernel.base.variant import fixnames

    return _variants(fixnames, text)


def _variants(names: Callable[[str], tuple[str, ...]], text: str) -> tuple[str, ...]:
    try:
        return names(text)
    except ValueError as e:
        raise BadParameter(f"{e}.") from None


def sched(text: str) -> str:
    """A scheduler: fifo, random, or replay:FILE, whose file is looked at later."""
    if text not in ("fifo", "random") and not text.startswith("replay:"):
        raise BadParameter(f"{text!r} is none of fifo, random, replay:FILE.")
    return text


def net(_context: Context, _parameter: Parameter, words: Sequence[str]) -> str:
    """The words of all --net together."""
    text = ",".join(words)
    if not text and not words:
        return "loopback"
    from emu.machine.netconfig import parse

    try:
        parse(text)
    except ValueError as e:
        raise BadParameter(f"{e}.") from None
    return text


def netwithin(context: Context, parameter: Parameter, words: Sequence[str]) -> str:
    """The same for who runs a program many times: a host's network does not repeat itself."""
    text = net(context, parameter, words)
    if text != "loopback":
        from emu.machine.netconfig import parse

        if parse(text).outside:
            raise BadParameter("the host's network does not answer many runs as it did the first.")
    return text


def points(text: str) -> tuple[str, ...]:
    """Kinds of switch points, of NAME,... or all."""
    if not text:
        return ()
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in POINTS and name != "all":
            raise BadParameter(f"{name!r} is none of {', '.join(POINTS)}, all.")
    return tuple(POINTS) if "all" in names else names


def seconds(text: str) -> float:
    """A length of time, more than nothing and finite."""
    try:
        n = float(text)
    except ValueError:
        raise BadParameter(f"{text!r} is not a number of seconds.") from None
    if not (math.isfinite(n) and n > 0):
        raise BadParameter(f"{text!r} is not a positive number of seconds.")
    return n


def epoch(text: str) -> int:
    """Seconds since 1970 of ``now``, a date and time in ISO's form (UTC unless it says otherwise), or that number."""
    if text == "now":
        return int(time.time())
    if text.isascii() and text.isdigit():
        n = int(text) if len(text) <= 20 else MAXTIME + 1
    else:
        from datetime import UTC, datetime

        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            what = "is not now, a date as 2014-06-17 or 2014-06-17T12:00:00, or seconds since 1970"
            raise BadParameter(f"{text!r} {what}.") from None
        n = int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    if not 0 <= n <= MAXTIME:
        raise BadParameter(f"{text!r} is not between 1970 and 2106, which a file's time can be.")
    return n


def interval(text: str) -> int:
    """Milliseconds of virtual time, as nanoseconds; 0 is none."""
    try:
        n = float(text)
    except ValueError:
        n = math.nan
    if not (math.isfinite(n) and 0 <= n < 1e12):
        raise BadParameter(f"{text!r} is not a number of milliseconds.")
    return max(round(n * 1e6), 1) if n else 0


def _mode(text: str) -> tuple[str, bool, bool]:
    """A word without its :rw or :cow, and whether it had the one or the other."""
    for suffix in (":rw", ":cow"):
        if text.endswith(suffix):
            return text.removesuffix(suffix), suffix == ":rw", suffix == ":cow"
    return text, False, False


def bind(text: str) -> Shown:
    """What HOST:GUEST, HOST:GUEST:rw or HOST:GUEST:cow shows.

    The last colon before GUEST separates, so HOST may hold colons.
    """
    rest, writable, cow = _mode(text)
    host, _, path = rest.rpartition(":")
    if not host or not path:
        raise BadParameter(f"{text!r} is not HOST:GUEST, HOST:GUEST:rw or HOST:GUEST:cow.")
    if not os.path.isdir(host):
        raise BadParameter(f"{host!r} is not a directory of the host.")
    if not guestdir(path).strip("/"):
        raise BadParameter("the guest's root cannot be replaced; --root does that.")
    return Shown(host, path, writable, cow)


def rootdir(text: str) -> tuple[str, bool, bool]:
    """Host path, whether writable and whether copied on write, of DIR, DIR:rw or DIR:cow."""
    host, writable, cow = _mode(text)
    if not os.path.isdir(host):
        raise BadParameter(f"{host!r} is not a directory of the host.")
    return host, writable, cow


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


def user(text: str) -> str:
    """The name of a user, which is a directory of /usr too."""
    if text in ("", ".", "..") or len(text.encode(errors="surrogateescape")) >= NAMELEN:
        raise BadParameter(f"{text!r} cannot be a user: a name has 1 to {NAMELEN - 1} bytes.")
    if "/" in text or not text.isprintable() or " " in text:
        raise BadParameter(f"{text!r} cannot be a user: a name has no slash, blank or control character.")
    return text
