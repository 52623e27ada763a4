"""Figures: how many become few, how they compare, and when a mark is met."""

from __future__ import annotations

import pytest

from tests.bench.figures import Row, Spread, missing, percentile, ratio_of_rounds, slope
from tests.bench.price import difference_of_rounds


def test_a_spread_tells_the_middle_and_both_ends() -> None:
    """A hundred values in any order: the median is between two, the 99th percentile is one of them."""
    spread = Spread.of([float(value) for value in reversed(range(1, 101))])
    assert spread == Spread(minimum=1.0, median=50.5, p99=99.0, maximum=100.0, count=100)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 2), (0.67, 3), (0.99, 3), (1.0, 3)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    """By nearest rank, from the first to the last."""
    assert percentile([1, 2, 3], share) == expected


def test_a_ratio_is_of_rounds_and_not_of_all_values() -> None:
    """A machine that is three times as slow in one round changes both figures of it, and not how they compare."""
    ours, theirs = [[1.0, 1.0, 9.0], [3.0, 3.0, 3.0], [1.0]], [[2.0, 2.0, 2.0], [6.0, 6.0, 1.0], [2.0]]
    assert ratio_of_rounds(ours, theirs) == 0.5
    assert difference_of_rounds(ours, theirs) == -1.0


def test_rounds_have_to_be_pairs() -> None:
    """A round that only one has taken part in compares to nothing."""
    with pytest.raises(ValueError, match="zip"):
        ratio_of_rounds([[1.0]], [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "met"),
    [
        (0.5, 0.5, False, True),
        (0.51, 0.5, False, False),
        (0.6, 0.6, True, True),
        (0.59, 0.6, True, False),
        (None, 0.6, True, None),
        (0.5, None, False, None),
    ],
)
def test_a_mark_is_met_at_its_limit_and_on_its_good_side(
    value: float | None, limit: float | None, at_least: bool, met: bool | None
) -> None:
    """The limit itself will do; where there is no mark or no figure, there is no verdict."""
    row = Row(part="p", name="n", value=value, limit=limit, at_least=at_least)
    assert row.met is met


def test_what_was_not_measured_says_why_and_is_not_judged() -> None:
    """A peer that cannot run leaves a row with the reason."""
    row = missing("warm", "warm invoke", "there is no engine", peer="SAM")
    assert (row.measured, row.met, row.note, row.peer) == (None, None, "there is no engine", "SAM")


def test_the_slope_is_the_growth_for_each_one() -> None:
    """Two bytes for an invocation, whatever it began with; and noise that goes both ways does not change it."""
    assert slope([(0, 100.0), (10, 120.0), (20, 140.0)]) == pytest.approx(2.0)
    assert slope([(0, 110.0), (10, 110.0), (20, 130.0), (30, 170.0)]) == pytest.approx(2.0)
    assert slope([(5, 100.0)]) == 0.0
