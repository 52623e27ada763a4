"""The two ways to a listener inside an environment, HTTP and TCP, in a time that stands still with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import h11

from emulator.runtime_api.subscription import HttpDestination, TcpDestination

__all__ = ["FAILURES", "ThawedTime", "Wire", "make_wire"]

FAILURES = (OSError, h11.ProtocolError)
"""What it means that a batch has to be sent again; a timeout is an ``OSError``."""

_DIAL = 5.0  # seconds
_ANSWER = 30.0  # seconds; long, since a listener that is merely slow would get everything twice
_PARTING = 1.0  # seconds for the rest of an answer whose status is known
_CHUNK = 1 << 16  # bytes handed to the system at once; what it has taken cannot be stopped by a pause


class ThawedTime:
    """Time that passes only while the environment is not frozen, in seconds of the loop's clock."""

    def __init__(self) -> None:
        self._frozen = 0.0  # how long it was so far
        self._frozen_at = 0.0
        self._limits: dict[asyncio.Timeout, float] = {}  # each with its end in this time
        self._thawed = asyncio.Event()
        self._thawed.set()

    def now(self) -> float:
        """The time."""
        is_running = self._thawed.is_set()
        return (asyncio.get_running_loop().time() if is_running else self._frozen_at) - self._frozen

    def pause(self) -> None:
        """It stands still."""
        if self._thawed.is_set():
            self._frozen_at = asyncio.get_running_loop().time()
            self._thawed.clear()
            self._reschedule()

    def resume(self) -> None:
        """It goes on."""
        if not self._thawed.is_set():
            self._frozen += asyncio.get_running_loop().time() - self._frozen_at
            self._thawed.set()
            self._reschedule()

    def _reschedule(self) -> None:
        for limit, end in self._limits.items():
            if not limit.expired():
                limit.reschedule(self._moment(end))

    def _moment(self, end: float) -> float | None:
        return end + self._frozen if self._thawed.is_set() else None

    async def thawed(self) -> None:
        """Wait until the environment runs."""
        await self._thawed.wait()

    @contextlib.asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """``asyncio.timeout`` in this time."""
        end = self.now() + seconds
        async with asyncio.timeout_at(self._moment(end)) as limit:
            self._limits[limit] = end
            try:
                yield
            finally:
                del self._limits[limit]

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with self.limit(seconds):
                await event.wait()


class Wire(Protocol):
    """The way to one listener."""

    async def send(self, batch: list[bytes]) -> None:
        """Return when the listener has taken all of it; raise one of :data:`FAILURES` else."""
        ...

    def close(self) -> None:
        """Close the connection, if one is kept."""
        ...


def make_wire(destination: HttpDestination | TcpDestination, address: str, thawed: ThawedTime) -> Wire:
    """The wire for this destination; ``address`` is the environment's own."""
    if isinstance(destination, HttpDestination):
        return _HttpWire(destination, address, thawed)
    return _TcpWire(destination, address, thawed)


class _Connection:
    """A connection to the listener. It writes in pieces, and none of them while the environment is frozen."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, thawed: ThawedTime) -> None:
        self._reader, self._writer, self._time = reader, writer, thawed
        writer.transport.set_write_buffer_limits(high=0)  # so that drain() means: the system has it

    @classmethod
    async def open(cls, address: str, port: int, thawed: ThawedTime) -> _Connection:
        async with thawed.limit(_DIAL):
            reader, writer = await asyncio.open_connection(address, port)
        return cls(reader, writer, thawed)

    @property
    def is_open(self) -> bool:
        """Neither side has ended it, as far as one can see from here."""
        return not self._writer.is_closing() and not self._reader.at_eof()

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            await self._time.thawed()
            self._writer.write(data[start : start + _CHUNK])
            await self._writer.drain()

    async def read(self) -> bytes:
        return await self._reader.read(_CHUNK)

    def close(self) -> None:
        # Everything that counts has left the transport's own buffer, and what the system has still arrives.
        self._writer.transport.abort()


class _HttpWire:
    """A POST a batch, each on a connection of its own: one that was kept would outlast a freeze, at whose end the
    listener finds it idle for too long, and closes it just when the next batch is on its way."""

    def __init__(self, destination: HttpDestination, address: str, thawed: ThawedTime) -> None:
        self._destination, self._address, self._time = destination, address, thawed

    async def send(self, batch: list[bytes]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            protocol = h11.Connection(h11.CLIENT)
            connection = await _Connection.open(self._address, self._destination.port, self._time)
            stack.callback(connection.close)
            async with self._time.limit(_ANSWER):
                await connection.write(self._request(protocol, b"[%b]" % b",".join(batch)))
                while isinstance(event := await self._event(protocol, connection), h11.InformationalResponse):
                    pass
            if not (isinstance(event, h11.Response) and 200 <= event.status_code < 300):
                raise h11.RemoteProtocolError("the listener did not take the batch")
            # It has, whatever comes now; the rest is read so that it is not reset while it writes.
            with contextlib.suppress(*FAILURES):
                async with self._time.limit(_PARTING):
                    while isinstance(await self._event(protocol, connection), h11.Data):
                        pass

    def close(self) -> None:
        pass  # the connection ends with the task that uses it

    def _request(self, protocol: h11.Connection, body: bytes) -> bytes:
        headers = [
            ("Host", self._destination.host),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        request = h11.Request(method=self._destination.method, target=self._destination.target, headers=headers)
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(protocol.send(event) or b"" for event in events)

    async def _event(self, protocol: h11.Connection, connection: _Connection) -> object:
        while (event := protocol.next_event()) is h11.NEED_DATA:
            protocol.receive_data(await connection.read())
        return event


class _TcpWire:
    """One connection for all batches, a record a line; dialled again when it breaks."""

    def __init__(self, destination: TcpDestination, address: str, thawed: ThawedTime) -> None:
        self._destination, self._address, self._time = destination, address, thawed
        self._connection: _Connection | None = None

    async def send(self, batch: list[bytes]) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            self.close()
            connection = await _Connection.open(self._address, self._destination.port, self._time)
            self._connection = connection
        try:
            # Without a limit: whoever reads slowly is not sent the same again.
            await connection.write(b"".join(record + b"\n" for record in batch))
        except BaseException:
            self.close()  # the listener cannot tell half a line from a whole one
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
