"""The rules that settings can name: time, number, chance, failure, and the half of what is idle.

What is drawn for an environment is drawn from its id, which comes from the emulator's seeded source: asked again, a
rule gives the same answer, and the same seed gives the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

from emulator.errors import ConfigurationError
from emulator.invocation import Outcome
from emulator.model import EnvironmentId
from emulator.policies.policy import Composable
from emulator.policies.selection import Reusable
from emulator.spans import Span, in_words

__all__ = ["AfterError", "Chance", "HalfOfIdle", "IdleTimeout", "MaxInvocations", "MaxLifetime", "drawn", "span_of"]

E = TypeVar("E", bound=Reusable)


def drawn(environment: EnvironmentId, purpose: str) -> float:
    """A number from 0 up to 1, always the same for the same environment and purpose."""
    digest = blake2b(f"{environment}/{purpose}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def span_of(value: float | str, what: str) -> Span:
    """A span that a program, not a file, has given.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return Span.of(value)
    except ValueError as error:
        raise ConfigurationError(f"{what} is {value!r}", cure=f"{error}.") from error


@dataclass(frozen=True, slots=True, init=False)
class _Limit(Composable):
    """A span that is fixed, or drawn for each environment."""

    span: Span
    _least: float = field(repr=False, compare=False)

    def __init__(self, span: float | str) -> None:
        found = span_of(span, type(self).__name__)
        object.__setattr__(self, "span", found)
        object.__setattr__(self, "_least", found.low)

    def _limit(self, environment: Reusable) -> float:
        if self.span.is_fixed:
            return self._least
        return self.span.at(drawn(environment.id, type(self).__name__))

    def _in_words(self, what: str, measured: float, environment: Reusable) -> str:
        limit = self._limit(environment)
        words = f"{what} {in_words(max(measured, limit))} >= {in_words(limit)}"
        return words if self.span.is_fixed else f"{words}, drawn from {self.span}"


class IdleTimeout(_Limit):
    """Recycle what nobody has used for a span: seconds, ``"7m"``, or a range to draw from, ``"5m..10m"``."""

    __slots__ = ()

    def verdict(self, environment: Reusable, now: float) -> str | None:
        if now < environment.idle_since + self._least:  # nothing more on the way of every invocation
            return None
        if now < self.due(environment):  # the very comparison that a timer for that moment made: no rounding
            return None
        return self._in_words("idle", now - environment.idle_since, environment)

    def due(self, environment: Reusable) -> float:
        return environment.idle_since + self._limit(environment)

    def __str__(self) -> str:
        return f"idle timeout {self.span}"


class MaxLifetime(_Limit):
    """Recycle what is older than a span, also when it is in constant use; as :class:`IdleTimeout` takes it."""

    __slots__ = ()

    def verdict(self, environment: Reusable, now: float) -> str | None:
        if now < environment.created_at + self._least or now < self.due(environment):
            return None
        return self._in_words("age", now - environment.created_at, environment)

    def due(self, environment: Reusable) -> float:
        return environment.created_at + self._limit(environment)

    def __str__(self) -> str:
        return f"lifetime {self.span}"


@dataclass(frozen=True, slots=True)
class MaxInvocations(Composable):
    """Recycle what has served ``count`` invocations."""

    count: int

    def verdict(self, environment: Reusable, now: float) -> str | None:
        served = environment.invocations
        return f"{served} invocations >= {self.count}" if served >= self.count else None

    def due(self, environment: Reusable) -> float | None:
        return None

    def __str__(self) -> str:
        return f"{self.count} invocations"


@dataclass(frozen=True, slots=True)
class Chance(Composable):
    """Recycle after an invocation with a probability, 0 to 1."""

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigurationError(f"chance is {self.probability}", cure="A probability lies between 0 and 1.")

    def after_invocation(self, environment: Reusable, outcome: Outcome) -> str | None:
        number = drawn(environment.id, f"Chance {environment.invocations}")
        return f"drew {number:.3g} < chance {self.probability:g}" if number < self.probability else None

    def __str__(self) -> str:
        return f"chance {self.probability:g} per invocation"


@dataclass(frozen=True, slots=True)
class AfterError(Composable):
    """Recycle after an invocation that failed, by an error that the function reported or by its end.

    Not what AWS does: there a handled error leaves the environment warm, and another failure resets it.
    """

    def after_invocation(self, environment: Reusable, outcome: Outcome) -> str | None:
        answer, report = outcome.answer, outcome.report
        if answer is not None and answer.function_error is not None:
            return f"its invocation failed: {answer.error_type or answer.function_error}"
        if report is not None and report.status is not None:  # after it had answered
            return f"its invocation failed: {report.error_type or report.status}"
        return None

    def __str__(self) -> str:
        return "after an error"


@dataclass(frozen=True, slots=True, init=False)
class HalfOfIdle(Composable):
    """Every so often, recycle half of a function's idle environments, those first that are idle longest.

    [X] Measured of AWS in 2018: half of them every 300 s or so, until two or three are left (Wang et al.,
    USENIX ATC '18). The last ones are left to an idle timeout.

    Arguments:
        every: the period: seconds or ``"5m"``. It begins when the first environment is idle.
        leave: so few are left alone.
    """

    every: float
    leave: int

    def __init__(self, every: float | str = 300.0, leave: int = 3) -> None:
        span = span_of(every, "HalfOfIdle")
        if not span.is_fixed:
            raise ConfigurationError(f"HalfOfIdle is {every!r}", cure='Its period is one span, such as "5m".')
        object.__setattr__(self, "every", span.low)
        object.__setattr__(self, "leave", leave)

    def pick(self, idle: Sequence[E]) -> Iterable[tuple[E, str]]:
        count = len(idle)
        if count <= self.leave:
            return []
        reason = f"half of {count} idle ones go every {in_words(self.every)}, idle longest first"
        return [(environment, reason) for environment in idle[: count // 2]]

    def __str__(self) -> str:
        return f"half of the idle ones every {in_words(self.every)}"
