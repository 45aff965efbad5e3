"""Addresses as text: kernel/devices/ip/addr.py."""

from __future__ import annotations

import ipaddress

import pytest

from kernel.devices.ip.addr import defmask, eipfmt, ipismulticast, maskfmt, parseip, parseipmask


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("10.1.2", "10.0.1.2"),
        ("128.1.7", "128.1.0.7"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("010.0.0.1", "8.0.0.1"),
        ("256.0.0.1", "0.0.0.1"),
        ("1.2.3.4 and more", "1.2.3.4"),
        ("::", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("fe80::1:2", "fe80::1:2"),
        ("FE80:0:0:0:0:0:0:AB", "fe80::ab"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("7", "7.0.0.0"),
        ("1:2", "::1:2"),
        ("1.2.3.4.", "1.2.3.4"),
    ],
)
def test_what_is_an_address(text: str, shown: str) -> None:
    ip = parseip(text)
    assert ip is not None
    assert eipfmt(ip) == shown


@pytest.mark.parametrize(
    "text", ["", "*", "delete", "1.2.3.4x", "1::2::3", "12345::", "x", "::g", "1:2:3:4:5:6:7:1.2.3.4"]
)
def test_what_is_none(text: str) -> None:
    assert parseip(text) is None


def test_every_address_is_read_as_it_is_shown() -> None:
    for n in (0, 1, 1 << 127, 0xFF02 << 112 | 1, 0x20010DB8 << 96 | 0xA0000, 0xFFFF7F000001):
        ip = n.to_bytes(16, "big")
        assert parseip(eipfmt(ip)) == ip
        assert parseip(str(ipaddress.IPv6Address(ip))) == ip


def test_masks() -> None:
    assert maskfmt(parseipmask("255.0.0.0")) == "/104"
    assert maskfmt(parseipmask("/64")) == "/64"
    assert maskfmt(parseipmask("/999")) == "/128"
    assert maskfmt(parseipmask("255.0.255.0")) == "ffff:ffff:ffff:ffff:ffff:ffff:ff00:ff00"
    classes = [parseip(a) or b"" for a in ("10.0.0.1", "172.16.0.1", "192.168.0.1", "::1", "fe80::1")]
    assert [maskfmt(defmask(a)) for a in classes] == ["/104", "/112", "/120", "/128", "/64"]


def test_groups() -> None:
    assert [ipismulticast(parseip(a) or b"") for a in ("224.0.0.1", "239.1.1.1", "240.0.0.1", "ff02::1", "::1")] == [
        True, True, False, True, False,
    ]  # fmt: skip
