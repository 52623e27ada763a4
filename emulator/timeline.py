"""The one ordered record of everything that happened, on one clock.

Appending is all that the hot path does: no formatting, no I/O. The record is bounded; what falls out at
the old end is counted, never lost silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from emulator.clock import Clock

__all__ = ["Timeline", "TimelineEvent"]


class TimelineEvent(NamedTuple):
    """One thing that happened.

    ``seq`` counts from 1 without gaps; ``at`` is seconds since the epoch on the emulator's clock; ``kind``
    is a word with a full stop in it (``environment.frozen``); ``reason`` says why, in words for people.
    """

    seq: int
    at: float
    kind: str
    function: str | None
    environment: str | None
    request_id: str | None
    reason: str
    detail: Mapping[str, Any] | None


class Timeline:
    """The record itself. ``limit`` is how many events are kept."""

    def __init__(self, clock: Clock, limit: int = 100_000) -> None:
        self._clock = clock
        self._events: deque[TimelineEvent] = deque(maxlen=limit)
        self._seq = 0
        self._listeners: list[Callable[[TimelineEvent], None]] = []

    def record(
        self,
        kind: str,
        reason: str = "",
        *,
        function: str | None = None,
        environment: str | None = None,
        request_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one event."""
        self._seq += 1
        event = TimelineEvent(self._seq, self._clock.now(), kind, function, environment, request_id, reason, detail)
        self._events.append(event)
        if self._listeners:
            for listener in tuple(self._listeners):  # one may end itself while it is called
                listener(event)

    @property
    def last_seq(self) -> int:
        return self._seq

    @property
    def dropped(self) -> int:
        """How many events have fallen out at the old end."""
        return self._seq - len(self._events)

    def since(self, seq: int = 0) -> Iterator[TimelineEvent]:
        """Every kept event after number ``seq``, oldest first."""
        skip = max(0, seq - self.dropped)
        return iter(list(self._events)[skip:])

    def listen(self, listener: Callable[[TimelineEvent], None]) -> Callable[[], None]:
        """Call ``listener`` for every event from now on; the answer is a function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
