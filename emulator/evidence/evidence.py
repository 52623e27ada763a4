"""The questions that can be asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from emulator.evidence.reading import Reading
from emulator.evidence.stories import EnvironmentStory, InvocationStory, SessionStory
from emulator.lifecycle import State
from emulator.model import EnvironmentId, RequestId, Session
from emulator.timeline import TimelineEvent

__all__ = ["Cause", "Evidence", "Why"]

_AT_REST = frozenset({State.FREEZING, State.FROZEN, State.THAWING})


class Cause(StrEnum):
    """Why a session was opened where there had been one before."""

    FIRST = "first"  # there had been none
    CLOSED_BY_FUNCTION = "closed-by-function"
    CLOSED_WHILE_FROZEN = "closed-while-frozen"  # the server had given it up, and nobody could hear of it
    CLOSED_BY_SERVER = "closed-by-server"  # while the function ran: a restart, a KILL
    FORGOTTEN_BY_PATH = "forgotten-by-path"
    RESET = "reset"  # processes ended with a timeout or a crash, and their connections with them
    RECYCLED = "recycled"  # its environment had ended
    BUSY = "busy"  # its environment served somebody else at that moment
    NOT_USED = "not-used"  # it was open, and the function opened another one all the same
    BESIDE = "beside"  # it was opened by the same invocation: a pool, or two clients
    ELSEWHERE = "elsewhere"  # another environment had it, which was idle


@dataclass(frozen=True, slots=True)
class Why:
    """Why an earlier session was not used: ``reason`` in the words of whatever ended it, where something did."""

    cause: Cause
    earlier: SessionStory | None = None
    environment: EnvironmentStory | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen.

    Attributes:
        sessions: in the order in which they were opened, or first spoken of.
        invocations: in the order in which they began.
        environments: in the order in which they were first spoken of.
        highest: the most sessions that were open at once, zombies included.
    """

    sessions: tuple[SessionStory, ...]
    invocations: tuple[InvocationStory, ...]
    environments: tuple[EnvironmentStory, ...]
    highest: int

    @classmethod
    def of(
        cls, events: Iterable[TimelineEvent], function: str | None = None, *, before: Iterable[Session] = ()
    ) -> Self:
        """Read the events of one function, or of all.

        Arguments:
            events: a stretch of the timeline, in order. For the numbers of sessions the server has to have been looked
                at before its first and before its last moment.
            before: the sessions that it held before the first event, so that these have their numbers, too.
        """
        reading = Reading.of(events, function, {session.client_address: session.id for session in before})
        return cls(
            tuple(reading.sessions.values()),
            tuple(reading.invocations.values()),
            tuple(environment.story for environment in reading.environments.values()),
            reading.peak,
        )

    def opened(self) -> tuple[SessionStory, ...]:
        """Those that were opened within the events."""
        return tuple(session for session in self.sessions if session.is_new)

    def reused(self) -> tuple[SessionStory, ...]:
        """Those that a later invocation used than the one that had opened them."""
        return tuple(session for session in self.sessions if session.used_by)

    def zombies(self) -> tuple[SessionStory, ...]:
        """Those that the server holds for environments that are gone."""
        return tuple(session for session in self.sessions if session.is_zombie)

    def peak(self, environment: EnvironmentId | None = None) -> int:
        """The most sessions that were open at once, of one environment or of all together, zombies included."""
        if environment is None:
            return self.highest
        return next((story.peak for story in self.environments if story.id == environment), 0)

    def peak_of_one(self) -> int:
        """The most sessions that a single environment had open at once."""
        return max((story.peak for story in self.environments), default=0)

    def invocation(self, request_id: RequestId | None) -> InvocationStory | None:
        """One of them by its request id; ``None`` for what ran before the events."""
        return next((story for story in self.invocations if story.request_id == request_id), None)

    def environment(self, environment: EnvironmentId) -> EnvironmentStory | None:
        """One of them by its id."""
        return next((story for story in self.environments if story.id == environment), None)

    def opened_by(self, request_id: RequestId) -> tuple[SessionStory, ...]:
        """What an invocation has opened, the init that it waited for included."""
        return tuple(session for session in self.opened() if session.opened_by == request_id)

    def why(self, session: SessionStory) -> Why:
        """Why this one was opened, and an earlier one was not used."""
        before = [one for one in self.sessions if one.seq < session.seq]
        here = [one for one in before if one.environment == session.environment]
        if here:
            return self._why_here(session, here)
        return self._why_elsewhere(session)

    def _why_here(self, session: SessionStory, here: list[SessionStory]) -> Why:
        """The environment had one before: the last that was still good, else the last of all."""
        usable = [one for one in here if one.end_seq is None or one.end_seq > session.seq]
        if usable:
            beside = session.opened_by is not None and usable[-1].opened_by == session.opened_by
            return Why(Cause.BESIDE if beside else Cause.NOT_USED, usable[-1])
        earlier = here[-1]
        return Why(_cause_of_end(earlier), earlier, reason=earlier.stale or earlier.end or "")

    def _why_elsewhere(self, session: SessionStory) -> Why:
        own = self.invocation(session.opened_by)
        began = own.seq if own is not None else session.seq
        others = [one for one in self.invocations if one.environment != session.environment and one.seq < began]
        if not others:
            return Why(Cause.FIRST)
        last = others[-1]
        environment = self.environment(last.environment)
        sessions = [one for one in self.sessions if one.environment == last.environment and one.seq < session.seq]
        earlier = sessions[-1] if sessions else None
        if environment is not None and environment.end_seq is not None and environment.end_seq < session.seq:
            return Why(Cause.RECYCLED, earlier, environment, environment.end or "")
        if last.runs_at(began):
            return Why(Cause.BUSY, earlier, environment)
        return Why(Cause.ELSEWHERE, earlier, environment)


def _cause_of_end(session: SessionStory) -> Cause:
    if session.stale is not None:
        return Cause.FORGOTTEN_BY_PATH
    if session.ended_by == "environment" or session.end_state == State.RESETTING:
        return Cause.RESET
    if session.ended_by == "client":  # whenever it was heard: who is frozen closes nothing
        return Cause.CLOSED_BY_FUNCTION
    return Cause.CLOSED_WHILE_FROZEN if session.end_state in _AT_REST else Cause.CLOSED_BY_SERVER
