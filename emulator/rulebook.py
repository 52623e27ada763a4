"""The policies in force: the one of all functions, what each function has of its own, and their change at run time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from secrets import randbits
from typing import Any

from emulator.config import PolicySettings, Settings, make_policy, make_pressure, policy_settings, policy_table
from emulator.model import Function, Reclaim
from emulator.policies.memory import IdleMemory
from emulator.policies.own import as_policy, described
from emulator.policies.policy import Policy
from emulator.pool import Pool

__all__ = ["PolicyView", "Rulebook"]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy in force.

    Attributes:
        function: whose it is; ``None`` for what holds where a function says nothing else.
        rules: in words, in the order in which they are asked.
        settings: the keys of its ``[policy]`` table, of a function those of its own; they can be sent back.
        seed: what everything that is drawn comes from.
    """

    function: str | None
    name: str
    select: str
    reclaim: Reclaim
    rules: tuple[str, ...]
    settings: Mapping[str, Any]
    seed: int


class Rulebook:
    """Says which policy a function has, and lets that be changed.

    Arguments:
        settings: what the configuration says.
        base: its folder, where a ``module:Class`` is looked for.

    Raises:
        ConfigurationError: the policy of all functions cannot be made.
    """

    def __init__(self, settings: Settings, base: Path) -> None:
        seed = settings.emulator.seed
        self.seed = seed if seed is not None else randbits(63)
        self.chance = Random(self.seed)  # noqa: S311 (it decides about environments, and keeps no secret)
        self.memory = IdleMemory()
        self._base = base
        self._settings: PolicySettings | Policy = settings.policy
        self._policy = make_policy(self._settings, base=base)
        self.memory.follow(make_pressure(self._settings))

    def policy_of(self, function: Function) -> Policy:
        """The policy of all, with what the function has of its own.

        Raises:
            ConfigurationError: it cannot be made.
        """
        return make_policy(self._settings, function.policy, self._base, f"function {function.name}")

    def view(self, pool: Pool | None = None) -> PolicyView:
        """The policy of one function, or the one of all that say nothing else."""
        settings: object
        if pool is not None:
            name, policy, settings = pool.function.name, pool.policy, pool.function.policy
        else:
            name, policy, settings = None, self._policy, self._settings
            if isinstance(settings, PolicySettings) and (pressure := make_pressure(settings)) is not None:
                policy |= pressure
        rules, table = described(policy), policy_table(settings)
        return PolicyView(name, policy.name, str(policy.selection), policy.reclaim, rules, table, self.seed)

    def change_one(self, pool: Pool, policy: object) -> None:
        """What is different for one function, from now on.

        Raises:
            ConfigurationError: it is no policy; nothing has changed.
        """
        function = replace(pool.function, policy=policy)
        made = self.policy_of(function)
        pool.function = function
        pool.follow(made)

    def change_all(self, pools: Iterable[Pool], policy: object) -> None:
        """Another policy for all, from now on; what functions have of their own stays.

        Raises:
            ConfigurationError: it is no policy; nothing has changed.
        """
        settings = policy_settings(policy, "the policy") if isinstance(policy, Mapping) else as_policy(policy)
        made = make_policy(settings, base=self._base)
        changed = [(pool, make_policy(settings, pool.function.policy, self._base)) for pool in pools]
        self._settings, self._policy = settings, made
        for pool, policy_of_pool in changed:
            pool.follow(policy_of_pool)
        self.memory.follow(make_pressure(settings))
