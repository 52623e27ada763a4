"""Events at random: how many, how far apart, and the same again with the same seed."""

from __future__ import annotations

import itertools
import math
import statistics
from random import Random

import pytest

from emulator.errors import ConfigurationError
from emulator.simulation.arrivals import Rate, poisson


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("2", 2.0), ("0.5/s", 0.5), ("30/m", 0.5), ("30 / min", 0.5), ("36/h", 0.01), ("864/d", 0.01)],
)
def test_rates(text: str, per_second: float) -> None:
    """A number is of events a second; units may be said."""
    assert Rate.of(text).per_second == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "2/w", "1e3", "nan"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(ConfigurationError, match="is no rate") as caught:
        Rate.of(text)
    assert "30/m" in caught.value.cure


def test_gaps_are_exponential() -> None:
    """Their mean and their deviation are both one over the rate, and the median is ln 2 of it."""
    workload = poisson(Rate.of("4"), 10_000, ["orders"], Random(5))
    gaps = [after - before for before, after in itertools.pairwise(workload.at)]
    assert len(workload) == pytest.approx(40_000, abs=4 * math.sqrt(40_000))
    assert statistics.fmean(gaps) == pytest.approx(0.25, rel=0.03)
    assert statistics.pstdev(gaps) == pytest.approx(0.25, rel=0.03)
    assert statistics.median(gaps) == pytest.approx(math.log(2) / 4, rel=0.03)
    assert workload.span == 10_000
    assert not workload.says_durations


def test_each_function_has_a_process_of_its_own_and_bursts_come_at_one_moment() -> None:
    """Two functions, three events at each moment; all in order."""
    workload = poisson(Rate.of("60/h"), 36_000, ["orders", "bills"], Random(5), burst=3)
    assert workload.functions == ("orders", "bills")
    assert list(workload.at) == sorted(workload.at)
    for number in (0, 1):
        moments = [at for at, which, _ in workload if which == number]
        assert len(moments) == pytest.approx(1800, abs=4 * 3 * math.sqrt(600))
        assert [len(list(same)) for _, same in itertools.groupby(moments)] == [3] * (len(moments) // 3)


def test_the_same_seed_gives_the_same_events() -> None:
    """And another one others."""
    first, again, other = (poisson(Rate.of("1"), 500, ["orders"], Random(seed)) for seed in (1, 1, 2))
    assert first.at == again.at
    assert first.at != other.at


@pytest.mark.parametrize(
    ("rate", "duration", "complaint"),
    [("1", 0.0, "no time to simulate"), ("10000", 86_400.0, "more than 10,000,000 events"), ("1/d", 1.0, "no event")],
)
def test_what_cannot_be_simulated_is_refused(rate: str, duration: float, complaint: str) -> None:
    """Before it takes all memory."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        poisson(Rate.of(rate), duration, ["orders"], Random(1))
    assert caught.value.cure
