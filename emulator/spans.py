"""Spans of time as people write and read them: ``"7m"``, ``"5m..10m"``, ``7 min 2 s``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

__all__ = ["LONGEST", "Span", "in_words", "seconds_of"]

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*(d|h|m|s)\s*)+")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|m|s)")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
LONGEST = 100 * 365 * 86_400.0
"""Seconds; an event loop cannot wait for longer."""


def seconds_of(value: float | str) -> float:
    """Seconds, from a number of them or from ``"7m"``, ``"1h30m"``, ``"90s"``.

    Raises:
        ValueError: it is neither; the message says what is allowed.
    """
    if isinstance(value, str):
        if not _DURATION.fullmatch(value.strip()):
            raise ValueError('a duration is written like "7m", "1h30m" or "90s"')
        found = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    elif isinstance(value, bool) or not isinstance(value, int | float) or _is_nan(value):
        raise ValueError('a duration is a number of seconds, or written like "7m"')
    else:
        found = min(value, LONGEST + 1.0)  # a whole number may be more than a float can be
    if found < 0:
        raise ValueError("input should be greater than 0")
    if found > LONGEST:
        raise ValueError("a duration is a hundred years at most")
    return float(found)


def _is_nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in seconds, or a range to draw one from."""

    low: float
    high: float

    @classmethod
    def of(cls, value: float | str) -> Self:
        """From what :func:`seconds_of` takes, or from a range of two such: ``"5m..10m"``. Nothing is no span.

        Raises:
            ValueError: it is no span; the message says what is allowed.
        """
        if isinstance(value, str) and ".." in value:
            low, _, high = value.partition("..")
            span = cls(seconds_of(low), seconds_of(high))
            if span.low > span.high:
                raise ValueError('a range begins with its shorter end, as in "5m..10m"')
        else:
            seconds = seconds_of(value)
            span = cls(seconds, seconds)
        if span.low <= 0:
            raise ValueError("input should be greater than 0")
        return span

    @property
    def is_fixed(self) -> bool:
        return self.low == self.high

    def at(self, fraction: float) -> float:
        """The length that lies so far into the range, 0 to 1."""
        return self.low + (self.high - self.low) * fraction

    def __str__(self) -> str:
        return in_words(self.low) if self.is_fixed else f"{in_words(self.low)} to {in_words(self.high)}"


def in_words(seconds: float) -> str:
    """``7 min 2 s``: two units at most, enough to compare by eye."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, part_size, part_unit in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            count, rest = divmod(whole, size)
            part = rest // part_size
            return f"{count} {unit} {part} {part_unit}" if part else f"{count} {unit}"
    raise AssertionError("a minute is the smallest of these units")
