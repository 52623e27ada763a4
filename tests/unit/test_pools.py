"""All pools together: by name, by version, and by what is in them."""

from __future__ import annotations

import dataclasses

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.model import EnvironmentId
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.pools import Pools
from tests.support import in_loop
from tests.unit.stage import Stage


class Play:
    """Pools of ``a``, of its version 1, and of ``b``."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.pools = Pools()
        self._concurrency = Concurrency(10)
        self.a, self.version, self.b = self._add("a", "$LATEST"), self._add("a", "1"), self._add("b", "$LATEST")

    def _add(self, name: str, version: str) -> Pool:
        function = dataclasses.replace(self.stage.function, name=name, version=version)
        pool = Pool(function, self.stage.surroundings, Policy("keep-warm"), self._concurrency)
        self.pools.by_key[function.key] = pool
        return pool

    async def serve(self, pool: Pool) -> Environment:
        """A new environment of a pool, which serves its first event."""
        pool.submit(self.stage.invocation().invocation)
        await self.stage.settle()
        return pool.environments[-1]


@in_loop
async def test_a_function_has_its_own_pool_and_those_of_its_versions() -> None:
    """By the name of the function, in the order in which they came; what is leaving cannot be invoked any more."""
    play = Play()
    assert play.pools.of("a") == [play.a, play.version]
    assert play.pools.of("nothing") == []
    play.pools.leaving.add(play.pools.by_key.pop("a:1"))
    assert play.pools.of("a") == [play.a]
    assert play.pools.every() == [play.a, play.b, play.version]


@in_loop
async def test_an_environment_is_found_by_its_id_until_it_is_gone() -> None:
    """In whatever pool it is, those that are leaving included; and so is the pool that has it."""
    play = Play()
    first, second = await play.serve(play.a), await play.serve(play.version)
    play.pools.leaving.add(play.pools.by_key.pop("a:1"))
    assert list(play.pools.environments()) == [first, second]
    assert (play.pools.find(first.id), play.pools.find(second.id)) == (first, second)
    assert (play.pools.holder_of(first.id), play.pools.holder_of(second.id)) == (play.a, play.version)
    assert play.pools.find(EnvironmentId(first.id[:8])) is None
    first.end("it is over")
    await first.gone.wait()
    assert play.pools.find(first.id) is None
    assert play.pools.holder_of(first.id) is None
    await play.version.close("the test is over")


@in_loop
async def test_what_was_initialised_ahead_is_found_as_well() -> None:
    """It is in its function's pool, and gone from there when it has ended."""
    play = Play()
    play.b.adjust(dataclasses.replace(play.b.function, provisioned_concurrency=1))
    await play.stage.settle()
    (ahead,) = play.b.environments
    assert play.pools.find(ahead.id) is ahead
    assert play.pools.holder_of(ahead.id) is play.b
    await play.b.close("the test is over")
    assert play.pools.find(ahead.id) is None
