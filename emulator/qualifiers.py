"""What may stand behind a function's name in an invocation: published versions, and aliases that lead to them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from emulator.model import LATEST, Function

__all__ = ["Qualifiers", "Routing"]


@dataclass(frozen=True, slots=True)
class Routing:
    """Where an alias leads: to ``version``, but for the parts of one that ``weights`` give to others."""

    version: str
    weights: Mapping[str, float] = field(default_factory=dict)

    def choose(self, chance: Random) -> str:
        """The version that serves next."""
        if not self.weights:
            return self.version
        drawn = chance.random()
        for version, weight in self.weights.items():
            if drawn < weight:
                return version
            drawn -= weight
        return self.version


class Qualifiers:
    """The versions and aliases of all functions.

    Arguments:
        chance: decides for aliases with weights.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._versions: dict[str, Function] = {}
        self._aliases: dict[str, dict[str, Routing]] = {}

    def add(self, function: Function) -> None:
        """A published version."""
        self._versions[function.key] = function

    def remove(self, key: str) -> None:
        self._versions.pop(key, None)

    def function(self, key: str) -> Function | None:
        """A published version by ``name:version``."""
        return self._versions.get(key)

    def keys_of(self, name: str) -> Iterator[str]:
        """The published versions of a function."""
        return iter([key for key, function in self._versions.items() if function.name == name])

    def lead(self, name: str, alias: str, routing: Routing) -> None:
        """Have an alias lead somewhere, from now on."""
        self._aliases.setdefault(name, {})[alias] = routing

    def unlead(self, name: str, alias: str) -> None:
        self._aliases.get(name, {}).pop(alias, None)

    def forget(self, name: str) -> None:
        """The function is no more."""
        self._aliases.pop(name, None)
        for key in self.keys_of(name):
            self.remove(key)

    def target(self, name: str, qualifier: str) -> str:
        """What serves: the function's name, or ``name:version``; of what there is not, just that."""
        routing = self._aliases.get(name, {}).get(qualifier)
        version = routing.choose(self._chance) if routing is not None else qualifier
        return name if version == LATEST else f"{name}:{version}"
