"""Counts over time: their averages, their highest, and what a limit makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import FakeClock
from emulator.simulation.ledger import Ledger


def test_every_state_of_an_environment_and_its_sessions() -> None:
    """Cold start, connect, rest, use, end; the zombies stay until they are given up."""
    clock = FakeClock()
    ledger = Ledger(clock, 100.0, max_connections=3)
    ledger.began()
    assert (ledger.busy, ledger.sessions) == (1, 0)
    clock.advance_to(10)
    ledger.connected(4)
    clock.advance_to(20)
    ledger.rested(4)
    assert (ledger.busy, ledger.idle, ledger.in_use, ledger.resting) == (0, 1, 0, 4)
    clock.advance_to(40)
    ledger.resumed(4)
    assert (ledger.busy, ledger.idle, ledger.in_use, ledger.resting) == (1, 0, 4, 0)
    ledger.rested(4)
    ledger.ended(4, was_idle=True, silent=True)
    assert (ledger.environments, ledger.zombies) == (0, 4)
    clock.advance_to(90)
    ledger.dropped(4, zombies=True)
    clock.advance_to(100)
    ledger.close()
    assert ledger.sessions == 0
    assert (ledger.most, ledger.most_in_use, ledger.most_resting, ledger.most_zombies) == (4, 4, 4, 4)
    assert (ledger.most_environments, ledger.most_busy, ledger.most_idle) == (1, 1, 1)
    assert ledger.above == pytest.approx(80)
    columns, width = ledger.columns, ledger.width
    sums = [sum(column) * width for column in columns.all()[:5]]
    assert sums == pytest.approx([20, 20, 10 * 4, 20 * 4, 50 * 4])
    assert max(columns.most) == 4


def test_a_server_with_a_limit_grants_what_it_has() -> None:
    """Each refused connect is counted, and each event that met one."""
    ledger = Ledger(FakeClock(), 1.0, max_connections=5)
    assert [ledger.ask(3), ledger.ask(3), ledger.ask(3)] == [3, 2, 0]
    assert (ledger.refused, ledger.refused_events) == (4, 2)
    ledger.granted -= 3
    assert ledger.ask(1) == 1


changes = st.lists(st.tuples(st.sampled_from(["began", "rested", "resumed", "ended"]), st.floats(0, 1e4)), max_size=60)


@given(changes=changes, span=st.floats(0, 1e3))
def test_whatever_the_span_the_record_adds_up(changes: list[tuple[str, float]], span: float) -> None:
    """Also when it takes a million times as long as was thought: parts are joined, and no time is lost."""
    clock = FakeClock()
    ledger = Ledger(clock, span, max_connections=10)
    expected = 0.0
    for change, seconds in changes:
        if change == "began":
            ledger.began()
        elif change == "rested" and ledger.busy:
            ledger.rested(0)
        elif change == "resumed" and ledger.idle:
            ledger.resumed(0)
        elif change == "ended" and ledger.idle:
            ledger.ended(0, was_idle=True, silent=False)
        clock.fast_forward(seconds)
        expected += ledger.environments * seconds
    ledger.close()
    columns, now = ledger.columns, clock.monotonic()
    assert len(columns.busy) <= 1200
    rest = now - (len(columns.busy) - 1) * ledger.width
    found = 0.0
    for column in (columns.busy, columns.idle):
        found += sum(column[:-1]) * ledger.width + (column[-1] * rest if column else 0.0)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
