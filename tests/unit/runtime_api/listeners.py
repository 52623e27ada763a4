"""Listeners as extensions have them, on real sockets, and the tasks that deliveries run in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ADDRESS", "HttpListener", "Request", "Tasks", "TcpListener", "arrival", "free_port", "rounds"]

ADDRESS = "127.0.0.1"


async def rounds(number: int = 60) -> None:
    """As many rounds of the loop as an exchange on the loopback device needs, all of it included."""
    for _ in range(number):
        await asyncio.sleep(0)


async def arrival(condition: Callable[[], object], what: str) -> None:
    """Wait for what comes over a socket; the time of the loop may be skipped meanwhile."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{what} did not happen")


async def free_port() -> int:
    """A port that nobody listens on."""
    server = await asyncio.start_server(lambda *_: None, ADDRESS, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


class Tasks:
    """A place for tasks to run in; what fails there fails the test."""

    def __init__(self) -> None:
        self.all: list[asyncio.Task[None]] = []

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.all.append(task)
        return task

    @property
    def running(self) -> int:
        return sum(not task.done() for task in self.all)

    async def end(self) -> None:
        """All have ended, and none of them by itself."""
        await rounds()
        assert [task for task in self.all if not task.cancelled()] == []


@dataclass(frozen=True)
class Request:
    """What came: the head as it was sent, and the decoded body."""

    head: str
    body: bytes
    records: list[Any]

    @property
    def line(self) -> str:
        return self.head.partition("\r\n")[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:] if line)
        return {name.lower(): value for name, _, value in lines}


@dataclass
class HttpListener:
    """An HTTP listener that answers as the test says.

    ``answer`` is the whole answer; empty bytes hang up instead. ``gate`` holds answers back while it is cleared.
    """

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    requests: list[Request] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)  # the records of the requests that got a 2xx
    dialled: int = 0
    open: int = 0
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def records(self) -> list[Any]:
        return self.taken

    @contextlib.asynccontextmanager
    async def listen(self, port: int = 0) -> AsyncIterator[HttpListener]:
        self.gate.set()
        server = await asyncio.start_server(self._serve, ADDRESS, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.gate.set()
            server.close()
            await rounds()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled += 1
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(Request(head, b"", []).headers["content-length"])
            body = await reader.readexactly(length)
            request = Request(head, body, json.loads(body))
            self.requests.append(request)
            await self.gate.wait()
            if self.answer.startswith(b"HTTP/1.1 2"):
                self.taken += request.records
            writer.write(self.answer)
            if self.answer:
                await reader.read()  # until the other side has closed
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@dataclass
class TcpListener:
    """A TCP listener; ``connections`` holds what came on each so far."""

    connections: list[bytearray] = field(default_factory=list)
    open: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def listen(self, port: int = 0) -> AsyncIterator[TcpListener]:
        self.gate.set()
        server = await asyncio.start_server(self._serve, ADDRESS, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.gate.set()
            server.close()
            for writer in self.writers:
                writer.transport.abort()
            await rounds()

    @property
    def records(self) -> list[Any]:
        return [json.loads(line) for connection in self.connections for line in connection.splitlines()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        self.connections.append(received)
        self.writers.append(writer)
        self.open += 1
        with contextlib.suppress(OSError):
            await self.gate.wait()
            while data := await reader.read(1 << 16):
                received += data
                await self.gate.wait()
        self.open -= 1
        writer.close()
