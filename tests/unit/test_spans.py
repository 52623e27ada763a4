"""Spans of time: how they are read, and how they are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.spans import Span, in_words, seconds_of


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("7m", 420.0, 420.0),
        (90, 90.0, 90.0),
        (0.25, 0.25, 0.25),
        ("5m..10m", 300.0, 600.0),
        (" 1h30m .. 2h ", 5400.0, 7200.0),
        ("1m..1m", 60.0, 60.0),
        ("1.5s..2.5s", 1.5, 2.5),
    ],
)
def test_a_span_is_a_length_or_a_range_of_two(written: float | str, low: float, high: float) -> None:
    """Numbers are seconds, figures have units, and two dots make a range."""
    assert Span.of(written) == Span(low, high)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("7", 'is written like "7m"'),
        ("", 'is written like "7m"'),
        ("5m..", 'is written like "7m"'),
        ("1m..2m..3m", 'is written like "7m"'),
        ("10m..5m", "begins with its shorter end"),
        ("0s", "greater than 0"),
        ("0s..5m", "greater than 0"),
        (0, "greater than 0"),
        (-1, "greater than 0"),
        (math.nan, "a number of seconds"),
        (math.inf, "a hundred years"),
        (10**400, "a hundred years"),
        ("100000d", "a hundred years"),
        (True, "a number of seconds"),
        (None, "a number of seconds"),
    ],
)
def test_what_is_no_span_is_refused_with_what_is_one(written: float | str, complaint: str) -> None:
    """Nothing, less than nothing, no number, and what no event loop can wait for."""
    with pytest.raises(ValueError, match=complaint):
        Span.of(written)


def test_nothing_is_a_duration_and_no_span() -> None:
    """Skipping no time is no mistake; a timeout of nothing is one."""
    assert seconds_of("0s") == 0.0


@given(low=st.floats(0.001, 1e6), more=st.floats(0.0, 1e6), fraction=st.floats(0.0, 1.0))
def test_what_is_drawn_from_a_range_lies_in_it(low: float, more: float, fraction: float) -> None:
    """Its shorter end is the least, whatever is drawn: rules rely on that."""
    span = Span(low, low + more)
    assert span.low <= span.at(fraction) <= math.nextafter(span.high, math.inf)


@pytest.mark.parametrize(("written", "words"), [("7m", "7 min"), ("5m..10m", "5 min to 10 min")])
def test_a_span_in_words(written: str, words: str) -> None:
    """As it stands in reasons and in what the inspection API shows."""
    assert str(Span.of(written)) == words


@pytest.mark.parametrize(
    ("given_seconds", "words"),
    [
        (0.0, "0.0 s"),
        (0.26, "0.3 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (61.9, "1 min 1 s"),
        (422.0, "7 min 2 s"),
        (3_600.0, "1 h"),
        (3_659.0, "1 h"),
        (3_660.0, "1 h 1 min"),
        (86_399.0, "23 h 59 min"),
        (86_400.0, "1 d"),
        (100_000.0, "1 d 3 h"),
        (8_640_000.0, "100 d"),
    ],
)
def test_spans_are_written_in_two_units_at_most(given_seconds: float, words: str) -> None:
    """Short enough to compare by eye, with the unit always named."""
    assert in_words(given_seconds) == words


@pytest.mark.parametrize("given_seconds", [59.6, 59.9999])
def test_a_span_just_below_a_minute_is_not_rounded_into_nonsense(given_seconds: float) -> None:
    """Three digits of 59.99 seconds are ``60 s``, and never ``6e+01 s``."""
    assert in_words(given_seconds) in ("59.6 s", "60 s")
