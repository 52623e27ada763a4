"""The timeline: one order, no gaps, nothing lost without being counted."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import FakeClock
from emulator.timeline import Timeline, TimelineEvent, Wanted
from tests.support import in_loop, skip_time
from tests.unit.stage import settle


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


def test_a_listener_hears_only_the_kinds_that_it_wants() -> None:
    """Kinds that came before it listened, and those that come later; it is asked once for each."""
    timeline, heard, asked = Timeline(FakeClock()), list[str](), list[str]()
    timeline.record("a.trouble")

    def wants(kind: str) -> bool:
        asked.append(kind)
        return kind.endswith(".trouble")

    stop = timeline.listen(lambda event: heard.append(event.kind), wants)
    for kind in ("a.trouble", "a.fine", "b.trouble", "a.fine", "a.trouble"):
        timeline.record(kind)
    stop()
    timeline.record("a.trouble")
    assert heard == ["a.trouble", "b.trouble", "a.trouble"]
    assert asked == ["a.trouble", "a.fine", "b.trouble"]


class Word(StrEnum):
    """A word of an enumeration, as details carry them."""

    SILENT = "silent"


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"client": ("127.0.0.1", 4000), "source": None},
        {"lag_ms": 0.031, "cold": True, "list": [1, {"a": None}]},
        {"by": Word.SILENT, "payload": "ä\ud800\x00"},
        {"nested": {"by": Word.SILENT}},
    ],
)
def test_a_detail_is_read_as_it_was_given(detail: dict[str, Any]) -> None:
    """Whatever form it is kept in; and what its owner does to it afterwards does not change the record."""
    timeline, given = Timeline(FakeClock()), dict(detail)
    timeline.record("test", detail=given)
    given["later"] = True
    (event,) = timeline.since()
    assert event.detail == detail


def test_words_of_enumerations_become_plain_ones() -> None:
    """So that JSON and comparisons have no surprises."""
    timeline = Timeline(FakeClock())
    timeline.record("test", detail={"by": Word.SILENT})
    (event,) = timeline.since()
    assert event.detail is not None
    assert type(event.detail["by"]) is str


@given(count=st.integers(0, 60), limit=st.integers(1, 20), since=st.integers(0, 70), most=st.integers(1, 9))
def test_pages_make_the_whole(count: int, limit: int, since: int, most: int) -> None:
    """Reading page by page gives what is there, once each; what is not there any more is told, to the number."""
    timeline = filled(count, limit)
    found, lost, place, more = list[int](), list[tuple[int, int]](), since, True
    while more:
        page = timeline.read(place, most=most)
        assert len(page.events) <= most
        found += [event.seq for event in page.events]
        lost += [page.lost] if page.lost is not None else []
        place, more = page.last, page.more
    assert found == [event.seq for event in timeline.since(since)]
    dropped = max(0, count - limit)
    assert lost == ([(since + 1, dropped)] if since < dropped else [])
    assert place == count


def test_a_page_looks_at_so_many_events_and_no_more() -> None:
    """A filter that nothing fits does not hold the loop for the whole record: the rest is another page's."""
    timeline = filled(5000, limit=10_000)
    page = timeline.read(0, Wanted(kinds=("nothing",)))
    assert page.events == []
    assert page.more
    assert 0 < page.last < 5000


MIXED = (
    ("environment.frozen", "orders", "abc1"),
    ("environment.idle", "orders", "abd2"),
    ("session.opened", "reports", "abc1"),
    ("emulator.started", None, None),
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [1, 2, 3, 4]),
        (Wanted(function="orders"), [1, 2]),
        (Wanted(environment="ab"), [1, 2, 3]),
        (Wanted(environment="abc"), [1, 3]),
        (Wanted(kinds=("environment.frozen", "emulator.")), [1, 4]),
        (Wanted(function="orders", kinds=("session",)), []),
        (Wanted(not_before=1001.5), [3, 4]),
        (Wanted(not_before=1001.0, function="orders"), [2]),
        (Wanted(not_before=9999.0), []),
    ],
)
def test_a_reader_gets_what_is_wanted(wanted: Wanted, expected: list[int]) -> None:
    """By function, environment, kind and age, alone and together; in pages and one by one."""
    clock = FakeClock(start=1000.0)
    timeline = Timeline(clock, 10)
    for kind, function, environment in MIXED:
        timeline.record(kind, function=function, environment=environment)
        clock.fast_forward(1)
    assert [event.seq for event in timeline.read(0, wanted).events] == expected
    assert [event.seq for event in timeline.since() if wanted.takes(event)] == expected


def test_age_is_looked_up_in_a_record_that_has_wrapped() -> None:
    """Moments go round as events do."""
    clock = FakeClock(start=1000.0)
    timeline = Timeline(clock, 4)
    for _ in range(10):
        timeline.record("test")
        clock.fast_forward(1)
    assert [event.seq for event in timeline.read(0, Wanted(not_before=1008.0)).events] == [9, 10]


@in_loop
async def test_a_follower_gets_what_there_is_and_then_what_comes() -> None:
    """Gathered into pages, in order, until the end; and an end that was there before it came ends it at once."""
    timeline, found = filled(2), list[list[int]]()

    async def follow() -> None:
        async for page in timeline.follow(1, gather=0):
            found.append([event.seq for event in page.events])

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        await settle()
        timeline.record("test.3")
        timeline.record("test.4")
        await settle()
        timeline.record("test.5")
        timeline.end_followers()
        await following
        assert found == [[2], [3, 4], [5]]
        await follow()
    assert found[3:] == [[2, 3, 4, 5]]


@in_loop
async def test_a_follower_who_is_late_is_told_what_is_lost() -> None:
    """It had a place in the record, which went on without it; nothing was kept for it meanwhile."""
    timeline = filled(1, limit=5)
    pages = timeline.follow(0, gather=0)
    assert [event.seq for event in (await anext(pages)).events] == [1]
    for number in range(2, 21):
        timeline.record(f"test.{number}")
    page = await anext(pages)
    assert page.lost == (2, 15)
    assert [event.seq for event in page.events] == [16, 17, 18, 19, 20]
    await pages.aclose()  # type: ignore[attr-defined]


@in_loop
async def test_a_follower_hears_now_and_then_that_there_is_nothing() -> None:
    """Also where things happen that it does not want."""
    timeline = filled(0)
    pages = timeline.follow(0, Wanted(kinds=("wanted",)), gather=0, patience=15)
    waiting = asyncio.ensure_future(anext(pages))
    await settle()
    timeline.record("unwanted")
    await settle()
    assert not waiting.done()
    skip_time(16)
    async with asyncio.timeout(30):
        page = await waiting
    assert page.events == []
    await pages.aclose()  # type: ignore[attr-defined]


def test_every_timeline_has_a_word_of_its_own() -> None:
    """By which a reader who comes again knows that everything has begun anew."""
    assert filled(0).run != filled(0).run
