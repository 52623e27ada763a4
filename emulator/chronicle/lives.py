"""The lives that a timeline tells of: environments in their states, invocations, sessions of the database. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from emulator.lifecycle import State
from emulator.timeline import TimelineEvent

__all__ = ["Chronicle", "EnvironmentLife", "InvocationLife", "SessionLife", "Stay", "chronicle_of"]

_STATES = {f"environment.{state}": str(state) for state in State}


@dataclass(slots=True)
class Stay:
    """One state that an environment was in, and why. Moments are seconds since the epoch, here and below."""

    state: str
    begin: float
    end: float
    reason: str


@dataclass(slots=True)
class EnvironmentLife:
    """An environment; ``cold_start`` says that a request waited for its start."""

    id: str
    function: str | None
    cold_start: bool
    stays: list[Stay] = field(default_factory=list)


@dataclass(slots=True)
class InvocationLife:
    """One invocation, from the hand-out of its event until everybody was parked.

    Attributes:
        answered: when its client had the answer; ``None`` where that is not known.
        duration_ms: as its REPORT says.
        error: the type of the error; ``None`` for a success.
    """

    request_id: str
    function: str | None
    environment: str | None
    begin: float
    end: float
    answered: float | None = None
    duration_ms: float | None = None
    error: str | None = None


@dataclass(slots=True)
class SessionLife:
    """One session of the database.

    Attributes:
        address: of its client, as the server sees it.
        session: the server's own number for it; ``None`` where the server was not asked in time.
        closed: ``None`` where it outlived the timeline.
        end: why it was closed.
        relayed: it was seen by the relay, which knows of its moments exactly.
    """

    address: str
    opened: float
    environment: str | None
    function: str | None = None
    session: int | None = None
    closed: float | None = None
    end: str = ""
    zombie_since: float | None = None
    stale_since: float | None = None
    relayed: bool = True


@dataclass(slots=True)
class Chronicle:
    """All lives of a timeline, each kind in the order in which they began; and how many events of each kind it has."""

    begin: float = 0.0
    end: float = 0.0
    environments: dict[str, EnvironmentLife] = field(default_factory=dict)
    invocations: list[InvocationLife] = field(default_factory=list)
    sessions: list[SessionLife] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def levels(self) -> list[tuple[float, int, int]]:
        """How many sessions were open, and how many of them were zombies, from each moment of a change on."""
        steps: list[tuple[float, int, int]] = []
        for session in self.sessions:
            steps.append((session.opened, 1, 0))
            if session.zombie_since is not None:
                steps.append((session.zombie_since, 0, 1))
            if session.closed is not None:
                steps.append((session.closed, -1, -1 if session.zombie_since is not None else 0))
        levels: list[tuple[float, int, int]] = []
        opened = zombies = 0
        for moment, more, more_zombies in sorted(steps):
            opened, zombies = opened + more, zombies + more_zombies
            if levels and levels[-1][0] == moment:
                levels.pop()
            levels.append((moment, opened, zombies))
        return levels

    @property
    def peak(self) -> int:
        """The most sessions that were open at once."""
        return max((opened for _, opened, _ in self.levels()), default=0)


def chronicle_of(events: Iterable[TimelineEvent]) -> Chronicle:
    """Follow events, oldest first. What began before the first of them begins with it."""
    told = _Teller()
    for event in events:
        told.hear(event)
    return told.finished()


class _Teller:
    def __init__(self) -> None:
        self._made = Chronicle()
        self._running: dict[str, InvocationLife] = {}
        self._by_address: dict[str, SessionLife] = {}
        self._by_session: dict[int, SessionLife] = {}

    def hear(self, event: TimelineEvent) -> None:
        made = self._made
        if not made.kinds:
            made.begin = event.at
        made.end = max(made.end, event.at)
        made.kinds[event.kind] += 1
        if event.kind in _STATES:
            self._state(event, _STATES[event.kind])
        elif event.kind.startswith("invocation."):
            self._invocation(event)
        elif event.kind.startswith("connection."):
            self._connection(event, event.kind.removeprefix("connection."))
        elif event.kind.startswith("session."):
            self._session(event, event.kind.removeprefix("session."))

    def finished(self) -> Chronicle:
        made = self._made
        made.invocations.sort(key=lambda invocation: invocation.begin)
        for environment in made.environments.values():
            last = environment.stays[-1]
            last.end = last.end if last.state == State.GONE else made.end
        for session in made.sessions:
            life = made.environments.get(session.environment or "")
            session.function = session.function or (life.function if life is not None else None)
        return made

    def _state(self, event: TimelineEvent, state: str) -> None:
        if event.environment is None:
            return
        life = self._made.environments.get(event.environment)
        if life is None:
            cold = state == State.STARTING and event.request_id is not None
            life = self._made.environments[event.environment] = EnvironmentLife(event.environment, event.function, cold)
        if life.stays:
            life.stays[-1].end = event.at
        life.stays.append(Stay(state, event.at, event.at, event.reason))
        if state == State.INVOKING and event.request_id is not None:
            self._running[event.request_id] = InvocationLife(
                event.request_id, event.function, event.environment, event.at, event.at
            )

    def _invocation(self, event: TimelineEvent) -> None:
        if event.request_id is None:
            return
        if event.kind == "invocation.answered" and event.request_id in self._running:
            self._running[event.request_id].answered = event.at
        elif event.kind == "invocation.finished":
            detail = event.detail or {}
            duration = detail.get("duration_ms")
            life = self._running.pop(event.request_id, None)
            if life is None:  # it came to nothing before it was handed out, or began before the timeline does
                begin = max(self._made.begin, event.at - (duration or 0.0) / 1000)
                life = InvocationLife(event.request_id, event.function, event.environment, begin, event.at)
            life.end, life.duration_ms, life.error = event.at, duration, detail.get("error")
            self._made.invocations.append(life)

    def _connection(self, event: TimelineEvent, what: str) -> None:
        address = _address((event.detail or {}).get("source"))
        if address is None:
            return
        if what == "opened":
            self._begin(SessionLife(address, event.at, event.environment, event.function))
            return
        life = self._by_address.get(address)
        if life is None:
            return
        if what == "closed":
            life.closed, life.end = event.at, event.reason
        elif what == "refused":
            self._made.sessions.remove(life)
            del self._by_address[address]
        elif what == "zombie":
            life.zombie_since = life.zombie_since or event.at
        elif what == "stale":
            life.stale_since = life.stale_since or event.at

    def _session(self, event: TimelineEvent, what: str) -> None:
        detail = event.detail or {}
        number, address = detail.get("session"), str(detail.get("client"))
        if not isinstance(number, int) or event.environment is None:
            return  # somebody else's; the emulator is not asked about it
        if what == "opened":
            life = self._by_address.get(address)
            if life is None or life.session is not None:
                life = self._begin(
                    SessionLife(address, event.at, event.environment, event.function, number, relayed=False)
                )
            life.session = number
            self._by_session[number] = life
        elif (known := self._by_session.get(number)) is not None:
            if what == "zombie":
                known.zombie_since = known.zombie_since or event.at
            elif what == "closed" and known.closed is None:
                known.closed, known.end = event.at, event.reason

    def _begin(self, life: SessionLife) -> SessionLife:
        self._by_address[life.address] = life
        self._made.sessions.append(life)
        return life


def _address(source: Any) -> str | None:
    return f"{source[0]}:{source[1]}" if isinstance(source, list | tuple) and len(source) == 2 else None
