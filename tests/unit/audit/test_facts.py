"""What became of a function under a condition, in a word."""

from __future__ import annotations

import dataclasses

import pytest

from emulator.audit.facts import CourseVerdict
from tests.unit.audit.found import course, facts


@pytest.mark.parametrize(
    ("condition", "steps", "verdict"),
    [
        ("warm", "++", "fine"),
        ("warm", "+-", "failed"),
        ("storm=25", "-", "failed"),
        ("recycled-silently", "+++", "fine"),
        ("nat", "+++", "recovered"),
        ("nat", "-++", "failed once"),
        ("nat", "---+", "failed several times"),
        ("nat", "---", "poisoned for ever"),
        ("database-restarted", "+--", "poisoned for ever"),
        ("failover-read-only", "-++", "failed once"),
    ],
)
def test_verdict_of_a_course(condition: str, steps: str, verdict: str) -> None:
    """Whoever fails at the end is poisoned, whatever worked before; only dead sessions can be recovered from."""
    assert course(condition, steps).verdict == verdict


def test_who_holds_no_session_has_nothing_to_recover_from() -> None:
    """A function that connects anew each time does not even notice."""
    assert course("nat", "+++", held=0).verdict is CourseVerdict.FINE


def test_what_was_not_run_is_not_fine() -> None:
    """No invocation failed, for there was none."""
    assert dataclasses.replace(course("nat", ""), not_run="it is your own").verdict is CourseVerdict.NOT_RUN


def test_what_is_reckoned_with() -> None:
    """The most that one environment held, or what was asked for; zombies end by whichever limit comes first."""
    found = facts(most=3, concurrency=20)
    assert (found.needed, found.zombie_life) == (60, 7875)
    assert facts(most=3, pool=2, concurrency=20).needed == 40
    assert facts(wait_timeout=60).zombie_life == 60


def test_growth() -> None:
    """Only what still grew at the last invocation grows; a pool that fills itself lazily comes to its end."""
    assert facts(at_rest=(1, 3, 5, 7), still_growing=True).growth == 2
    assert facts(at_rest=(1, 2, 3, 3)).growth == 0
