"""Counting connections on a timeline."""

from __future__ import annotations

from emulator.audit.observed import most_open, most_open_in_one, opened_in
from emulator.timeline import TimelineEvent


def events(*told: str) -> list[TimelineEvent]:
    """``+a1`` is a connection that environment ``a`` opened in request ``1``, ``-a1`` one that ended."""
    kinds = {"+": "connection.opened", "-": "connection.closed", "?": "connection.stale"}
    return [
        TimelineEvent(number, 0.0, kinds[word[0]], "orders", word[1], word[2], "", None)
        for number, word in enumerate(told, 1)
    ]


def test_opened_in_an_invocation() -> None:
    """Of this request, whatever becomes of them."""
    assert opened_in(events("+a1", "-a1", "+a1", "+a2", "?a1"), "1") == 2


def test_the_most_at_one_moment() -> None:
    """Of all environments together, and of one alone."""
    told = events("+a1", "+b2", "-a1", "+b2", "+b2", "-b2")
    assert most_open(told) == 3
    assert most_open_in_one(told) == 3
    assert most_open_in_one(events("+a1", "+b2", "-a1", "+a3")) == 1
    assert most_open([]) == most_open_in_one([]) == 0
