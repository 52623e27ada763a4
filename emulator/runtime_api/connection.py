"""One connection from the inside of an environment: HTTP on the one side, the environment's sessions on the other.

It serves one request at a time, as every client of these APIs asks. This is the hot path of an invocation, so it looks
at no more of a request than it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from emulator.model import MAX_RESPONSE_BYTES
from emulator.runtime_api.bandwidth import Bandwidth
from emulator.runtime_api.repeats import Repeats
from emulator.runtime_api.reply import ACCEPTED, TRUNCATED, Reply, render
from emulator.runtime_api.routes import serve_other
from emulator.runtime_api.runtime import InvocationEvent
from emulator.runtime_api.sessions import Sessions
from emulator.runtime_api.streaming import ResponseStream, Timer

__all__ = ["Connection", "Listener"]

_RUNTIME = b"/2018-06-01/runtime/"
_INVOCATION = _RUNTIME + b"invocation/"
_ID_AT = len(_INVOCATION)
_NEXT = _INVOCATION + b"next"
_INIT_ERROR = _RUNTIME + b"init/error"
_APART = 1 << 16  # bytes; a larger body is written after its head instead of being copied behind it
_ACCEPTED = render(ACCEPTED)  # the answer to everything that went well, once an invocation: it is worth a constant
_WHY_SESSIONS = "a connection without sessions is closed when it is made"
_BAD_REQUEST = Reply(400, b"400 Bad Request\n")

_CONTENT_TYPE = b"content-type"
_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"
_EXPECT = b"expect"
_MODE = b"lambda-runtime-function-response-mode"
_TRANSFER_ENCODING = b"transfer-encoding"
_TRAILER = b"trailer: "  # before the name of one; no header has such a name
_UPGRADE = b"upgrade"
# The headers that matter, and whether one is to be looked at before the body comes.
_WANTED = {
    _CONTENT_TYPE: False,
    _ERROR_TYPE: False,
    _ERROR_BODY: False,
    _EXPECT: True,
    _MODE: True,
    _TRANSFER_ENCODING: True,
    _UPGRADE: True,
    b"authorization": False,
    b"content-length": False,
    b"lambda-extension-accept-feature": False,
    b"lambda-extension-function-error-type": False,
    b"lambda-extension-identifier": False,
    b"lambda-extension-name": False,
}


class Listener(Protocol):
    """Where connections come from, and what all of them share."""

    @property
    def zone(self) -> str:
        """The availability zone that metadata tells."""
        ...

    @property
    def bandwidth(self) -> Callable[[Callable[[], float]], Bandwidth] | None:
        """Makes the bucket of one streamed response, for a clock; ``None``: it goes as fast as it comes."""
        ...

    @property
    def connections(self) -> set[Connection]:
        """Those that are open."""
        ...

    def find(self, local: tuple[str, int], peer: tuple[str, int]) -> Sessions | None:
        """Whose connection this is."""
        ...


class Connection(asyncio.Protocol):
    """One connection of a runtime or an extension."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.sessions: Sessions | None = None
        self._repeats = Repeats()
        self._served = 0  # requests that the parser has read
        self._keep_alive = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._in_message = self._in_body = False
        self._special = False  # a header was seen that is to be looked at before the body comes
        self._upgrading = False
        self._stream: ResponseStream | None = None

    # -- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        local = self._transport.get_extra_info("sockname")
        peer = self._transport.get_extra_info("peername")
        self.sessions = self._listener.find(local, peer) if peer else None
        if self.sessions is None:
            self._transport.abort()
            return
        self._parser = httptools.HttpRequestParser(self)
        self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.sessions is None or (not self._in_message and self._is_repeated(data, self.sessions)):
            return
        begins, served = not self._in_message, self._served
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._stay_with_http(data[upgrade.args[0] :])
            if begins and not self._in_message and self._served == served + 1:
                self._learn(data)
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None  # it failed behind this door: no fault of the runtime
        except httptools.HttpParserError:
            self._transport.write(render(_BAD_REQUEST))
            self._transport.close()

    def _is_repeated(self, data: bytes, sessions: Sessions) -> bool:
        """Serve it if it is a request as it came before, byte for byte where it matters."""
        reply: Reply | None
        if self._repeats.is_next(data):
            self._keep_alive = True
            reply = sessions.runtime.next(self._send_event)
        elif (found := self._repeats.response(data)) is not None:
            self._keep_alive = True
            reply = sessions.runtime.response(*found)
        else:
            return False
        if reply is ACCEPTED:
            self._transport.write(_ACCEPTED)
        elif reply is not None:
            self.reply(reply)
        return True

    def _learn(self, data: bytes) -> None:
        """It was one request, whole, and the parser has read it."""
        if self._special or not self._keep_alive:
            return
        if self._url == _NEXT and not self._size and self._parser.get_method() == b"GET":
            self._repeats.learn_next(data)
        elif self._url.endswith(b"/response"):
            self._repeats.learn_response(data)

    def eof_received(self) -> bool:
        if self._stream is not None:
            self._stream.cut()
        elif self._in_message and self.sessions is not None:
            self.reply(TRUNCATED)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        if self.sessions is not None:
            self.sessions.runtime.unpark(self._send_event)
            self.sessions.extensions.unpark(self.reply)
            if self._stream is not None:
                self._stream.cut()

    def abort(self) -> None:
        """End it; the environment does not want to hear that it has ended."""
        if self._stream is not None:
            self._stream.abandon()
        self._transport.abort()

    # -- httptools ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._in_message = True
        self._in_body = False
        if self._headers:
            self._headers = {}
        if self._size:
            self._pieces = []
            self._size = 0
        if self._special:
            self._special = self._upgrading = False
            self._stream = None

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        early = _WANTED.get(name)
        if early is not None:
            if self._in_body:
                name = _TRAILER + name
            elif early:
                self._special = True
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self._special:
            self._look_at_head()

    def on_body(self, body: bytes) -> None:
        if self._stream is not None:
            self._stream.feed(body)
            return
        self._size += len(body)
        if self._size <= MAX_RESPONSE_BYTES:
            self._pieces.append(body)
        else:
            self._pieces.clear()

    def on_message_complete(self) -> None:
        self._in_message = False
        self._served += 1
        if self._special and self._is_served():
            return
        self._keep_alive = self._parser.should_keep_alive()
        reply = self._serve()
        if reply is ACCEPTED and self._keep_alive:
            self._transport.write(_ACCEPTED)
        elif reply is not None:
            self.reply(reply)

    def _look_at_head(self) -> None:
        headers = self._headers
        if _UPGRADE in headers and self._parser.should_upgrade():
            self._upgrading = True
            return
        if headers.get(_EXPECT, b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._parser.get_method() == b"POST" and self._is_streamed(headers):
            path, _, what = self._url.rpartition(b"/")
            if what == b"response" and path.startswith(_INVOCATION):
                self._begin_stream(path[_ID_AT:].decode("latin-1"))

    def _is_streamed(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a response is to be passed on as it comes."""
        if (mode := headers.get(_MODE)) is not None:
            return mode == b"streaming"  # [C] only this literal word asks for it
        # [C] Where the caller asked for a stream, the agent passes on whatever comes. Go's client counts on that: it
        # sends in chunks, and never says that it streams.
        assert self.sessions is not None, _WHY_SESSIONS
        return _TRANSFER_ENCODING in headers and self.sessions.runtime.wants_stream

    def _begin_stream(self, request_id: str) -> None:
        assert self.sessions is not None, _WHY_SESSIONS
        make, loop = self._listener.bandwidth, asyncio.get_running_loop()
        self._stream = ResponseStream(self.sessions.runtime, self, make(loop.time) if make is not None else None)
        self._stream.begin(request_id, self.header(_CONTENT_TYPE))

    def _is_served(self) -> bool:
        """Whether nothing is to be done for a whole request: its body was streamed, or it will be read anew."""
        if self._stream is not None:
            self._keep_alive = self._parser.should_keep_alive()
            self._stream.complete(self.header(_TRAILER + _ERROR_TYPE), self.header(_TRAILER + _ERROR_BODY))
            if self._stream.is_over and not self._keep_alive:
                self._transport.close()
            return True
        return self._upgrading

    def _stay_with_http(self, rest: bytes) -> None:
        """Serve a request whose client would rather speak another protocol, as if it had not said so.

        The parser stops there and drops the body. Java's client for one offers HTTP/2 with what it asks.
        """
        if not self._upgrading:
            self._transport.close()  # a CONNECT, which has been answered
            return
        lines = [self._parser.get_method() + b" " + self._url + b" HTTP/1.1"]
        # The header "Connection", which makes an offer of "Upgrade", is not among those that were kept.
        lines += [name + b": " + value for name, value in self._headers.items()]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"\r\n".join([*lines, b"", rest]))

    # -- routes ------------------------------------------------------------------------------------------------

    def _serve(self) -> Reply | None:
        sessions = self.sessions
        assert sessions is not None, _WHY_SESSIONS
        method, url = self._parser.get_method(), self._url
        if method == b"GET" and url == _NEXT:
            return sessions.runtime.next(self._send_event)
        if method == b"POST" and url.startswith(_INVOCATION):
            request_id, _, what = url[_ID_AT:].decode("latin-1").partition("/")
            if what == "response":
                mode = self.header(_MODE) if self._special else None
                return sessions.runtime.response(request_id, self.body, mode)
            if what == "error":
                kind = self.header(_CONTENT_TYPE)
                return sessions.runtime.error(request_id, self.body, self.header(_ERROR_TYPE), kind)
        if method == b"POST" and url == _INIT_ERROR:
            return sessions.runtime.init_error(self.body, self.header(_ERROR_TYPE))
        return serve_other(method, url, self, sessions, zone=self._listener.zone, send=self.reply)

    @property
    def body(self) -> bytes | None:
        """The body of the request; ``None`` where it is larger than any may be."""
        if self._size > MAX_RESPONSE_BYTES:
            return None
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def header(self, name: bytes) -> str | None:
        """A header of the request by its name in lower case."""
        value = self._headers.get(name)
        return value.decode(errors="replace") if value is not None else None

    # -- what goes out -----------------------------------------------------------------------------------------

    def read_on(self, wanted: bool) -> None:
        """Read on, or do not."""
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back in so many seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)

    def reply(self, reply: Reply) -> None:
        """Answer the request; a client that wants no more is let go."""
        self._transport.write(render(reply))
        if not self._keep_alive:
            self._transport.close()

    def _send_event(self, event: InvocationEvent) -> None:
        head = event.head()
        if len(event.payload) > _APART:
            self._transport.writelines((head, event.payload))
        else:
            self._transport.write(head + event.payload)
        if not self._keep_alive:
            self._transport.close()
