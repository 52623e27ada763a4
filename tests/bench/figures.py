"""Pure: what was measured, how it compares, and whether that meets its mark."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Row", "Spread", "missing", "percentile", "ratio_of_rounds", "slope"]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values lies, by nearest rank; the share is from 0 to 1."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * share) - 1))]


@dataclass(frozen=True, slots=True)
class Spread:
    """Many measurements of one thing, in one unit."""

    minimum: float
    median: float
    p99: float
    maximum: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        ordered = sorted(values)
        return cls(ordered[0], statistics.median(ordered), percentile(ordered, 0.99), ordered[-1], len(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        part: of the bench, as ``--only`` names it.
        name: what was measured.
        measured: of the product, in ``unit``; ``None`` where it could not be, and ``note`` says why.
        unit: ``s``, ``B``, ``/s``, or ``%``.
        peer: whose figure stands beside it, in the same unit.
        against: that figure.
        value: what the mark is about: the figure itself, or its relation to the peer's.
        value_unit: ``x`` for a ratio, else a unit.
        limit: the mark; without one the row is there to be read.
        at_least: the value has to reach the mark, not to stay below it.
        note: what a reader has to know.
    """

    part: str
    name: str
    measured: Spread | None = None
    unit: str = "s"
    peer: str = ""
    against: float | None = None
    value: float | None = None
    value_unit: str = "x"
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the mark is met; ``None`` where there is none, or nothing was measured."""
        if self.limit is None or self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def missing(part: str, name: str, reason: str, *, peer: str = "") -> Row:
    """A row that could not be measured, and why."""
    return Row(part=part, name=name, peer=peer, note=reason)


def ratio_of_rounds(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """How one's median compares to another's that was measured in turns with it: the middle one of all rounds."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(statistics.median(mine) / statistics.median(other) for mine, other in pairs)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much a value grows by for each one of what it stands over: the line of least squares."""
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
