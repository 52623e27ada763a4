"""The policies in force: what each function has, and how that is changed while it runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from emulator.concurrency import Concurrency
from emulator.config import Settings
from emulator.errors import ConfigurationError
from emulator.model import Reclaim
from emulator.policies import IdleTimeout, MaxInvocations, MaxLifetime, MemoryPressure
from emulator.pool import Pool
from emulator.rulebook import Rulebook
from tests.support import in_loop
from tests.unit.stage import Stage


class Scene:
    """Two functions, the second of which has a word of its own, under one rulebook."""

    def __init__(self, policy: dict[str, Any] | None = None, own: object = None) -> None:
        self.stage = Stage()
        settings = Settings.model_validate({"policy": policy or {}, "emulator": {"seed": 7}})
        self.rulebook = Rulebook(settings, Path())
        self.plain = self._pool("plain", {})
        self.other = self._pool("other", own if own is not None else {"max_invocations": 5})

    @property
    def pools(self) -> list[Pool]:
        return [self.plain, self.other]

    def _pool(self, name: str, policy: object) -> Pool:
        function = dataclasses.replace(self.stage.function, name=name, policy=policy)
        made = self.rulebook.policy_of(function)
        return Pool(function, self.stage.surroundings, made, Concurrency(10), self.rulebook.memory)

    async def warm(self, pool: Pool) -> None:
        pool.submit(self.stage.invocation().invocation)
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        runtime.serve()
        await self.stage.settle()


@in_loop
async def test_a_view_shows_what_is_in_force_and_what_was_said() -> None:
    """In words for people, and in the keys of the table."""
    scene = Scene({"name": "aws", "idle_timeout": "5m..10m", "memory_limit": 512})
    view = scene.rulebook.view()
    assert (view.function, view.name, view.select, view.reclaim) == (None, "aws", "most-recent", Reclaim.SILENT)
    assert view.rules == ("idle timeout 5 min to 10 min", "lifetime 2 h", "512 MiB for all idle ones, lru")
    assert view.settings == {"name": "aws", "idle_timeout": "5m..10m", "memory_limit": 512}
    assert view.seed == 7
    own = scene.rulebook.view(scene.other)
    assert own.function == "other"
    assert own.rules == ("idle timeout 5 min to 10 min", "lifetime 2 h", "5 invocations")
    assert own.settings == {"max_invocations": 5}


@in_loop
async def test_a_change_for_one_leaves_the_others() -> None:
    """The new table takes the place of the function's old one; what all have stays below it."""
    scene = Scene()
    scene.rulebook.change_one(scene.other, {"idle_timeout": "1m"})
    assert scene.other.policy.rules == (IdleTimeout("1m"), MaxLifetime("2h"))
    assert scene.plain.policy.rules == (IdleTimeout("7m"), MaxLifetime("2h"))
    scene.rulebook.change_one(scene.other, {})
    assert scene.other.policy.rules == (IdleTimeout("7m"), MaxLifetime("2h"))


@in_loop
async def test_a_change_for_all_keeps_what_functions_have_of_their_own() -> None:
    """Also what they were given at run time."""
    scene = Scene()
    scene.rulebook.change_one(scene.other, {"max_invocations": 9})
    scene.rulebook.change_all(scene.pools, {"name": "fn"})
    assert scene.plain.policy.rules == (IdleTimeout("30s"),)
    assert scene.other.policy.rules == (IdleTimeout("30s"), MaxInvocations(9))
    assert scene.rulebook.view().settings == {"name": "fn"}
    fresh = dataclasses.replace(scene.stage.function, name="fresh", policy={})
    assert scene.rulebook.policy_of(fresh).rules == (IdleTimeout("30s"),)


@in_loop
async def test_a_change_loses_no_environment_that_is_within_its_limits() -> None:
    """And ends what is over them at once, for its own reason."""
    scene = Scene()
    await scene.warm(scene.plain)
    await scene.warm(scene.other)
    scene.stage.clock.fast_forward(100.0)
    scene.rulebook.change_one(scene.other, {"idle_timeout": "1m"})
    await scene.stage.settle()
    assert [len(pool.environments) for pool in scene.pools] == [1, 0]
    assert scene.stage.reason("environment.shutting-down") == "idle 1 min 40 s >= 1 min"
    scene.rulebook.change_all(scene.pools, {"name": "keep-warm"})
    scene.stage.clock.fast_forward(1e6)
    assert len(scene.plain.environments) == 1


@in_loop
async def test_the_memory_limit_changes_with_the_policy_of_all() -> None:
    """It is felt at once, and gone with the next policy."""
    scene = Scene()
    await scene.warm(scene.plain)
    await scene.warm(scene.other)
    scene.rulebook.change_all(scene.pools, {"memory_limit": 128})
    await scene.stage.settle()
    assert [len(pool.environments) for pool in scene.pools] == [0, 1]
    scene.rulebook.change_all(scene.pools, {})
    assert scene.rulebook.memory.rule is None


@in_loop
async def test_composed_rules_can_be_the_policy_of_one_or_of_all() -> None:
    """There are no keys for them; the words are there."""
    scene = Scene(own=MaxInvocations(3))
    assert scene.rulebook.view(scene.other).rules == ("3 invocations",)
    scene.rulebook.change_all(scene.pools, IdleTimeout("1m") | MemoryPressure(512))
    view = scene.rulebook.view()
    assert (view.name, view.rules) == ("own", ("idle timeout 1 min", "512 MiB for all idle ones, lru"))
    assert view.settings == {}
    assert scene.plain.policy.rules[0] == IdleTimeout("1m")
    assert scene.other.policy.rules == (MaxInvocations(3),)
    assert scene.rulebook.memory.rule == MemoryPressure(512)


@pytest.mark.parametrize(
    "wrong", [{"idle": 1}, {"idle_timeout": "seven"}, {"name": "not_there:Rule"}, {"name": "warm"}, 5, "aws"]
)
def test_a_wrong_policy_changes_nothing(wrong: object) -> None:
    """Neither for one nor for all, and the error has a cure."""

    @in_loop
    async def play_it() -> None:
        scene = Scene({"memory_limit": 512})
        before = [scene.rulebook.view(), *(scene.rulebook.view(pool) for pool in scene.pools)]
        with pytest.raises(ConfigurationError) as caught:
            scene.rulebook.change_one(scene.other, wrong)
        assert caught.value.cure
        with pytest.raises(ConfigurationError):
            scene.rulebook.change_all(scene.pools, wrong)
        assert [scene.rulebook.view(), *(scene.rulebook.view(pool) for pool in scene.pools)] == before
        assert scene.rulebook.memory.rule == MemoryPressure(512)

    play_it()


def test_a_policy_of_all_that_cannot_be_made_is_told_at_the_start() -> None:
    """Before any function is deployed."""
    with pytest.raises(ConfigurationError, match="there is no module not_there"):
        Rulebook(Settings.model_validate({"policy": {"name": "not_there:Rule"}}), Path())


def test_without_a_seed_each_run_has_its_own_and_says_which() -> None:
    """So that a run can be had again."""
    first, second = Rulebook(Settings(), Path()), Rulebook(Settings(), Path())
    assert first.seed != second.seed
    again = Rulebook(Settings.model_validate({"emulator": {"seed": first.seed}}), Path())
    assert again.chance.random() == first.chance.random()
    assert again.view().seed == first.seed
