"""Freezing for real: every rung of the ladder that this machine has, on both kinds of sandbox."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator

import pytest

from emulator import Emulator, Function
from emulator.doctor import examine
from emulator.embedded import DeployedFunction
from emulator.model import FreezerReport
from emulator.sandbox.freezer import descendants
from emulator.sandbox.probe import cpu_time
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_engine
from tests.support import eventually, require

RUNGS = [
    "process/cgroup-v2",
    "process/cgroup-v1",
    "process/signals",
    pytest.param("container/cgroup-v2", marks=pytest.mark.container),
    pytest.param("container/cgroup-v1", marks=pytest.mark.container),
    pytest.param("container/engine", marks=pytest.mark.container),
]
SPAN = 0.2  # seconds in which two busy processes would count to millions


@functools.cache
def whole_ladders() -> dict[str, FreezerReport]:
    """What works here, of all rungs."""
    return asyncio.run(examine()).freezers


@pytest.fixture(params=RUNGS)
def counting(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, DeployedFunction]]:
    """An emulator with one rung in force, and a function whose thread and child process count for ever."""
    kind, rung = request.param.split("/")
    if kind == "container":
        need_engine()
    found = {entry.name: entry for entry in whole_ladders()[kind].rungs}[rung]
    require(found.available, f"{kind} sandboxes cannot be frozen by {rung}: {found.reason}", "run as root on Linux")
    with Emulator({"emulator": {"sandbox": kind, "freezer": rung}, "database": {"server": "none"}}) as emulator:
        code = FUNCTIONS / "counting"
        yield emulator, emulator.add(Function(name="counting", code=code, memory=1769, timeout=10))


def test_everything_stops_and_goes_on(counting: tuple[Emulator, DeployedFunction]) -> None:
    """Threads and child processes stand still while frozen, use no CPU time, and go on at the next event."""
    _, function = counting
    function.invoke()
    (view,) = function.environments()
    assert view.state == "frozen"
    pids = [view.sandbox.pid, *descendants(view.sandbox.pid)]
    assert len(pids) >= 2

    eventually(lambda: used_in(pids, 0.02) == 0, "what they ran before is booked")
    assert used_in(pids, SPAN) == 0

    first = function.invoke().payload

    def both_go_on() -> bool:
        # One event is a millisecond, in which a loaded machine may run neither of them.
        later = function.invoke().payload
        return bool(later["thread"] > first["thread"] and later["child"] > first["child"])

    eventually(both_go_on, "the thread and the child go on")


def used_in(pids: list[int], seconds: float) -> int:
    """Nanoseconds of CPU time that these processes use in a span of real time."""
    before = sum(cpu_time(pid) for pid in pids)
    time.sleep(seconds)  # not waiting for anything: this is the span in which nothing may run
    return sum(cpu_time(pid) for pid in pids) - before
