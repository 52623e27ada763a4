"""The listener of the Runtime API: one for all environments of an emulator, told apart by address.

This is the hot path, so it is a small protocol on httptools and not an application of a framework. A process
environment is told an address of its own in 127.0.0.0/8, a container has its own; a connection from or to
any other address is closed without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast

import httptools

from emulator.errors import AddressInUseError
from emulator.model import MAX_RESPONSE_BYTES
from emulator.runtime_api.runtime import TRUNCATED, InvocationEvent, Reply, RuntimeSession

__all__ = ["Guard", "RuntimeApiServer"]

_BASE = b"/2018-06-01/runtime/"
_INVOCATION = _BASE + b"invocation/"
_APART = 1 << 16  # bytes; a larger body is written after its head instead of being copied behind it
_NOT_FOUND = Reply(404, b"404 page not found\n")
_PONG = Reply(200, b"pong\n")

Guard = Callable[[tuple[str, int], tuple[str, int]], bool]
"""Whether a connection (local end, peer's end) really comes from the environment whose address it uses."""


@dataclass(frozen=True, slots=True)
class _Entry:
    session: RuntimeSession
    guard: Guard | None


class RuntimeApiServer:
    """The listener. ``host`` is where sandboxes reach this machine; the port is the system's choice."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._entries: dict[str, _Entry] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), sock=self._listener())
        except OSError as error:
            raise AddressInUseError(
                f"the Runtime API cannot listen on {self._host}: {error.strerror}",
                cure="This address belongs to the containers' network; is the engine still running?",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in list(self._connections):
            connection.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def register(self, address: str, session: RuntimeSession, guard: Guard | None = None) -> None:
        """Serve the environment that has this address."""
        self._entries[address] = _Entry(session, guard)

    def unregister(self, address: str) -> None:
        """Stop serving it, and drop what is still connected."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            for connection in [c for c in self._connections if c.session is entry.session]:
                connection.abort()

    def find(self, local: tuple[str, int], peer: tuple[str, int]) -> RuntimeSession | None:
        entry = self._entries.get(local[0]) or self._entries.get(peer[0])
        if entry is None or (entry.guard is not None and not entry.guard(local, peer)):
            return None
        return entry.session

    def _listener(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._host == "0.0.0.0":
            # All of 127.0.0.0/8, and nothing that comes from outside. Old kernels want a privilege for this;
            # there, whoever connects from outside is closed at once, for no environment has such an address.
            with contextlib.suppress(PermissionError):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        try:
            listener.bind((self._host, 0))
        except OSError:
            listener.close()
            raise
        listener.listen(1024)
        return listener


class _Connection(asyncio.Protocol):
    """One connection of one runtime; it serves one request at a time, as every runtime client asks."""

    def __init__(self, server: RuntimeApiServer) -> None:
        self._server = server
        self.session: RuntimeSession | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._in_message = False
        self._mode: str | None = None
        self._error_type: str | None = None

    # -- asyncio -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        local = self._transport.get_extra_info("sockname")
        peer = self._transport.get_extra_info("peername")
        self.session = self._server.find(local, peer) if peer else None
        if self.session is None:
            self._transport.abort()
            return
        self._parser = httptools.HttpRequestParser(self)
        self._server._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.session is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None  # it failed behind this door: no fault of the runtime
        except httptools.HttpParserError:
            self._write(Reply(400, b"400 Bad Request\n"))
            self._transport.close()

    def eof_received(self) -> bool:
        if self._in_message and self.session is not None:
            self._write(TRUNCATED)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self)
        if self.session is not None:
            self.session.unpark(self._send_event)

    def abort(self) -> None:
        self._transport.abort()

    # -- httptools ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()
        self._in_message = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"lambda-runtime-function-error-type":
                self._error_type = value.decode("latin-1")
            case b"lambda-runtime-function-response-mode":
                self._mode = value.decode("latin-1")
            case b"expect" if value.lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= MAX_RESPONSE_BYTES:
            self._pieces.append(body)
        else:
            self._pieces.clear()

    def on_message_complete(self) -> None:
        self._in_message = False
        keep_alive = self._parser.should_keep_alive()
        reply = self._serve()
        if reply is not None:
            self._write(reply)
            if not keep_alive:
                self._transport.close()

    # -- routes ------------------------------------------------------------------------------------------

    def _serve(self) -> Reply | None:
        session = self.session
        assert session is not None, "a connection without a session is closed when it is made"
        method, url = self._parser.get_method(), self._url
        if method == b"GET" and url == _INVOCATION + b"next":
            return session.next(self._send_event)
        if method == b"POST" and url.startswith(_INVOCATION):
            request_id, _, what = url[len(_INVOCATION) :].decode("latin-1").partition("/")
            if what == "response":
                return session.response(request_id, self._body(), self._mode)
            if what == "error":
                return session.error(request_id, self._body(), self._error_type)
        if method == b"POST" and url == _BASE + b"init/error":
            return session.init_error(self._body(), self._error_type)
        if method == b"GET" and url == b"/2018-06-01/ping":
            return _PONG
        return _NOT_FOUND

    def _body(self) -> bytes | None:
        if self._size > MAX_RESPONSE_BYTES:
            return None
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _send_event(self, event: InvocationEvent) -> None:
        head = event.head()
        if len(event.payload) > _APART:
            self._transport.writelines((head, event.payload))
        else:
            self._transport.write(head + event.payload)

    def _write(self, reply: Reply) -> None:
        # 202 is the answer to everything that went well, twice an invocation: it is worth a constant.
        self._transport.write(_ACCEPTED if reply.status == 202 else _render(reply))


def _render(reply: Reply) -> bytes:
    kind = "application/json" if reply.body.startswith(b"{") else "text/plain; charset=utf-8"
    return (
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(reply.body)}\r\n\r\n"
    ).encode() + reply.body


_ACCEPTED = _render(Reply(202, b'{"status":"OK"}\n'))
