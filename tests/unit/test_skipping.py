"""Skipping time in steps: what begins on the way is let finish before the next step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from emulator.clock import FakeClock
from emulator.database.database import Database
from emulator.errors import InvalidParameterValueError
from emulator.schedules import Schedule, Schedules
from emulator.skipping import FastForwardAnswer, fast_forward, skip
from emulator.timeline import Timeline
from tests.support import in_loop


class Work:
    """Begins something at certain moments; each takes a few rounds of the loop, in which the clock must stand."""

    def __init__(self, clock: FakeClock, *moments: float, repeats: float | None = None, rounds: int = 3) -> None:
        self.clock, self.repeats, self.rounds = clock, repeats, rounds
        self.moments: list[float] = []
        self.log: list[str] = []
        self.running = 0
        for moment in moments:
            self._plan(moment)

    @property
    def next_due(self) -> float | None:
        return min(self.moments, default=None)

    async def finished(self) -> None:
        for _ in range(self.rounds if self.running else 0):
            await asyncio.sleep(0)
        if self.running:
            self.log.append(f"ends at {self.clock.monotonic():g}")
            self.running = 0
            if self.repeats is not None:
                self._plan(self.clock.monotonic() + self.repeats)

    async def arrive(self) -> None:
        self.log.append(f"arrives at {self.clock.monotonic():.3f}")

    def _plan(self, moment: float) -> None:
        self.moments.append(moment)
        self.clock.call_at(moment, self._begin)

    def _begin(self) -> None:
        self.moments.remove(self.clock.monotonic())
        self.log.append(f"begins at {self.clock.monotonic():g}")
        self.running += 1


@in_loop
async def test_what_begins_is_let_finish_at_its_own_time() -> None:
    """Everything else is brought up to that moment before it begins, and to the end after it."""
    clock = FakeClock()
    work = Work(clock, 60.0)
    assert await skip(clock, 100.0, lambda: [work], work.arrive) == 1
    assert work.log == ["arrives at 59.000", "begins at 60", "ends at 60", "arrives at 100.000"]
    assert clock.monotonic() == 100.0


@in_loop
async def test_what_follows_from_it_falls_into_the_skip_as_well() -> None:
    """A retry of a retry: in its order, and only as far as the skip goes."""
    clock = FakeClock()
    work = Work(clock, 10.0, repeats=30.0)
    other = Work(clock, 25.0)
    fired = await skip(clock, 75.0, lambda: [work, other], _nothing)
    assert work.log == ["begins at 10", "ends at 10", "begins at 40", "ends at 40", "begins at 70", "ends at 70"]
    assert other.log == ["begins at 25", "ends at 25"]
    assert (fired, work.next_due) == (4, 100.0)


@in_loop
async def test_what_runs_already_is_let_finish_first() -> None:
    """Before any time is skipped."""
    clock = FakeClock()
    work = Work(clock)
    work.running = 1
    await skip(clock, 5.0, lambda: [work], work.arrive)
    assert work.log == ["ends at 0", "arrives at 5.000"]


@in_loop
async def test_what_is_due_now_and_what_is_beyond() -> None:
    """A skip of nothing does what is due; what is due later stays."""
    clock = FakeClock()
    work = Work(clock, 0.0, 10.0)
    assert await skip(clock, 0.0, lambda: [work], _nothing) == 1
    assert (work.log, work.next_due) == (["begins at 0", "ends at 0"], 10.0)


@in_loop
async def test_nobody_is_waited_for_beyond_patience() -> None:
    """One limit for the whole skip; the steps are made all the same."""
    clock = FakeClock()
    work = Work(clock, 10.0, 20.0, 30.0, rounds=10**9)
    assert await skip(clock, 60.0, lambda: [work], _nothing, patience=0.05) == 3
    assert work.log == ["begins at 10", "begins at 20", "begins at 30"]
    assert clock.monotonic() == 60.0


class Scene:
    """What a fast-forward is made of, without a database: schedules, and work of others."""

    def __init__(self, *schedules: Schedule) -> None:
        self.clock = FakeClock()
        self.timeline = Timeline(self.clock)
        self.sent: list[float] = []
        self.schedules = Schedules(
            self.clock, schedules, lambda schedule, payload: self._send(), region="us-east-1", account="123456789012"
        )
        self.works: Sequence[Work] = []

    async def skip(self, seconds: float) -> FastForwardAnswer:
        return await fast_forward(
            seconds,
            clock=self.clock,
            timeline=self.timeline,
            database=Database(None, None, None, self.timeline),
            schedules=self.schedules,
            others=lambda: self.works,
        )

    def _send(self) -> None:
        self.sent.append(self.clock.monotonic())
        self.timeline.record("schedule.due", "every minute")
        self.timeline.record("schedule.noted")


@in_loop
async def test_a_fast_forward_answers_what_it_has_caused() -> None:
    """Of what happened in it that which has a reason; schedules and the work of others begin at their own times."""
    scene = Scene(Schedule(name="often", function="orders", expression="rate(1 minute)"))
    scene.timeline.record("before", "it was before")
    scene.works = [Work(scene.clock, 90.0)]
    answer = await scene.skip(130.0)
    assert (answer.seconds, answer.timers, scene.sent) == (130.0, 3, [60.0, 120.0])
    assert [event.kind for event in answer.caused] == ["schedule.due", "schedule.due"]
    assert answer.now == scene.clock.now()
    assert scene.works[0].log == ["begins at 90", "ends at 90"]
    scene.schedules.close()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1.0, "time goes forward"),
        (float("inf"), "time goes forward"),
        (float("nan"), "time goes forward"),
        (9_000 * 366 * 86_400.0, "ends with the year 9998"),
        (50_010 * 60.0, "more than 50,000 events"),
    ],
)
def test_a_skip_that_cannot_be_made_is_refused(seconds: float, told: str) -> None:
    """Back, without end, beyond the calendar, or with more on the way than can be waited for; no time has gone by."""

    @in_loop
    async def skip_it() -> None:
        scene = Scene(Schedule(name="often", function="orders", expression="rate(1 minute)"))
        with pytest.raises(InvalidParameterValueError, match=told):
            await scene.skip(seconds)
        assert (scene.clock.monotonic(), scene.sent) == (0.0, [])
        scene.schedules.close()

    skip_it()


async def _nothing() -> None:
    pass
