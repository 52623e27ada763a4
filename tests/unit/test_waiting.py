"""Waiting for an event of the timeline, and for an environment to come to rest."""

from __future__ import annotations

import asyncio

import pytest

from emulator.clock import FakeClock
from emulator.concurrency import Concurrency
from emulator.errors import EmulatorError, FreezeError
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.timeline import Timeline
from emulator.waiting import rest_of, wait_for
from tests.support import in_loop
from tests.unit.stage import Stage


@in_loop
async def test_what_has_happened_already_is_answered_at_once() -> None:
    """If it was after the number that is named; else the next one is waited for."""
    timeline = Timeline(FakeClock())
    for kind in ("a", "b", "a"):
        timeline.record(kind)
    found = await wait_for(timeline, lambda event: event.kind == "a", since=1, timeout=5, what="an a")
    assert found.seq == 3
    waiting = asyncio.ensure_future(
        wait_for(timeline, lambda event: event.kind == "a", since=3, timeout=5, what="another a")
    )
    await asyncio.sleep(0)
    timeline.record("b")
    timeline.record("a")
    timeline.record("a")
    assert (await waiting).seq == 5


@in_loop
async def test_what_does_not_happen_is_told_by_its_name() -> None:
    """After the time that is given, and nobody listens any more."""
    timeline = Timeline(FakeClock())
    asked: list[str] = []

    def never(event: object) -> bool:
        asked.append(str(event))
        return False

    with pytest.raises(EmulatorError, match=r"within 0\.01 s: the end of days"):
        await wait_for(timeline, never, since=0, timeout=0.01, what="the end of days")
    timeline.record("a")
    assert asked == []


@in_loop
async def test_an_environment_is_at_rest_when_it_is_frozen_gone_or_cannot_be_frozen() -> None:
    """Whichever comes first; and what is so already is not waited for."""
    stage = Stage()
    pool = Pool(stage.function, stage.surroundings, Policy("keep-warm"), Concurrency(10))
    pool.submit(stage.invocation().invocation)
    await stage.settle()
    (environment,) = pool.environments
    runtime = stage.runtime()
    runtime.park()
    resting = asyncio.ensure_future(rest_of(environment, stage.timeline))
    await stage.settle()
    assert not resting.done()
    runtime.serve()
    await resting
    assert environment.state == "frozen"
    await rest_of(environment, stage.timeline)
    pool.submit(stage.invocation().invocation)
    await stage.settle()
    stage.provider.sandboxes[0].freezer.fail_with = FreezeError("the kernel said no")
    resting = asyncio.ensure_future(rest_of(environment, stage.timeline))
    await stage.settle()
    runtime.serve()
    await resting
    assert environment.state == "idle"
    resting = asyncio.ensure_future(rest_of(environment, stage.timeline))
    await stage.settle()
    environment.end("the test is over")
    await resting
    assert environment.state == "gone"
