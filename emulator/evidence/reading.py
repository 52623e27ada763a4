"""Reading the timeline, event by event: a table says which kind is whose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from emulator.evidence.stories import EnvironmentStory, InvocationStory, SessionStory
from emulator.lifecycle import State
from emulator.model import EnvironmentId, RequestId
from emulator.timeline import TimelineEvent

__all__ = ["Reading"]

_BEGINS = frozenset({State.STARTING, State.THAWING, State.INVOKING})
_INITIALISES = frozenset({State.STARTING, State.INIT})
_NOTHING: Mapping[str, int] = MappingProxyType({})
_STATES = {f"environment.{state}": state for state in State}


@dataclass
class _Environment:
    story: EnvironmentStory
    state: State | None = None
    frozen_at: float | None = None
    open: int = 0


@dataclass
class Reading:
    """What the events so far come to.

    Attributes:
        sessions: by the number of the event that they began with, so in order.
        peak: the most sessions that were open at once, those of environments that are gone included.
        known: the numbers of sessions that were there before the events.
    """

    sessions: dict[int, SessionStory] = field(default_factory=dict)
    invocations: dict[RequestId, InvocationStory] = field(default_factory=dict)
    environments: dict[EnvironmentId, _Environment] = field(default_factory=dict)
    peak: int = 0
    known: Mapping[str, int] = field(default_factory=dict)
    _by_client: dict[tuple[str, int], int] = field(default_factory=dict)
    _by_source: dict[str, int] = field(default_factory=dict)
    _origins: dict[tuple[str, int], str] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, events: Iterable[TimelineEvent], function: str | None, known: Mapping[str, int] = _NOTHING) -> Reading:
        """Read the events of one function, or of all.

        Arguments:
            known: the numbers of sessions that the server held before the first of them, by ``address:port``.
        """
        events = list(events)
        theirs = {
            event.environment: event.function
            for event in events
            if event.environment is not None and event.function is not None and function in (None, event.function)
        }
        reading = cls(known=known)
        for event in events:
            if event.environment is None or event.environment not in theirs:
                continue
            environment = EnvironmentId(event.environment)
            if environment not in reading.environments:
                story = EnvironmentStory(environment, str(theirs[event.environment]))
                reading.environments[environment] = _Environment(story)
            read = _KINDS.get(event.kind)
            if read is not None:
                read(reading, event, environment)
        return reading

    # -- environments and invocations --------------------------------------------------------------------

    def _changed(self, event: TimelineEvent, environment_id: EnvironmentId) -> None:
        environment = self.environments[environment_id]
        state = environment.state = _STATES[event.kind]
        request = RequestId(event.request_id) if event.request_id is not None else None
        if request is not None and request not in self.invocations and state in _BEGINS:
            number = len(self.invocations) + 1
            self.invocations[request] = InvocationStory(number, request, environment_id, event.seq)
        if state is State.FROZEN:
            environment.frozen_at = event.at
        elif state is State.THAWING:
            self._thawed(environment, event.at)
        elif state is State.SHUTTING_DOWN:
            environment.story = replace(environment.story, end=event.reason, end_seq=event.seq)

    def _thawed(self, environment: _Environment, at: float) -> None:
        if environment.frozen_at is None:
            return
        for seq, session in self.sessions.items():
            ended = session.environment == environment.story.id and session.end_state == State.FROZEN
            if ended and session.frozen_for is None:
                self.sessions[seq] = replace(session, frozen_for=at - environment.frozen_at)
        environment.frozen_at = None

    def _finished(self, event: TimelineEvent, _environment: EnvironmentId) -> None:
        invocation = self.invocations.get(RequestId(event.request_id or ""))
        if invocation is not None:
            self.invocations[invocation.request_id] = replace(invocation, end_seq=event.seq)

    # -- sessions ----------------------------------------------------------------------------------------

    def _opened(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        client, source = _ends(event.detail)
        self._begin(
            SessionStory(
                seq=event.seq,
                id=None,
                environment=environment,
                client=client,
                opened_by=RequestId(event.request_id) if event.request_id is not None else None,
                opened_at=event.at,
                in_init=self.environments[environment].state in _INITIALISES,
                origin=self._origins.pop((environment, client), None),
            ),
            source,
        )

    def _begin(self, session: SessionStory, source: str) -> None:
        self.sessions[session.seq] = session
        if session.client:
            self._by_client[session.environment, session.client] = session.seq
        if source:
            self._by_source[source] = session.seq
        self._open.add(session.seq)
        environment = self.environments[session.environment]
        environment.open += 1
        environment.story = replace(environment.story, peak=max(environment.story.peak, environment.open))
        self.peak = max(self.peak, len(self._open))

    def _told(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        """The line and the connection come over different ways, and either may be the first."""
        client = int((event.detail or {}).get("port", 0))
        seq = self._by_client.get((environment, client))
        if seq is not None and self.sessions[seq].origin is None and self.sessions[seq].is_new:
            self.sessions[seq] = replace(self.sessions[seq], origin=event.reason)
        else:
            self._origins[environment, client] = event.reason

    def _used(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        session = self._of(event, environment)
        if event.request_id is not None:
            self._change(session, used_by=(*session.used_by, RequestId(event.request_id)))

    def _broken(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        session = self._of(event, environment)
        self._change(session, broken_by=RequestId(event.request_id) if event.request_id is not None else None)

    def _stale(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        self._change(self._of(event, environment), stale=event.reason, end_seq=event.seq)

    def _zombie(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        session = self._of(event, environment)
        if session.zombie_since is None:
            self._change(session, zombie_since=event.at)

    def _closed(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        session = self._of(event, environment)
        if session.end is not None:
            return  # the relay has told it, and now the observer does
        self._change(
            session,
            end=event.reason,
            ended_at=event.at,
            ended_by=(event.detail or {}).get("ended_by"),
            end_state=self.environments[session.environment].state,
            end_seq=session.end_seq or event.seq,
        )
        self._open.discard(session.seq)
        self.environments[session.environment].open -= 1

    def _seen(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        """The observer has found it in the server's list."""
        session = self._of(event, environment, opened_at=event.at)
        if session.id is None:
            self._change(session, id=int((event.detail or {}).get("session", 0)) or None)

    def _seen_zombie(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        if self._find(event, environment) is not None:  # else its environment was gone before the events
            self._zombie(event, environment)

    def _seen_closed(self, event: TimelineEvent, environment: EnvironmentId) -> None:
        if self._find(event, environment) is not None:  # else it was open before the events, and nobody used it
            self._closed(event, environment)

    # -- inside ------------------------------------------------------------------------------------------

    def _change(self, session: SessionStory, **changes: Any) -> None:
        self.sessions[session.seq] = replace(session, **changes)

    def _find(self, event: TimelineEvent, environment: EnvironmentId) -> SessionStory | None:
        client, source = _ends(event.detail)
        seq = self._by_client.get((environment, client)) if client else self._by_source.get(source)
        return self.sessions[seq] if seq is not None else None

    def _of(self, event: TimelineEvent, environment: EnvironmentId, *, opened_at: float | None = None) -> SessionStory:
        """The session that an event is about; one that nobody has spoken of was open before the events.

        Arguments:
            opened_at: for one that goes around the relay, of which nothing is heard before it is seen.
        """
        found = self._find(event, environment)
        if found is not None:
            return found
        client, source = _ends(event.detail)
        opened_by = RequestId(event.request_id) if opened_at is not None and event.request_id is not None else None
        session = SessionStory(event.seq, self.known.get(source), environment, client, opened_by, opened_at)
        self._begin(session, source)
        return session


def _ends(detail: Mapping[str, Any] | None) -> tuple[int, str]:
    """The port of the function's own end, and the server's view of it: ``address:port``.

    The relay's events have both; the observer's have the second one only, under the name of the client.
    """
    known = detail or {}
    if isinstance(known.get("client"), str):
        return 0, known["client"]
    client, source = known.get("client") or ("", 0), known.get("source")
    return int(client[1]), f"{source[0]}:{source[1]}" if source else ""


_KINDS: dict[str, Callable[[Reading, TimelineEvent, EnvironmentId], None]] = {
    **dict.fromkeys(_STATES, Reading._changed),
    "invocation.finished": Reading._finished,
    "connection.opened": Reading._opened,
    "connection.origin": Reading._told,
    "connection.used": Reading._used,
    "connection.broken": Reading._broken,
    "connection.stale": Reading._stale,
    "connection.zombie": Reading._zombie,
    "connection.closed": Reading._closed,
    "session.opened": Reading._seen,
    "session.zombie": Reading._seen_zombie,
    "session.closed": Reading._seen_closed,
}
