"""The token bucket: what may leave at which moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.runtime_api.bandwidth import BURST, INTERVAL, RATE, Bandwidth

MIB = 2**20


class Time:
    """A time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_figures_are_awss() -> None:
    """A burst of 6 MiB, then 2 MiB a second in eight portions."""
    assert (BURST, RATE, INTERVAL) == (6 * MIB, 2 * MIB, 0.125)


def test_a_burst_goes_at_once_and_then_nothing_before_the_next_refill() -> None:
    """Six mebibytes, whatever their portions; after 125 ms there are 256 KiB more."""
    time = Time()
    bucket = Bandwidth(time)
    assert bucket.take(4 * MIB) == 4 * MIB
    assert bucket.take(4 * MIB) == 2 * MIB
    assert bucket.take(1) == 0
    assert bucket.wait == pytest.approx(0.125)
    time.now += 0.1
    assert bucket.take(1) == 0
    assert bucket.wait == pytest.approx(0.025)
    time.now += 0.025
    assert bucket.take(MIB) == 256 * 1024
    assert bucket.take(1) == 0


def test_what_is_not_used_is_kept_up_to_the_burst() -> None:
    """A pause of an hour gives no more than the bucket holds."""
    time = Time()
    bucket = Bandwidth(time)
    assert bucket.take(6 * MIB) == 6 * MIB
    time.now += 3600
    assert bucket.take(100 * MIB) == 6 * MIB


def test_a_late_look_loses_no_refill() -> None:
    """Two and a half intervals bring two portions, and the half counts for the third."""
    time = Time()
    bucket = Bandwidth(time)
    bucket.take(BURST)
    time.now += 2.5 * INTERVAL
    assert bucket.take(BURST) == 2 * 256 * 1024
    time.now += 0.5 * INTERVAL
    assert bucket.take(BURST) == 256 * 1024


@pytest.mark.parametrize(
    ("rate", "burst"),
    [(32 * 1024, 32 * 1024), (64 * MIB, 64 * MIB)],
)
def test_the_bounds_are_allowed(rate: int, burst: int) -> None:
    """From 32 KiB to 64 MiB."""
    time = Time()
    bucket = Bandwidth(time, rate=rate, burst=burst)
    assert bucket.take(100 * MIB) == burst
    time.now += INTERVAL
    assert bucket.take(100 * MIB) == rate // 8


@pytest.mark.parametrize(
    ("rate", "burst"), [(32 * 1024 - 1, MIB), (64 * MIB + 1, MIB), (MIB, 32 * 1024 - 1), (MIB, 64 * MIB + 1)]
)
def test_beyond_the_bounds_is_refused(rate: int, burst: int) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match="32,768 to 67,108,864"):
        Bandwidth(Time(), rate=rate, burst=burst)


@given(steps=st.lists(st.tuples(st.floats(0, 2), st.integers(0, 8 * MIB)), max_size=40))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    """Whatever is asked for at whatever moments."""
    time = Time()
    bucket, taken = Bandwidth(time), 0
    for pause, wanted in steps:
        time.now += pause
        granted = bucket.take(wanted)
        assert 0 <= granted <= wanted
        taken += granted
        assert taken <= BURST + RATE * (time.now - 1000.0) + 1
        assert 0 <= bucket.wait <= INTERVAL
