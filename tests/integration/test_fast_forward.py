"""Skipping hours: what a real server, a real client and the policies make of them."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Function
from emulator.errors import InvalidParameterValueError
from emulator.event_settings import Asynchronous
from emulator.model import KEEPALIVE, EnvironmentId
from emulator.skipping import FastForwardAnswer
from emulator.timeline import TimelineEvent
from tests.integration.conftest import SAMPLES
from tests.integration.test_network_freeze import Scene, start

LOST_DURING_QUERY = 2013
EIGHT_HOURS = 28_800  # seconds; what MySQL and MariaDB ship as wait_timeout
NAT_IDLE = 350.0  # seconds


@pytest.fixture(
    scope="module",
    params=["relay", pytest.param("container relay", marks=pytest.mark.container)],
    ids=["process", "container"],
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One emulator for each kind of sandbox, with nothing on the path that forgets connections."""
    yield from start(request.param)


@pytest.fixture(scope="module")
def nat() -> Iterator[Scene]:
    """An emulator whose functions reach their database through a NAT gateway."""
    yield from start("relay", {"path": "nat"})


@pytest.fixture(scope="module")
def firewall() -> Iterator[Scene]:
    """An emulator with a firewall on the path, whose functions wait for two seconds at most."""
    for scene in start("relay", {"path": "firewall"}):
        scene.around["READ_TIMEOUT"] = "2"
        yield scene


def caused(answer: FastForwardAnswer, environment: EnvironmentId) -> dict[str, TimelineEvent]:
    """What skipping time did to one environment, by the word for it."""
    return {event.kind: event for event in answer.caused if event.environment == environment}


def set_wait_timeout(scene: Scene, seconds: int) -> None:
    scene.ask(f"SET GLOBAL wait_timeout = {seconds}")


QUERY = {"statements": ["SELECT 1"]}


def test_nine_hours_later_the_connection_of_a_frozen_environment_is_lost(scene: Scene) -> None:
    """The server has closed it, and the client finds out at its next query: the bug that this emulator shows."""
    set_wait_timeout(scene, EIGHT_HOURS)
    function = scene.deploy()
    first = function.invoke(QUERY)
    answer = scene.emulator.fast_forward(hours=9)
    assert answer.seconds == 9 * 3600
    closed = caused(answer, first.environment_id)["connection.closed"]
    assert "keepalive" in closed.reason  # a frozen machine answers no probe, so its kernel was given up before
    scene.wait_until_dropped(first.payload["connection_id"])
    second = function.invoke(QUERY)
    assert second.payload["error"] == LOST_DURING_QUERY, second.payload
    assert second.environment_id == first.environment_id
    assert not second.cold_start


def test_the_cure_of_the_sample_works(scene: Scene) -> None:
    """connect_once asks before it relies on its connection, and has a new one in the same environment."""
    set_wait_timeout(scene, EIGHT_HOURS)
    function = scene.emulator.add(
        Function(name="cure", code=SAMPLES / "connect_once", timeout=10, memory=1769, policy={"name": "keep-warm"})
    )
    first = function.invoke({})
    scene.emulator.fast_forward(hours=9)
    second = function.invoke({})
    assert second.function_error is None, second.payload
    assert second.environment_id == first.environment_id
    assert second.payload["connection_id"] != first.payload["connection_id"]
    scene.wait_until_dropped(first.payload["connection_id"])


def test_wait_timeout_closes_a_frozen_session_and_not_before(scene: Scene) -> None:
    """A second less than the timeout changes nothing; the sleep begins anew with every use."""
    set_wait_timeout(scene, 600)
    function = scene.deploy()
    first = function.invoke(QUERY)
    for _ in range(2):
        answer = scene.emulator.fast_forward(seconds=590)
        assert caused(answer, first.environment_id) == {}
        assert function.invoke(QUERY).payload == first.payload
    answer = scene.emulator.fast_forward(minutes=10, seconds=1)
    closed = caused(answer, first.environment_id)["connection.closed"]
    assert closed.reason == "idle for longer than wait_timeout (600 s)"
    assert function.invoke(QUERY).payload["error"] == LOST_DURING_QUERY


@pytest.mark.parametrize(
    ("wait_timeout", "limit", "reason"),
    [(EIGHT_HOURS, KEEPALIVE, "(keepalive)"), (3600, 3600.0, "wait_timeout (3600 s)")],
    ids=["keepalive comes first", "wait_timeout comes first"],
)
def test_zombies_age(scene: Scene, wait_timeout: int, limit: float, reason: str) -> None:
    """One knows how long the server will hold them, and so long it does: by whichever limit comes first."""
    set_wait_timeout(scene, wait_timeout)
    function = scene.deploy()
    first = function.invoke(QUERY)
    connection_id = first.payload["connection_id"]
    function.recycle("silent")
    early = caused(scene.emulator.fast_forward(seconds=limit - 60), first.environment_id)
    assert early.keys() <= {"session.zombie"}  # told when some time has passed
    (zombie,) = [session for session in scene.emulator.connections() if session.id == connection_id]
    assert zombie.zombie
    assert zombie.drops_in is not None
    assert 0 < zombie.drops_in <= 60
    assert scene.holds(connection_id)
    closed = caused(scene.emulator.fast_forward(seconds=61), first.environment_id)["connection.closed"]
    assert closed.reason.endswith(reason)
    scene.wait_until_dropped(connection_id)


def test_whoever_is_awake_keeps_its_session_and_its_time(scene: Scene) -> None:
    """Processes live in real time: no deadline of an invocation passes, and a client that answers is not given up."""
    set_wait_timeout(scene, EIGHT_HOURS)
    function = scene.deploy()
    first = function.invoke(QUERY)
    seen = scene.emulator.timeline()[-1].seq
    answers = []
    busy = threading.Thread(target=lambda: answers.append(function.invoke({**QUERY, "seconds": 3})))
    busy.start()
    try:
        scene.emulator.wait_for("environment.invoking", environment=first.environment_id, since=seen)
        answer = scene.emulator.fast_forward(hours=9)
        assert caused(answer, first.environment_id) == {}
    finally:
        busy.join(20)
    assert [result.payload for result in answers] == [first.payload]
    assert function.invoke(QUERY).payload == first.payload


def test_a_policy_s_timeout_fires_and_is_listed(scene: Scene) -> None:
    """With its reason, and not a second early; the next invocation is a cold start."""
    function = scene.deploy(policy={"name": "aws"})
    first = function.invoke(QUERY)
    assert caused(scene.emulator.fast_forward(minutes=6, seconds=50), first.environment_id) == {}
    answer = scene.emulator.fast_forward(seconds=11)
    assert answer.timers >= 1
    ended = caused(answer, first.environment_id)["environment.shutting-down"]
    assert ended.reason.startswith("idle 7 min")
    assert ended.reason.endswith(">= 7 min")
    scene.emulator.wait_for("environment.gone", environment=first.environment_id)
    assert function.environments() == []
    assert function.invoke(QUERY).cold_start


def test_what_a_policy_ended_on_the_way_has_not_outlived_the_skipped_time(scene: Scene) -> None:
    """Recycled after seven minutes, given up by the server in the second hour: after nine hours nothing is left."""
    set_wait_timeout(scene, EIGHT_HOURS)
    function = scene.deploy(policy={"name": "aws", "reclaim": "silent"})
    first = function.invoke(QUERY)
    answer = scene.emulator.fast_forward(hours=9)
    assert {"environment.shutting-down", "connection.closed"} <= caused(answer, first.environment_id).keys()
    scene.wait_until_dropped(first.payload["connection_id"])


def test_environments_age_on_the_emulator_s_clock(scene: Scene) -> None:
    """The clock, the time that an environment is idle and the timeline agree on what was skipped."""
    function = scene.deploy()
    function.invoke(QUERY)
    before = scene.emulator.fast_forward(seconds=0)
    answer = scene.emulator.fast_forward(hours=1, minutes=30, seconds=1)
    assert answer.seconds == 5401
    assert 5401 <= answer.now - before.now < 5401 + 30
    (view,) = function.environments()
    assert 5401 <= view.idle_seconds < 5401 + 30
    function.invoke(QUERY)
    assert scene.emulator.timeline()[-1].at >= answer.now


@pytest.mark.parametrize("seconds", [-1.0, -0.001, math.nan, math.inf, -math.inf])
def test_time_goes_forward_by_a_number_of_seconds(scene: Scene, seconds: float) -> None:
    """Anything else is refused, and no time has passed."""
    before = scene.emulator.fast_forward(seconds=0).now
    with pytest.raises(InvalidParameterValueError, match="time goes forward"):
        scene.emulator.fast_forward(seconds=seconds)
    assert scene.emulator.fast_forward(seconds=0).now - before < 30


def test_a_nat_gateway_forgets_and_answers_with_a_reset(nat: Scene) -> None:
    """The server holds the session and the client does not know: its next query is reset, error 2013."""
    function = nat.deploy()
    first = function.invoke(QUERY)
    answer = nat.emulator.fast_forward(seconds=NAT_IDLE + 1)
    forgotten = caused(answer, first.environment_id)["connection.stale"]
    assert forgotten.reason == "no byte passed for 350 s, and the path (nat) has forgotten it"
    assert nat.holds(first.payload["connection_id"])
    second = function.invoke(QUERY)
    assert second.payload["error"] == LOST_DURING_QUERY
    assert "timed out" not in second.payload["message"]  # the client did not have to give up by itself


@pytest.mark.parametrize("path", ["nat", "firewall"])
def test_a_path_remembers_what_is_used_often_enough(path: str, request: pytest.FixtureRequest) -> None:
    """Half a minute less is fine, again and again, for every use keeps the path alive."""
    scene: Scene = request.getfixturevalue(path)
    function = scene.deploy()
    first = function.invoke(QUERY)
    for _ in range(3):
        assert caused(scene.emulator.fast_forward(seconds=NAT_IDLE - 30), first.environment_id) == {}
        assert function.invoke(QUERY).payload == first.payload


def test_a_firewall_drops_and_the_client_waits_for_its_own_timeout(firewall: Scene) -> None:
    """Nothing answers: without a read timeout of the client's own it would wait for ever."""
    function = firewall.deploy()
    first = function.invoke(QUERY)
    firewall.emulator.fast_forward(seconds=NAT_IDLE + 1)
    assert firewall.holds(first.payload["connection_id"])
    second = function.invoke(QUERY)
    assert second.payload["error"] == LOST_DURING_QUERY
    assert "timed out" in second.payload["message"]
    assert second.report.duration_ms >= 2000


FAILS_AT_FIRST = """
import os
import pymysql
connection = pymysql.connect(
    host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"], database=os.environ["DB_NAME"], read_timeout=10,
)
attempts = 0
def handler(event, context):
    global attempts
    attempts += 1
    if attempts == 1:
        raise RuntimeError("tried for the first time")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return attempts
    except pymysql.err.MySQLError as error:
        return f"error {error.args[0]}"
"""


@pytest.mark.parametrize(("wait_timeout", "found"), [(50, "error 2013"), (70, 2)])
def test_a_retry_meets_what_the_server_did_until_then(
    scene: Scene, tmp_path: Path, wait_timeout: int, found: str | int
) -> None:
    """It comes after a minute of a skip of ten: a session that ends before is gone, one that ends later is not."""
    set_wait_timeout(scene, wait_timeout)
    package = tmp_path / "package"
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", package / "pymysql")
    (package / "app.py").write_text(FAILS_AT_FIRST)
    package.chmod(0o755)
    scene.count += 1
    told = tmp_path / "told"
    function = scene.emulator.add(
        Function(
            name=f"sql-{scene.count}",
            code=package,
            memory=1769,
            timeout=10,
            environment=scene.around,
            policy={"name": "keep-warm"},
            asynchronous=Asynchronous(on_success=f"file:{told}"),
        )
    )
    before = scene.emulator.timeline()[-1].seq
    function.send()
    scene.emulator.wait_for("event.retry", since=before)
    scene.emulator.fast_forward(minutes=10)
    assert json.loads(told.read_text())["responsePayload"] == found
    assert len(function.environments()) == 1
