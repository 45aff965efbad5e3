"""A Config of keywords as a Python program writes them: sizes as text, binds as tuples, the environment a dict."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Final

from emu.machine.config import Bind, Config, Root, Tree
from emu.machine.limits import INJECTABLE, MAXCPUS, MAXMEM, MAXSWAP, MAXTIME, MINMEM, PAGEOUT, POINTS
from emu.machine.schedule import PREFIX
from kernel.base.variant import fixnames, originalnames

UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
CHOICES: Final = {
    "sched": ("fifo", "random"),
    "mmu": ("nested", "plain"),
    "clock": ("virtual", "real"),
    "pagecache": ("commit", "parent"),
    "pageout": (None, *PAGEOUT),
    "counter": ("auto", "native", "inline", "call", "hook", "python"),
}
PAGE: Final = 4096
FLAG: Final = (bool, "True or False")
TYPES: Final[dict[str, tuple[Any, str]]] = {
    "memory": (int, "a number of bytes, or text as 64M"),
    "swap": (int, "a number of bytes, or text as 64M"),
    "cpus": (int, "a number"),
    "seed": (int, "a number"),
    "timeout": (int | float | None, "a number of seconds, or None"),
    "epoch": (int | None, "a number of seconds since 1970, or None"),
    "net": (str, "text as of --net"),
    "cwd": (str | None, "a path in the guest"),
    "argv0": (str | None, "text, or None"),
    "root": (Root | None, "a path, a Root, or None"),
    "tree": (Tree | None, "a path, a Tree, or None"),
    "check": FLAG,
    "lockorder": FLAG,
    "lockset": FLAG,
    "verbose": FLAG,
    "notefp": FLAG,
    "interrupts": FLAG,
}


def configuration(config: Config | None = None, /, **options: Any) -> Config:
    """``config``, or the default one, with fields replaced by ``options``.

    ``memory`` and ``swap`` may be text as on the command line ("8M"); ``binds`` (host, guest) or (host, guest,
    writable); ``env`` a mapping; ``root`` a path; ``original`` and ``fix`` may be text as of --original, --fix;
    ``tree`` may be the path of a Plan 9 tree, as of --tree: it is the root, copied on write. Raises TypeError for a
    name that is no field, ValueError for a value that no machine can have.
    """
    names = {f.name for f in fields(Config)}
    for name in options:
        if name not in names:
            raise TypeError(f"a machine has no {name!r}; it has {', '.join(sorted(names))}")
    for name in ("memory", "swap"):
        if isinstance(options.get(name), str):
            options[name] = size(options[name])
    if "binds" in options:
        with _shaped("binds", options["binds"], "a list of (host, guest) or (host, guest, writable)"):
            options["binds"] = tuple(_bind(b) for b in options["binds"])
    if "env" in options:
        with _shaped("env", options["env"], "a mapping of names to values"):
            env = options["env"]
            pairs = env.items() if isinstance(env, Mapping) else env
            options["env"] = tuple((str(name), str(value)) for name, value in pairs)
    if isinstance(options.get("root"), str | os.PathLike):
        options["root"] = Root(os.fspath(options["root"]))
    if isinstance(options.get("tree"), str | os.PathLike):
        options["root"] = Root(os.fspath(options["tree"]), cow=True)
        options["tree"] = Tree()
        options.setdefault("cwd", None)
    if options.get("swapfile") is not None:
        with _shaped("swapfile", options["swapfile"], "a path"):
            options["swapfile"] = os.fspath(options["swapfile"])
    if "inject" in options:
        with _shaped("inject", options["inject"], "a list of (kind, number, whether each such number)"):
            options["inject"] = tuple((str(kind), int(n), bool(every)) for kind, n, every in options["inject"])
    if "points" in options:
        value = options["points"]
        with _shaped("points", value, "text or a list of names"):
            options["points"] = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
    for name, known in (("original", originalnames), ("fix", fixnames)):
        if name in options:
            value = options[name]
            with _shaped(name, value, "text or a list of names"):
                text = value if isinstance(value, str) else ",".join(value)
            options[name] = known(text)
    made = replace(config or Config(), **options)
    for name, (types, words) in TYPES.items():
        value = getattr(made, name)
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            raise TypeError(f"{name}: {value!r} is not {words}")
    _check(made)
    return made


@contextmanager
def _shaped(name: str, value: object, words: str) -> Iterator[None]:
    """What cannot be taken apart within is a TypeError that says what it should be."""
    try:
        yield
    except (TypeError, ValueError, AttributeError):
        raise TypeError(f"{name}: {value!r} is not {words}") from None


def size(value: int | str) -> int:
    """Bytes, of a number or of text with a suffix K, M or G. Raises ValueError."""
    if isinstance(value, int):
        return value
    digits = value[:-1] if value[-1:].upper() in UNITS else value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError(f"{value!r} is not a size; write 64M, 512K or 1G")
    return int(digits) * UNITS.get(value[-1:].upper(), 1)


def _bind(value: Bind | tuple[Any, ...]) -> Bind:
    if isinstance(value, Bind):
        return value
    host, guest, *writable = value
    return Bind(os.fspath(host), guest, *writable)


def _check(c: Config) -> None:
    """Raise ValueError where the command would not take an option."""
    if not MINMEM <= c.memory <= MAXMEM or c.memory % PAGE:
        raise ValueError(f"memory: {c.memory} bytes are not a multiple of 4K between 4M and 3G")
    if not 0 <= c.swap <= MAXSWAP or c.swap % PAGE:
        raise ValueError(f"swap: {c.swap} bytes are not a multiple of 4K up to 4G")
    if not 1 <= c.cpus <= MAXCPUS:
        raise ValueError(f"cpus: {c.cpus} is not between 1 and {MAXCPUS}")
    if c.seed < 0:
        raise ValueError(f"seed: {c.seed} is negative")
    if c.timeout is not None and not (math.isfinite(c.timeout) and c.timeout > 0):
        raise ValueError(f"timeout: {c.timeout} is not a positive number of seconds")
    if c.epoch is not None and not 0 <= c.epoch <= MAXTIME:
        raise ValueError(f"epoch: {c.epoch} is not a number of seconds since 1970, up to 2106")
    for name, choices in CHOICES.items():
        value = getattr(c, name)
        if value not in choices and not (name == "sched" and str(value).startswith(PREFIX)):
            raise ValueError(f"{name}: {value!r} is none of {', '.join(map(str, choices))}")
    if c.net not in ("loopback", "off"):
        from emu.machine.netconfig import parse

        try:
            parse(c.net)
        except ValueError as e:
            raise ValueError(f"net: {e}") from None
    for point in c.points:
        if point not in POINTS:
            raise ValueError(f"points: {point!r} is none of {', '.join(POINTS)}")
    if c.points and c.sched == "fifo":
        raise ValueError("points: need an exploring scheduler, sched")
    if c.swapfile is not None and not c.swap:
        raise ValueError("swapfile: needs a size, swap")
    if c.mmu == "plain" and (c.cpus > 1 or c.clock == "real"):
        raise ValueError("mmu: plain is for one processor and virtual time")
    for where in (*([c.cwd] if c.cwd is not None else ()), *(b.guest for b in c.binds)):
        if not where.startswith("/"):
            raise ValueError(f"the guest's path {where!r} does not begin with '/'")
    for b in c.binds:
        if not b.guest.strip("/"):
            raise ValueError("binds: the guest's root cannot be replaced; root does that")
    for host in (*(b.host for b in c.binds), *([c.root.host] if c.root else ())):
        if not os.path.isdir(host):
            raise ValueError(f"{host!r} is not a directory of the host")
    for name, _ in c.env:
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"env: {name!r} cannot be the name of a file in /env")
    for kind, n, _ in c.inject:
        if kind not in INJECTABLE or n < 1:
            raise ValueError(f"inject: {kind!r} cannot fail, or not the {n}-th; these can: {', '.join(INJECTABLE)}")
