"""All relays of an emulator, and the memory of whose each database session is or was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from emulator.clock import Clock
from emulator.database.relay import Relay
from emulator.database.relay_records import (
    DIRECT,
    Address,
    EventKind,
    PathProfile,
    RelayedConnection,
    RelayEvent,
)
from emulator.model import KEEPALIVE, EnvironmentId, RequestId

__all__ = ["Relays"]


class Relays:
    """Opens relays to one server and outlives each of them.

    Arguments:
        target, clock, profile, keepalive: see :class:`emulator.database.relay.Relay`.
        on_event: is told what happens to connections, of all environments.
        remembered: how many closed connections are kept in mind.
    """

    def __init__(
        self,
        target: Address,
        *,
        clock: Clock,
        on_event: Callable[[RelayEvent], None],
        profile: PathProfile = DIRECT,
        keepalive: float = KEEPALIVE,
        remembered: int = 10_000,
    ) -> None:
        self._target = target
        self._clock = clock
        self._on_event = on_event
        self._profile = profile
        self.keepalive = keepalive
        self._remembered = remembered
        self._relays: dict[Relay, None] = {}
        self._by_source: dict[Address, RelayedConnection] = {}
        self._closed: deque[RelayedConnection] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for relay in tuple(self._relays):
            await relay.close()

    def make(
        self,
        environment: EnvironmentId,
        *,
        listen: Address | None = ("127.0.0.1", 0),
        source: str | None = None,
        request_id: Callable[[], RequestId | None] = lambda: None,
    ) -> Relay:
        """A relay for an environment: it has its address and is still to be entered.

        Raises:
            AddressInUseError: it cannot listen there.
        """
        relay = Relay(
            environment,
            self._target,
            clock=self._clock,
            on_event=self._note,
            listen=listen,
            profile=self._profile,
            keepalive=self.keepalive,
            source=source,
            request_id=request_id,
            on_ended=self._relays.pop,
        )
        self._relays[relay] = None
        return relay

    @property
    def profile(self) -> PathProfile:
        return self._profile

    def take_path(self, profile: PathProfile) -> None:
        """From now on this lies between environments and the server, for open connections as well."""
        self._profile = profile
        for relay in self._relays:
            relay.profile = profile

    def of(self, environment: EnvironmentId) -> Relay | None:
        """The relay of an environment that has one."""
        return next((relay for relay in self._relays if relay.environment == environment), None)

    def connections(self) -> tuple[RelayedConnection, ...]:
        """Those of all environments, of the living and the dead."""
        return tuple(connection for relay in self._relays for connection in relay.connections())

    def find(self, source: Address) -> RelayedConnection | None:
        """The connection that came to the server from there, the last one if there were several.

        It is as it was opened or, once closed, as it was closed; a port may be somebody else's by then.
        """
        return self._by_source.get(source)

    def owner_of(self, source: Address) -> EnvironmentId | None:
        """Which environment a row of the server's process list belongs to, for as long as it is remembered."""
        connection = self._by_source.get(source)
        return connection.environment if connection is not None else None

    def close_idle_as_server(self, wait_timeout: float) -> int:
        """See :meth:`emulator.database.relay.Relay.close_idle_as_server`."""
        return sum(relay.close_idle_as_server(wait_timeout) for relay in tuple(self._relays))

    def _note(self, event: RelayEvent) -> None:
        source = event.connection.source
        if source is not None and event.kind in (EventKind.OPENED, EventKind.CLOSED):
            self._by_source[source] = event.connection
        if event.kind is EventKind.CLOSED:
            self._closed.append(event.connection)
            if len(self._closed) > self._remembered:
                self._forget(self._closed.popleft())
        self._on_event(event)

    def _forget(self, connection: RelayedConnection) -> None:
        source = connection.source
        if source is not None and self._by_source.get(source) is connection:
            del self._by_source[source]
