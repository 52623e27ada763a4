"""Timelines that tests tell: a few lines, and every event has its number and its moment."""

from __future__ import annotations

from typing import Any

from emulator.clock import FakeClock
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["BEGIN", "Told"]

BEGIN = 1000.0


class Told:
    """A timeline whose moments the test says, in seconds since :data:`BEGIN`."""

    def __init__(self) -> None:
        self._clock = FakeClock(start=BEGIN)
        self.timeline = Timeline(self._clock)

    @property
    def events(self) -> list[TimelineEvent]:
        return list(self.timeline.since())

    def at(self, moment: float, kind: str, environment: str | None = None, reason: str = "", **said: Any) -> Told:
        """One event; answers itself, for the next one."""
        self._clock.advance_to(moment)
        function = said.pop("function", "orders")
        self.timeline.record(kind, reason, environment=environment, function=function, **said)
        return self

    def life(self, environment: str, begin: float, *states: str, request_id: str | None = None) -> Told:
        """An environment that is in each of these states for a second, and then in the last one."""
        for number, state in enumerate(states):
            self.at(begin + number, f"environment.{state}", environment, f"why {state}", request_id=request_id)
        return self

    def invocation(self, environment: str, begin: float, request_id: str, **detail: Any) -> Told:
        """One that takes two seconds, and has its answer after one."""
        said = {"environment": environment, "request_id": request_id}
        self.at(begin, "environment.invoking", **said)
        self.at(begin + 1, "invocation.answered", **said)
        self.at(begin + 2, "invocation.finished", **said, detail={"duration_ms": 2000.0, **detail})
        return self.at(begin + 2, "environment.idle", **said)

    def connection(self, moment: float, what: str, environment: str, port: int, reason: str = "") -> Told:
        """Something that the relay tells of a connection."""
        detail = {"client": ("127.0.0.1", 1), "source": ("10.0.0.1", port)}
        return self.at(moment, f"connection.{what}", environment, reason, detail=detail)

    def session(self, moment: float, what: str, environment: str | None, port: int, number: int) -> Told:
        """Something that the server is seen to do."""
        detail = {"session": number, "user": "lambda", "client": f"10.0.0.1:{port}", "database": None}
        return self.at(moment, f"session.{what}", environment, what, detail=detail)
