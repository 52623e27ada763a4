"""Environments as they are asked for from outside, over the pools of a stage."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from emulator.concurrency import Concurrency
from emulator.database.database import Database
from emulator.environments import Environments
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError, ServiceError
from emulator.killing import Middle
from emulator.log_files import LogFiles
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.pools import Pools
from tests.support import in_loop
from tests.unit.stage import PlayedRuntime, Stage


class Alike(Random):
    """Gives ids that differ in their second half only."""

    def __init__(self) -> None:
        super().__init__(0)
        self._number = 0

    def randbytes(self, n: int) -> bytes:
        self._number += 1
        return b"\xab" * (n // 2) + self._number.to_bytes(n - n // 2, "little")


class Play:
    """The functions ``a`` and ``b``, without a database."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage()
        self.log_files = LogFiles(folder / "logs", folder, on_trouble=self.stage.lines.append)
        self.stage.surroundings = dataclasses.replace(self.stage.surroundings, log_files=self.log_files, chance=Alike())
        self.pools = Pools()
        concurrency = Concurrency(10)
        for name in ("a", "b"):
            function = dataclasses.replace(self.stage.function, name=name)
            self.pools.by_key[name] = Pool(function, self.stage.surroundings, Policy("keep-warm"), concurrency)
        self.environments = Environments(
            self.pools,
            self._pool,
            timeline=self.stage.timeline,
            database=Database(None, None, None, self.stage.timeline),
            log_files=self.log_files,
        )

    def _pool(self, name: str) -> Pool:
        if name not in self.pools.by_key:
            raise FunctionNotFoundError(f"Function not found: {name}")
        return self.pools.by_key[name]

    async def begin(self, name: str) -> PlayedRuntime:
        """An invocation that runs."""
        self.pools.by_key[name].submit(self.stage.invocation().invocation)
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime


@contextlib.contextmanager
def playing(folder: Path) -> Iterator[Play]:
    """A play whose files are closed at its end."""
    play = Play(folder)
    try:
        yield play
    finally:
        play.log_files.close()


@in_loop
async def test_all_are_seen_or_those_of_one_function(tmp_path: Path) -> None:
    """Nobody knows of sessions without a database; a function that is not there is an error, not an empty list."""
    with playing(tmp_path) as play:
        await play.begin("a")
        await play.begin("b")
        assert [view.function for view in play.environments.views()] == ["a", "b"]
        (view,) = play.environments.views("b")
        assert (view.function, view.state, view.connections) == ("b", "invoking", None)
        with pytest.raises(FunctionNotFoundError):
            play.environments.views("c")


@in_loop
async def test_the_beginning_of_an_id_is_enough_if_it_is_one_environments(tmp_path: Path) -> None:
    """Nothing, or what several begin with, is refused."""
    with playing(tmp_path) as play:
        await play.begin("a")
        (view,) = play.environments.views()
        assert play.environments.view("abab").id == view.id
        for wrong in ("", "zzz"):
            with pytest.raises(FunctionNotFoundError, match="Environment not found"):
                play.environments.view(wrong)
        await play.begin("b")
        with pytest.raises(InvalidParameterValueError, match="2 environments begin with abab"):
            play.environments.view("abab")
        assert play.environments.view(view.id).id == view.id


@in_loop
async def test_what_serves_is_recycled_when_it_is_done(tmp_path: Path) -> None:
    """And what is idle at once: one by its id, or all of a function; the others' stay."""
    with playing(tmp_path) as play:
        (await play.begin("a")).serve()
        runtime = await play.begin("b")
        idle, serving = play.environments.views()
        assert play.environments.recycle_all("b").when_parked == (serving.id,)
        assert play.environments.recycle(idle.id[:18]).recycled == (idle.id,)
        await play.environments.at_rest(idle.id)
        assert [view.id for view in play.environments.views()] == [serving.id]
        runtime.serve()
        await play.environments.at_rest(serving.id)
        assert play.environments.views() == []
        assert play.stage.reason("environment.shutting-down") == "recycled by hand"


@in_loop
async def test_an_invocation_is_followed_while_an_environment_has_it(tmp_path: Path) -> None:
    """One that has not got any, or whose environment is gone, cannot be followed."""
    with playing(tmp_path) as play:
        watched = play.stage.invocation()
        with pytest.raises(ServiceError, match="just got its environment"):
            play.environments.follow(watched.invocation, Middle())
        play.pools.by_key["a"].submit(watched.invocation)
        with contextlib.closing(play.environments.follow(watched.invocation, Middle(None))) as killing:
            assert (killing.pieces, killing.killed) == (0, False)
        await play.pools.by_key["a"].close("the test is over")
        with pytest.raises(ServiceError, match="just got its environment"):
            play.environments.follow(watched.invocation, Middle())


@in_loop
async def test_what_was_initialised_ahead_is_waited_for_until_it_is_at_rest(tmp_path: Path) -> None:
    """So that whoever deploys with it finds it frozen."""
    with playing(tmp_path) as play:
        pool = play.pools.by_key["a"]
        pool.adjust(dataclasses.replace(pool.function, provisioned_concurrency=1))
        await play.stage.settle()
        play.stage.runtime().park()
        await play.environments.initialised("a")
        assert [view.state for view in play.environments.views("a")] == ["frozen"]
        await pool.close("the test is over")


@in_loop
async def test_logs_are_those_of_a_function_or_of_one_environment_of_it(tmp_path: Path) -> None:
    """One that is gone can be named as well; one of another function cannot."""
    with playing(tmp_path) as play:
        (await play.begin("a")).serve()
        (view,) = play.environments.views()
        play.environments.recycle(view.id)
        await play.environments.at_rest(view.id)
        pieces = [piece async for batch in play.environments.logs("a", view.id[:18]) for piece in batch]
        assert {piece.environment for piece in pieces} == {view.id}
        assert b"REPORT" in b"".join(piece.lines for piece in pieces)
        with pytest.raises(FunctionNotFoundError):
            play.environments.logs("b", view.id[:18])
        with pytest.raises(FunctionNotFoundError):
            play.environments.logs("c")
