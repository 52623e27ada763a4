"""One connection through a relay: a client's end, a server's end, and what may pass between them.

Nothing passes while the environment is frozen: what either side says is kept for the thaw, as TCP would send
it again until it is acknowledged. A connection can also be *severed*: then nothing passes any more, and its
two ends live on without knowing of each other, as on a network that has lost one of them. That is what a
silent reclaim, a forgetful path and a server that closes during the freeze have in common; they differ in
what the client is answered when it speaks again.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Protocol

from emulator.clock import Clock
from emulator.database.relay_end import End
from emulator.database.relay_records import (
    Address,
    ConnectionState,
    EventKind,
    PathProfile,
    Reclaim,
    RelayedConnection,
)
from emulator.model import EnvironmentId, RequestId

__all__ = ["RelayConnection", "Way"]


class Way(Protocol):
    """The relay as its connections see it: the way they all share, and who is told about them."""

    environment: EnvironmentId
    target: Address
    source: str | None
    profile: PathProfile
    clock: Clock
    is_cut: bool  # nothing may pass: the environment is frozen, or was reclaimed
    is_reclaimed: bool  # the environment is gone, or will be in a moment

    def current_request(self) -> RequestId | None: ...

    def joined(self, connection: RelayConnection) -> None: ...

    def waits(self, connection: RelayConnection) -> None:
        """It has something to do at the thaw."""
        ...

    def tell(self, kind: EventKind, reason: str, connection: RelayConnection) -> None: ...

    def left(self, connection: RelayConnection) -> None:
        """Both ends are gone."""
        ...


class _Answer(Enum):
    """What the client of a severed connection gets when it speaks."""

    RESET = "reset"
    SILENCE = "silence"


class RelayConnection:
    """See the module. It begins when the client has connected; the server is dialled then."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.client, self.server = End(self), End(self)
        self.client.other, self.server.other = self.server, self.client
        self.active_at = way.clock.monotonic()
        self._opened_at = way.clock.now()
        self._request_id = way.current_request()
        self._client_address: Address = ("", 0)
        self._source: Address | None = None
        self._severed: _Answer | None = None
        self._path_forgot = False
        self._end_reason = ""
        self._dialling: asyncio.Task[None] | None = None

    # -- what the ends hear ------------------------------------------------------------------------------

    def connected(self, end: End) -> None:
        if end is self.server:
            self._reached()
            return
        self._client_address = end.peer_address
        self._way.joined(self)
        if self._way.is_cut:
            self._way.waits(self)  # it lay in the listener's queue when the environment was frozen
        else:
            self._dial()

    def said(self, end: End, data: bytes) -> None:
        now = self._way.clock.monotonic()
        if self._is_forgotten(now):
            self._forget_path()
        if end is self.client:
            self._client_said(data, now)
        else:
            self._server_said(data, now)

    def finished(self, end: End) -> None:
        if end is self.server:
            self._note_end("the server closed it")
            if self._nothing_passes:
                self.lose_server()
            else:
                self.client.finish()
                self._close_what_has_finished()
        elif self._severed is not None:
            self.client.close()
        elif self._way.is_cut:
            self._way.waits(self)
        elif self.server.was_connected:
            self._note_end("the client closed it")
            self.server.finish()
            self._close_what_has_finished()
        elif not self.client.keeps_something:
            # It left without a word, so it will not wait for an answer either. (Who has said something
            # may have finished only its own half: that follows as soon as the server is reached.)
            self._stop_dialling()
            self.client.close()

    def lost(self, end: End, error: Exception | None) -> None:
        if end is self.client:
            if not self.server.was_connected:
                self._stop_dialling()
            elif error is not None:
                self._client_was_reset()
        else:
            if error is not None:
                self._note_end(f"the server reset it ({error})")
                if self._nothing_passes:
                    self.lose_server()
                else:
                    self.client.reset()
            self._way.tell(EventKind.CLOSED, self._end_reason, self)
        self._leave_when_gone()

    def _client_said(self, data: bytes, now: float) -> None:
        if self._severed is _Answer.SILENCE:
            return
        if self._way.is_cut or not self.server.was_connected:
            self.client.keep(data)
            self._wait_for_thaw()
        elif self._severed is _Answer.RESET:
            self.client.reset()
        else:
            self.active_at = now
            self.server.send(data)

    def _server_said(self, data: bytes, now: float) -> None:
        if self._nothing_passes:
            # Of a severed connection nobody will ever read it. It is kept all the same, for then reading
            # stops after a while and the server is stuck in its answer, as behind a lost client.
            self.server.keep(data)
            self._wait_for_thaw()
        else:
            self.active_at = now
            self.client.send(data)

    def _client_was_reset(self) -> None:
        if self._severed is None and self._way.is_cut:
            self._way.waits(self)
        elif self._severed is None:
            self._note_end("the client reset it")
            self.server.reset()

    # -- what the relay does -----------------------------------------------------------------------------

    def thaw(self) -> None:
        """Hand over what was kept; the network is on again."""
        if not self.server.was_connected and self._dialling is None and self.client.is_open:
            self._dial()
        self.notice_hang_up()
        if self._severed is None and self.server.keeps_something:
            self.active_at = self._way.clock.monotonic()  # sent again and again, it has kept the path alive
            for data in self.server.take():
                self.client.send(data)
        for data in self.client.take():
            self.said(self.client, data)
        if self.client.is_gone:
            self._client_was_reset()
        elif self.client.has_finished:
            self.finished(self.client)

    def end(self, how: Reclaim) -> None:
        """The client ends without having closed the connection; the server hears of it, or does not."""
        self.notice_hang_up()
        if not self.server.was_connected:
            self._stop_dialling()
        elif how is Reclaim.SILENT or self._severed is not None:
            if self.server.is_open and self._way.is_reclaimed:
                self._way.tell(EventKind.ZOMBIE, "its environment is gone and the server does not know", self)
        elif how is Reclaim.FIN:
            self._note_end("its processes were ended: their kernel closed it")
            for data in self.client.take():
                self.server.send(data)
            self.server.close()
        else:
            self._note_end("its environment was ended: its kernel reset it")
            self.server.reset()
        self._severed = _Answer.SILENCE
        if self.client.has_finished:
            self.client.close()
        self._leave_when_gone()

    def lose_server(self, reason: str = "", *, reset: bool = False) -> None:
        """The server's end is over, and nobody can tell the client. What the server said last is lost."""
        self._note_end(reason)
        self._severed = self._severed or _Answer.RESET
        if reset:
            self.server.reset()
        else:
            self.server.close()
        self.server.take()

    def notice_hang_up(self) -> None:
        """Find out about a server that is gone and cannot be heard, because reading is paused."""
        if self._nothing_passes and self.server.has_hung_up():
            self.lose_server("the server closed it")

    def abort(self) -> None:
        """The relay itself ends."""
        self._note_end("the relay was closed")
        self._severed = _Answer.SILENCE
        self._stop_dialling()
        self.client.abort()
        self.server.abort()
        self._leave_when_gone()

    # -- what can be seen --------------------------------------------------------------------------------

    @property
    def holds_session(self) -> bool:
        """The server was reached and has not ended it, as far as is known."""
        return self.server.is_open and not self.server.has_finished

    @property
    def is_unreachable(self) -> bool:
        """The server's packets do not arrive."""
        return self._nothing_passes

    def view(self) -> RelayedConnection:
        now = self._way.clock.monotonic()
        return RelayedConnection(
            environment=self._way.environment,
            request_id=self._request_id,
            client=self._client_address,
            source=self._source,
            state=self._state(now),
            opened_at=self._opened_at,
            idle_seconds=now - self.active_at,
            bytes_up=self.client.received,
            bytes_down=self.server.received,
        )

    def _state(self, now: float) -> ConnectionState:
        client_is_there = self.client.is_open and not self.client.has_finished
        if not self.holds_session and (self.server.was_connected or not client_is_there):
            unaware = client_is_there and not self._way.is_reclaimed
            return ConnectionState.STALE if unaware else ConnectionState.CLOSED
        if self._way.is_reclaimed:
            return ConnectionState.ZOMBIE
        if self._severed is not None or self._is_forgotten(now):
            return ConnectionState.STALE
        return ConnectionState.OPEN

    # -- inside ------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        self._dialling = asyncio.get_running_loop().create_task(self._reach_server())

    async def _reach_server(self) -> None:
        host, port = self._way.target
        source = self._way.source
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.server, host, port, local_addr=(source, 0) if source is not None else None
            )
        except OSError as error:
            # DIFFERS: a direct client would be refused. This one is connected to the relay already and
            # learns of it by a reset instead of its first byte from the server.
            self._way.tell(EventKind.FAILED, f"the server at {host}:{port} cannot be reached: {error}", self)
            self.client.reset()
        finally:
            self._dialling = None
            self._leave_when_gone()

    def _stop_dialling(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()

    def _reached(self) -> None:
        self._source = self.server.local_address
        self._way.tell(EventKind.OPENED, "the client connected", self)
        if self._way.is_cut:
            self._way.waits(self)
            return
        for data in self.client.take():
            self.said(self.client, data)
        if self.client.has_finished:
            self.finished(self.client)

    @property
    def _nothing_passes(self) -> bool:
        return self._severed is not None or self._way.is_cut

    def _is_forgotten(self, now: float) -> bool:
        idle = self._way.profile.idle
        return idle is not None and now - self.active_at > idle

    def _forget_path(self) -> None:
        if self._path_forgot or not self.server.was_connected:
            return
        self._path_forgot = True
        if self._severed is not _Answer.SILENCE:
            profile = self._way.profile
            self._severed = _Answer.RESET if profile.on_stale == "rst" else _Answer.SILENCE
            reason = f"no byte passed for {profile.idle:.0f} s, and the path ({profile.name}) has forgotten it"
            self._way.tell(EventKind.STALE, reason, self)

    def _wait_for_thaw(self) -> None:
        if self._way.is_cut and not self._way.is_reclaimed:
            self._way.waits(self)

    def _note_end(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason

    def _close_what_has_finished(self) -> None:
        if self.client.has_finished and self.server.has_finished:
            self.client.close()
            self.server.close()

    def _leave_when_gone(self) -> None:
        server_is_gone = self.server.is_gone or (not self.server.was_connected and self._dialling is None)
        if self.client.is_gone and server_is_gone:
            self._way.left(self)
