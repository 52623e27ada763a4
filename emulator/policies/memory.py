"""Memory pressure: how much all idle environments of the emulator may take, and which goes first beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from emulator.errors import ConfigurationError
from emulator.model import EnvironmentId, Function
from emulator.policies.policy import Composable, Policy
from emulator.policies.selection import Reusable

__all__ = ["Evictable", "EvictionOrder", "Holder", "IdleMemory", "MemoryPressure", "pressure_of"]


class EvictionOrder(StrEnum):
    """Who goes first."""

    LRU = "lru"
    GREEDY_DUAL = "greedy-dual"


@dataclass(frozen=True, slots=True)
class MemoryPressure(Composable):
    """Recycle idle environments while all of the emulator together take more than ``limit`` MiB of memory settings.

    A matter of the whole emulator: it stands in its policy and in no function's.

    Arguments:
        order: ``lru``: idle longest first. ``greedy-dual``: lowest priority first, which is a clock that moves with
            every eviction, plus uses times init time over size [X Fuerst and Sharma, FaasCache, ASPLOS '21].
    """

    limit: int
    order: EvictionOrder = EvictionOrder.LRU

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ConfigurationError(f"the memory limit is {self.limit}", cure="It is 1 MiB or more.")
        object.__setattr__(self, "order", EvictionOrder(self.order))

    def __str__(self) -> str:
        return f"{self.limit} MiB for all idle ones, {self.order}"


def pressure_of(policy: Policy) -> MemoryPressure | None:
    """The policy's memory rule, if it has one; of several the tightest."""
    rules = [rule for rule in policy.rules if isinstance(rule, MemoryPressure)]
    return min(rules, key=lambda rule: rule.limit, default=None)


class Evictable(Reusable, Protocol):
    """What the order of eviction has to know besides."""

    @property
    def function(self) -> Function: ...

    @property
    def init_ms(self) -> float | None: ...


class Holder(Protocol):
    """Who holds a function's environments."""

    @property
    def idle(self) -> Sequence[Evictable]: ...

    @property
    def uses(self) -> int:
        """How often the environments that it holds have served, all together."""
        ...

    def evict(self, environment: EnvironmentId, reason: str) -> None:
        """End one of the idle ones."""
        ...


class IdleMemory:
    """The idle environments of all functions, and what they may take."""

    def __init__(self) -> None:
        self.rule: MemoryPressure | None = None
        self._holders: list[Holder] = []
        self._clock = 0.0
        self._used_at: dict[EnvironmentId, float] = {}
        """What the eviction clock showed when each was used last."""

    def add(self, holder: Holder) -> None:
        self._holders.append(holder)

    def remove(self, holder: Holder) -> None:
        self._holders.remove(holder)

    def follow(self, rule: MemoryPressure | None) -> None:
        """Another limit, or none; what is over it goes at once."""
        self.rule = rule
        self._relieve()

    def rested(self, environment: Evictable) -> None:
        """One more is idle."""
        if self.rule is not None:
            self._used_at[environment.id] = self._clock
            self._relieve()

    def gone(self, environment: Evictable) -> None:
        self._used_at.pop(environment.id, None)

    def _relieve(self) -> None:
        rule = self.rule
        if rule is None:
            return
        idle = [(holder, environment) for holder in self._holders for environment in holder.idle]
        taken = sum(environment.function.memory for _, environment in idle)
        if taken <= rule.limit:
            return
        ranked = sorted(
            (self._rank(rule.order, holder, environment), i) for i, (holder, environment) in enumerate(idle)
        )
        for number, ((rank, _), index) in enumerate(ranked):
            if taken <= rule.limit:
                return
            holder, environment = idle[index]
            words = "idle longest" if rule.order is EvictionOrder.LRU else f"lowest priority ({rank:.3g})"
            if rule.order is EvictionOrder.GREEDY_DUAL:
                self._clock = max(self._clock, rank)
            holder.evict(
                environment.id,
                f"memory: {taken} MiB idle > {rule.limit} MiB, {words} of {len(idle) - number}",
            )
            taken -= environment.function.memory

    def _rank(self, order: EvictionOrder, holder: Holder, environment: Evictable) -> tuple[float, float]:
        """Lowest first; where two are equal, idle longest first."""
        if order is EvictionOrder.LRU:
            return environment.idle_since, environment.created_at
        worth = holder.uses * (environment.init_ms or 0.0) / 1000 / environment.function.memory
        return self._used_at.get(environment.id, 0.0) + worth, environment.idle_since
