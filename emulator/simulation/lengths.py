"""How long things take: a fixed length of time, or one to draw, as people write it on a command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Self

from emulator.errors import ConfigurationError
from emulator.spans import seconds_of

__all__ = ["Lengths", "Shape"]

_MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*ms")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FORMS = "0.2, 200ms, 1m30s, 50ms..200ms (uniform), exp:200ms (by its mean), lognormal:200ms,0.5 (median and sigma)"


class Shape(StrEnum):
    """How lengths are spread."""

    FIXED = "fixed"
    UNIFORM = "uniform"
    EXPONENTIAL = "exp"
    LOGNORMAL = "lognormal"


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths of time.

    Arguments:
        first: seconds: the length, the shortest, the mean, or the median.
        second: the longest of a uniform one, in seconds, or the sigma of a lognormal one.
    """

    shape: Shape
    first: float
    second: float = 0.0

    @classmethod
    def of(cls, text: str) -> Self:
        """From what stands on a command line.

        Raises:
            ConfigurationError: it is none of the forms, which are told.
        """
        try:
            return cls._parsed(text)
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is no length of time", cure=f"Write one of: {_FORMS}.") from error

    @classmethod
    def _parsed(cls, text: str) -> Self:
        name, colon, rest = text.strip().partition(":")
        if not colon and ".." in name:
            shortest, _, longest = name.partition("..")
            low, high = _seconds(shortest), _seconds(longest)
            if low > high:
                raise ValueError("a range begins with its shorter end")
            return cls(Shape.UNIFORM, low, high)
        if not colon:
            return cls(Shape.FIXED, _seconds(name))
        if name == Shape.EXPONENTIAL:
            return cls(Shape.EXPONENTIAL, _seconds(rest))
        if name == Shape.LOGNORMAL:
            median, comma, sigma = rest.partition(",")
            if not comma or not _NUMBER.fullmatch(sigma.strip()):
                raise ValueError("a lognormal one has a median and a sigma")
            return cls(Shape.LOGNORMAL, _seconds(median), float(sigma))
        raise ValueError("there is no such shape")

    def draw(self, chance: Random) -> float:
        """One of them, in seconds. A fixed one draws nothing."""
        match self.shape:
            case Shape.FIXED:
                return self.first
            case Shape.UNIFORM:
                return chance.uniform(self.first, self.second)
            case Shape.EXPONENTIAL:
                return chance.expovariate(1.0) * self.first
            case Shape.LOGNORMAL:
                return chance.lognormvariate(0.0, self.second) * self.first

    @property
    def mean(self) -> float:
        """Seconds, in the long run."""
        match self.shape:
            case Shape.FIXED | Shape.EXPONENTIAL:
                return self.first
            case Shape.UNIFORM:
                return (self.first + self.second) / 2
            case Shape.LOGNORMAL:
                return self.first * math.exp(self.second**2 / 2)

    def __str__(self) -> str:
        match self.shape:
            case Shape.FIXED:
                return _in_words(self.first)
            case Shape.UNIFORM:
                return f"{_in_words(self.first)} to {_in_words(self.second)}, uniform"
            case Shape.EXPONENTIAL:
                return f"{_in_words(self.first)} on average, exponential"
            case Shape.LOGNORMAL:
                return f"{_in_words(self.first)} in the median, lognormal with sigma {self.second:g}"


def _seconds(text: str) -> float:
    text = text.strip()
    if (found := _MILLISECONDS.fullmatch(text)) is not None:
        return float(found[1]) / 1000
    return seconds_of(float(text) if _NUMBER.fullmatch(text) else text)


def _in_words(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if 0 < seconds < 1 else f"{seconds:g} s"
