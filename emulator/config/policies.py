"""A ``[policy]`` table as a policy, and the other way round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator.config.checking import checked
from emulator.config.settings import Settings
from emulator.config.tables import PolicySettings
from emulator.config.values import OFF
from emulator.errors import ConfigurationError
from emulator.policies import (
    PRESETS,
    AfterError,
    Chance,
    HalfOfIdle,
    Histogram,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
)
from emulator.policies.memory import pressure_of
from emulator.policies.own import as_policy, load_own

__all__ = ["make_policy", "make_pressure", "policy_settings", "policy_table"]

_RULES: tuple[tuple[str, type[Any], Callable[[Any], object]], ...] = (
    ("idle_timeout", IdleTimeout, IdleTimeout),
    ("histogram", Histogram, Histogram),
    ("half_of_idle", HalfOfIdle, HalfOfIdle),
    ("max_lifetime", MaxLifetime, MaxLifetime),
    ("max_invocations", MaxInvocations, MaxInvocations),
    ("chance", Chance, Chance),
    ("after_error", AfterError, lambda _: AfterError()),
)
"""By key: which rule it stands for, and how that is made of the value."""
_OF_THE_EMULATOR = ("memory_limit", "eviction")


def make_policy(
    settings: PolicySettings | Policy,
    overrides: object = None,
    base: Path | None = None,
    where: str = "a function's policy",
) -> Policy:
    """The policy that settings describe; then the function's own over it.

    Arguments:
        settings: the ``[policy]`` table, or a policy that a program has composed.
        overrides: what is different for the function, in the keys of that table; or a policy, which replaces it.
        base: the folder of the configuration, where a ``module:Class`` is looked for.
        where: how complaints about the overrides call them.

    Raises:
        ConfigurationError: a value that cannot be, or a class that is no rule.
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        policy = as_policy(overrides)
        if pressure_of(policy) is not None:
            raise _not_of_a_function(where, "MemoryPressure")
        return policy
    given = overrides or {}
    for key in _OF_THE_EMULATOR:
        if key in given:
            raise _not_of_a_function(where, key)
    own = policy_settings(given, where)
    if isinstance(settings, Policy) and "name" not in given:
        return _with_settings(settings, own)
    values = {} if isinstance(settings, Policy) else settings.model_dump(exclude_unset=True)
    wanted = policy_settings({**values, **own.model_dump(exclude_unset=True)}, where)
    preset = PRESETS.get(wanted.name)
    return _with_settings(Policy(wanted.name, preset) if preset is not None else load_own(wanted.name, base), wanted)


def make_pressure(settings: PolicySettings | Policy) -> MemoryPressure | None:
    """What all idle environments together may take; nothing where that is not limited."""
    if isinstance(settings, Policy):
        return pressure_of(settings)
    return MemoryPressure(settings.memory_limit, settings.eviction) if settings.memory_limit else None


def policy_settings(values: Mapping[str, Any], where: str) -> PolicySettings:
    """A ``[policy]`` table that does not come from a file.

    Raises:
        ConfigurationError: with the key, what was found and what is allowed.
    """
    return checked(Settings, {"policy": dict(values)}, where).policy


def policy_table(policy: object) -> dict[str, Any]:
    """What stands in a ``[policy]`` table for it, as JSON has it; nothing for a policy that a program has composed."""
    if isinstance(policy, Mapping):
        policy = policy_settings(policy, "a function's policy")
    return policy.model_dump(mode="json", exclude_unset=True) if isinstance(policy, PolicySettings) else {}


def _with_settings(policy: Policy, settings: PolicySettings) -> Policy:
    """The policy with what the settings say otherwise: a key replaces, adds or takes away one rule."""
    rules = list(policy.rules)
    for key, kind, make in _RULES:
        value = getattr(settings, key)
        if value is None:
            continue
        place = next((number for number, rule in enumerate(rules) if type(rule) is kind), len(rules))
        made = [] if value == OFF or not value else [make(value)]
        rules = [rule for rule in rules if type(rule) is not kind]
        rules[place:place] = made
        if key == "histogram" and made and settings.idle_timeout is None:  # it is an idle timeout, and comes instead
            rules = [rule for rule in rules if type(rule) is not IdleTimeout]
    selection = settings.select if settings.select is not None else policy.selection
    reclaim = settings.reclaim if "reclaim" in settings.model_fields_set else policy.reclaim
    return replace(policy, rules=tuple(rules), selection=selection, reclaim=reclaim)


def _not_of_a_function(where: str, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {key} is a matter of the whole emulator", cure="Say it in [policy], for all functions together."
    )
