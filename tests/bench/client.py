"""A client that costs next to nothing: one kept-alive connection, requests prepared before the clock starts."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["RawClient", "busy_pause"]


class RawClient:
    """Invokes one function over one connection."""

    def __init__(self, endpoint: str, function: str, payload: bytes = b'{"a": 1}') -> None:
        parts = urlsplit(endpoint)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = (
            b"POST /2015-03-31/functions/%b/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        ) % (function.encode(), len(payload), payload)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def invoke(self) -> float:
        """One invocation; its time in seconds."""
        begin = time.perf_counter()
        self._socket.sendall(self._request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._piece()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._piece()
        took = time.perf_counter() - begin
        assert head.startswith(b"HTTP/1.1 200"), head
        assert b"x-amz-function-error" not in head.lower(), body
        return took

    def _piece(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        assert piece, "the emulator closed the connection"
        return piece


def busy_pause(seconds: float) -> None:
    """Think without sleeping: a sleeping client would be measured waking up."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
