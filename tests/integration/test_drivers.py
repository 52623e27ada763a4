"""Trials of a driver, on a real server: what the page of drivers is written of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Emulator
from emulator.conditions import Condition
from tests.drivers.drivers import DRIVERS
from tests.drivers.trial import TROUBLES, run_trial
from tests.needs import need_database

PYMYSQL = next(driver for driver in DRIVERS if driver.sample == "python_pymysql")
_BY_NAME: dict[str, Condition] = {trouble.name: trouble for trouble in TROUBLES}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Processes before a server of its own."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "local"}}) as running:
        yield running


@pytest.mark.parametrize("trouble", ["frozen-past-wait-timeout", "killed-in-transaction"])
def test_an_unchecked_connection_is_poisoned(emulator: Emulator, trouble: str) -> None:
    """PyMySQL goes on with a session that the server has ended, and every invocation after it fails."""
    finding = run_trial(emulator, PYMYSQL, "once", _BY_NAME[trouble], rest=0)
    assert finding.error is not None
    assert finding.error.code == 2013
    assert finding.poisoned
    assert (finding.opened, finding.held) == (1, 0)


def test_a_checked_connection_fails_where_no_check_helps(emulator: Emulator) -> None:
    """In the middle of a transaction the error has to reach the caller; the next invocation is well."""
    finding = run_trial(emulator, PYMYSQL, "checked", _BY_NAME["killed-in-transaction"], rest=0)
    assert finding.error is not None
    assert finding.error.code == 2013
    assert finding.failed == 1
    assert (finding.opened, finding.held) == (2, 1)


def test_a_checked_connection_hides_its_death(emulator: Emulator) -> None:
    """The ping opens another session, and the caller sees nothing."""
    finding = run_trial(emulator, PYMYSQL, "checked", _BY_NAME["frozen-past-wait-timeout"], rest=0)
    assert finding.error is None
    assert (finding.opened, finding.held) == (2, 1)


def test_what_is_left_open_is_left_behind(emulator: Emulator) -> None:
    """Each invocation of `leave` opens a session, and an environment that vanishes leaves its own on the server."""
    finding = run_trial(emulator, PYMYSQL, "leave", _BY_NAME["recycled-silently"], rest=0)
    assert finding.error is None
    assert (finding.opened, finding.held) == (2, 2)
    emulator.kill_zombies()
