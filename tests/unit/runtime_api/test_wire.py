"""Time that stands still while an environment is frozen; the wires themselves are shown with the deliveries."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.runtime_api.wire import ThawedTime
from tests.support import in_loop, run, skip_time
from tests.unit.runtime_api.listeners import rounds


@in_loop
async def test_a_limit_does_not_run_while_time_stands_still() -> None:
    """What was left at the pause is left after it, and not more."""
    time, ended = ThawedTime(), asyncio.Event()

    async def limited() -> None:
        with pytest.raises(TimeoutError):
            async with time.limit(10.0):
                await asyncio.Event().wait()
        ended.set()

    task = asyncio.create_task(limited())
    await rounds()
    skip_time(6.0)
    time.pause()
    skip_time(1000.0)
    await rounds()
    time.resume()
    skip_time(3.0)
    await rounds()
    assert not ended.is_set()
    skip_time(1.1)
    await rounds()
    assert ended.is_set()
    await task


@in_loop
async def test_a_limit_that_begins_while_frozen_begins_with_the_thaw() -> None:
    """It has all of its time then."""
    time, event = ThawedTime(), asyncio.Event()
    time.pause()
    task = asyncio.create_task(time.wait(event, 1.0))
    await rounds()
    skip_time(100.0)
    time.resume()
    await rounds()
    assert not task.done()
    skip_time(1.1)
    await task


@in_loop
async def test_waiting_ends_with_the_event() -> None:
    """Also while time stands still: an event is no matter of time."""
    time, event = ThawedTime(), asyncio.Event()
    time.pause()
    task = asyncio.create_task(time.wait(event, 1.0))
    await rounds()
    event.set()
    await task


@in_loop
async def test_a_limit_that_fired_before_a_pause_stays_fired() -> None:
    """Between the moment and the step of the task that it ends, the environment may be frozen."""
    time = ThawedTime()
    task = asyncio.create_task(time.wait(asyncio.Event(), 1.0))
    await rounds()
    skip_time(1.1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.pause()
    time.resume()
    time.pause()
    await rounds()
    assert task.done()
    await task


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=30))
def test_only_thawed_time_counts(stretches: list[tuple[bool, int]]) -> None:
    """Over any sequence of freezes, the time that passed is the sum of the stretches in between."""

    async def play() -> None:
        time, thawed = ThawedTime(), 0
        began = time.now()
        for is_frozen, seconds in stretches:
            (time.pause if is_frozen else time.resume)()
            skip_time(seconds)
            thawed += 0 if is_frozen else seconds
        assert thawed <= time.now() - began < thawed + 1

    run(play())
