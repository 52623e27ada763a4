"""What runs of things in any order are made of: a loop on which no time passes, and connections that are no sockets.

What a client sends is served inside the call; the end of a connection is heard in the next round of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from emulator.runtime_api.connection import Connection
from emulator.runtime_api.server import RuntimeApiServer
from tests.support import SkippingLoop

__all__ = ["Call", "StandingLoop"]

_EXPECTED = {200, 202, 400, 403, 404, 413}


class StandingLoop(SkippingLoop):
    """A loop on which no time passes but what is skipped, so that every run goes as the one before it.

    Nobody can be dialled from it. ``on_dial`` hears of every attempt, with the address.
    """

    on_dial: Callable[[str], None] | None = None

    def time(self) -> float:
        return self.skipped

    async def sock_connect(self, sock: Any, address: Any) -> None:
        if self.on_dial is not None:
            self.on_dial(address[0])
        raise ConnectionRefusedError("nobody listens here")


class _Wire(asyncio.Transport):
    """The server's end of a connection: bytes go to a call, an end comes in the next round of the loop."""

    def __init__(self, call: Call, local: str) -> None:
        super().__init__({"sockname": (local, 9001), "peername": ("127.0.0.1", 40_000)})
        self._call = call
        self._reads = True
        self._waiting = b""
        self._is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_over:
            self._call.received(bytes(data))

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self.send(b"")

    def send(self, data: bytes) -> None:
        """From the client."""
        self._waiting += data
        if self._reads and not self._is_over and self._waiting:
            data, self._waiting = self._waiting, b""
            self._call.connection.data_received(data)

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def lose(self) -> None:
        """The client is gone."""
        self._end(ConnectionResetError())

    def _end(self, error: Exception | None) -> None:
        if not self._is_over:
            self._is_over = True
            asyncio.get_running_loop().call_soon(self._ended, error)

    def _ended(self, error: Exception | None) -> None:
        self._call.connection.connection_lost(error)
        self._call.lost()


class Call:
    """One request to the inside APIs, on a connection of its own; ``status`` is that of its answer, once there is one.

    Arguments:
        address: of the environment that it comes from.
        request: method, path and further headers, a line each.
        whole: else more of it will be sent, and its headers say of what kind.
    """

    def __init__(
        self, server: RuntimeApiServer, address: str, request: str, body: bytes = b"", *, whole: bool = True
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_open = True
        self.on_end: Callable[[], None] | None = None
        """Called when it is answered, or its connection is gone."""
        self._received = b""
        self.connection = Connection(server)
        self._wire = _Wire(self, address)
        self.connection.connection_made(self._wire)
        head, _, headers = request.partition("\r\n")
        length = f"Content-Length: {len(body)}\r\n" if whole else ""
        self._wire.send(f"{head} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + body)

    def send(self, data: bytes) -> None:
        """Some more of a request that was not whole."""
        self._wire.send(data)

    def end_here(self) -> None:
        """No more will be sent, though it is not whole."""
        if self.is_open:
            self.connection.eof_received()
            self._wire.close()

    def hang_up(self) -> None:
        self._wire.lose()

    def received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode().split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(rest) == int(self.headers["content-length"]), "an answer is written at once, and only one"
        assert self.status is None, "a request is answered once"
        self.status, self.body = int(first.split()[1]), rest
        assert self.status in _EXPECTED
        self._over()
        self.hang_up()

    def lost(self) -> None:
        self.is_open = False
        self._over()

    def _over(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()
