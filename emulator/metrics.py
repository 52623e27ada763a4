"""Counts for monitoring, taken from the timeline in pages: the hot path has nothing to do with them. Pure.

The names that people know from CloudWatch are those of :mod:`emulator.api.metrics`; here are only the figures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from emulator.timeline import Page, Timeline, TimelineEvent, Wanted

__all__ = ["DURATIONS", "LAGS", "Histogram", "Metrics"]

_MS = 0.001
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Upper bounds of buckets for what functions do, in seconds; the last one is the longest timeout that AWS allows."""
LAGS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Likewise, for freezes: microseconds by control groups, milliseconds by an engine."""

_COUNTED = Wanted(
    kinds=(
        "invocation.finished",
        "invocation.throttled",
        "event.throttled",
        "environment.starting",
        "environment.frozen",
        "connection.",
        "session.zombie",
    )
)
_GATHER = 1.0  # seconds from one count to the next, where nobody asks


class Histogram:
    """How many observations fell under each bound, and their sum."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one, in the unit of the bounds."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def cumulative(self) -> list[tuple[float, int]]:
        """Each bound, infinity at last, with how many observations were at most that."""
        found, so_far = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found


class Metrics:
    """Figures since the start; those of functions by the function's name.

    Attributes:
        connections: by what happened to them: ``opened``, ``closed``, ``zombie`` ...
        missed: events that had fallen out of the timeline before they were counted.
    """

    def __init__(self) -> None:
        self.invocations: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.throttles: Counter[str] = Counter()
        self.cold_starts: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()
        self.zombie_sessions = 0
        self.missed = 0
        self.durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATIONS))
        self.extensions: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATIONS))
        self.freezes: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(LAGS))
        self._last = 0

    async def follow(self, timeline: Timeline) -> None:
        """Count what comes, until the timeline ends its followers."""
        async for page in timeline.follow(0, _COUNTED, most=200, gather=_GATHER):
            self._take(page)

    def catch_up(self, timeline: Timeline) -> None:
        """Count what has come until now, for somebody who asks."""
        more = True
        while more:
            page = timeline.read(self._last, _COUNTED)
            self._take(page)
            more = page.more

    def _take(self, page: Page) -> None:
        if page.last <= self._last:
            return
        if page.lost is not None:
            self.missed += max(0, page.lost[1] - max(self._last, page.lost[0] - 1))
        self.count(event for event in page.events if event.seq > self._last)
        self._last = page.last

    def count(self, events: Iterable[TimelineEvent]) -> None:
        """Count these, each for the first time."""
        for event in events:
            function, detail = event.function or "", event.detail or {}
            if event.kind == "environment.frozen":
                self.freezes[function].observe(detail.get("lag_ms", 0.0) * _MS)
            elif event.kind == "invocation.finished":
                self.invocations[function] += 1
                self.errors[function] += "error" in detail
                self.durations[function].observe(detail.get("duration_ms", 0.0) * _MS)
                if "extensions_ms" in detail:
                    self.extensions[function].observe(detail["extensions_ms"] * _MS)
            elif event.kind.endswith(".throttled"):
                self.throttles[function] += 1
            elif event.kind == "environment.starting":
                self.cold_starts[function] += event.request_id is not None
            elif event.kind == "session.zombie":
                self.zombie_sessions += 1
            else:
                self.connections[event.kind.partition(".")[2]] += 1
