"""Probing the ladder: which rung is taken, and that a freezer which does nothing is found out."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import ConfigurationError, FreezeError
from emulator.model import RungReport
from emulator.sandbox.freezer import FakeFreezer
from emulator.sandbox.probe import choose, climb_down, cpu_time, measure_direct
from tests.unit.sandbox.busy import RUNGS, Busy, rung

LADDER = (
    RungReport("cgroup-v2", False, "read-only"),
    RungReport("cgroup-v1", True, "works here", 20.0, 20.0),
    RungReport("signals", True, "works here", 60.0, 60.0),
)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    """Something that uses CPU time unless it is stopped."""
    process = Busy(tmp_path)
    yield process
    process.kill()


def test_the_best_rung_that_works_is_taken() -> None:
    """The ladder stands in its order; the report keeps what did not work, with the reason."""
    report = choose(LADDER, "auto")
    assert report.name == "cgroup-v1"
    assert report.rungs == LADDER


def test_a_wanted_rung_is_taken_though_a_better_one_works() -> None:
    """The user decides."""
    assert choose(LADDER, "signals").name == "signals"


@pytest.mark.parametrize(("wanted", "reason"), [("cgroup-v2", "read-only"), ("magic", "there is no such freezer")])
def test_a_wanted_rung_that_does_not_work_is_refused_with_the_reason(wanted: str, reason: str) -> None:
    """And with those that would work."""
    with pytest.raises(ConfigurationError) as caught:
        choose(LADDER, wanted)
    assert caught.value.message == f"freezer {wanted!r} cannot be used here: {reason}"
    assert "cgroup-v1, signals" in caught.value.cure


@pytest.mark.parametrize(
    ("wanted", "whole", "tried"),
    [
        ("auto", False, ["cgroup-v2", "cgroup-v1"]),
        ("cgroup-v1", False, ["cgroup-v2", "cgroup-v1"]),
        ("signals", False, ["cgroup-v2", "cgroup-v1", "signals"]),
        ("cgroup-v2", False, ["cgroup-v2", "cgroup-v1", "signals"]),  # it is refused, with those that would work
        ("auto", True, ["cgroup-v2", "cgroup-v1", "signals"]),
    ],
)
def test_no_rung_is_tried_that_will_not_be_in_force(wanted: str, whole: bool, tried: list[str]) -> None:
    """A start tries from the best down to the one that it takes; the others are said not to have been tried."""
    asked = []

    def probe(rung: RungReport) -> RungReport:
        asked.append(rung.name)
        return rung

    rungs = climb_down({rung.name: functools.partial(probe, rung) for rung in LADDER}, wanted, whole=whole)
    assert asked == tried
    assert [rung.name for rung in rungs] == [rung.name for rung in LADDER]
    for found, known in zip(rungs, LADDER, strict=True):
        if found.name in tried:
            assert found == known
        else:
            assert found == RungReport(found.name, False, "not tried, for cgroup-v1 works")


def test_without_any_rung_nothing_is_in_force() -> None:
    """That is a finding and no error."""
    assert choose(LADDER[:1], "auto").name == "none"


@pytest.mark.parametrize("name", RUNGS)
def test_a_real_rung_is_measured(name: str, busy: Busy) -> None:
    """Both ways took some microseconds, and the process runs on afterwards."""
    with rung(name, busy) as freezer:
        report = measure_direct(name, freezer, busy.pid)
        assert (report.name, report.available) == (name, True)
        assert report.freeze_us is not None
        assert report.thaw_us is not None
        assert 0 < report.freeze_us < 1e6
        assert 0 < report.thaw_us < 1e6
        assert busy.moves()


class Idler(FakeFreezer):
    """A freezer that says what it is expected to say and stops nothing."""

    def stop_all(self) -> None:
        self.frozen = True

    def continue_all(self) -> None:
        self.frozen = False

    def is_frozen(self) -> bool:
        return self.frozen


def test_a_rung_that_stops_nothing_is_found_out(busy: Busy) -> None:
    """Its word is not believed: the process used CPU time."""
    busy.go()
    with pytest.raises(FreezeError, match="still used CPU time"):
        measure_direct("idler", Idler(), busy.pid)


def test_cpu_time_counts_what_ran_and_only_that(tmp_path: Path) -> None:
    """A process that sleeps uses next to none; this one uses some between two looks."""
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            first = cpu_time(sleeper.pid)
            own = cpu_time(os.getpid())
            while cpu_time(os.getpid()) - own < 5_000_000:
                (tmp_path / "x").write_bytes(b"")
            assert cpu_time(sleeper.pid) - first < 5_000_000
        finally:
            sleeper.kill()
