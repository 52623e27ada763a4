"""The page of drivers, as it is written of findings."""

from __future__ import annotations

from emulator.conditions import SeenError, find_condition
from tests.drivers.drivers import Driver
from tests.drivers.page import page
from tests.drivers.trial import Finding

DRIVER = Driver(sample="python_pymysql", title="Python, PyMySQL", handler="app.{}", built=False, ways=("once",))
NAT, RESTARTED = find_condition("nat"), find_condition("database-restarted")


def _written(first: Finding | str, second: Finding | str) -> str:
    findings = {("python_pymysql", "once", "nat"): first, ("python_pymysql", "once", "database-restarted"): second}
    return page([DRIVER], (NAT, RESTARTED), findings, "MariaDB 10.11", {"python_pymysql": "pymysql 1.2"})


def _cells(written: str) -> list[str]:
    (row,) = (
        line for line in written.splitlines() if line.startswith("| Python, PyMySQL | ") and "pymysql 1" not in line
    )
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_a_cell_tells_what_was_met_and_what_it_took() -> None:
    """Nothing met is a tick; an error has its code, its number in the list, how often, and the time it took."""
    well = Finding(None, 0, 2.4, 1, 1)
    once = Finding(SeenError(2013, "Lost connection"), 2, 1840.0, 3, 1)
    written = _written(well, once)
    assert _cells(written) == ["✓ 2 ms, 1 / 1", "2013 [1] ×2, 1.8 s, 3 / 1"]
    assert "1. `2013 Lost connection`" in written
    assert "pymysql 1.2" in written


def test_a_poisoned_connection_has_no_time() -> None:
    """What never got well is called so, and the same words from another port are one entry of the list."""
    first = Finding(SeenError(None, "dial 127.0.0.1:4711 | refused"), 6, None, 1, 0)
    second = Finding(SeenError(None, "dial 127.0.0.1:4712 | refused"), 6, None, 1, 0)
    written = _written(first, second)
    assert _cells(written) == ["**poisoned** [1], 1 / 0"] * 2
    assert "1. `dial … / refused`" in written
    assert "2. `" not in written


def test_an_order_that_is_lost_is_no_tick() -> None:
    """Whoever was told of it believes in it."""
    assert (
        _cells(_written(Finding(None, 0, 1.0, 2, 1, lost=1), "not run"))[0] == "**lost** without an error, 1 ms, 2 / 1"
    )


def test_what_was_not_run_says_why() -> None:
    """A trial that could not be had is no tick."""
    assert _cells(_written("not run: no server", Finding(None, 0, 1.0, 1, 1)))[0] == "not run: no server"
