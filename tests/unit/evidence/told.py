"""A timeline that a test tells by hand, in the words that the emulator uses."""

from __future__ import annotations

from typing import Any

from emulator.clock import FakeClock
from emulator.evidence import Evidence
from emulator.model import Session
from emulator.timeline import Timeline

__all__ = ["Told"]


class Told:
    """What happened to the environments of ``orders``; ports stand for connections."""

    def __init__(self, function: str = "orders") -> None:
        self.clock = FakeClock()
        self.timeline = Timeline(self.clock)
        self.function = function
        self._requests: dict[str, str] = {}

    def evidence(self, function: str | None = None, *, since: int = 0, before: tuple[Session, ...] = ()) -> Evidence:
        return Evidence.of(self.timeline.since(since), function, before=before)

    @property
    def last(self) -> int:
        return self.timeline.last_seq

    # -- environments ------------------------------------------------------------------------------------

    def is_now(self, state: str, environment: str = "e1", reason: str = "", request: str | None = None) -> None:
        self._record(f"environment.{state}", environment, reason, request)

    def starts(self, request: str | None, environment: str = "e1") -> None:
        """A cold start, up to its init."""
        self._begin(request, environment)
        self.is_now("starting", environment, "cold start", request)
        self.is_now("init", environment, request=request)

    def invokes(self, request: str, environment: str = "e1") -> None:
        """The event is handed out, after a thaw or an init."""
        self._begin(request, environment)
        self.is_now("invoking", environment, request=request)

    def thaws(self, request: str, environment: str = "e1") -> None:
        self._begin(request, environment)
        self.is_now("thawing", environment, "an event came", request)
        self.invokes(request, environment)

    def freezes(self, environment: str = "e1") -> None:
        """The invocation is over, and everything stops."""
        self._record("invocation.finished", environment, "", self._requests.get(environment))
        for state in ("idle", "freezing", "frozen"):
            self.is_now(state, environment)

    def ends(self, environment: str = "e1", reason: str = "idle 8 min >= 7 min") -> None:
        for state in ("shutting-down", "gone"):
            self.is_now(state, environment, reason)

    # -- connections -------------------------------------------------------------------------------------

    def opens(self, port: int, environment: str = "e1", *, place: str | None = None) -> None:
        self._connection("opened", port, environment, "the client connected")
        if place is not None:
            self.tells_place(port, place, environment)

    def tells_place(self, port: int, place: str, environment: str = "e1") -> None:
        self._record("connection.origin", environment, place, self._requests.get(environment), {"port": port})

    def uses(self, port: int, environment: str = "e1") -> None:
        self._connection("used", port, environment, "")

    def breaks(self, port: int, environment: str = "e1") -> None:
        self._connection("broken", port, environment, "a reset answers")

    def goes_stale(self, port: int, environment: str = "e1") -> None:
        self._connection("stale", port, environment, "no byte passed for 350 s, and the path (nat) has forgotten it")

    def becomes_zombie(self, port: int, environment: str = "e1") -> None:
        self._connection("zombie", port, environment, "its environment is gone and the server does not know")

    def closes(self, port: int, by: str, environment: str = "e1", reason: str = "it was closed") -> None:
        self._connection("closed", port, environment, reason, ended_by=by)

    def is_seen(self, session: int, port: int, environment: str = "e1", kind: str = "opened") -> None:
        """The observer speaks of it: it knows the server's number, and the server's view of the other end."""
        detail = {"session": session, "client": f"127.77.0.2:{port + 1}"}
        self._record(f"session.{kind}", environment, "", self._requests.get(environment), detail)

    # -- inside ------------------------------------------------------------------------------------------

    def _begin(self, request: str | None, environment: str) -> None:
        if request is not None:
            self._requests[environment] = request

    def _connection(self, kind: str, port: int, environment: str, reason: str, **detail: Any) -> None:
        ends = {"client": ("127.0.0.1", port), "source": ("127.77.0.2", port + 1)}
        self.timeline.record(
            f"connection.{kind}",
            reason,
            environment=environment,
            request_id=self._requests.get(environment),
            detail=ends | detail,
        )

    def _record(
        self, kind: str, environment: str, reason: str, request: str | None, detail: dict[str, Any] | None = None
    ) -> None:
        self.timeline.record(
            kind, reason, function=self.function, environment=environment, request_id=request, detail=detail
        )
