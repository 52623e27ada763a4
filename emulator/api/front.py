"""The door of a connection: plain invocations are served here, everything else is handed on to the general server.

Four of five microseconds of a warm invocation would go into a general server's work for each request: a parser's
callbacks, a scope, a task, an application of several layers. So a request that is exactly what every client of Lambda
sends (a ``POST`` to ``Invoke``, whole head in one piece, plain length) is read here. With anything else, however
little it differs, the connection goes to the general server for good, before a byte of the request was consumed; that
serves invocations as well, through the same :class:`~emulator.api.invoke.InvokeRoute`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, cast

from emulator.api.invoke import HttpAnswer, InvokeRoute, error_answer
from emulator.errors import EmulatorError
from emulator.model import MAX_PAYLOAD_BYTES

__all__ = ["Front", "GeneralProtocol", "ServerState"]

# The names of the path are quoted, so what stands in it is visible ASCII; a client that quotes less is not usual.
_REQUEST = re.compile(rb"POST /2015-03-31/functions/([$-.0->@-~!]+)/invocations/?(?:\?([$-~!]*))? HTTP/1\.1\r\n")
# A line break of one character is none, and what it means is not decided here.
_HEADER = re.compile(rb"([a-zA-Z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\r\n\0]*)\r\n")
_HEADERS = re.compile(rb"(?:[a-zA-Z0-9!#$%&'*+.^_`|~-]+:[^\r\n\0]*\r\n)+")
_HEAD_END = b"\r\n\r\n"
_LONGEST_HEAD = 1 << 16  # bytes; the general server has its own word for longer ones
# Headers that make a request more than the one that is meant here. The guard looks at what a page has sent.
_UNUSUAL = frozenset({b"connection", b"expect", b"origin", b"sec-fetch-site", b"transfer-encoding", b"upgrade"})
_URL_HOST = b".lambda-url."
_AHEAD = 1 << 16  # bytes of a next request that wait for the answer to this one
_APART = 1 << 16  # bytes; a larger body is written after its head instead of being copied behind it
_NO_CONTENT = 204
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class GeneralProtocol(Protocol):
    """What the general server makes for a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None: ...
    def data_received(self, data: bytes) -> None: ...


class ServerState(Protocol):
    """What the general server and its connections share."""

    @property
    def connections(self) -> set[Front]:
        """Those that are open; each is asked to end (``shutdown``) at a stop, and waited for."""
        ...

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer begins with."""
        ...


class Front(asyncio.Protocol):
    """One connection of a client.

    Arguments:
        route: serves invocations.
        state: of the general server.
        general: makes the general server's protocol for this connection.
        watch: where connections are watched, by their descriptors.
    """

    def __init__(
        self,
        route: InvokeRoute,
        state: ServerState,
        general: Callable[[], GeneralProtocol],
        watch: Callable[[int], None],
    ) -> None:
        self._route, self._state, self._general, self._watch = route, state, general, watch
        self._busy = False  # a request is being served
        self._ending = False
        self._request: tuple[str, str, dict[bytes, bytes]] | None = None  # its head has come: name, query, headers
        self._pieces: list[bytes] = []
        self._missing = self._size = 0
        self._ahead = b""

    # -- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(self)
        self._watch(transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._ending = True

    def data_received(self, data: bytes) -> None:
        if self._request is not None:
            self._body(data)
        elif self._busy:
            self._ahead += data
            if len(self._ahead) > _AHEAD:
                self._transport.pause_reading()
        else:
            self._head(data)

    def shutdown(self) -> None:
        """The server stops: end it, when the request that is being served has its answer."""
        self._ending = True
        if not self._busy and self._request is None:
            self._transport.close()

    # -- the request -------------------------------------------------------------------------------------------

    def _head(self, data: bytes) -> None:
        end = data.find(_HEAD_END) + 2  # behind the last line
        match = _REQUEST.match(data)
        headers = _headers(data[match.end() : end]) if match is not None and 1 < end < _LONGEST_HEAD else None
        if match is None or headers is None:
            self._hand_over(data)
            return
        length = headers.get(b"content-length")
        size = int(length) if length is not None else 0
        name, query = match.groups(b"")
        self._request = name.decode(), query.decode(), headers
        self._size = size
        body = data[end + 2 :]
        if len(body) == size and size <= MAX_PAYLOAD_BYTES:  # it came with its head, as nearly all do
            self._pieces, self._missing = [body], 0
            self._serve()
        else:
            self._pieces, self._missing = [], size
            self._body(body)

    def _body(self, data: bytes) -> None:
        if len(data) > self._missing:  # the client did not wait for the answer
            data, self._ahead = data[: self._missing], data[self._missing :]
        self._missing -= len(data)
        if self._size <= MAX_PAYLOAD_BYTES:
            self._pieces.append(data)
        if not self._missing:
            self._serve()

    def _serve(self) -> None:
        assert self._request is not None, "a request is served when it is there"
        name, query, headers = self._request
        payload = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._request, self._pieces = None, []
        self._busy = True
        try:
            self._route.serve(self._route.read(name, query, headers, payload, self._size), self._answer)
        except EmulatorError as error:
            self._answer(error_answer(error))

    def _hand_over(self, data: bytes) -> None:
        self._state.connections.discard(self)
        protocol = self._general()
        self._transport.set_protocol(cast(asyncio.Protocol, protocol))
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    # -- the answer --------------------------------------------------------------------------------------------

    def _answer(self, answer: HttpAnswer) -> None:
        if self._transport.is_closing():  # the client has gone away
            return
        status, headers, body = answer
        lines = [b"%b: %b\r\n" % header for header in (*self._state.default_headers, *headers)]
        length = b"content-length: %d\r\n" % len(body) if status != _NO_CONTENT else b""
        close = b"connection: close\r\n" if self._ending else b""
        head = b"%b%b%b%b\r\n" % (_STATUS_LINES[status], b"".join(lines), length, close)
        if len(body) > _APART:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)
        self._busy = False
        if self._ending:
            self._transport.close()
        elif self._ahead:
            # Not from here: this is called in the middle of an environment's own work.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        data, self._ahead = self._ahead, b""
        self._transport.resume_reading()
        self.data_received(data)


def _headers(head: bytes) -> dict[bytes, bytes] | None:
    """The headers by their names in lower case; ``None`` where there is anything that is not usual."""
    if not _HEADERS.fullmatch(head):
        return None
    found = _HEADER.findall(head)
    headers = {name.lower(): value.rstrip(b" \t") for name, value in found}
    if len(headers) < len(found):
        return None
    if not _UNUSUAL.isdisjoint(headers) and (
        headers.pop(b"connection", b"").lower() != b"keep-alive" or not _UNUSUAL.isdisjoint(headers)
    ):
        return None
    # Under its own name a function may be asked for any path. Not "in": for bytes that takes six times as long.
    if headers.get(b"host", b"").find(_URL_HOST) >= 0:
        return None
    length = headers.get(b"content-length", b"0")
    return headers if length.isdigit() and len(length) < 16 else None
