"""The timeline: one order, no gaps, nothing lost without being counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import FakeClock
from emulator.timeline import Timeline, TimelineEvent


def filled(count: int, limit: int = 100) -> Timeline:
    timeline = Timeline(FakeClock(), limit)
    for number in range(1, count + 1):
        timeline.record(f"test.{number}")
    return timeline


def test_an_event_carries_what_was_said_of_it() -> None:
    """Every field arrives under its name, and the moment is the clock's."""
    clock = FakeClock(start=500.0)
    timeline = Timeline(clock)
    clock.fast_forward(2.5)
    timeline.record("environment.frozen", "parked", function="f", environment="e", request_id="r", detail={"us": 20})
    assert list(timeline.since()) == [
        TimelineEvent(1, 502.5, "environment.frozen", "f", "e", "r", "parked", {"us": 20})
    ]


def test_what_is_not_said_is_empty() -> None:
    """A kind alone makes an event."""
    timeline = filled(1)
    assert list(timeline.since()) == [TimelineEvent(1, 1_700_000_000.0, "test.1", None, None, None, "", None)]


def test_numbers_begin_at_one_and_have_no_gaps() -> None:
    """A reader who has seen number n knows that n + 1 is the next."""
    timeline = filled(5)
    assert [event.seq for event in timeline.since()] == [1, 2, 3, 4, 5]
    assert timeline.last_seq == 5


def test_what_falls_out_is_counted() -> None:
    """The oldest go first, and how many went can be asked for."""
    timeline = filled(7, limit=3)
    assert [event.seq for event in timeline.since()] == [5, 6, 7]
    assert timeline.dropped == 4
    assert timeline.last_seq == 7


@pytest.mark.parametrize(
    ("seq", "expected"), [(0, [5, 6, 7]), (3, [5, 6, 7]), (4, [5, 6, 7]), (5, [6, 7]), (7, []), (99, [])]
)
def test_since_goes_on_behind_a_number(seq: int, expected: list[int]) -> None:
    """Also behind one that has fallen out already, and one that is yet to come."""
    assert [event.seq for event in filled(7, limit=3).since(seq)] == expected


@given(count=st.integers(0, 30), limit=st.integers(1, 12), seq=st.integers(0, 40))
def test_kept_and_dropped_make_the_whole(count: int, limit: int, seq: int) -> None:
    """Whatever the limit: what is kept is the newest, in order, and the rest is counted."""
    timeline = filled(count, limit)
    kept = [event.seq for event in timeline.since()]
    assert kept == list(range(count - len(kept) + 1, count + 1))
    assert timeline.dropped + len(kept) == timeline.last_seq == count
    assert [event.seq for event in timeline.since(seq)] == [number for number in kept if number > seq]


def test_reading_is_not_disturbed_by_writing() -> None:
    """An iteration that has begun shows what was there when it began."""
    timeline = filled(3, limit=3)
    reading = timeline.since()
    assert next(reading).seq == 1
    timeline.record("test.4")
    assert [event.seq for event in reading] == [2, 3]


def test_a_listener_hears_everything_from_now_on_until_it_ends() -> None:
    """Neither what was before nor what comes after."""
    timeline, heard = filled(1), list[int]()
    stop = timeline.listen(lambda event: heard.append(event.seq))
    timeline.record("test.2")
    timeline.record("test.3")
    stop()
    timeline.record("test.4")
    assert heard == [2, 3]


def test_a_listener_that_ends_while_it_is_called_takes_no_event_from_the_next_one() -> None:
    """Waiting for one event and leaving is what listeners are for."""
    timeline, heard = filled(0), list[str]()

    def once(event: TimelineEvent) -> None:
        heard.append("once")
        stop()

    stop = timeline.listen(once)
    timeline.listen(lambda event: heard.append(event.kind))
    timeline.record("test.1")
    timeline.record("test.2")
    assert heard == ["once", "test.1", "test.2"]


def test_a_listener_finds_the_event_already_recorded() -> None:
    """Who is told of an event can read it where it belongs."""
    timeline, found = filled(0), list[bool]()
    timeline.listen(lambda event: found.append(event in list(timeline.since())))
    timeline.record("test.1")
    assert found == [True]
