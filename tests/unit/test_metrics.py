"""Figures for monitoring: each event counts once, and what was missed is said."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import FakeClock
from emulator.metrics import DURATIONS, LAGS, Histogram, Metrics
from emulator.timeline import Timeline
from tests.support import in_loop
from tests.unit.stage import settle


def finished(timeline: Timeline, duration_ms: float = 20.0, **detail: Any) -> None:
    timeline.record("invocation.finished", function="orders", detail={"duration_ms": duration_ms, **detail})


def test_cloudwatch_s_figures_are_counted_by_function() -> None:
    """Invocations, errors, throttles, and lengths in seconds."""
    timeline, metrics = Timeline(FakeClock()), Metrics()
    finished(timeline)
    finished(timeline, 3000.0, error="Sandbox.Timedout", status="timeout")
    finished(timeline, extensions_ms=120.0)
    timeline.record("invocation.throttled", function="orders")
    timeline.record("event.throttled", function="reports")
    metrics.catch_up(timeline)
    assert metrics.invocations == {"orders": 3}
    assert metrics.errors == {"orders": 1}
    assert metrics.throttles == {"orders": 1, "reports": 1}
    assert dict(metrics.durations["orders"].cumulative)[0.025] == 2
    assert metrics.durations["orders"].total == 3.04
    assert metrics.extensions["orders"].cumulative[-1] == (float("inf"), 1)


def test_the_emulator_s_own_figures_are_counted() -> None:
    """Cold starts are those that a request waited for; lags are seconds."""
    timeline, metrics = Timeline(FakeClock()), Metrics()
    timeline.record("environment.starting", function="orders", request_id="r1")
    timeline.record("environment.starting", function="orders")
    timeline.record("environment.frozen", function="orders", detail={"lag_ms": 0.02})
    for kind in ("connection.opened", "connection.opened", "connection.zombie", "session.zombie", "session.opened"):
        timeline.record(kind, function="orders")
    metrics.catch_up(timeline)
    assert metrics.cold_starts == {"orders": 1}
    assert metrics.connections == {"opened": 2, "zombie": 1}
    assert metrics.zombie_sessions == 1
    assert [count for _, count in metrics.freezes["orders"].cumulative[:3]] == [0, 1, 1]


def test_each_event_counts_once_however_often_one_asks() -> None:
    """Also in pages, for there are more than one page of them."""
    timeline, metrics = Timeline(FakeClock()), Metrics()
    for _ in range(1500):
        finished(timeline)
    metrics.catch_up(timeline)
    metrics.catch_up(timeline)
    finished(timeline)
    metrics.catch_up(timeline)
    assert metrics.invocations == {"orders": 1501}
    assert metrics.missed == 0


@in_loop
async def test_counting_by_itself_and_being_asked_do_not_count_twice() -> None:
    """Whoever asks is told of this moment; who follows goes on from there."""
    timeline, metrics = Timeline(FakeClock()), Metrics()
    finished(timeline)
    following = asyncio.ensure_future(metrics.follow(timeline))
    await settle()
    finished(timeline)
    metrics.catch_up(timeline)
    finished(timeline)
    timeline.end_followers()
    async with asyncio.timeout(30):
        await following
    assert metrics.invocations == {"orders": 3}


def test_what_fell_out_before_it_was_counted_is_told() -> None:
    """Once, however often one asks."""
    timeline, metrics = Timeline(FakeClock(), limit=10), Metrics()
    for _ in range(25):
        finished(timeline)
    metrics.catch_up(timeline)
    metrics.catch_up(timeline)
    assert (metrics.invocations["orders"], metrics.missed) == (10, 15)


@given(st.lists(st.floats(0, 2000)))
def test_a_histogram_says_how_many_are_at_most_each_bound(values: list[float]) -> None:
    """Cumulative, and the last one is all of them."""
    histogram = Histogram(DURATIONS)
    for value in values:
        histogram.observe(value)
    for bound, count in histogram.cumulative:
        assert count == sum(value <= bound for value in values)


def test_bounds_rise() -> None:
    """A bound that does not would never count."""
    assert list(DURATIONS) == sorted(set(DURATIONS))
    assert list(LAGS) == sorted(set(LAGS))
