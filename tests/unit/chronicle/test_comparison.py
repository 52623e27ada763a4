"""What changed between two runs, in figures and in words."""

from __future__ import annotations

import json

from emulator.chronicle.comparison import compare
from emulator.chronicle.lines import Recording, recording_of
from tests.unit.chronicle.told import Told


def leaky() -> Recording:
    """Two environments, each with a session that outlives it; the second one fails."""
    told = Told()
    for number, environment in enumerate(("e1", "e2"), start=1):
        told.life(environment, 10 * number, "starting", "init", request_id=f"r{number}")
        told.connection(10 * number + 2, "opened", environment, number)
        told.invocation(environment, 10 * number + 3, f"r{number}", **({"error": "E"} if number == 2 else {}))
        told.at(10 * number + 6, "environment.frozen", environment)
    told.connection(30, "zombie", "e1", 1).connection(30, "zombie", "e2", 2)
    told.at(31, "invocation.throttled", request_id="r3").at(32, "connection.stale", "e2").at(33, "event.throttled")
    return recording_of("before.jsonl", told.events)


def mended() -> Recording:
    """One environment, which closes what it opened."""
    told = Told().life("e1", 0, "starting", "init", request_id="r1").connection(2, "opened", "e1", 1)
    told.invocation("e1", 3, "r1").invocation("e1", 6, "r2").connection(9, "closed", "e1", 1)
    return recording_of("after.jsonl", told.events)


def test_figures_of_both_runs_stand_beside_each_other() -> None:
    """Counted by what happened, not by lines."""
    found = compare(leaky(), mended()).as_dict()
    assert found["before"] == {
        "name": "before.jsonl",
        "invocations": 2,
        "errors": 1,
        "throttles": 2,
        "cold_starts": 2,
        "environments": 2,
        "freezes": 2,
        "sessions": 2,
        "peak": 2,
        "zombies": 2,
        "stale": 1,
        "broken": 0,
        "refused": 0,
    }
    assert found["after"]["sessions"] == found["after"]["peak"] == 1
    assert found["difference"]["zombies"] == -2
    assert json.loads(json.dumps(found)) == found


def test_what_got_better_is_told_in_words_the_sessions_first() -> None:
    """One thing in the singular, several in the plural, and nothing of what is neither better nor worse."""
    comparison = compare(leaky(), mended())
    assert comparison.summary.startswith(
        "1 fewer session, 1 fewer session at the peak, 2 fewer zombies, 1 fewer error, 1 fewer cold start"
    )
    assert "freeze" not in comparison.summary
    assert comparison.notes == []


def test_the_other_way_round_it_got_worse() -> None:
    """More is worse where fewer are better."""
    changes = {change.key: change for change in compare(mended(), leaky()).changes}
    assert (changes["zombies"].better, changes["zombies"].words) == (False, "2 more")
    assert (changes["freezes"].better, changes["freezes"].words) == (None, "2 more")
    assert (changes["invocations"].better, changes["invocations"].words) == (None, "the same")


def test_runs_that_cannot_be_compared_are_told_apart() -> None:
    """Another number of invocations, or a recording with holes, is a note."""
    recording = leaky()
    holes = recording_of("holes.jsonl", recording.events[:4] + recording.events[-3:])
    notes = compare(recording, holes).notes
    assert "holes.jsonl misses" in notes[0]
    assert notes[1] == "the runs are not alike: the second one has 2 fewer invocations"


def test_a_run_is_like_itself() -> None:
    """And that is said as well."""
    assert compare(leaky(), leaky()).summary == "nothing got better or worse"
