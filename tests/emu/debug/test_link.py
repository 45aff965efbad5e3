"""emu.debug.link: where a client is waited for, and what becomes of what it sends."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from emu.debug.link import AddressError, Gone, Listener, Stream
from emu.debug.rsp import MAXPACKET, Bad, Interrupt, Packet, frame


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    """Our end and the client's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with theirs:
        stream = Stream(ours.fileno(), ours.fileno(), ours)
        yield stream, theirs
        stream.close()


def test_packets_are_acknowledged_until_that_is_given_up(pair: tuple[Stream, socket.socket]) -> None:
    stream, client = pair
    client.sendall(frame(b"g"))
    assert stream.receive(wait=True) == [Packet(b"g")]
    assert client.recv(10) == b"+"
    stream.quiet()
    client.sendall(frame(b"g"))
    assert stream.receive(wait=True) == [Packet(b"g")]
    stream.send(b"OK")
    assert client.recv(10) == b"$OK#9a"


def test_what_went_wrong_is_sent_again(pair: tuple[Stream, socket.socket]) -> None:
    stream, client = pair
    stream.send(b"OK")
    assert client.recv(10) == b"$OK#9a"
    client.sendall(b"-")
    assert stream.receive(wait=False) == []
    assert client.recv(10) == b"$OK#9a"
    client.sendall(b"$g#00" + frame(b"g"))
    assert stream.receive(wait=True) == [Packet(b"g")]
    assert client.recv(10) == b"-+"


def test_what_is_too_large_is_not_asked_for_again(pair: tuple[Stream, socket.socket]) -> None:
    stream, client = pair
    client.sendall(frame(b"x" * (MAXPACKET + 1)))
    items = stream.receive(wait=True)
    assert len(items) == 1 and isinstance(items[0], Bad)
    assert client.recv(10) == b"+"


def test_nothing_and_ctrl_c_while_the_program_runs(pair: tuple[Stream, socket.socket]) -> None:
    stream, client = pair
    assert stream.receive(wait=False) == []
    client.sendall(b"\3")
    assert stream.receive(wait=False) == [Interrupt()]


def test_a_client_that_goes_away(pair: tuple[Stream, socket.socket]) -> None:
    stream, client = pair
    client.sendall(b"$half a pack")
    client.close()
    for wait in (True, False):
        with pytest.raises(Gone):
            stream.receive(wait)
    with pytest.raises(Gone):
        stream.send(b"x" * 1_000_000)


def test_the_first_client_is_the_only_one() -> None:
    listener = Listener("127.0.0.1:0")
    host, port = listener.where.split(":")
    assert host == "127.0.0.1" and not listener.open
    with socket.create_connection((host, int(port))):
        stream = listener.accept()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))
        stream.close()


def test_a_port_in_use() -> None:
    listener = Listener(":0")
    with pytest.raises(AddressError, match="Address already in use"):
        Listener(listener.where)
    listener.close()


def test_a_socket_of_the_host_s_is_the_user_s_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    listener = Listener(str(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(AddressError, match="Address already in use"):
        Listener(str(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        listener.accept().close()
    assert not path.exists()


def test_a_socket_that_a_killed_one_left_is_used(tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    Listener(str(path)).close()
    path.write_text("a file")
    with pytest.raises(AddressError, match="Address already in use"):
        Listener(str(path))
    assert path.read_text() == "a file"


@pytest.mark.parametrize(
    "address", ["", "host:port", "1.2.3.4:99999", ":-1", "/nowhere/at/all", "no such host:1", "\0/x"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(AddressError):
        Listener(address)


def test_an_address_that_others_reach_is_known_as_such() -> None:
    listener = Listener("0.0.0.0:0")
    assert listener.open
    listener.close()
