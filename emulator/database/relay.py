"""A TCP relay between one execution environment and the database server.

It gives what no container tool gives: a network that falls silent with the freeze, a death that the server
does not hear of, paths that forget idle connections, and the knowledge of whose each session is, for good.
To TLS and to every kind of login it is opaque: it passes bytes on and never looks at them.

DIFFERS: a client that has the kernel probe its connections (TCP keepalive) is answered by the relay. On AWS,
probes more frequent than the path forgets would keep the path alive while the environment is not frozen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from emulator.clock import Clock, Timer
from emulator.database.relay_connection import RelayConnection
from emulator.database.relay_end import End
from emulator.database.relay_records import (
    DIRECT,
    Address,
    ConnectionState,
    EventKind,
    PathProfile,
    RelayedConnection,
    RelayEvent,
    RelayStatistics,
)
from emulator.errors import AddressInUseError
from emulator.model import KEEPALIVE, EnvironmentId, Reclaim, RequestId

__all__ = ["Relay"]

_QUEUE = 1024  # connections of a storm that may wait to be accepted


class Relay:
    """The way of one environment to one server. It has its address from the start and serves once entered.

    Arguments:
        environment: whose connections these are.
        target: where the server listens; a name is looked up for every connection, as a client would do.
        clock: what idle times and keepalive are measured on, frozen or not.
        listen: where the environment finds the relay; port 0 is the system's choice. ``None`` where somebody else
            listens for several environments and hands over what is for this one (:meth:`accept`).
        profile: what lies on the path and forgets idle connections.
        keepalive: seconds after which the server's kernel gives up a client that cannot be reached.
        source: the address to dial from, so that the server sees an address for each environment.
        request_id: which invocation runs now.
        on_event: is told what happens to connections.
        on_ended: is told, once, when nothing is left of an environment that was reclaimed.

    Raises:
        AddressInUseError: it cannot listen there.
    """

    def __init__(
        self,
        environment: EnvironmentId,
        target: Address,
        *,
        clock: Clock,
        on_event: Callable[[RelayEvent], None],
        listen: Address | None = ("127.0.0.1", 0),
        profile: PathProfile = DIRECT,
        keepalive: float = KEEPALIVE,
        source: str | None = None,
        request_id: Callable[[], RequestId | None] = lambda: None,
        on_ended: Callable[[Relay], None] = lambda _relay: None,
    ) -> None:
        self.environment = environment
        self.target = target
        self.clock = clock
        self.profile = profile
        self.source = source
        self.current_request = request_id
        self.on_passed_up: Callable[[], None] | None = None
        """Is called whenever something that a client said is on its way to the server."""
        self.is_cut = False
        self.is_reclaimed = False
        self._keepalive = keepalive
        self._on_event, self._on_ended = on_event, on_ended
        self._listener = _listen(listen) if listen is not None else None
        self.address: Address = self._listener.getsockname()[:2] if self._listener is not None else ("", 0)
        self._server: asyncio.Server | None = None
        # Dictionaries for their order: what happens to all happens to the oldest first.
        self._connections: dict[RelayConnection, None] = {}
        self._waiting: dict[RelayConnection, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._probe: Timer | None = None
        self._opened = self._bytes_up = self._bytes_down = 0

    async def __aenter__(self) -> Self:
        if self._listener is not None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self.accept, sock=self._listener, backlog=_QUEUE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End everything, zombies too."""
        self.is_reclaimed = True
        self._stop_listening()
        for connection in tuple(self._connections):
            connection.abort()
        await self._empty.wait()
        self._end_when_empty()
        if self._server is not None:
            await self._server.wait_closed()

    # -- the environment's life --------------------------------------------------------------------------

    def freeze(self) -> None:
        """The network falls silent. This costs nothing: whatever arrives from now on finds it silent."""
        self.is_cut = True

    def thaw(self) -> None:
        """The network is on again; what was kept is handed over. To be called before the processes go on."""
        if self.is_reclaimed:
            return
        self.is_cut = False
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for connection in waiting:
                connection.thaw()

    def reset(self) -> None:
        """Its processes are ended and it lives on: the kernel closes what they had open, at once."""
        if not self.is_reclaimed:
            self.is_cut = False
            self._waiting.clear()
            self._end_all(Reclaim.FIN)

    def reclaim(self, how: Reclaim) -> None:
        """The environment ends, or is about to; call it before its processes are killed.

        After ``graceful``, which only thaws, it is to be called once more when the processes are gone; otherwise
        the first call settles it and later ones change nothing.
        """
        if self.is_reclaimed:
            return
        if how is Reclaim.GRACEFUL:
            self.thaw()
            return
        self.is_cut = self.is_reclaimed = True
        self._waiting.clear()
        self._stop_listening()
        self._end_all(how)
        self._end_when_empty()

    def close_idle_as_server(self, wait_timeout: float) -> int:
        """Do what the server would have done, had skipped time passed for it as well; the answer is how often.

        Ends the session of every connection without a byte for ``wait_timeout`` seconds on the clock whose client
        cannot notice: it is frozen or gone. It finds out when it speaks, as it would have. Call it after the
        clock was forwarded.
        """
        oldest = self.clock.monotonic() - wait_timeout
        idle = [connection for connection in self._out_of_reach() if connection.active_at <= oldest]
        for connection in idle:
            connection.lose_server(f"idle for longer than wait_timeout ({wait_timeout:.0f} s)")
        return len(idle)

    # -- what can be seen --------------------------------------------------------------------------------

    def connections(self) -> tuple[RelayedConnection, ...]:
        """Every connection that has an end left, zombies included; oldest first."""
        for connection in self._connections:
            connection.notice_hang_up()
        return tuple(connection.view() for connection in self._connections)

    def statistics(self) -> RelayStatistics:
        states = [view.state for view in self.connections()]
        return RelayStatistics(
            opened=self._opened,
            open=states.count(ConnectionState.OPEN),
            stale=states.count(ConnectionState.STALE),
            zombies=states.count(ConnectionState.ZOMBIE),
            bytes_up=self._bytes_up + sum(c.client.received for c in self._connections),
            bytes_down=self._bytes_down + sum(c.server.received for c in self._connections),
        )

    # -- what its connections tell -----------------------------------------------------------------------

    def joined(self, connection: RelayConnection) -> None:
        self._connections[connection] = None
        self._empty.clear()

    def waits(self, connection: RelayConnection) -> None:
        self._waiting[connection] = None

    def passed_up(self) -> None:
        if self.on_passed_up is not None:
            self.on_passed_up()

    def tell(self, kind: EventKind, reason: str, connection: RelayConnection) -> None:
        if kind is EventKind.OPENED:
            self._opened += 1
            if self._probe is None:
                self._probe = self.clock.call_at(connection.active_at + self._keepalive, self._probe_clients)
        self._on_event(RelayEvent(kind, reason, connection.view()))

    def left(self, connection: RelayConnection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._waiting.pop(connection, None)
            self._bytes_up += connection.client.received
            self._bytes_down += connection.server.received
            self._end_when_empty()

    # -- inside ------------------------------------------------------------------------------------------

    def accept(self) -> End:
        """The protocol for one more connection of the environment."""
        return RelayConnection(self).client

    def _end_all(self, how: Reclaim) -> None:
        for connection in tuple(self._connections):
            connection.end(how)

    def _holding(self) -> list[RelayConnection]:
        return [connection for connection in self._connections if connection.holds_session]

    def _out_of_reach(self) -> list[RelayConnection]:
        """Those whose client does not hear the server's end of it."""
        holding = self._holding()
        for connection in holding:
            connection.notice_forgetting()
        return [connection for connection in holding if connection.nothing_passes]

    def _probe_clients(self) -> None:
        """What the server's kernel finds when it probes clients that it has not heard of for so long.

        One timer does for all of them: where something was heard since it was set, it only has to come again.
        """
        now = self.clock.monotonic()
        unreachable = set(self._out_of_reach())
        for connection in self._holding():
            if max(connection.active_at, connection.answered_at) > now - self._keepalive:
                continue
            if connection in unreachable:
                reason = f"its client did not answer the server's kernel for {self._keepalive:.0f} s (keepalive)"
                connection.lose_server(reason, reset=True)
            else:
                connection.answered_at = now
        heard = [max(connection.active_at, connection.answered_at) for connection in self._holding()]
        self._probe = None
        if heard:
            self._probe = self.clock.call_at(min(heard) + self._keepalive, self._probe_clients)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            self._listener.close()

    def _end_when_empty(self) -> None:
        if self._connections:
            return
        self._empty.set()
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if self.is_reclaimed:
            on_ended, self._on_ended = self._on_ended, lambda _relay: None
            on_ended(self)


def _listen(address: Address) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise AddressInUseError(
            f"the database relay cannot listen on {host}:{port}: {error.strerror}",
            cure="Take another port, or 0 for any that is free; the address must be one of this machine.",
        ) from error
    return listener
