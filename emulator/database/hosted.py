"""A server in a container of the emulator's own, for machines that have an engine but no server program."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import pymysql

from emulator.database.accounts import describe, server_limit
from emulator.database.base import DATABASE, Account, Connector, Endpoint, Kind, in_thread
from emulator.database.own import OwnServer
from emulator.errors import DatabaseError, EngineError

__all__ = ["ContainerEngine", "ContainerState", "DockerServer", "ServerContainer"]

_IMAGE = "mysql:8.4"
_STAND_IN = "lambda-freezer/mysql:mariadb"  # what `docker/build-images` makes where no image can be fetched
_ALIAS = "mysql"
_PORT = 3306
# An image of MySQL makes its data directory at the first start: 10 to 30 seconds on a small machine.
_START_DEADLINE = 120.0
_LOOK_EVERY = 0.1
_LOOK_TIMEOUT = 2
_SECOND_THOUGHTS = 3


class ServerContainer(Protocol):
    """A server in a container: its address on the bridge, and its port on 127.0.0.1 of this machine."""

    @property
    def id(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def host_port(self) -> int: ...


class ContainerState(Protocol):
    """Whether a container runs, and how it ended."""

    @property
    def running(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...


class ContainerEngine(Protocol):
    """What is asked of a container engine here; :class:`emulator.sandbox.engine.Engine` is one."""

    async def has_image(self, name: str, /) -> bool: ...

    async def pull(self, name: str, /) -> None: ...

    async def run_server(
        self, image: str, *, command: Sequence[str], environment: Mapping[str, str], alias: str, port: int
    ) -> ServerContainer: ...

    async def details(self, container: str, /) -> ContainerState: ...

    async def remove(self, container: str, /) -> None: ...


class DockerServer(OwnServer):
    """A server in a container. See :class:`emulator.database.base.DatabaseServer`.

    Arguments:
        engine: runs the container.
        image: obeys the variables ``MYSQL_ROOT_PASSWORD`` and ``MYSQL_DATABASE``, and hands its arguments to
            the server. ``None`` stands for MySQL's own, or the stand-in where only that is here.
        max_connections: as for :class:`emulator.database.local.LocalServer`.
        options: further options for the server.
    """

    kind: Kind = "docker"

    def __init__(
        self,
        engine: ContainerEngine,
        *,
        image: str | None = None,
        max_connections: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(max_connections)
        self._engine = engine
        self._image = image
        self._options = tuple(options)
        self._administrator = Account("root", secrets.token_urlsafe(18))
        self._container: ServerContainer | None = None

    @property
    def description(self) -> str:
        if self._connector is None:
            return f"container of {self._image or _IMAGE}, not started"
        service = self._connector.service
        return f"{self.product}, in a container of {self._image}, on {service.host}:{service.port}"

    def variables(self, *, from_container: bool) -> dict[str, str]:
        service = self._started.service
        if from_container and self._container is not None and self._container.address:
            # Its address and not its name: names are asked for over the network that a freeze cuts.
            service = Endpoint(self._container.address, _PORT)
        return self._variables(service)

    async def _start(self) -> Connector:
        self._image = await self._choose_image()
        self._container = await self._engine.run_server(
            self._image,
            command=[
                f"--max-connections={server_limit(self._max_connections)}",
                "--skip-name-resolve",
                "--character-set-server=utf8mb4",
                "--default-time-zone=+00:00",
                *self._options,
            ],
            environment={"MYSQL_ROOT_PASSWORD": self._administrator.password, "MYSQL_DATABASE": DATABASE},
            alias=_ALIAS,
            port=_PORT,
        )
        return await self._first_answer(self._container)

    async def _choose_image(self) -> str:
        image = self._image or _IMAGE
        if await self._engine.has_image(image):
            return image
        if self._image is None and await self._engine.has_image(_STAND_IN):
            return _STAND_IN
        try:
            await self._engine.pull(image)
        except EngineError as error:
            raise DatabaseError(
                f"the image {image} is not here and cannot be fetched: {error.message}",
                cure='Fetch it (docker pull), make a stand-in (docker/build-images), or set server = "local".',
            ) from error
        return image

    async def _first_answer(self, container: ServerContainer) -> Connector:
        """Wait for it, at its own address first.

        Over a published port the engine passes connections on in its own name, so the server could not tell
        whose they are. Where the machine has no way to the container's address, that is all there is.
        """
        own = self._connect_to(Endpoint(container.address, _PORT)) if container.address else None
        published = self._connect_to(Endpoint("127.0.0.1", container.host_port))
        give_up = time.monotonic() + _START_DEADLINE
        reason = "nothing listens"
        while time.monotonic() < give_up:
            if own is not None and await self._answers(own) is None:
                return own
            reason = await self._answers(published) or ""
            if not reason:
                # It may just have come up between the two questions, or a first packet was lost on a new bridge.
                for _ in range(_SECOND_THOUGHTS if own is not None else 0):
                    if own is not None and await self._answers(own) is None:
                        return own
                return published
            state = await self._engine.details(container.id)
            if not state.running:
                raise DatabaseError(
                    f"the server in a container of {self._image} ended with status {state.exit_code} while it started",
                    cure=f"To see why: docker run --rm -e MYSQL_ROOT_PASSWORD=x {self._image}",
                )
            await asyncio.sleep(_LOOK_EVERY)
        raise DatabaseError(
            f"the server in a container of {self._image} did not answer within {_START_DEADLINE:.0f} s: {reason}"
        )

    async def _answers(self, connector: Connector) -> str | None:
        """``None`` when the server answers there, else why not."""
        try:
            await in_thread(_greet, connector)
        except pymysql.err.MySQLError as error:
            return describe(error)
        except RuntimeError as error:
            return str(error)
        return None

    def _connect_to(self, endpoint: Endpoint) -> Connector:
        return Connector(
            administrator=self._administrator,
            administration=endpoint,
            functions=self._functions,
            service=endpoint,
        )

    async def _start_again(self, connector: Connector) -> None:
        raise DatabaseError(
            "a server in a container cannot be started anew: it would come back at another address",
            cure='Set server = "local" in [database]: that one can.',
        )

    async def _end(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            await self._engine.remove(container.id)


def _greet(connector: Connector) -> None:
    connector.connect(connect_timeout=_LOOK_TIMEOUT, read_timeout=_LOOK_TIMEOUT).close()
