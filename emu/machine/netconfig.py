"""What --net says: words, separated by commas, and what they mean."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypeAlias

from kernel.devices.ip.wire import MILLION, Faults

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAXDELAY: Final = 10_000_000_000  # ns
UNITS: Final = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
MAXNAME: Final = 253
FORMS: Final = (
    "loopback, off, connect=HOST:PORT, listen=[ADDRESS:]PORT[=GUESTPORT], resolve, loss=N%, reorder=N%, reset=N%, "
    "delay=Nms"
)


@dataclass(frozen=True)
class Grant:
    """What of the host's network may be called: an address, a name, or with None any; the port likewise."""

    address: Address | None = None
    name: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Door:
    """A port of the host's where calls for the guest's are taken."""

    address: Address
    port: int  # 0: any that is free
    guest: int

    @property
    def open(self) -> bool:
        """Others than this computer can reach it."""
        return not self.address.is_loopback

    def __str__(self) -> str:
        return where(self.address, self.port)


@dataclass(frozen=True)
class Net:
    """The network of a machine."""

    on: bool = True
    connect: tuple[Grant, ...] = ()
    listen: tuple[Door, ...] = ()
    resolve: bool = False
    faults: Faults | None = None

    @property
    def outside(self) -> bool:
        """The host's network is used."""
        return bool(self.connect or self.listen or self.resolve)


def where(address: Address, port: int) -> str:
    """An address and a port as people write them."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def parse(text: str) -> Net:
    """What the words mean. Raises ValueError."""
    net = Net()
    words = text.split(",")
    faults: dict[str, int] = {}
    for word in words:
        key, equals, value = word.partition("=")
        match key:
            case "off" | "loopback" if not equals:
                if key == "off" and len(words) > 1:
                    raise ValueError("off goes with nothing else")
                net = replace(net, on=key != "off")
            case "resolve" if not equals:
                net = replace(net, resolve=True)
            case "connect" if equals:
                net = replace(net, connect=(*net.connect, _grant(value)))
            case "listen" if equals:
                net = replace(net, listen=(*net.listen, _door(value)))
            case "loss" | "reorder" | "reset" | "delay" if equals:
                if key in faults:
                    raise ValueError(f"{key} is given twice")
                faults[key] = _delay(value) if key == "delay" else _chance(key, value)
            case _:
                raise ValueError(f"{word!r} is none of {FORMS}")
    return replace(net, faults=Faults(**faults) if faults else None)


def _grant(text: str) -> Grant:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"connect={text}: not HOST:PORT")
    number = None if port == "*" else _port(f"connect={text}", port)
    if number == 0:
        raise ValueError(f"connect={text}: there is no port 0")
    if host == "*":
        return Grant(port=number)
    address = _address(host)
    if address is not None:
        return Grant(address=address, port=number)
    name = hostname(host)
    if name is None:
        raise ValueError(f"connect={text}: {host!r} is neither an address nor a name")
    return Grant(name=name, port=number)


def hostname(text: str) -> str | None:
    """A host's name as it is compared, None if it cannot be one: what looks like a number is none."""
    name = text.lower().removesuffix(".")
    parts = name.split(".")
    if len(name) > MAXNAME or not all(_NAME.fullmatch(part) for part in parts):
        return None
    return None if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", parts[-1]) else name


def _door(text: str) -> Door:
    outer, equals, guest = text.partition("=")
    host, colon, port = outer.rpartition(":")
    address = _address(host if colon else "127.0.0.1")
    if address is None:
        raise ValueError(f"listen={text}: {host!r} is not an address")
    number = _port(f"listen={text}", port)
    inner = _port(f"listen={text}", guest) if equals else number
    if not inner:
        raise ValueError(f"listen={text}: which port of the guest's?")
    return Door(address, number, inner)


def _address(text: str) -> Address | None:
    """An address; IPv6 in brackets; one of IPv4 that is told as one of IPv6 is that of IPv4. No zones."""
    try:
        if text.startswith("[") and text.endswith("]") and "%" not in text:
            v6 = ipaddress.IPv6Address(text[1:-1])
            return v6.ipv4_mapped or v6
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def _port(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF):
        raise ValueError(f"{what}: {text!r} is not a port")
    return int(text)


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _chance(key: str, text: str) -> int:
    """Out of a million."""
    n = _decimal(text.removesuffix("%")) if text.endswith("%") else None
    if n is None or n > 100 or (n * (MILLION // 100)) % 1:
        raise ValueError(f"{key}={text}: not a percentage, as 1% or 0.05%")
    return int(n * (MILLION // 100))


def _delay(text: str) -> int:
    for unit, ns in UNITS.items():
        if text.endswith(unit) and (n := _decimal(text.removesuffix(unit))) is not None:
            if n * ns > MAXDELAY:
                raise ValueError(f"delay={text}: more than 10s")
            return int(n * ns)
    raise ValueError(f"delay={text}: not a time, as 10ms, 200us or 1s")
