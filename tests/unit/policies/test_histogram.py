"""A keep-alive that is learnt: from how many idle times, and what it comes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.policies import Histogram
from emulator.policies.idle_times import IdleTimes
from tests.unit.policies.known import Known


def known(*seconds: float, times: int = 1) -> IdleTimes:
    found = IdleTimes()
    for _ in range(times):
        for one in seconds:
            found.note(one)
    return found


def test_without_a_pattern_the_fixed_keep_alive_holds() -> None:
    """And the reason says that nothing is known yet."""
    rule = Histogram("10m").learning_from(known(30.0, times=9))
    assert rule.due(Known(idle_since=100.0)) == 700.0
    assert rule.verdict(Known(idle_since=100.0), 700.0) == "idle 10 min >= 10 min, the pattern is not known yet"


def test_a_pattern_gives_the_99th_percentile_and_a_tenth_more() -> None:
    """By whole minutes: calls every ten minutes and a half are waited for for 12 min 6 s."""
    rule = Histogram("10m").learning_from(known(630.0, times=40))
    due = rule.due(Known()) or 0.0
    assert due == pytest.approx(11 * 60 * 1.1)
    assert rule.verdict(Known(), due) == "idle 12 min 6 s >= 12 min 6 s, learnt from 40 idle times"


def test_it_learns_while_it_is_in_force() -> None:
    """The tenth idle time makes a pattern; a longer one in a hundred moves it, and one in a thousand does not."""
    times = known(30.0, times=9)
    rule = Histogram("4h").learning_from(times)
    assert rule.due(Known()) == 4 * 3600
    times.note(30.0)
    assert rule.due(Known()) == pytest.approx(66.0)
    times.note(3000.0)
    assert rule.due(Known()) == pytest.approx(51 * 60 * 1.1)
    for _ in range(500):
        times.note(30.0)
    assert rule.due(Known()) == pytest.approx(66.0)


@pytest.mark.parametrize(
    "times",
    [
        known(*(60.0 * number for number in range(240))),  # as often one as the other
        known(30.0, *[20_000.0] * 2, times=20),  # mostly beyond the range
        known(20_000.0, times=50),
        IdleTimes(),
    ],
)
def test_what_shows_no_pattern_is_not_relied_on(times: IdleTimes) -> None:
    """Idle times that are spread evenly, or longer than the histogram is."""
    assert Histogram().keep_alive(times) is None


@given(found=st.lists(st.floats(0.0, 14_399.0), min_size=1, max_size=50), percent=st.floats(0.1, 100.0))
def test_a_percentile_is_one(found: list[float], percent: float) -> None:
    """So many per cent of the idle times are no longer than it says."""
    value = known(*found).percentile(percent)
    assert sum(seconds <= value for seconds in found) >= len(found) * percent / 100 - 1e-9
    assert value <= max(found) + 60.0
