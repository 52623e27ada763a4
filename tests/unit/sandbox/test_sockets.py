"""Whose socket: real connections of this machine, looked up by their two ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from emulator.sandbox.sockets import holder_of_socket, inode_of_connection


class Pair(NamedTuple):
    """Both ends of a connection over the loopback interface."""

    client: socket.socket
    server: socket.socket


@contextlib.contextmanager
def connected(address: str = "127.0.0.1") -> Iterator[Pair]:
    with socket.create_server((address, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield Pair(client, server)


def inode(end: socket.socket) -> int:
    return os.fstat(end.fileno()).st_ino


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3"])
def test_a_connection_is_found_from_either_end(address: str) -> None:
    """Each end has a number of its own: the one that is named first is meant."""
    with connected(address) as (client, server):
        ends = client.getsockname(), client.getpeername()
        assert inode_of_connection(*ends) == inode(client)
        assert inode_of_connection(ends[1], ends[0]) == inode(server)


def test_a_kernel_that_cannot_be_asked_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes longer to read, and says the same."""

    def refuse(*_: object) -> None:
        raise PermissionError("no such protocol")

    with connected() as (client, _):
        ends = client.getsockname(), client.getpeername()
        found = inode_of_connection(*ends)
        monkeypatch.setattr("emulator.sandbox.sockets._ask_kernel", refuse)
        assert inode_of_connection(*ends) == found == inode(client)
        assert inode_of_connection(("127.9.9.9", 1), ends[1]) is None


def test_a_socket_of_ipv6_that_reaches_ipv4_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Java opens all of its own; by asking the kernel, and in its table."""

    def refuse(*_: object) -> None:
        raise PermissionError("no such protocol")

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET6) as client:
        client.connect((f"::ffff:{listener.getsockname()[0]}", listener.getsockname()[1]))
        server, peer = listener.accept()
        with server:
            assert inode_of_connection(peer, server.getsockname()) == inode(client)
            assert inode_of_connection(server.getsockname(), peer) == inode(server)
            monkeypatch.setattr("emulator.sandbox.sockets._ask_kernel", refuse)
            assert inode_of_connection(peer, server.getsockname()) == inode(client)


def test_an_unknown_connection_is_not_found() -> None:
    """Neither one that never was nor one that is over."""
    with connected() as (client, _):
        local, peer = client.getsockname(), client.getpeername()
        assert inode_of_connection((local[0], 1), peer) is None
        assert inode_of_connection(("127.9.9.9", local[1]), peer) is None
    assert inode_of_connection(local, peer) is None
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which the kernel offers in place of a connection
        assert inode_of_connection(listener.getsockname(), ("127.0.0.1", 9)) is None


def test_many_connections_are_told_apart() -> None:
    """Every one by its own two ends."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(connected()) for _ in range(20)]
        found = [inode_of_connection(pair.client.getsockname(), pair.client.getpeername()) for pair in pairs]
        assert found == [inode(pair.client) for pair in pairs]


def test_the_holder_is_the_process_that_has_it_open() -> None:
    """Of those that are asked about; others, and those that are gone, are passed over."""
    with connected() as (client, _), subprocess.Popen(["sleep", "600"]) as other:
        try:
            assert holder_of_socket(inode(client), [other.pid]) is None
            assert holder_of_socket(inode(client), [2**22 + 1, other.pid, os.getpid()]) == os.getpid()
            assert holder_of_socket(inode(client), []) is None
        finally:
            other.kill()


def test_a_socket_in_another_process_is_found_there() -> None:
    """As the emulator finds which of its environments a connection to the Runtime API comes from."""
    program = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program, str(listener.getsockname()[1])], stdin=subprocess.PIPE
        ) as process,
    ):
        listener.settimeout(5)
        server, peer = listener.accept()
        with server:
            number = inode_of_connection(peer, server.getsockname())
            assert number is not None
            assert holder_of_socket(number, [os.getpid()]) is None
            assert holder_of_socket(number, [os.getpid(), process.pid]) == process.pid
        assert process.stdin is not None
        process.stdin.close()
