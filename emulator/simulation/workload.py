"""Events over time, by the million: when each comes, for which function, and how long it takes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from emulator.errors import ConfigurationError
from emulator.simulation.lengths import Lengths

__all__ = ["MOST_EVENTS", "Workload", "WorkloadBuilder", "too_many"]

MOST_EVENTS = 10_000_000
"""More than this takes more memory, and more patience, than one process should."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Events in the order in which they come.

    Attributes:
        source: where it comes from, in words.
        functions: names, in the order in which they first occur.
        at: moments in seconds from the beginning.
        which: for each event the number of its function.
        durations: how long each takes, in seconds; not a number where that is not said.
        span: for how long to watch, in seconds from the beginning; what runs then is waited for.
    """

    source: str
    functions: tuple[str, ...]
    at: array[float]
    which: array[int]
    durations: array[float]
    span: float

    def __len__(self) -> int:
        return len(self.at)

    def __iter__(self) -> Iterator[tuple[float, int, float]]:
        return zip(self.at, self.which, self.durations, strict=True)

    @property
    def says_durations(self) -> bool:
        """Whether it says itself how long every event takes."""
        return not any(map(math.isnan, self.durations))

    def with_durations(self, lengths: Lengths, chance: Random) -> Workload:
        """With a length drawn for every event that has none; so each policy meets the very same events."""
        drawn = array("d", (lengths.draw(chance) if math.isnan(known) else known for known in self.durations))
        return Workload(self.source, self.functions, self.at, self.which, drawn, self.span)


class WorkloadBuilder:
    """Takes events in any order.

    Arguments:
        source: in words, for complaints too.
        until: only events before this many seconds after the first moment.
    """

    def __init__(self, source: str, until: float | None = None) -> None:
        self.source = source
        self._until = until
        self._numbers: dict[str, int] = {}
        self._at = array("d")
        self._which = array("L")
        self._durations = array("d")

    def __len__(self) -> int:
        return len(self._at)

    def add(self, at: float, function: str, duration: float = math.nan) -> None:
        """One more event.

        Raises:
            ConfigurationError: there are too many.
        """
        if len(self._at) >= MOST_EVENTS:
            raise too_many(self.source)
        self._at.append(at)
        self._which.append(self._numbers.setdefault(function, len(self._numbers)))
        self._durations.append(duration)

    def build(self, *, begin: float | None = None, span: float | None = None) -> Workload:
        """All of them, in order.

        Arguments:
            begin: the moment that counts as the beginning; the first event's by default.
            span: seconds; up to the last event by default.

        Raises:
            ConfigurationError: there is no event.
        """
        at = self._at
        if begin is None:
            begin = min(at, default=0.0)
        end = math.inf if self._until is None else begin + self._until
        order = [number for number in range(len(at)) if at[number] < end]
        if not order:
            raise ConfigurationError(f"{self.source}: there is no event", cure="Name a trace with events in it.")
        order.sort(key=at.__getitem__)
        moments = array("d", (at[number] - begin for number in order))
        return Workload(
            self.source,
            tuple(self._numbers),
            moments,
            array("L", (self._which[number] for number in order)),
            array("d", (self._durations[number] for number in order)),
            self._until if self._until is not None else span if span is not None else moments[-1],
        )


def too_many(source: str) -> ConfigurationError:
    """The complaint about a workload that is too large."""
    return ConfigurationError(
        f"{source}: there are more than {MOST_EVENTS:,} events",
        cure="Take some functions of it (--function), less of its time (--duration), or a lower rate.",
    )
