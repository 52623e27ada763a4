"""The clock: time that can be skipped, and the timers that wait on it."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import FakeClock, SystemClock
from tests.support import in_loop, skip_time


def test_fake_time_stands_still_until_it_is_skipped() -> None:
    """Both readings move by exactly what is skipped, and by nothing else."""
    clock = FakeClock(start=1_000.0)
    assert (clock.now(), clock.monotonic()) == (1_000.0, 0.0)
    clock.fast_forward(90.0)
    assert (clock.now(), clock.monotonic()) == (1_090.0, 90.0)


def test_timers_fire_in_the_order_of_their_moments() -> None:
    """The order in which they were made does not matter, and what is not due yet stays."""
    clock, fired = FakeClock(), list[str]()
    for name, when in (("late", 30.0), ("early", 10.0), ("never", 31.0)):
        clock.call_at(when, lambda name=name: fired.append(name))  # type: ignore[misc]
    assert clock.fast_forward(30.0) == 2
    assert fired == ["early", "late"]


def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_made() -> None:
    """Equal moments do not compare the callbacks, and the first made is the first called."""
    clock, fired = FakeClock(), list[int]()
    for number in range(5):
        clock.call_at(1.0, lambda number=number: fired.append(number))  # type: ignore[misc]
    clock.fast_forward(1.0)
    assert fired == [0, 1, 2, 3, 4]


def test_a_timer_sees_its_own_moment() -> None:
    """While skipping, a callback reads the time it was set for and not the end of the skip."""
    clock, seen = FakeClock(), list[float]()
    clock.call_at(10.0, lambda: seen.append(clock.monotonic()))
    clock.call_at(20.0, lambda: seen.append(clock.monotonic()))
    clock.fast_forward(60.0)
    assert seen == [10.0, 20.0]
    assert clock.monotonic() == 60.0


def test_a_cancelled_timer_does_not_come_and_is_not_counted() -> None:
    """The answer of fast_forward is how many callbacks ran."""
    clock, fired = FakeClock(), list[str]()
    clock.call_at(1.0, lambda: fired.append("cancelled")).cancel()
    clock.call_at(2.0, lambda: fired.append("kept"))
    assert clock.fast_forward(5.0) == 1
    assert fired == ["kept"]


def test_a_timer_made_by_a_timer_fires_in_the_same_skip() -> None:
    """A chain of retries within nine skipped hours happens as it would have in nine hours."""
    clock, fired = FakeClock(), list[float]()

    def again() -> None:
        fired.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 60.0, again)

    clock.call_at(60.0, again)
    assert clock.fast_forward(180.0) == 3
    assert fired == [60.0, 120.0, 180.0]


def test_a_timer_in_the_past_fires_at_the_next_skip_even_of_nothing() -> None:
    """Skipping no time at all still calls what is due."""
    clock, fired = FakeClock(), list[str]()
    clock.fast_forward(10.0)
    clock.call_at(5.0, lambda: fired.append("due"))
    assert clock.fast_forward(0.0) == 1
    assert fired == ["due"]
    assert clock.monotonic() == 10.0


@pytest.mark.parametrize("seconds", [-1.0, -0.001, -math.inf, math.nan])
def test_time_goes_forward_only(seconds: float) -> None:
    """A negative span and one that is no number are refused, and nothing moves or fires."""
    clock, fired = FakeClock(), list[str]()
    clock.call_at(0.0, lambda: fired.append("due"))
    with pytest.raises(ValueError, match="forward only"):
        clock.fast_forward(seconds)
    assert clock.monotonic() == 0.0
    assert fired == []


@given(
    moments=st.lists(st.floats(0.0, 1e6), max_size=20),
    spans=st.lists(st.floats(0.0, 1e5), max_size=10),
)
def test_no_way_of_skipping_loses_a_timer_or_calls_it_early(moments: list[float], spans: list[float]) -> None:
    """However a span is divided, each due timer fires once, in order, and never before its time."""
    clock, fired = FakeClock(), list[tuple[float, float]]()
    for moment in moments:
        clock.call_at(moment, lambda moment=moment: fired.append((moment, clock.monotonic())))  # type: ignore[misc]
    counted = sum(clock.fast_forward(span) for span in spans)
    end = clock.monotonic()
    if spans:
        assert sorted(moment for moment, _ in fired) == sorted(m for m in moments if m <= end)
    assert counted == len(fired)
    assert [moment for moment, _ in fired] == sorted(moment for moment, _ in fired)
    assert all(seen >= moment for moment, seen in fired)


@in_loop
async def test_system_timers_fire_on_the_running_loop() -> None:
    """A timer that is made later for an earlier moment is not held up by the one before it."""
    clock, fired, done = SystemClock(), list[str](), asyncio.Event()
    begin = clock.monotonic()
    clock.call_at(begin + 0.02, done.set)
    clock.call_at(begin + 0.02, lambda: fired.append("second"))
    clock.call_at(begin + 0.01, lambda: fired.append("first"))
    async with asyncio.timeout(30):
        await done.wait()
    assert fired == ["first", "second"]
    assert clock.monotonic() >= begin + 0.02
    clock.close()


@in_loop
async def test_a_cancelled_system_timer_holds_up_no_other() -> None:
    """When the first of the timers was cancelled, the next one still comes."""
    clock, done = SystemClock(), asyncio.Event()
    first = clock.call_at(clock.monotonic() + 0.005, lambda: pytest.fail("it was cancelled"))
    clock.call_at(clock.monotonic() + 0.01, done.set)
    first.cancel()
    async with asyncio.timeout(30):
        await done.wait()
    clock.close()


@in_loop
async def test_skipping_moves_the_wall_clock_and_fires_what_is_due() -> None:
    """Eight hours pass at once for whoever asks the clock, and for the timers within them."""
    clock, fired = SystemClock(), list[str]()
    wall, monotonic = clock.now(), clock.monotonic()
    clock.call_at(monotonic + 7 * 3600, lambda: fired.append("in the span"))
    clock.call_at(monotonic + 9 * 3600, lambda: fired.append("behind it"))
    assert clock.fast_forward(8 * 3600) == 1
    assert fired == ["in the span"]
    assert 8 * 3600 <= clock.now() - wall < 8 * 3600 + 60
    assert 8 * 3600 <= clock.monotonic() - monotonic < 8 * 3600 + 60
    clock.close()


@in_loop
async def test_after_a_skip_the_loop_wakes_the_rest_in_time() -> None:
    """What a skip brought close fires by itself, without another skip."""
    clock, done = SystemClock(), asyncio.Event()
    clock.call_at(clock.monotonic() + 3600.01, done.set)
    assert clock.fast_forward(3600) == 0
    async with asyncio.timeout(30):
        await done.wait()
    clock.close()


@in_loop
async def test_a_closed_clock_forgets_its_timers() -> None:
    """Nothing fires after close(), not even by skipping."""
    clock = SystemClock()
    clock.call_at(clock.monotonic() + 1.0, lambda: pytest.fail("the clock was closed"))
    clock.close()
    assert clock.fast_forward(10.0) == 0


class RealTime:
    """What the machine's own clocks show, as far as :class:`SystemClock` is concerned."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return 5_000.0 + self.passed

    def time(self) -> float:
        return 1_700_000_000.0 + self.passed


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> RealTime:
    """Real time that stands still until the test moves it."""
    real = RealTime()
    monkeypatch.setattr("emulator.clock.time", real)
    return real


@pytest.mark.parametrize("speed", [1.0, 60.0, 3600.0])
def test_a_fast_clock_makes_more_of_a_second(real: RealTime, speed: float) -> None:
    """At first it shows what every clock shows; then both of its readings run ahead by the factor."""
    clock = SystemClock(speed)
    assert (clock.now(), clock.monotonic()) == (1_700_000_000.0, 5_000.0)
    real.passed = 60.0
    assert (clock.now(), clock.monotonic()) == (1_700_000_000.0 + 60 * speed, 5_000.0 + 60 * speed)
    assert clock.speed == speed


@in_loop
async def test_a_fast_clock_has_the_loop_wake_it_sooner(real: RealTime) -> None:
    """An hour is a minute: after 59 real seconds nothing has come, after 60 both timers have, in their order."""
    clock, fired = SystemClock(speed=60), list[str]()
    clock.call_at(clock.monotonic() + 3600, lambda: fired.append("an hour"))
    clock.call_at(clock.monotonic() + 3599, lambda: fired.append("a second before"))

    async def pass_time(seconds: float) -> None:
        real.passed += seconds
        skip_time(seconds)
        for _ in range(3):
            await asyncio.sleep(0)

    await pass_time(59)
    assert fired == []
    await pass_time(1.5)
    assert fired == ["a second before", "an hour"]
    clock.close()


@in_loop
async def test_skipping_a_fast_clock_skips_its_own_seconds(real: RealTime) -> None:
    """Eight hours are eight hours of the clock; timers see their own moments, and what is left is waited for faster."""
    clock, seen = SystemClock(speed=60), list[float]()
    begin, wall = clock.monotonic(), clock.now()
    for hours in (9, 7, 8):
        clock.call_at(begin + hours * 3600, lambda: seen.append(clock.monotonic() - begin))
    assert clock.fast_forward(8 * 3600) == 2
    assert seen == [7 * 3600, 8 * 3600]
    assert clock.now() - wall == 8 * 3600
    real.passed += 61
    skip_time(61)
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen[2:] == [8 * 3600 + 61 * 60]
    clock.close()


@pytest.mark.parametrize("speed", [0.0, 0.5, -60.0, math.inf, math.nan])
def test_a_clock_is_not_slower_than_real_time(speed: float) -> None:
    """The database server cannot be slowed down, so the emulator is not either."""
    with pytest.raises(ValueError, match="real speed or faster"):
        SystemClock(speed)


@given(speed=st.floats(1, 1e5), passing=st.lists(st.tuples(st.booleans(), st.floats(0, 1e5)), max_size=20))
def test_whatever_passes_and_is_skipped_no_clock_goes_back(speed: float, passing: list[tuple[bool, float]]) -> None:
    """Time that passes and time that is skipped add up, and each reading is as late as the one before it."""
    real = RealTime()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emulator.clock.time", real)
        clock = SystemClock(speed)
        begin, before, expected = clock.monotonic(), clock.monotonic(), 0.0
        for skipped, seconds in passing:
            if skipped:
                clock.fast_forward(seconds)
                expected += seconds
            else:
                real.passed += seconds
                expected += seconds * speed
            assert clock.monotonic() >= before
            before = clock.monotonic()
        assert before - begin == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_fake_time_goes_to_a_moment_without_rounding() -> None:
    """A thousand tenths are a hundred seconds exactly, and every timer has had its moment."""
    clock, fired = FakeClock(), list[float]()
    for number in range(1, 1001):
        clock.call_at(number / 10, lambda: fired.append(clock.monotonic()))
    for number in range(1, 1001):
        assert clock.advance_to(number / 10) == 1
        assert clock.monotonic() == number / 10
    assert fired == [number / 10 for number in range(1, 1001)]
    with pytest.raises(ValueError, match="forward only"):
        clock.advance_to(99.9)
