"""How functions get to their database: the address they are told, and whose relay is behind it.

A process is told an address of its own. A container keeps the name and the port of the database, which lead it to
this machine, where it is known by the address it comes from.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self, cast

from emulator.database.relay import Relay
from emulator.database.relays import Relays
from emulator.errors import AddressInUseError
from emulator.model import EnvironmentId, RequestId

__all__ = ["ContainerDoor", "Door", "ProcessDoor"]

_NAME = "mysql"  # how containers call a database that has no name of its own


class Door(Protocol):
    """Opens a relay for each environment."""

    def open(self, environment: EnvironmentId, request_id: Callable[[], RequestId | None]) -> Relay:
        """The relay of a new environment, still to be entered."""
        ...

    def variables(self, relay: Relay) -> dict[str, str]:
        """``DB_HOST`` and the others, for the environment of this relay."""
        ...

    def admit(self, address: str, relay: Relay) -> None:
        """What comes from this address is for this relay."""
        ...

    def dismiss(self, address: str) -> None: ...


class _Sources:
    """An address of 127.77.0.0/16 for each environment, in turn, to dial a database on this machine from.

    So the server's own list of sessions shows one address an environment.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self) -> str:
        number = next(self._numbers) % 0xFFFE + 1
        return f"127.77.{number >> 8}.{number & 0xFF}"


class ProcessDoor:
    """For processes: a listener for each, on a loopback address of its own.

    Arguments:
        coordinates: how this machine reaches the database (``DB_HOST`` and the others).
    """

    def __init__(self, relays: Relays, coordinates: Mapping[str, str]) -> None:
        self._relays, self._coordinates = relays, coordinates
        self._sources = _Sources()

    def open(self, environment: EnvironmentId, request_id: Callable[[], RequestId | None]) -> Relay:
        address = self._sources.next()
        source = address if _is_loopback(self._coordinates["DB_HOST"]) else None
        return self._relays.make(environment, listen=(address, 0), source=source, request_id=request_id)

    def variables(self, relay: Relay) -> dict[str, str]:
        host, port = relay.address
        return {**self._coordinates, "DB_HOST": host, "DB_PORT": str(port)}

    def admit(self, address: str, relay: Relay) -> None:
        """Each has a listener of its own; nobody has to be told apart."""

    def dismiss(self, address: str) -> None: ...


class ContainerDoor:
    """For containers: one listener on the bridge, under the database's own name and port.

    Arguments:
        gateway: this machine's address on the containers' network.
    """

    def __init__(self, relays: Relays, coordinates: Mapping[str, str], gateway: str) -> None:
        self._relays, self._coordinates, self._gateway = relays, coordinates, gateway
        self._sources = _Sources()
        self._by_address: dict[str, Relay] = {}
        self._server: asyncio.Server | None = None
        host = coordinates["DB_HOST"]
        self._name = _NAME if host == "localhost" or host.replace(".", "").isdigit() else host

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Doorman(self), self._gateway, self._port, backlog=1024)
        except OSError as error:
            raise AddressInUseError(
                f"the database relay cannot listen on {self._gateway}:{self._port}: {error.strerror}",
                cure="Something on this machine listens on every address; have it listen on its own only.",
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def hosts(self) -> dict[str, str]:
        """Names that containers have to know, with their address."""
        return {self._name: self._gateway}

    @property
    def _port(self) -> int:
        # The usual port, whatever a private server happens to listen on; a server with a name keeps its own.
        return 3306 if self._name == _NAME else int(self._coordinates["DB_PORT"])

    def open(self, environment: EnvironmentId, request_id: Callable[[], RequestId | None]) -> Relay:
        source = self._sources.next() if _is_loopback(self._coordinates["DB_HOST"]) else None
        return self._relays.make(environment, listen=None, source=source, request_id=request_id)

    def variables(self, relay: Relay) -> dict[str, str]:
        return {**self._coordinates, "DB_HOST": self._name, "DB_PORT": str(self._port)}

    def admit(self, address: str, relay: Relay) -> None:
        self._by_address[address] = relay

    def dismiss(self, address: str) -> None:
        self._by_address.pop(address, None)

    def find(self, address: str) -> Relay | None:
        return self._by_address.get(address)


class _Doorman(asyncio.Protocol):
    """Sees who comes, and hands over to that one's relay; strangers are turned away."""

    def __init__(self, door: ContainerDoor) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        peer = stream.get_extra_info("peername")
        relay = self._door.find(peer[0]) if peer else None
        if relay is None:
            stream.abort()
            return
        end = relay.accept()
        stream.set_protocol(end)
        end.connection_made(stream)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.")
