"""All pools of an emulator: of what is deployed, and of what was deleted and has not ended yet."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.environment import Environment
from emulator.model import EnvironmentId
from emulator.pool import Pool

__all__ = ["Pools"]


class Pools:
    """Which pools there are, and which environments are in them.

    Attributes:
        by_key: what can be invoked, by ``Function.key``: functions by their names, published versions by
            ``name:version``.
        leaving: what cannot any more, as long as something of it still runs.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, Pool] = {}
        self.leaving: set[Pool] = set()

    def of(self, name: str) -> list[Pool]:
        """That of the function, and those of its versions."""
        return [pool for pool in self.by_key.values() if pool.function.name == name]

    def every(self) -> list[Pool]:
        """Those that can be invoked, then those that are leaving."""
        return [*self.by_key.values(), *self.leaving]

    def environments(self) -> Iterator[Environment]:
        """All that are not gone; of each pool the oldest first."""
        for pool in self.every():
            yield from pool.environments

    def find(self, environment_id: EnvironmentId) -> Environment | None:
        """The environment of this id; nothing where it is gone."""
        pool = self.holder_of(environment_id)
        return pool.find(environment_id) if pool is not None else None

    def holder_of(self, environment_id: EnvironmentId) -> Pool | None:
        """The pool that has the environment of this id."""
        return next((pool for pool in self.every() if pool.find(environment_id) is not None), None)
