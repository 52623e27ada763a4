"""What a policy is: rules that say when an environment is recycled, and a choice of the one that serves next.

A rule is any object with one of the methods below; what it answers is the reason that stands on the timeline. Rules
are joined by ``|``: whichever speaks first ends the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Protocol, TypeVar, runtime_checkable

from emulator.invocation import Outcome
from emulator.model import Reclaim
from emulator.policies.idle_times import IdleTimes
from emulator.policies.selection import Reusable, Selection, Selector

__all__ = [
    "Composable",
    "InvocationRule",
    "LearningRule",
    "PeriodicRule",
    "Policy",
    "Reusable",
    "Rule",
    "is_rule",
]

E = TypeVar("E", bound=Reusable)


@runtime_checkable
class Rule(Protocol):
    """A reason that lies in an environment's age, rest or number of invocations."""

    def verdict(self, environment: Reusable, now: float) -> str | None:
        """Why the environment has to go, or nothing."""
        ...

    def due(self, environment: Reusable) -> float | None:
        """When the rule will speak if the environment stays idle; ``None`` for never."""
        ...


@runtime_checkable
class InvocationRule(Protocol):
    """A reason that lies in an invocation; asked once, when it is over."""

    def after_invocation(self, environment: Reusable, outcome: Outcome) -> str | None:
        """Why the environment that served it has to go, or nothing."""
        ...


@runtime_checkable
class PeriodicRule(Protocol):
    """A reason that lies in how many of a function's environments are idle; asked every so often."""

    @property
    def every(self) -> float:
        """The period in seconds."""
        ...

    def pick(self, idle: Sequence[E]) -> Iterable[tuple[E, str]]:
        """Which of them have to go, each with its reason; ``idle`` is in the order in which they became idle."""
        ...


@runtime_checkable
class LearningRule(Protocol):
    """A rule that reads a function's idle times. What is learnt is the function's and outlives the rule."""

    def learning_from(self, times: IdleTimes) -> Rule: ...


class Composable:
    """Gives rules their ``|``."""

    __slots__ = ()

    def __or__(self, other: object) -> Policy:
        return _together(self, other) if is_rule(other) else NotImplemented

    def __ror__(self, other: object) -> Policy:
        return _together(other, self) if is_rule(other) else NotImplemented


def is_rule(thing: object) -> bool:
    """Whether it can stand in a policy; a class of rules cannot, an instance of it can."""
    if isinstance(thing, type):
        return False
    return isinstance(thing, Composable) or hasattr(thing, "verdict") or hasattr(thing, "after_invocation")


@dataclass(frozen=True, slots=True)
class Policy(Composable):
    """A named set of rules.

    Arguments:
        reclaim: what becomes of the connections of those it recycles.
        selection: which of several idle environments serves next.
    """

    name: str
    rules: tuple[object, ...] = ()
    reclaim: Reclaim = Reclaim.SILENT
    selection: Selector = Selection.MOST_RECENT
    after: tuple[InvocationRule, ...] = field(init=False, repr=False, compare=False)
    periodic: tuple[PeriodicRule, ...] = field(init=False, repr=False, compare=False)
    _timed: tuple[Rule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", tuple(rule for rule in self.rules if isinstance(rule, InvocationRule)))
        object.__setattr__(self, "periodic", tuple(rule for rule in self.rules if isinstance(rule, PeriodicRule)))
        object.__setattr__(self, "_timed", tuple(rule for rule in self.rules if isinstance(rule, Rule)))

    def select(self, idle: Sequence[E], chance: Random) -> tuple[E, str]:
        """The one of two or more that serves next, and why; ``idle`` is in the order in which they became idle."""
        return self.selection.choose(idle, chance)

    def verdict(self, environment: Reusable, now: float) -> str | None:
        """Why the environment has to go, by the first rule that says so."""
        for rule in self._timed:
            if (reason := rule.verdict(environment, now)) is not None:
                return reason
        return None

    def due(self, environment: Reusable) -> float | None:
        """When the first rule will speak about an environment that stays idle."""
        moments = [due for rule in self._timed if (due := rule.due(environment)) is not None]
        return min(moments, default=None)

    def after_invocation(self, environment: Reusable, outcome: Outcome) -> str | None:
        """Why the environment has to go after what it has just served."""
        for rule in self.after:
            if (reason := rule.after_invocation(environment, outcome)) is not None:
                return reason
        return None

    @property
    def learns(self) -> bool:
        """Whether a rule wants to know the function's idle times."""
        return any(isinstance(rule, LearningRule) for rule in self.rules)

    def with_rules(self, change: Callable[[Any], object]) -> Policy:
        """The same with every rule replaced by what ``change`` makes of it; itself where that is nothing new."""
        rules = tuple(change(rule) for rule in self.rules)
        if all(new is old for new, old in zip(rules, self.rules, strict=True)):
            return self
        return replace(self, rules=rules)


def _together(left: object, right: object) -> Policy:
    """All rules of both; name, selection and ends are those of the first that is a policy."""
    rules: list[object] = []
    for part in (left, right):
        rules += part.rules if isinstance(part, Policy) else [part]
    policy = next((part for part in (left, right) if isinstance(part, Policy)), Policy("own"))
    return replace(policy, rules=tuple(rules))
