"""From a client's address to the process that holds the socket."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emulator.database.sockets import client_end, find_holders, inodes_in_table
from emulator.model import EnvironmentId

HERE = EnvironmentId("here")
# Two ends of one connection to port 3306 on loopback, as a little-endian kernel prints them.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1000 1 0000 100 0 0 10 0
   1: 0100007F:9C40 0100007F:0CEA 01 00000000:00000000 02:000AFC8D 00000000     0        0 1001 2 0000 20 4 30 10 -1
   2: 0100007F:0CEA 0100007F:9C40 01 00000000:00000000 02:000AFC8D 00000000     0        0 1002 2 0000 20 4 30 10 -1
   3: 0100007F:9C41 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 1003 1 0000 20 4 30 10 -1
   4: 0100007F:9C42 0100007F:0CEA 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000
"""
TABLE_6 = """\
  sl  local_address                         remote_address                        st (and so on)
   0: 0000000000000000FFFF00000100007F:9C43 0000000000000000FFFF00000100007F:0CEA 01 0:0 02:0 0 0 0 2001 1 0
   1: 00000000000000000000000001000000:9C44 00000000000000000000000001000000:0CEA 01 0:0 02:0 0 0 0 2002 1 0
"""
pytestmark = pytest.mark.skipif(
    sys.byteorder != "little",
    reason="The table above is a little-endian kernel's.",
)


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("127.0.0.1:40000", "127.0.0.1", 40000),
        ("10.80.0.7:3", "10.80.0.7", 3),
        ("::1:40000", "::1", 40000),
        ("::ffff:127.0.0.1:40000", "127.0.0.1", 40000),
        ("some-host.example:40000", None, 40000),
    ],
)
def test_client_end(host: str, address: str | None, port: int) -> None:
    """Address and port; of a name that the server looked up only the port."""
    expected = ipaddress.ip_address(address) if address is not None else None
    assert client_end(host) == (expected, port)


@pytest.mark.parametrize("host", ["localhost", "", "some-host", "10.80.0.7"])
def test_client_of_a_local_socket_has_no_end(host: str) -> None:
    """There is no port to find it by."""
    assert client_end(host) is None


@pytest.mark.parametrize(
    ("table", "host", "inode"),
    [
        (TABLE, "127.0.0.1:40000", 1001),
        (TABLE, "localhost:40000", 1001),
        (TABLE_6, "127.0.0.1:40003", 2001),
        (TABLE_6, "::1:40004", 2002),
    ],
    ids=["address", "name", "IPv4 on an IPv6 socket", "IPv6"],
)
def test_client_is_found_in_the_table(table: str, host: str, inode: int) -> None:
    """The client's end, not the server's, which has the same two addresses."""
    assert inodes_in_table(table, {7: host}, 3306) == {inode: 7}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:40001", "127.0.0.1:40002", "127.0.0.2:40000", "127.0.0.1:3306", "localhost"],
    ids=["talks to another port", "closed, no inode", "another address", "the server", "local socket"],
)
def test_client_is_not_taken_for_another(host: str) -> None:
    """The same port is used with other peers, and closed sockets linger."""
    assert inodes_in_table(TABLE, {7: host}, 3306) == {}


@pytest.fixture(params=["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket and the server's to go with it, both held by this process."""
    to: str = request.param
    family, address = (socket.AF_INET6, to) if to == "::1" else (socket.AF_INET, "127.0.0.1")
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.create_server((address, 0), family=family))
        except OSError:
            pytest.skip(f"This machine has no {address}.")
        client = stack.enter_context(socket.create_connection((to, listener.getsockname()[1])))
        yield client, stack.enter_context(listener.accept()[0])


def test_living_kernel_is_read(connected: tuple[socket.socket, socket.socket]) -> None:
    """What the server sees of its client leads to this process, whatever family the socket is of."""
    client, server = connected
    address, port = server.getpeername()[:2]
    holders = find_holders({7: f"{address}:{port}"}, server.getsockname()[1], {os.getpid(): HERE})
    assert holders == {7: HERE}
    assert find_holders({7: f"{address}:{port}"}, server.getsockname()[1], {}) == {}
    client.close()
    assert find_holders({7: f"{address}:{port}"}, server.getsockname()[1], {os.getpid(): HERE}) == {}


def test_process_that_is_gone_holds_nothing(connected: tuple[socket.socket, socket.socket]) -> None:
    """A process may end between being listed and being looked into."""
    address, port = connected[1].getpeername()[:2]
    beyond = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    assert find_holders({7: f"{address}:{port}"}, connected[1].getsockname()[1], {beyond: HERE}) == {}
