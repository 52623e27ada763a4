"""The floor, which is compiled where there is a compiler."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.bench.client import Door, RawClient, invoke_path
from tests.bench.parts import PARTS
from tests.bench.peers import floor_server
from tests.support import require


@pytest.fixture
def port() -> Iterator[int]:
    require(shutil.which("cc") or shutil.which("gcc"), "There is no C compiler.", "Install gcc.")
    with floor_server() as number:
        yield number


class Runtime:
    """A runtime client of the least kind."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def ask(self) -> None:
        self._socket.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")

    def answer(self, body: bytes) -> bytes:
        """Answer the event that has come with this; the event's body."""
        head, _, event = self._read().partition(b"\r\n\r\n")
        request_id = head.partition(b"Request-Id: ")[2].split(b"\r\n")[0]
        self._socket.sendall(
            b"POST /2018-06-01/runtime/invocation/%b/response HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
            % (request_id, len(body), body)
        )
        assert self._read().startswith(b"HTTP/1.1 202")
        return event

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65536)
        length = int(received.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(received.partition(b"\r\n\r\n")[2]) < length:
            received += self._socket.recv(65536)
        return received


@pytest.mark.parametrize("who_is_first", ["runtime", "client"])
def test_the_floor_brings_event_and_answer_together(port: int, who_is_first: str) -> None:
    """Whoever comes first waits; what a client sends arrives, what the runtime answers comes back, twice in a row."""
    runtime = Runtime(port)
    try:
        with RawClient(Door("127.0.0.1", port, invoke_path("f")), b'{"n":1}') as client:
            for _ in range(2):
                if who_is_first == "runtime":
                    runtime.ask()
                    client._socket.sendall(client._request)
                else:
                    client._socket.sendall(client._request)
                    runtime.ask()
                assert runtime.answer(b'"done"') == b'{"n":1}'
                assert client._socket.recv(65536).endswith(b'\r\n\r\n"done"')
    finally:
        runtime.close()


def test_parts_have_names_of_their_own() -> None:
    """``--only`` means one of them."""
    names = [part.name for part in PARTS]
    assert len(names) == len(set(names))
