"""A client that costs next to nothing: one kept-alive connection, requests prepared before the clock starts."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["PAYLOAD", "Door", "RawClient", "busy_pause", "invoke_path"]

_LAST_CHUNK = b"0\r\n\r\n"

PAYLOAD = b'{"k":"v"}'


def invoke_path(function: str) -> str:
    """Where AWS's API invokes it."""
    return f"/2015-03-31/functions/{function}/invocations"


@dataclass(frozen=True, slots=True)
class Door:
    """Where something is invoked over HTTP."""

    host: str
    port: int
    path: str


class RawClient:
    """Invokes one function over one connection."""

    def __init__(self, door: Door, payload: bytes = PAYLOAD) -> None:
        self._door = door
        self._request = (
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        ) % (door.path.encode(), len(payload), payload)
        self._socket = self._connect()
        self._is_over = False
        self.invocations = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def invoke(self) -> float:
        """One invocation; its time in seconds. Where the peer closes after each answer, a new connection is part."""
        begin = time.perf_counter()
        if self._is_over:
            self._socket.close()
            self._socket = self._connect()
        head, _ = self._ask()
        took = time.perf_counter() - begin
        assert head.startswith(b"HTTP/1.1 200"), head
        lower = head.lower()
        assert b"x-amz-function-error" not in lower, head
        self._is_over = b"\r\nconnection: close" in lower
        return took

    def ask(self) -> bytes:
        """One invocation; its answer."""
        return self._ask()[1]

    def _ask(self) -> tuple[bytes, bytes]:
        self.invocations += 1
        self._socket.sendall(self._request)
        received = self._piece()
        while b"\r\n\r\n" not in received:
            received += self._piece()
        head, _, body = received.partition(b"\r\n\r\n")
        if b"\r\ntransfer-encoding: chunked" in head.lower():
            return head, self._rest_of_chunks(body)
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        pieces, missing = [body], length - len(body)
        while missing > 0:
            pieces.append(self._piece())
            missing -= len(pieces[-1])
        return head, b"".join(pieces) if len(pieces) > 1 else body

    def _rest_of_chunks(self, body: bytes) -> bytes:
        """All of it, with the lengths of the pieces in between: it is received here, and not looked at."""
        pieces = [body]
        while not (pieces[-1] if len(pieces[-1]) > 4 else b"".join(pieces[-2:])).endswith(_LAST_CHUNK):
            pieces.append(self._piece())
        return b"".join(pieces)

    def _piece(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        if not piece:
            raise ConnectionResetError("the other side has closed the connection")
        return piece

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self._door.host, self._door.port), timeout=60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def busy_pause(seconds: float) -> None:
    """Think without sleeping: a sleeping client would be measured waking up."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
