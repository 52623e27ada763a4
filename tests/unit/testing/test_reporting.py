"""The sections of a failed test's report."""

from __future__ import annotations

from emulator.testing.reporting import log_section, timeline_section
from tests.unit.evidence.told import Told


def test_the_log_names_the_function_of_each_line() -> None:
    """Blank lines and what is no UTF-8 do no harm; of many lines the last ones are kept, and the rest counted."""
    assert log_section([("orders", b"one\n\ntwo\n"), ("others", b"\xff\n")]) == "orders | one\norders | two\nothers | �"
    told = log_section([("orders", b"line\n" * 10)], lines=3)
    assert told.splitlines() == ["(7 earlier lines are left out)", *["orders | line"] * 3]
    assert log_section([]) == ""


def test_the_timeline_is_short_and_counts_from_its_beginning() -> None:
    """What says nothing beside its neighbours is left out."""
    told = Told()
    told.starts("request-1")
    told.clock.fast_forward(2.5)
    told.invokes("request-1")
    told.freezes()
    told.thaws("request-2")
    lines = timeline_section(list(told.timeline.since())).splitlines()
    words = " ".join(lines[0].split())
    assert words == "+ 0.000 s environment.starting orders e1 request request- cold start"
    assert lines[2].startswith("+    2.500 s environment.invoking")
    assert not any("environment.freezing" in line or "environment.thawing" in line for line in lines)
    assert timeline_section([]) == ""
    assert len(timeline_section(list(told.timeline.since()), limit=2).splitlines()) == 3
