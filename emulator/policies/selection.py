"""Which of several idle environments serves next."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Protocol, TypeVar

from emulator.model import EnvironmentId

__all__ = ["Reusable", "Selection", "Selector"]


class Reusable(Protocol):
    """What a policy may know of an environment; moments are readings of the clock's ``monotonic``."""

    @property
    def id(self) -> EnvironmentId: ...

    @property
    def created_at(self) -> float: ...

    @property
    def idle_since(self) -> float: ...

    @property
    def invocations(self) -> int: ...


E = TypeVar("E", bound=Reusable)


class Selector(Protocol):
    """A choice among idle environments."""

    def choose(self, idle: Sequence[E], chance: Random) -> tuple[E, str]:
        """One of two or more, and why; ``idle`` is in the order in which they became idle."""
        ...


class Selection(StrEnum):
    """The orders that settings can name. Which is AWS's own is not known; ``most-recent`` fits what is seen [I]."""

    MOST_RECENT = "most-recent"
    LEAST_RECENT = "least-recent"
    OLDEST = "oldest"
    RANDOM = "random"

    def choose(self, idle: Sequence[E], chance: Random) -> tuple[E, str]:
        """One of two or more, and why; ``idle`` is in the order in which they became idle."""
        match self:
            case Selection.MOST_RECENT:
                return idle[-1], f"used last of {len(idle)} idle"
            case Selection.LEAST_RECENT:
                return idle[0], f"idle longest of {len(idle)}"
            case Selection.OLDEST:
                return min(idle, key=lambda environment: environment.created_at), f"oldest of {len(idle)} idle"
            case Selection.RANDOM:
                number = chance.randrange(len(idle))
                return idle[number], f"drew {number + 1} of {len(idle)} idle"
