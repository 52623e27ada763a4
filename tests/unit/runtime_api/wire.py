"""The Runtime API on real sockets for tests: an environment inside, and clients that are nothing but bytes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec

import uvloop

from emulator.model import Answer, Function, RequestId
from emulator.runtime_api.bandwidth import Bandwidth
from emulator.runtime_api.extensions import Extension, ExtensionsSession
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.runtime import InvocationEvent, RuntimeEvents, RuntimeSession
from emulator.runtime_api.server import Guard, RuntimeApiServer
from emulator.runtime_api.sessions import Sessions
from tests.support import SkippingLoop, run

__all__ = [
    "ACCEPTED",
    "ADDRESS",
    "ID",
    "NEXT",
    "TOKEN",
    "Client",
    "Inside",
    "connected",
    "event",
    "on_each_loop",
    "post",
    "post_chunked",
    "request",
    "running",
    "serving",
    "wire",
]

P = ParamSpec("P")

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
ADDRESS = "127.1.2.3"
TOKEN = "token-of-the-environment"


def wire(status: str, body: bytes) -> bytes:
    """An answer in JSON as it has to be on the wire."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def event(payload: bytes = b'{"k":"v"}', request_id: str = ID, *, wants_stream: bool = False) -> InvocationEvent:
    return InvocationEvent(RequestId(request_id), payload, 1542409706888, "arn", "Root=1", wants_stream=wants_stream)


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """Any request with a body of known length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(what: str, body: bytes, *headers: str, request_id: str = ID) -> bytes:
    """A runtime's answer, with its length."""
    lines = [f"POST /2018-06-01/runtime/invocation/{request_id}/{what} HTTP/1.1", "Host: x", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def post_chunked(what: str, *chunks: bytes, trailers: bytes = b"", headers: bytes = b"") -> bytes:
    """A runtime's answer in chunks."""
    head = f"POST /2018-06-01/runtime/invocation/{ID}/{what} HTTP/1.1\r\nHost: x\r\n".encode() + headers
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


class Session(RuntimeSession):
    """A session that tells when it has seen the end of a connection."""

    def __init__(self, events: RuntimeEvents) -> None:
        super().__init__(events)
        self.unparked = asyncio.Event()

    def unpark(self, send: Callable[[InvocationEvent], None]) -> None:
        super().unpark(send)
        self.unparked.set()


@dataclass
class Inside:
    """One environment: what it hears from inside, each thing with an event to wait for."""

    external: tuple[str, ...] = ()
    answers: list[Answer] = field(default_factory=list)
    parks: int = 0
    parked: asyncio.Event = field(default_factory=asyncio.Event)
    init_failures: list[tuple[bytes, str]] = field(default_factory=list)
    began: list[str] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    ended: list[tuple[str | None, bytes | None]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    wants_more: bool = True
    resume: Callable[[], None] | None = None
    registered: list[str] = field(default_factory=list)
    extension_parks: list[str] = field(default_factory=list)
    failed: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    subscriptions: list[tuple[str, str | None, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(self)
        function = Function(name="fn", code=Path(), handler="app.handler")
        self.extensions = ExtensionsSession(self, function, external=self.external, account="123456789012")
        self.sessions = Sessions(self.session, self.extensions, self, TOKEN)

    def runtime_parked(self) -> None:
        self.parks += 1
        self.parked.set()

    def runtime_answered(self, answer: Answer) -> None:
        self.answers.append(answer)

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self.began.append(content_type)
        self.resume = resume
        self.heard.set()

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        self.chunks.append(chunk)
        self.heard.set()
        return self.wants_more

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.ended.append((error_type, error_body))
        self.heard.set()

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        self.init_failures.append((body, error_type))

    def extension_registered(self, extension: Extension) -> None:
        self.registered.append(extension.name)

    def extension_parked(self, extension: Extension) -> None:
        self.extension_parks.append(extension.name)
        self.heard.set()

    def extension_failed(self, extension: Extension, error_type: str, body: bytes) -> None:
        self.failed.append((extension.name, extension.state, error_type, body))

    def subscribe(self, api: str, identifier: str | None, body: bytes) -> Reply:
        self.subscriptions.append((api, identifier, body))
        return Reply(200, b'"OK"', (("Content-Type", "application/json"),))

    async def hand_out(self, given: InvocationEvent) -> None:
        """Wait for the runtime to park, then give it the event."""
        async with asyncio.timeout(30):
            await self.parked.wait()
        self.parked.clear()
        assert self.session.hand_out(given)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what was heard is enough."""
        async with asyncio.timeout(30):
            while not condition():
                self.heard.clear()
                await self.heard.wait()


class Client:
    """A connection from inside, without any library between the test and the bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(30):
            return await self.reader.readexactly(count)

    async def answer(self) -> bytes:
        """One whole answer, as it is on the wire."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            (length,) = (line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
            return head + await self.reader.readexactly(int(length.partition(b": ")[2]))

    async def ask(self, data: bytes) -> bytes:
        await self.send(data)
        return await self.answer()

    async def closed(self) -> bytes:
        """What still came before the other end was closed."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@contextlib.asynccontextmanager
async def connected(
    server: RuntimeApiServer, address: str = ADDRESS, source: str | None = None
) -> AsyncIterator[Client]:
    """One more connection."""
    reader, writer = await asyncio.open_connection(
        address, server.port, limit=1 << 24, local_addr=(source, 0) if source else None
    )
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    *,
    guard: Guard | None = None,
    external: tuple[str, ...] = (),
    bandwidth: Callable[[Callable[[], float]], Bandwidth] | None = None,
) -> AsyncIterator[tuple[RuntimeApiServer, Inside, Client]]:
    """A server, one environment, and a connection from inside it."""
    async with RuntimeApiServer("0.0.0.0", bandwidth=bandwidth) as server:
        inside = Inside(external=external)
        server.register(ADDRESS, inside.sessions, guard)
        async with connected(server) as client:
            yield server, inside, client


@contextlib.asynccontextmanager
async def running(
    *, bandwidth: Callable[[Callable[[], float]], Bandwidth] | None = None, wants_stream: bool = False
) -> AsyncIterator[tuple[RuntimeApiServer, Inside, Client]]:
    """The same, with the runtime at work on an event."""
    async with serving(bandwidth=bandwidth) as (server, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event(wants_stream=wants_stream))
        await client.answer()
        yield server, inside, client


def on_each_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a coroutine test on asyncio's own loop and on the one that the emulator uses."""

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        for factory in (SkippingLoop, uvloop.new_event_loop):
            run(test(*args, **kwargs), factory)

    return run_test
