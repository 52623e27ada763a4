"""Schedules on the emulator's clock."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from typing import Any

import pytest

from emulator.clock import FakeClock
from emulator.errors import ConfigurationError
from emulator.schedules import Schedule, Schedules

START = datetime.datetime(2026, 3, 28, 23, 50, tzinfo=datetime.UTC).timestamp()


def _schedule(expression: str, **other: Any) -> Schedule:
    return Schedule(name="nightly", function="orders", expression=expression, **other)


class _Post:
    """Keeps what was sent, with the time."""

    def __init__(self, *schedules: Schedule) -> None:
        self.clock = FakeClock(START)
        self.sent: list[tuple[float, Any]] = []
        self.schedules = Schedules(self.clock, schedules, self._take, region="us-east-1", account="123456789012")

    def _take(self, schedule: Schedule, payload: bytes) -> None:
        self.sent.append((self.clock.now() - START, json.loads(payload)))

    @property
    def times(self) -> list[float]:
        return [round(when, 3) for when, _ in self.sent]


def test_a_rate_counts_from_the_start() -> None:
    """The first event comes after one period, and then one after each."""
    post = _Post(_schedule("rate(5 minutes)"))
    post.clock.fast_forward(900)
    assert post.times == [300, 600, 900]


def test_how_many_are_due() -> None:
    """Those of all schedules are counted, up to the moment that is asked for and with it."""
    post = _Post(_schedule("rate(5 minutes)"), replace(_schedule("rate(1 minute)"), name="often"))
    assert post.schedules.more_than(11, until=START + 600)
    assert not post.schedules.more_than(12, until=START + 600)
    assert not _Post().schedules.more_than(0, until=START + 600)


def test_cron_is_on_the_wall_clock() -> None:
    """At ten minutes to twelve, the next midnight is in ten minutes."""
    post = _Post(_schedule("cron(0 0 * * ? *)"))
    post.clock.fast_forward(3600)
    assert post.times == [600]


def test_a_time_zone_has_its_own_midnight() -> None:
    """In Berlin it is ten to one, and summer begins there that night: midnight is in 22 h 10 min."""
    post = _Post(_schedule("cron(0 0 * * ? *)", timezone="Europe/Berlin"))
    post.clock.fast_forward(86_400)
    assert post.times == [22 * 3600 + 600]


def test_once_is_once() -> None:
    """``at`` is over when it was, and has no next time."""
    post = _Post(_schedule("at(2026-03-29T00:00:00)"))
    assert post.schedules.next_due == 600
    post.clock.fast_forward(86_400)
    assert post.times == [600]
    assert post.schedules.next_due is None


def test_the_event_is_eventbridges() -> None:
    """Without an input of its own; with one it is that."""
    post = _Post(
        _schedule("rate(1 minute)"), Schedule(name="b", function="f", expression="rate(1 minute)", input="[1]")
    )
    post.clock.fast_forward(60)
    (_, event), (_, given) = post.sent
    assert given == [1]
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-03-28T23:51:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"],
        "detail": {},
    }


def test_closed_schedules_send_nothing() -> None:
    """Nobody is there to serve it."""
    post = _Post(_schedule("rate(1 minute)"))
    post.schedules.close()
    post.clock.fast_forward(600)
    assert post.sent == []


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minutes)",
        "rate(2 minute)",
        "rate(0 minutes)",
        "cron(0 99 * * ? *)",
        "cron(a b c d e f)",
        "at(x)",
        "daily",
    ],
)
def test_wrong_expressions_are_refused(expression: str) -> None:
    """As AWS refuses them, with examples."""
    with pytest.raises(ConfigurationError) as refused:
        _schedule(expression)
    assert "rate(5 minutes)" in refused.value.cure


@pytest.mark.parametrize("other", [{"timezone": "Mars/Olympus"}, {"input": "{"}])
def test_wrong_settings_are_refused(other: dict[str, str]) -> None:
    """A zone that is not there, an input that is no JSON."""
    with pytest.raises(ConfigurationError, match="schedule nightly"):
        _schedule("rate(1 day)", **other)
