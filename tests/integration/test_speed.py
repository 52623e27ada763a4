"""A clock that runs faster than real time, in front of real environments and a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Emulator, Function
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database
from tests.support import eventually

SPEED = 3600  # an hour is a second


@pytest.fixture
def fast() -> Iterator[Emulator]:
    """An emulator of its own whose clock runs fast."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process", "speed": SPEED}}) as emulator:
        yield emulator


def test_an_idle_timeout_comes_by_itself_and_processes_are_not_hurried(fast: Emulator) -> None:
    """12 minutes of rest are a fifth of a second; a sleep of the function's takes as long as it says."""
    policy = {"name": "keep-warm", "idle_timeout": "12m"}
    function = fast.add(Function(name="sleeper", code=FUNCTIONS / "anything", policy=policy, timeout=60))
    result = function.invoke({"do": "sleep", "seconds": 0.3})
    gone = fast.wait_for("environment.shutting-down", environment=result.environment_id, timeout=30)
    assert result.function_error is None
    assert 300 <= result.report.duration_ms < 300 * SPEED  # its sleep by the clock
    assert gone.reason.startswith("idle ")
    assert gone.reason.endswith(" >= 12 min")
    idle = [event for event in fast.timeline() if event.kind == "environment.idle"]
    assert 720 <= gone.at - idle[-1].at < 720 + 30 * SPEED
    assert fast.status().speed == SPEED


def test_zombies_age_on_the_clock(fast: Emulator) -> None:
    """The keepalive that the server's kernel would take two hours for is over after two seconds."""
    function = fast.add(
        Function(name="orders", code=SAMPLES / "connect_once", policy={"name": "keep-warm"}, timeout=10)
    )
    result = function.invoke({})
    function.recycle("silent")
    closed = fast.wait_for("connection.closed", environment=result.environment_id, timeout=30)
    assert closed.reason.endswith("(keepalive)")
    eventually(lambda: not fast.connections(), "the server drops the session")


def test_wait_timeout_of_a_frozen_client_passes_on_the_clock(fast: Emulator) -> None:
    """The server counts in real time; what it would have closed by the clock is closed all the same."""
    with fast.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL wait_timeout = 1800")
    function = fast.add(
        Function(name="orders", code=SAMPLES / "connect_once", policy={"name": "keep-warm"}, timeout=10)
    )
    first = function.invoke({})
    closed = fast.wait_for("connection.closed", environment=first.environment_id, timeout=30)
    assert closed.reason == "idle for longer than wait_timeout (1800 s)"
    second = function.invoke({})
    assert second.environment_id == first.environment_id
    assert second.payload["connection_id"] != first.payload["connection_id"]


def test_a_skip_still_skips(fast: Emulator) -> None:
    """Ten days at once, on top of what passes by itself."""
    before = fast.fast_forward(seconds=0)
    answer = fast.fast_forward(hours=240)
    assert 864_000 <= answer.now - before.now < 864_000 + 60 * SPEED
