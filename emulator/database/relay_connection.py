"""One connection through a relay: a client's end, a server's end, and what may pass between them.

Nothing passes while the environment is frozen: what either side says is kept for the thaw, as TCP would send
it again until it is acknowledged. A connection can also be *severed*: then nothing passes any more, and its
two ends live on without knowing of each other, as on a network that has lost one of them. That is what a
silent reclaim, a path that forgets and a server that closes during the freeze have in common; they differ in
what the client is answered when it speaks again.

The room is large because it holds one subject: whatever either end does, and whatever is done to the environment,
has its meaning only together with the rest.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Protocol

from emulator.clock import Clock
from emulator.database.greeting import Greeting
from emulator.database.relay_end import End
from emulator.database.relay_records import (
    Address,
    ConnectionState,
    EndedBy,
    EventKind,
    PathProfile,
    RelayedConnection,
)
from emulator.model import EnvironmentId, Reclaim, RequestId

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

    def passed_up(self) -> None:
        """A client has said something, and it is on its way to the server."""
        ...

    def tell(self, kind: EventKind, reason: str, connection: RelayConnection) -> None: ...

    def left(self, connection: RelayConnection) -> None:
        """Both ends are gone."""
        ...


# Bytes of a client's goodbye (COM_QUIT): plain, in TLS 1.3, in TLS 1.2. Its length is all that is looked at. The server
# answers it by closing, which is often heard before the client's own end.
_GOODBYE = frozenset({5, 27, 34})


class _Answer(Enum):
    """What the client of a severed connection gets when it speaks."""

    RESET = "reset"
    SILENCE = "silence"


class RelayConnection:
    """It begins when the client has connected; the server is dialled then."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.client, self.server = End(self), End(self)
        self.client.other, self.server.other = self.server, self.client
        self.active_at = way.clock.monotonic()
        self.answered_at = self.active_at  # the last probe of the server's kernel
        self._opened_at = way.clock.now()
        self._request_id = self._used_by = way.current_request()
        self._client_address: Address = ("", 0)
        self._source: Address | None = None
        self._severed: _Answer | None = None
        self._path_forgot = False
        self._end_reason = ""
        self._ended_by: EndedBy | None = None
        self._is_broken = False
        self._last_word = 0  # how long it was, if it was the client's
        self._died_silently = False
        self._dialling: asyncio.Task[None] | None = None
        self._greeting = Greeting()

    # -- what can be seen --------------------------------------------------------------------------------

    @property
    def holds_session(self) -> bool:
        """The server was reached and has not ended it, as far as is known."""
        return self.server.is_open and not self.server.has_finished

    @property
    def nothing_passes(self) -> bool:
        return self._severed is not None or self._way.is_cut

    def view(self) -> RelayedConnection:
        return RelayedConnection(
            environment=self._way.environment,
            request_id=self._request_id,
            client=self._client_address,
            source=self._source,
            state=self._state(),
            opened_at=self._opened_at,
            idle_seconds=self._way.clock.monotonic() - self.active_at,
            bytes_up=self.client.received,
            bytes_down=self.server.received,
            used_by=self._used_by,
            ended_by=self._ended_by,
        )

    def _state(self) -> ConnectionState:
        client_is_there = self.client.is_open and not self.client.has_finished
        if not self.holds_session and (self.server.was_connected or not client_is_there):
            unaware = client_is_there and not self._way.is_reclaimed
            return ConnectionState.STALE if unaware else ConnectionState.CLOSED
        if self._way.is_reclaimed:
            return ConnectionState.ZOMBIE
        if self._severed is not None or self._is_forgotten():
            return ConnectionState.STALE
        return ConnectionState.OPEN

    # -- what the ends hear ------------------------------------------------------------------------------

    def connected(self, end: End) -> None:
        if end is self.server:
            self._reached()
        elif self._way.is_reclaimed:
            end.abort()  # it slipped through the door that the listener was closing
        else:
            self._client_address = end.peer_address
            self._way.joined(self)
            if self._way.is_cut:
                self._way.waits(self)  # it lay in the listener's queue when the environment was frozen
            else:
                self._dial()

    def said(self, end: End, data: bytes) -> None:
        self.notice_forgetting()
        if end is self.client:
            self._client_said(data)
        else:
            self._server_said(data)

    def finished(self, end: End) -> None:
        self.notice_forgetting()
        if end is self.client:
            self._client_finished()
        else:
            if self._last_word in _GOODBYE:
                self._note_end("the client closed it", EndedBy.CLIENT)
            self._note_end("the server closed it", EndedBy.SERVER)
            if self.nothing_passes:
                self.lose_server()
            else:
                self.client.finish()
                self._close_what_has_finished()

    def lost(self, end: End, error: Exception | None) -> None:
        self.notice_forgetting()
        if end is self.client:
            if not self.server.was_connected:
                self._stop_dialling()
            elif error is not None:
                self._client_was_reset()
        else:
            if error is not None:
                self._note_end(f"the server reset it ({error})", EndedBy.SERVER)
                if self.nothing_passes:
                    self.lose_server()
                else:
                    self.client.reset()
            self._way.tell(EventKind.CLOSED, self._end_reason, self)
            if self._died_silently:
                self.client.abort()
        self._leave_when_gone()

    def _client_said(self, data: bytes) -> None:
        if self._severed is _Answer.SILENCE:
            self._break("nobody answers")
        elif self._way.is_cut or not self.server.was_connected:
            self._keep(self.client, data)
        elif self._severed is _Answer.RESET:
            self._break("a reset answers")
            self.client.reset()
        else:
            self.active_at = self._way.clock.monotonic()
            if (request := self._way.current_request()) != self._used_by:
                self._used_by = request
                self._way.tell(EventKind.USED, "", self)
            self._last_word = len(data)
            self.server.send(data)
            self._way.passed_up()

    def _server_said(self, data: bytes) -> None:
        if not self._greeting.over and (refusal := self._greeting.heard(data)) is not None:
            self._way.tell(EventKind.REFUSED, f"the server refused it: {refusal}", self)
        if self.nothing_passes:
            # Of a severed connection nobody will ever read it. It is kept all the same, for then reading
            # stops after a while and the server is stuck in its answer, as behind a lost client.
            self._keep(self.server, data)
        else:
            self.active_at = self._way.clock.monotonic()
            self._last_word = 0
            self.client.send(data)

    def _client_finished(self) -> None:
        if self._severed is not None:
            self.client.close()
        elif self._way.is_cut:
            self._way.waits(self)
        elif self.server.was_connected:
            self._note_end("the client closed it", EndedBy.CLIENT)
            self.server.finish()
            self._close_what_has_finished()
        elif not self.client.keeps_something:
            # It left without a word, so it does not wait for an answer. One that has said something may have
            # finished its own half only; that is passed on when the server is reached.
            self._stop_dialling()
            self.client.close()

    def _client_was_reset(self) -> None:
        if self._severed is not None:
            return
        if self._way.is_cut:
            self._way.waits(self)
        else:
            self._note_end("the client reset it", EndedBy.CLIENT)
            self.server.reset()

    # -- what the relay does -----------------------------------------------------------------------------

    def thaw(self) -> None:
        """The network is on again: hand over what was kept."""
        if not self.server.was_connected and self._dialling is None and self.client.is_open:
            self._dial()
        if self.server.keeps_something and self.server.has_hung_up():
            self.lose_server("the server closed it")
        if self._severed is None and self.server.keeps_something:
            # The server has sent it again and again, and that has kept the path alive.
            self.active_at = self._way.clock.monotonic()
            for data in self.server.take():
                self.client.send(data)
        self._catch_up_with_client()

    def end(self, how: Reclaim) -> None:
        """The client ends without having closed the connection; the server hears of it, or does not."""
        self.notice_forgetting()
        self.notice_hang_up()
        if not self.server.was_connected:
            self._stop_dialling()
        elif how is Reclaim.SILENT or self._severed is not None:
            if self.holds_session and self._way.is_reclaimed:
                self._way.tell(EventKind.ZOMBIE, "its environment is gone and the server does not know", self)
        elif how is Reclaim.FIN:
            self._note_end("its processes were ended, and their kernel closed it", EndedBy.ENVIRONMENT)
            for data in self.client.take():
                self.server.send(data)
            self.server.close()
        else:
            self._note_end("its environment was ended, and its kernel reset it", EndedBy.ENVIRONMENT)
            self.server.reset()
        self._severed = _Answer.SILENCE
        self._give_client_up()
        # The network was cut: of the client's own end nothing will ever be heard.
        self._died_silently = how is Reclaim.SILENT
        if self._died_silently and (self.server.is_gone or not self.server.was_connected):
            self.client.abort()
        self._leave_when_gone()

    def lose_server(self, reason: str = "", *, reset: bool = False) -> None:
        """The server's end is over and nobody can tell the client; what the server said last is lost."""
        self._note_end(reason, EndedBy.SERVER)
        self._severed = self._severed or _Answer.RESET
        if reset:
            self.server.reset()
        else:
            self.server.close()
        self.server.drain()
        if self.client.has_finished:
            self.client.close()

    def notice_forgetting(self) -> None:
        """Paths forget without telling: the next thing that is sent along them does not arrive."""
        if self._path_forgot or not self._is_forgotten():
            return
        self._path_forgot = True
        profile = self._way.profile
        if self._severed is not _Answer.SILENCE:
            self._severed = _Answer.RESET if profile.on_stale == "rst" else _Answer.SILENCE
        if self.holds_session:
            reason = f"no byte passed for {profile.idle:.0f} s, and the path ({profile.name}) has forgotten it"
            self._way.tell(EventKind.STALE, reason, self)

    def notice_hang_up(self) -> None:
        """A server that is gone cannot be heard while reading is paused; it has to be asked for."""
        if self.nothing_passes and self.server.has_hung_up():
            self.lose_server("the server closed it")

    def abort(self) -> None:
        """The relay itself ends."""
        self._note_end("the relay was closed", EndedBy.EMULATOR)
        self._severed = _Answer.SILENCE
        self._stop_dialling()
        self.client.abort()
        self.server.abort()

    # -- the way to the server ---------------------------------------------------------------------------

    def _dial(self) -> None:
        self._dialling = asyncio.get_running_loop().create_task(self._reach_server())
        self._dialling.add_done_callback(self._dialled)

    async def _reach_server(self) -> None:
        host, port = self._way.target
        source = self._way.source
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.server, host, port, local_addr=(source, 0) if source is not None else None
            )
        except OSError as error:
            # DIFFERS: a direct client would be refused. This one is connected to the relay already, and
            # learns of it by a reset in place of the server's first byte.
            self.client.reset()
            self._way.tell(EventKind.FAILED, f"the server at {host}:{port} cannot be reached: {error}", self)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dialling = None
        if task.cancelled() and self.server.was_connected:
            # Given up just when the server was reached: uvloop closes such a socket and tells nobody.
            self.server.connection_lost(None)
        self._leave_when_gone()
        if not task.cancelled():
            task.result()  # whatever else went wrong is ours, and is raised where the loop reports it

    def _stop_dialling(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()

    def _reached(self) -> None:
        self.active_at = self._way.clock.monotonic()
        self._source = self.server.local_address
        self._way.tell(EventKind.OPENED, "the client connected", self)
        if self._way.is_cut:
            self._way.waits(self)
        else:
            self._catch_up_with_client()

    # -- inside ------------------------------------------------------------------------------------------

    def _keep(self, end: End, data: bytes) -> None:
        end.keep(data)
        if self._way.is_cut and not self._way.is_reclaimed:
            self._way.waits(self)

    def _catch_up_with_client(self) -> None:
        if self.client.is_gone:
            self._client_was_reset()  # and a reset throws away what was on its way
            return
        for data in self.client.take():
            self.said(self.client, data)
        if self.client.has_finished:
            self.finished(self.client)

    def _give_client_up(self) -> None:
        self.client.drain()
        if self.client.has_finished:
            self.client.close()

    def _is_forgotten(self) -> bool:
        idle = self._way.profile.idle
        if idle is None or not self.server.was_connected:
            return False
        return self._way.clock.monotonic() - self.active_at > idle

    def _note_end(self, reason: str, by: EndedBy) -> None:
        self._end_reason = self._end_reason or reason
        self._ended_by = self._ended_by or by

    def _break(self, answer: str) -> None:
        if self._is_broken or self._way.is_reclaimed:
            return
        self._is_broken = True
        self._used_by = self._way.current_request()
        self._way.tell(EventKind.BROKEN, f"the client speaks, and {answer}: it was given up before", self)

    def _close_what_has_finished(self) -> None:
        if self.client.has_finished and self.server.has_finished:
            self.client.close()
            self.server.close()

    def _leave_when_gone(self) -> None:
        server_is_gone = self.server.is_gone or (not self.server.was_connected and self._dialling is None)
        if self.client.is_gone and server_is_gone:
            self._way.left(self)
