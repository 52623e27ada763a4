"""Events that come at random: a Poisson process for each function, of single events or of bursts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Self

from emulator.errors import ConfigurationError
from emulator.simulation.workload import MOST_EVENTS, Workload, WorkloadBuilder, too_many
from emulator.spans import in_words

__all__ = ["Rate", "poisson"]

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:\s*/\s*(s|m|min|h|d))?")
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something comes on average."""

    text: str
    per_second: float

    @classmethod
    def of(cls, text: str) -> Self:
        """From ``"2"`` (a second), ``"30/m"`` or ``"100/h"``.

        Raises:
            ConfigurationError: it is no rate above zero.
        """
        found = _RATE.fullmatch(text.strip())
        if found is None or not float(found[1]):
            raise ConfigurationError(
                f"{text!r} is no rate", cure="Write a number of events a second, or one like 30/m, 100/h or 5000/d."
            )
        return cls(text.strip(), float(found[1]) / _UNITS[found[2] or "s"])

    def __str__(self) -> str:
        return self.text if "/" in self.text else f"{self.text}/s"


def poisson(rate: Rate, duration: float, functions: Sequence[str], chance: Random, burst: int = 1) -> Workload:
    """Events at random moments that know nothing of each other.

    Arguments:
        rate: of each function.
        duration: seconds.
        burst: so many events come at each of the moments.

    Raises:
        ConfigurationError: no time, or too many events.
    """
    if duration <= 0:
        raise ConfigurationError("there is no time to simulate", cure="Give --duration a span, such as 24h.")
    each = f"{rate} in bursts of {burst}" if burst > 1 else str(rate)
    for_each = f" for each of {len(functions)} functions" if len(functions) > 1 else ""
    source = f"Poisson, {each}{for_each}, {in_words(duration)}"
    if rate.per_second * duration * burst * len(functions) > MOST_EVENTS:
        raise too_many(source)
    builder = WorkloadBuilder(source, duration)
    for function in functions:
        at = chance.expovariate(rate.per_second)
        while at < duration:
            for _ in range(burst):
                builder.add(at, function)
            at += chance.expovariate(rate.per_second)
    if not len(builder):
        raise ConfigurationError(
            f"{source}: by chance there is no event", cure="Take a higher rate, a longer --duration or another --seed."
        )
    return builder.build(begin=0.0)
