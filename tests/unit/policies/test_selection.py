"""Which of several idle environments serves next, and why."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.policies import Selection
from tests.unit.policies.known import Known

FIRST, SECOND, THIRD = Known(created_at=3.0), Known(created_at=1.0), Known(created_at=2.0)
IDLE = [FIRST, SECOND, THIRD]
"""In the order in which they became idle."""


@pytest.mark.parametrize(
    ("selection", "chosen", "reason"),
    [
        (Selection.MOST_RECENT, THIRD, "used last of 3 idle"),
        (Selection.LEAST_RECENT, FIRST, "idle longest of 3"),
        (Selection.OLDEST, SECOND, "oldest of 3 idle"),
    ],
)
def test_each_order_has_its_own_choice_and_says_so(selection: Selection, chosen: Known, reason: str) -> None:
    """By when it became idle, or by when it was made."""
    assert selection.choose(IDLE, Random(0)) == (chosen, reason)


def test_random_draws_every_one_about_as_often() -> None:
    """And names the number that it drew."""
    chance = Random(7)
    drawn = Counter(Selection.RANDOM.choose(IDLE, chance)[1] for _ in range(3000))
    assert drawn.keys() == {f"drew {number} of 3 idle" for number in (1, 2, 3)}
    assert min(drawn.values()) > 900


@given(seed=st.integers())
def test_the_same_seed_draws_the_same(seed: int) -> None:
    """Run after run."""
    first, second = Random(seed), Random(seed)
    for _ in range(20):
        assert Selection.RANDOM.choose(IDLE, first) == Selection.RANDOM.choose(IDLE, second)
