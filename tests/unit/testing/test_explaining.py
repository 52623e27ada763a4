"""Evidence in sentences, word by word."""

from __future__ import annotations

import dataclasses

import pytest

from emulator.evidence import Cause, Evidence
from emulator.testing.explaining import (
    CURES,
    counted,
    explain_idle_invocations,
    explain_opened,
    explain_peak,
    explain_zombies,
    name_of,
)
from tests.unit.evidence.told import Told

INIT, HANDLER = "app.py:12 in <module>", "app.py:20 in handler"


def told_of(evidence: Evidence) -> list[str]:
    return explain_opened(evidence, evidence.opened(), first="orders opened them:").splitlines()


def frozen_too_long() -> Told:
    told = Told()
    told.starts("r1")
    told.opens(1, place=INIT)
    told.is_seen(8, 1)
    told.invokes("r1")
    told.freezes()
    told.clock.fast_forward(9 * 3600)
    told.closes(1, "server", reason="idle for longer than wait_timeout (28800 s)")
    told.thaws("r2")
    told.breaks(1)
    told.opens(2, place=HANDLER)
    told.is_seen(9, 2)
    told.freezes()
    return told


def test_frozen_past_wait_timeout() -> None:
    """Which line of which invocation opened which session, why the first one would not do, and what helps."""
    reason = (
        "It could not use session 8: the server's end of that was closed while the environment was frozen for 9 h, "
        "and nobody could hear of it: idle for longer than wait_timeout (28800 s). The function spoke on it and was "
        "not answered."
    )
    assert told_of(frozen_too_long().evidence()) == [
        "orders opened them:",
        f"- session 8 was opened at {INIT}, while environment e1 was initialised for invocation 1 (request r1).",
        f"- session 9 was opened at {HANDLER} by invocation 2 (request r2) in environment e1.",
        f"  {reason}",
        f"Cure: {CURES[Cause.CLOSED_WHILE_FROZEN]}",
    ]


def test_opened_anew_each_time() -> None:
    """The cure stands once, however often it is needed; a session that was never seen goes by its port."""
    told = Told()
    told.starts("r1")
    for number, request in enumerate(("r1", "r2", "r3"), start=1):
        told.thaws(request)
        told.opens(number, place=HANDLER)
        told.freezes()
    lines = told_of(told.evidence())
    assert lines[1].startswith("- the session of port 1 was opened at")
    assert lines[3] == "  The session of port 1 was open in the same environment, and it did not use it."
    assert lines[5] == "  The session of port 2 was open in the same environment, and it did not use it."
    assert lines[6:] == [f"Cure: {CURES[Cause.NOT_USED]}"]


def test_where_the_line_is_not_known() -> None:
    """The request and the environment only, and why that is all."""
    told = Told()
    told.starts("r1")
    told.invokes("r1")
    told.opens(1)
    lines = told_of(told.evidence())
    assert lines[1] == "- the session of port 1 was opened by invocation 1 (request r1) in environment e1."
    assert "origins = true" in lines[-1]


def test_ahead_of_any_invocation() -> None:
    """What was initialised ahead has nobody to blame."""
    told = Told()
    told.starts(None)
    told.opens(1, place=INIT)
    assert told_of(told.evidence())[1] == (
        f"- the session of port 1 was opened at {INIT} in environment e1, ahead of any invocation."
    )


def test_what_was_there_before_says_so() -> None:
    """It has no line, and nobody is told that lines are missing for its sake."""
    told = frozen_too_long()
    since = next(event.seq for event in told.timeline.since() if event.kind == "environment.frozen")
    evidence = told.evidence(since=since)
    lines = explain_opened(evidence, evidence.sessions, first="orders:").splitlines()
    assert lines[1] == "- the session of port 1 of environment e1 was there before."
    assert "It could not use the session of port 1" in lines[3]
    assert "origins" not in lines[-1]


def test_recycled_and_busy() -> None:
    """Another environment: because the first had ended, in its policy's words, or because it was serving."""
    told = Told()
    told.starts("r1")
    told.opens(1, place=INIT)
    told.starts("r2", "e2")
    told.opens(2, "e2", place=INIT)
    told.invokes("r1")
    told.freezes()
    for environment in ("e1", "e2"):
        told.ends(environment, reason="idle 9 h >= 7 min")
    told.starts("r3", "e3")
    told.opens(3, "e3", place=INIT)
    text = "\n".join(told_of(told.evidence()))
    assert (
        "could not use the session of port 1: environment e1 was serving another invocation at that moment, so a new "
        "one was started." in text
    )
    assert "could not use the session of port 2: environment e2 had been recycled (idle 9 h >= 7 min)." in text


def test_many_are_counted_and_not_listed() -> None:
    """A message stays readable."""
    told = Told()
    told.starts("r1")
    for port in range(1, 21):
        told.opens(port, place=HANDLER)
    lines = told_of(told.evidence())
    assert "- and 12 more." in lines
    assert len(lines) < 25


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in (Cause.FIRST, Cause.ELSEWHERE)])
def test_every_cause_has_a_cure(cause: Cause) -> None:
    """In sentences of its own."""
    assert CURES[cause].endswith(".")
    assert sum(text == CURES[cause] for text in CURES.values()) == 1


def test_peak_at_a_concurrency_is_reckoned_and_says_so() -> None:
    """From the environment that had most; the cure names the concurrency that fits."""
    told = Told()
    told.starts("r1")
    told.opens(1, place=INIT)
    told.opens(2, place=INIT)
    text = explain_peak(told.evidence(), at_most=66, concurrency=60, function="orders")
    assert text.splitlines()[0] == (
        "orders would hold 120 sessions with 60 environments at once, and 66 may be. That is reckoned: 2 at once were "
        "seen in environment e1, times 60:"
    )
    assert "reserved_concurrency = 33" in text.splitlines()[-1]
    assert "raise max_connections" in explain_peak(told.evidence(), at_most=1, concurrency=60, function="orders")


def test_peak_that_was_seen() -> None:
    """Of all environments together, with what opened them."""
    told = Told()
    told.starts("r1")
    told.opens(1, place=INIT)
    text = explain_peak(told.evidence(), at_most=0, concurrency=None, function="orders")
    assert text.splitlines()[0] == "orders had 1 session open at once, and 0 may be:"


def test_zombies() -> None:
    """Who opened them, and how their environment ended."""
    told = frozen_too_long()
    told.ends(reason="recycled by hand")
    told.becomes_zombie(2)
    evidence = told.evidence()
    lines = explain_zombies(evidence, evidence.zombies(), first="the server holds them:").splitlines()
    assert lines[1].startswith(f"- session 9 was opened at {HANDLER} by invocation 2")
    assert lines[2] == "  It was open when environment e1 ended (recycled by hand), and nobody told the server."
    assert "wait_timeout" in lines[3]


def test_invocations_that_did_not_speak() -> None:
    """Which ones."""
    evidence = frozen_too_long().evidence()
    text = explain_idle_invocations(evidence, evidence.invocations[1:], first="orders:")
    assert "- invocation 2 (request r2) did not speak to the database." in text


def test_names_and_counts() -> None:
    """One is no plural; what has neither number nor port is a session all the same."""
    assert (counted(0), counted(1), counted(2)) == ("0 sessions", "1 session", "2 sessions")
    told = Told()
    told.starts("r1")
    told.opens(1)
    (session,) = told.evidence().sessions
    assert name_of(dataclasses.replace(session, client=0)) == "a session"
