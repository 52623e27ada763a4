"""The listener of the Runtime API: one for all environments of an emulator, told apart by address.

What comes over its connections is on the hot path, so it is read by a small protocol on httptools
(:mod:`emulator.runtime_api.connection`) and not by an application of a framework. A process environment is told an
address of its own in 127.0.0.0/8, a container has its own; a connection from or to any other address is closed
without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from emulator.errors import AddressInUseError
from emulator.runtime_api.bandwidth import Bandwidth
from emulator.runtime_api.connection import Connection
from emulator.runtime_api.metadata import availability_zone_id
from emulator.runtime_api.sessions import Sessions

__all__ = ["Guard", "RuntimeApiServer"]

Guard = Callable[[tuple[str, int], tuple[str, int]], bool]
"""Whether a connection (local end, peer's end) really comes from the environment whose address it uses."""

# Runtimes that start at once may have to wait to be accepted; AWS's client gives a connection up after a second.
_QUEUE = 4096


@dataclass(frozen=True, slots=True)
class _Entry:
    sessions: Sessions
    guard: Guard | None


class RuntimeApiServer:
    """The listener.

    Arguments:
        host: where sandboxes reach this machine; the port is the system's choice.
        region: of whose first availability zone the metadata endpoint tells.
        bandwidth: makes the bucket of each streamed response; without it, responses go as fast as they come.
    """

    def __init__(
        self,
        host: str,
        *,
        region: str = "us-east-1",
        bandwidth: Callable[[Callable[[], float]], Bandwidth] | None = None,
    ) -> None:
        self._host = host
        self._entries: dict[str, _Entry] = {}
        self._server: asyncio.Server | None = None
        self.zone = availability_zone_id(region)
        self.bandwidth = bandwidth
        self.connections: set[Connection] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), sock=self._listener(), backlog=_QUEUE)
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
        for connection in list(self.connections):
            connection.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def register(self, address: str, sessions: Sessions, guard: Guard | None = None) -> None:
        """Serve the environment that has this address."""
        self._entries[address] = _Entry(sessions, guard)

    def unregister(self, address: str) -> None:
        """Stop serving it, and drop what is still connected."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            for connection in [c for c in self.connections if c.sessions is entry.sessions]:
                connection.abort()

    def find(self, local: tuple[str, int], peer: tuple[str, int]) -> Sessions | None:
        """Whose connection this is, by its two ends."""
        entry = self._entries.get(local[0]) or self._entries.get(peer[0])
        if entry is None or (entry.guard is not None and not entry.guard(local, peer)):
            return None
        return entry.sessions

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
        return listener
