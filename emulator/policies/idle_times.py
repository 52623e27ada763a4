"""How long a function had nothing to do before its next event: a histogram, as in Serverless in the Wild."""

from __future__ import annotations

import math

__all__ = ["IdleTimes"]


class IdleTimes:
    """Idle times of one function in bins of a minute, up to four hours [X Shahrad et al. 2020].

    An idle time runs from the end of an invocation, with nothing else being served, to the next event.
    """

    BIN = 60.0
    BINS = 240

    def __init__(self) -> None:
        self.count = 0
        self.too_long = 0
        """How many were longer than the range."""
        self._bins = [0] * self.BINS

    def note(self, seconds: float) -> None:
        """One more idle time."""
        self.count += 1
        number = int(seconds // self.BIN)
        if number < self.BINS:
            self._bins[number] += 1
        else:
            self.too_long += 1

    def percentile(self, percent: float) -> float:
        """Seconds that so many per cent of the idle times within the range do not exceed, by whole bins.

        ``0.0`` where there are none.
        """
        wanted = (self.count - self.too_long) * percent / 100
        seen = 0
        for number, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return (number + 1) * self.BIN
        return 0.0

    @property
    def variation(self) -> float:
        """The bins' coefficient of variation: high where idle times keep to a few bins, near 0 where they do not."""
        mean = sum(self._bins) / self.BINS
        if not mean:
            return 0.0
        return math.sqrt(sum((count - mean) ** 2 for count in self._bins) / self.BINS) / mean
