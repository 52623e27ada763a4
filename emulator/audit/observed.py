"""What the timeline says about connections: how many an invocation opened, how many were open at once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from emulator.timeline import TimelineEvent

__all__ = ["most_open", "most_open_in_one", "opened_in"]

_OPENED, _CLOSED = "connection.opened", "connection.closed"


def opened_in(events: Iterable[TimelineEvent], request_id: str) -> int:
    """Connections that reached the server while this invocation, or the init for it, ran."""
    return sum(event.kind == _OPENED and event.request_id == request_id for event in events)


def most_open(events: Iterable[TimelineEvent]) -> int:
    """The most connections that the server held at one moment."""
    most = now = 0
    for event in events:
        now += (event.kind == _OPENED) - (event.kind == _CLOSED)
        most = max(most, now)
    return most


def most_open_in_one(events: Iterable[TimelineEvent]) -> int:
    """The most that one environment held at one moment."""
    most, now = 0, Counter[str]()
    for event in events:
        if event.environment is not None and event.kind in (_OPENED, _CLOSED):
            now[event.environment] += 1 if event.kind == _OPENED else -1
            most = max(most, now[event.environment])
    return most
