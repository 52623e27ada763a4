"""Code that changes under a deployed function, and what its environments have of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from emulator.code_watcher import Change
from emulator.concurrency import Concurrency
from emulator.errors import SandboxError
from emulator.hot_reload import HotReload
from emulator.model import Function
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.pools import Pools
from tests.support import in_loop
from tests.unit.stage import Stage


class Play:
    """One function with code in a folder, and one environment of it that serves."""

    def __init__(self, base: Path, layers: tuple[Path, ...] = ()) -> None:
        (base / "app.py").touch()
        self.stage = Stage()
        self.pools = Pools()
        self.hot_reload = HotReload(self.stage.surroundings, self.pools)
        function = dataclasses.replace(self.stage.function, code=base, layers=list(layers))
        self.pool = Pool(function, self.stage.surroundings, Policy("keep-warm"), Concurrency(10))
        self.pools.by_key["orders"] = self.pool

    async def begin(self) -> None:
        self.pool.submit(self.stage.invocation().invocation)
        await self.stage.settle()

    def change(self, name: str = "orders") -> None:
        """As the watcher tells it."""
        self.hot_reload._code_changed(Change(name, ("app.py",)))

    def is_outdated(self) -> bool:
        (environment,) = self.pool.environments
        return environment.end_when_parked is not None


@in_loop
async def test_what_runs_is_ended_when_it_is_done_and_the_change_is_told(tmp_path: Path) -> None:
    """With the files; a function that was deleted just now has nothing to be told of."""
    play = Play(tmp_path)
    await play.begin()
    play.change("nobody")
    assert not play.is_outdated()
    play.change()
    assert play.is_outdated()
    assert play.stage.reason("function.changed") == "app.py changed"
    await play.pool.close("the test is over")


@in_loop
async def test_layers_are_merged_before_anybody_gets_the_new_code(tmp_path: Path) -> None:
    """If that cannot be done the old environments go on, and the trouble is told."""
    layer = tmp_path / "layer"
    layer.mkdir()
    play = Play(tmp_path, (layer,))
    await play.begin()
    refusal: list[SandboxError] = [SandboxError("no room for it")]

    async def prepare(function: Function) -> None:
        if refusal:
            raise refusal.pop()

    play.stage.provider.prepare = prepare  # type: ignore[method-assign]
    play.change()
    await play.stage.settle()
    assert not play.is_outdated()
    assert play.stage.reason("function.trouble").startswith("no room for it")
    play.change()
    assert not play.is_outdated()
    await play.stage.settle()
    assert play.is_outdated()
    await play.pool.close("the test is over")
