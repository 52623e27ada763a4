"""The door of a connection: what it serves itself is, byte for byte, what the general server answers."""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.integration.conftest import FUNCTIONS
from tests.unit.api.raw import INVOKE, PATHS, REQUESTS, raw_request


@pytest.fixture(scope="module")
def function() -> Iterator[DeployedFunction]:
    """A warm function in a process."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        function = emulator.add(Function(name="front", code=FUNCTIONS / "anything", memory=512, timeout=10))
        function.invoke({"do": "count"})
        yield function


class Client:
    """One connection, bytes in and bytes out."""

    def __init__(self, function: DeployedFunction) -> None:
        parts = urlsplit(function.emulator.endpoint_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self._rest = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def go_to_the_general_server(self) -> None:
        """The connection is its own from now on."""
        self.send(b"GET /_emulator/api/nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert self.answer().startswith(b"HTTP/1.1 404 ")

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)
            if len(pieces) > 1:
                time.sleep(0.002)  # so that they arrive one by one, which nobody can be asked about

    def answer(self) -> bytes:
        """The next answer, whole; what is different each time is made the same."""
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if b" 100 " in head:
            return self.answer()
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        size = int(length[1]) if length is not None else 0
        while len(self._rest) < size:
            self._receive()
        body, self._rest = self._rest[:size], self._rest[size:]
        head = re.sub(rb"(?m)^date: .*\r$", b"date: now\r", head)
        return re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", b"ID", head + body)

    def _receive(self) -> None:
        piece = self._socket.recv(1 << 20)
        assert piece, f"the connection was closed after {self._rest!r}"
        self._rest += piece


def same(function: DeployedFunction, asked: bytes) -> None:
    """Both ways give one answer."""
    known = rb"(?<=root=)1-[0-9a-f]{8}-[0-9a-f]{24}"
    with Client(function) as client, Client(function) as other:
        client.send(asked)
        answer = re.sub(known, b"", client.answer())
        other.go_to_the_general_server()
        other.send(asked)
        assert answer == re.sub(known, b"", other.answer())


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_answered_the_same(function: DeployedFunction, name: str) -> None:
    """Status line, headers in their order, body."""
    _, lines, payload = REQUESTS[name]
    same(function, raw_request(INVOKE.format("front"), lines, payload))


@pytest.mark.parametrize("name", PATHS)
def test_every_path_is_answered_the_same(function: DeployedFunction, name: str) -> None:
    """Forms of a name, qualifiers, and paths that are nobody's."""
    same(function, raw_request(PATHS[name][1], [], b'{"do": "echo"}'))


def test_the_tail_of_the_log(function: DeployedFunction) -> None:
    """It is there both ways, and ends with REPORT."""
    asked = raw_request(INVOKE.format("front"), ["X-Amz-Log-Type: Tail"], b'{"do": "say", "lines": ["hello"]}')
    with Client(function) as client, Client(function) as other:
        other.go_to_the_general_server()
        for one in (client, other):
            one.send(asked)
            (tail,) = re.findall(rb"x-amz-log-result: (\S+)", one.answer())
            assert re.search(r"\nhello\nEND .*\nREPORT .*\n$", base64.b64decode(tail).decode())


def test_a_connection_serves_everything_in_turn(function: DeployedFunction) -> None:
    """Invocations one after the other, in pieces, before the answer to the last has come, and then something else."""
    echo = raw_request(INVOKE.format("front"), [], b'{"do": "echo", "text": "a"}')
    with Client(function) as client:
        for pieces in ([echo], [echo[:-5], echo[-5:]], [echo]):
            client.send(*pieces)
            assert client.answer().endswith(b'{"do": "echo", "text": "a"}')
        client.send(echo + echo + echo)
        assert [client.answer()[-27:] for _ in range(3)] == [b'{"do": "echo", "text": "a"}'] * 3
        client.go_to_the_general_server()
        client.send(echo)
        assert client.answer().endswith(b'{"do": "echo", "text": "a"}')


def test_a_head_in_two_pieces(function: DeployedFunction) -> None:
    """The general server waits for the rest of it."""
    echo = raw_request(INVOKE.format("front"), [], b'{"do": "echo"}')
    with Client(function) as client:
        client.send(echo[:40], echo[40:])
        assert client.answer().endswith(b'{"do": "echo"}')


def test_a_client_that_goes_away_disturbs_nobody(function: DeployedFunction) -> None:
    """Its function ends in peace, and the environment serves the next."""
    since = function.emulator.last_event
    with Client(function) as client:
        client.send(raw_request(INVOKE.format("front"), [], b'{"do": "sleep", "seconds": 0.2}'))
        begun = function.emulator.wait_for("environment.invoking", since=since)
    function.emulator.wait_for("environment.frozen", since=begun.seq)
    before = function.environments()
    assert function.invoke({"do": "echo"}).payload == {"do": "echo"}
    assert [e.id for e in function.environments()] == [e.id for e in before]
