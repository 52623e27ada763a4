"""The middle of an invocation: found in a conversation, not on a clock."""

from __future__ import annotations

import asyncio
from typing import cast

from emulator.clock import FakeClock
from emulator.database.relays import Relays
from emulator.environment import Environment
from emulator.killing import Killing, Middle
from emulator.lifecycle import State
from emulator.model import EnvironmentId
from emulator.timeline import Timeline
from tests.support import in_loop, skip_time


class PlayedEnvironment:
    """An environment that only says in which state it is, and how often its runtime was killed."""

    def __init__(self) -> None:
        self.id = EnvironmentId("e")
        self.state = State.INIT
        self.kills = 0

    def kill_runtime(self) -> None:
        self.kills += 1


class Scene:
    """An environment, its relay and somebody who follows its invocation."""

    def __init__(self, middle: Middle, *, state: State = State.INIT) -> None:
        self.environment = PlayedEnvironment()
        self.environment.state = state
        self.timeline = Timeline(FakeClock())
        relays = Relays(("127.0.0.1", 1), clock=FakeClock(), on_event=lambda _event: None)
        self.relay = relays.make(self.environment.id, listen=None)
        self.killing = Killing(cast(Environment, self.environment), relays, self.timeline, middle)

    def begins(self) -> None:
        self.environment.state = State.INVOKING
        self.timeline.record("environment.invoking", environment=self.environment.id)


@in_loop
async def test_it_ends_at_a_piece_of_the_conversation() -> None:
    """What module-level code says does not count; it is killed once."""
    scene = Scene(Middle(2))
    for _ in range(3):
        scene.relay.passed_up()
    scene.begins()
    scene.relay.passed_up()
    assert (scene.killing.pieces, scene.environment.kills) == (1, 0)
    scene.relay.passed_up()
    scene.relay.passed_up()
    assert scene.environment.kills == 1
    scene.killing.close()


@in_loop
async def test_who_says_nothing_is_ended_after_a_while() -> None:
    """A function that works without its database is in the middle of something as well."""
    scene = Scene(Middle(1, patience=5))
    skip_time(10)
    await asyncio.sleep(0)
    scene.begins()
    assert scene.environment.kills == 0
    skip_time(5)
    await asyncio.sleep(0.001)
    assert [scene.environment.kills, scene.killing.killed] == [1, True]
    scene.killing.close()


@in_loop
async def test_a_warm_environment_may_have_begun_already() -> None:
    """It is handed its event before anybody can follow it."""
    scene = Scene(Middle(1), state=State.INVOKING)
    scene.relay.passed_up()
    assert scene.environment.kills == 1
    scene.killing.close()


@in_loop
async def test_counting_kills_nobody() -> None:
    """Without a number the conversation is followed to its end; afterwards it is followed no more."""
    scene = Scene(Middle(None, patience=0))
    scene.begins()
    scene.relay.passed_up()
    await asyncio.sleep(0.001)
    scene.killing.close()
    scene.relay.passed_up()
    assert (scene.killing.pieces, scene.environment.kills) == (1, 0)


@in_loop
async def test_what_is_over_is_not_killed() -> None:
    """A timer that comes after the answer, and another environment's beginning, mean nothing."""
    scene = Scene(Middle(1, patience=5))
    scene.timeline.record("environment.invoking", environment="another")
    scene.begins()
    scene.environment.state = State.IDLE
    skip_time(6)
    await asyncio.sleep(0.001)
    assert scene.environment.kills == 0
    scene.killing.close()
