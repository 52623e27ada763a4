"""Figures that are marked in a text, and claims."""

from __future__ import annotations

import pytest

from emulator.errors import LessonError
from emulator.lessons.blocks import Check, Segment, brief, expect, given, measured, ms, plain, proven, segments, span


def test_figures_are_found_again_in_a_text() -> None:
    """In order, each with where it comes from, and the words between them."""
    assert list(segments(f"{measured(3)} of {given(5)} left")) == [
        Segment("3", measured=True),
        Segment(" of "),
        Segment("5", given=True),
        Segment(" left"),
    ]


def test_plain_text_has_no_marks() -> None:
    """Whatever was marked, and how, it reads as it was written."""
    assert plain(f"{ms(1.234)} and {ms(1234.5)}, {span(7875)} and {given('8.0.24')}") == (
        "1.2 ms and 1234 ms, 2 h 11 min and 8.0.24"
    )


def test_what_a_program_said_is_cut_where_it_is_too_long() -> None:
    """To the length, the sign for what is missing included; what fits stays as it is."""
    assert brief("a" * 10, 5) == "aaaa…"
    assert brief("aaaaa", 5) == "aaaaa"


def test_a_claim_that_does_not_hold_stops_the_lesson() -> None:
    """It names the claim, without marks; one that holds is shown."""
    assert proven(f"{measured(2)} sessions", True) == Check(f"{measured(2)} sessions")
    with pytest.raises(LessonError, match="did not show that 2 sessions") as raised:
        proven(f"{measured(2)} sessions", False)
    assert "try again" in raised.value.cure
    expect([1], "it holds")
