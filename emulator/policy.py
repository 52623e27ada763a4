"""Which environment serves next, and when one is recycled: every decision with its reason.

A policy is a set of rules. A rule looks at what is known of an environment and either says why it has to go or
when it might have to. AWS documents none of this; ``aws`` copies what people measured (docs/policies.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from emulator.model import Reclaim

__all__ = [
    "PRESETS",
    "IdleTimeout",
    "MaxInvocations",
    "MaxLifetime",
    "Policy",
    "Reusable",
    "Rule",
    "in_words",
]


class Reusable(Protocol):
    """What a policy may know of an environment; moments are readings of the clock's ``monotonic``."""

    @property
    def created_at(self) -> float: ...

    @property
    def idle_since(self) -> float: ...

    @property
    def invocations(self) -> int: ...


class Rule(Protocol):
    """One reason for which an environment may be recycled."""

    def verdict(self, environment: Reusable, now: float) -> str | None:
        """Why the environment has to go, or nothing."""
        ...

    def due(self, environment: Reusable) -> float | None:
        """When the rule will speak if the environment stays idle; ``None`` for never."""
        ...


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """Recycle what nobody has used for ``seconds``."""

    seconds: float

    def verdict(self, environment: Reusable, now: float) -> str | None:
        if now < self.due(environment):  # the very comparison that a timer for that moment made: no rounding
            return None
        return f"idle {in_words(max(now - environment.idle_since, self.seconds))} >= {in_words(self.seconds)}"

    def due(self, environment: Reusable) -> float:
        return environment.idle_since + self.seconds


@dataclass(frozen=True, slots=True)
class MaxLifetime:
    """Recycle what is older than ``seconds``, also when it is in constant use."""

    seconds: float

    def verdict(self, environment: Reusable, now: float) -> str | None:
        if now < self.due(environment):
            return None
        return f"age {in_words(max(now - environment.created_at, self.seconds))} >= {in_words(self.seconds)}"

    def due(self, environment: Reusable) -> float:
        return environment.created_at + self.seconds


@dataclass(frozen=True, slots=True)
class MaxInvocations:
    """Recycle what has served ``count`` invocations."""

    count: int

    def verdict(self, environment: Reusable, now: float) -> str | None:
        served = environment.invocations
        return f"{served} invocations >= {self.count}" if served >= self.count else None

    def due(self, environment: Reusable) -> float | None:
        return None


E = TypeVar("E", bound=Reusable)


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules. The environment used last serves next: its caches are warm [I]."""

    name: str
    rules: tuple[Rule, ...] = ()
    reclaim: Reclaim = Reclaim.SILENT

    def select(self, idle: Sequence[E]) -> E:
        """The environment that serves next; ``idle`` is in the order in which they became idle."""
        return idle[-1]

    def verdict(self, environment: Reusable, now: float) -> str | None:
        """Why the environment has to go, by the first rule that says so."""
        for rule in self.rules:
            if (reason := rule.verdict(environment, now)) is not None:
                return reason
        return None

    def due(self, environment: Reusable) -> float | None:
        """When the first rule will speak about an environment that stays idle."""
        moments = [due for rule in self.rules if (due := rule.due(environment)) is not None]
        return min(moments, default=None)


PRESETS: dict[str, tuple[Rule, ...]] = {
    # [X] measured by others: idle ones gone within 5 to 10 minutes, busy ones replaced after about 2 hours
    "aws": (IdleTimeout(7 * 60), MaxLifetime(2 * 3600)),
    "always-cold": (MaxInvocations(1),),
    "keep-warm": (),
}


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
