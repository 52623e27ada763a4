"""Environments as they are asked for from outside: looked at, read, waited for, recycled, and ended in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from emulator.database.database import Database
from emulator.environment import Environment
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError, ServiceError
from emulator.invocation import Invocation
from emulator.killing import Killing, Middle
from emulator.log_files import LogFiles, LogPiece
from emulator.model import EnvironmentId, EnvironmentView, Reclaim
from emulator.pool import Pool
from emulator.pools import Pools
from emulator.timeline import Timeline
from emulator.waiting import rest_of

__all__ = ["Environments", "RecycleAnswer"]

T = TypeVar("T")

_BY_HAND = "recycled by hand"


@dataclass(frozen=True, slots=True)
class RecycleAnswer:
    """Which environments end now, and which when their running invocation is over."""

    recycled: tuple[EnvironmentId, ...]
    when_parked: tuple[EnvironmentId, ...]


class Environments:
    """The environments of all functions.

    Arguments:
        pool: that of a function by its name; raises what AWS answers where there is no such function.
        database: knows how many sessions each has.
        log_files: what they have written.
    """

    def __init__(
        self,
        pools: Pools,
        pool: Callable[[str], Pool],
        *,
        timeline: Timeline,
        database: Database,
        log_files: LogFiles,
    ) -> None:
        self._pools, self._pool = pools, pool
        self._timeline, self._database, self._log_files = timeline, database, log_files

    def views(self, function: str | None = None) -> list[EnvironmentView]:
        """All environments, or those of one function; oldest first.

        Raises:
            FunctionNotFoundError: there is no such function.
        """
        if function is not None:
            self._pool(function)
        pools = self._pools.of(function) if function is not None else self._pools.every()
        return [
            environment.view(self._database.sessions_of(environment.id))
            for pool in pools
            for environment in pool.environments
        ]

    def view(self, beginning: str) -> EnvironmentView:
        """One environment by its id, or by the beginning of it.

        Raises:
            FunctionNotFoundError: there is none.
            InvalidParameterValueError: there are several.
        """
        environment = self._the_one(beginning)
        return environment.view(self._database.sessions_of(environment.id))

    def logs(
        self, function: str, environment: str | None = None, *, tail: int | None = None, follow: bool = False
    ) -> AsyncIterator[list[LogPiece]]:
        """What a function's environments have written, in the order in which it came, some at a time.

        Arguments:
            environment: only this one's; the beginning of its id will do, and it may be gone.
            tail: only so many lines of what there is already.
            follow: go on with what comes, until the emulator stops.

        Raises:
            FunctionNotFoundError: there is no such function, or no such environment of it.
            InvalidParameterValueError: several environments begin like that.
        """
        self._pool(function)
        if environment is not None:
            known = self._log_files.environments(function) | {one.id for one in self._pools.environments()}
            environment = _only([one for one in known if one.startswith(environment)], environment)
        return self._log_files.read(function, environment=environment, tail=tail, follow=follow)

    def recycle(self, beginning: str, how: Reclaim | None = None) -> RecycleAnswer:
        """End one environment; its connections as the policy says, or as told.

        Raises:
            FunctionNotFoundError, InvalidParameterValueError: as :meth:`view`.
        """
        environment = self._the_one(beginning)
        pool = self._pools.holder_of(environment.id)
        assert pool is not None, "it was found in one just now"
        ids = (environment.id,)
        return RecycleAnswer(ids, ()) if pool.recycle_one(environment, _BY_HAND, how) else RecycleAnswer((), ids)

    def recycle_all(self, function: str, how: Reclaim | None = None) -> RecycleAnswer:
        """End all environments of a function; their connections as the policy says, or as told.

        Raises:
            FunctionNotFoundError: there is no such function.
        """
        self._pool(function)
        ended = [pool.recycle(_BY_HAND, how) for pool in self._pools.of(function)]
        now, later = (tuple(e.id for both in ended for e in both[which]) for which in (0, 1))
        return RecycleAnswer(now, later)

    async def at_rest(self, environment_id: EnvironmentId) -> None:
        """Wait until an environment is frozen or gone, or a freeze has failed, or a debugger keeps it from that.

        Raises:
            EmulatorError: it is still at work after half a minute.
        """
        if (environment := self._pools.find(environment_id)) is not None:
            await rest_of(environment, self._timeline)

    async def initialised(self, function: str) -> None:
        """Wait until what a function has initialised ahead is ready and at rest, or cannot be.

        Raises:
            FunctionNotFoundError: there is no such function.
        """
        provisioned = self._pool(function).provisioned
        await provisioned.finished()
        for environment in provisioned.environments:
            if not environment.invocations:
                await rest_of(environment, self._timeline)

    def follow(self, invocation: Invocation, middle: Middle) -> Killing:
        """End the runtime in the middle of an invocation that was just submitted; the caller closes what is answered.

        Raises:
            ServiceError: it waits for an environment, or is over.
        """
        environment_id = invocation.outcome.environment_id
        environment = self._pools.find(environment_id) if environment_id is not None else None
        if environment is None:
            raise ServiceError("an invocation can be followed only when it has just got its environment")
        return Killing(environment, self._database.relays, self._timeline, middle)

    def _the_one(self, beginning: str) -> Environment:
        return _only([one for one in self._pools.environments() if one.id.startswith(beginning)], beginning)


def _only(found: Sequence[T], beginning: str) -> T:
    if not found or not beginning:
        raise FunctionNotFoundError(
            f"Environment not found: {beginning or 'without a name'}", cure="lambda-freezer ps shows those there are."
        )
    if len(found) > 1:
        raise InvalidParameterValueError(f"{len(found)} environments begin with {beginning}")
    return found[0]
