"""What happens to sessions, told to the timeline: opened, closed, and left behind by their environment."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.clock import Clock
from emulator.model import ConnectionsSummary, Session
from emulator.timeline import Timeline

__all__ = ["SessionHistory"]

# A server needs a moment to see that a client is gone. Only what outlives that moment is a zombie worth telling.
# The server lives in real time, so on a faster clock the moment is longer.
_GRACE = 0.25


class SessionHistory:
    """Compares each look at the server with the one before."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self._timeline = timeline
        self._clock = clock
        self._known: dict[int, Session] = {}
        self._zombie_since: dict[int, float] = {}
        self._told: set[int] = set()
        self._looked_before = False

    def restart(self) -> None:
        """The server was started anew: no session lived through that."""
        for session in self._known.values():
            self._closed(session, "the server was started anew")
        self._known = {}

    def update(self, sessions: Sequence[Session], summary: ConnectionsSummary) -> None:
        """Tell what is new."""
        now = {session.id: session for session in sessions}
        for session in self._known.values():
            if session.id not in now:
                self._closed(session, _end_of(session))
        for session in sessions:
            if session.id not in self._known:
                self._opened(session)
            if session.zombie:
                self._zombie(session, summary.wait_timeout)
        self._known = now
        self._looked_before = True

    def _opened(self, session: Session) -> None:
        reason = "a client logged in" if self._looked_before else "it was there when the emulator first looked"
        self._record("session.opened", reason, session)

    def _closed(self, session: Session, reason: str) -> None:
        self._zombie_since.pop(session.id, None)
        self._told.discard(session.id)
        self._record("session.closed", reason, session)

    def _zombie(self, session: Session, wait_timeout: int) -> None:
        moment = self._clock.monotonic()
        since = self._zombie_since.setdefault(session.id, moment)
        if session.id in self._told or moment - since < _GRACE * self._clock.speed:
            return
        self._told.add(session.id)
        reason = (
            "its environment is gone without a word and the server does not know: it holds the session "
            f"until nothing was heard for wait_timeout, {wait_timeout} s"
        )
        self._record("session.zombie", reason, session)

    def _record(self, kind: str, reason: str, session: Session) -> None:
        self._timeline.record(
            kind,
            reason,
            function=session.function,
            environment=session.environment,
            request_id=session.request_id,
            detail={
                "session": session.id,
                "user": session.user,
                "client": session.client_address,
                "database": session.database,
            },
        )


def _end_of(session: Session) -> str:
    if session.zombie:
        return f"the server gave it up, {session.seconds:.0f} s after it last heard of its environment"
    return "its client or the server closed it"
