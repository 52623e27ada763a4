"""Lengths of time as people write them, and what is drawn of them."""

from __future__ import annotations

import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.simulation.lengths import Lengths, Shape


@pytest.mark.parametrize(
    ("text", "lengths", "words"),
    [
        ("200ms", Lengths(Shape.FIXED, 0.2), "200 ms"),
        ("0", Lengths(Shape.FIXED, 0.0), "0 s"),
        ("1.5", Lengths(Shape.FIXED, 1.5), "1.5 s"),
        ("1m30s", Lengths(Shape.FIXED, 90.0), "90 s"),
        ("50ms..0.2s", Lengths(Shape.UNIFORM, 0.05, 0.2), "50 ms to 200 ms, uniform"),
        ("exp:200ms", Lengths(Shape.EXPONENTIAL, 0.2), "200 ms on average, exponential"),
        (
            "lognormal: 1s, 0.5",
            Lengths(Shape.LOGNORMAL, 1.0, 0.5),
            "1 s in the median, lognormal with sigma 0.5",
        ),
    ],
)
def test_every_form(text: str, lengths: Lengths, words: str) -> None:
    """What may be written, what it is, and what the answer says of it."""
    assert Lengths.of(text) == lengths
    assert str(lengths) == words


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1s..50ms", "gamma:1s", "exp:", "lognormal:1s", "lognormal:1s,x", "nan"]
)
def test_whatever_else_is_refused_with_the_forms(text: str) -> None:
    """The reader sees what was wrong and what may be written."""
    with pytest.raises(ConfigurationError) as caught:
        Lengths.of(text)
    assert repr(text) in caught.value.message
    assert "lognormal:200ms,0.5" in caught.value.cure


@pytest.mark.parametrize("text", ["80ms", "10ms..500ms", "exp:200ms", "lognormal:200ms,0.5"])
def test_the_mean_is_that_of_what_is_drawn(text: str) -> None:
    """Within two per cent, of twenty thousand; the same source draws the same."""
    lengths = Lengths.of(text)
    drawn = [lengths.draw(chance) for chance in [Random(1)] for _ in range(20_000)]
    again = Random(1)
    assert drawn == [lengths.draw(again) for _ in range(20_000)]
    assert statistics.fmean(drawn) == pytest.approx(lengths.mean, rel=0.02)


@given(low=st.floats(0, 1e6), more=st.floats(0, 1e6), seed=st.integers())
def test_a_uniform_one_stays_within_its_ends(low: float, more: float, seed: int) -> None:
    """And no length is less than nothing."""
    assert low <= Lengths(Shape.UNIFORM, low, low + more).draw(Random(seed)) <= low + more
    assert Lengths(Shape.EXPONENTIAL, low).draw(Random(seed)) >= 0
