"""One measured thing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """One measured thing, in microseconds."""

    name: str
    median: float
    p99: float
    minimum: float
    maximum: float
    count: int

    @classmethod
    def of(cls, name: str, seconds: Sequence[float]) -> Figure:
        ordered = sorted(value * 1e6 for value in seconds)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return cls(name, statistics.median(ordered), p99, ordered[0], ordered[-1], len(ordered))
