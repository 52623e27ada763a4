"""What the sample functions do to a real database server, as its own list of sessions shows it."""

from __future__ import annotations

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.integration.conftest import SAMPLES, Deploy
from tests.needs import need_database
from tests.support import eventually


def sessions_of(emulator: Emulator, function: DeployedFunction) -> list[int]:
    """The server's thread ids of a function's sessions."""
    return [session.id for session in emulator.connections() if session.function == function.name]


def test_connection_opened_once_is_used_again(emulator: Emulator, deploy: Deploy) -> None:
    """Frozen with its session asleep, thawed with the same one: the whole point of opening it outside."""
    function = deploy("connect_once")
    first = function.invoke({})
    (session,) = emulator.connections(first.environment_id)
    assert session.id == first.payload["connection_id"]
    assert session.command == "Sleep"
    assert session.environment == first.environment_id
    assert session.environment_state == "frozen"
    assert session.function == function.name
    assert session.request_id == first.request_id
    assert not session.zombie
    second = function.invoke({})
    assert second.payload == first.payload
    assert sessions_of(emulator, function) == [session.id]


def test_parallel_environments_hold_a_connection_each(emulator: Emulator, deploy: Deploy) -> None:
    """Two at once are two environments and two sessions, each joined to its own."""
    function = deploy("connect_once")
    results = function.invoke_parallel([{"seconds": 0.3}] * 2)
    assert len({result.payload["connection_id"] for result in results}) == 2
    for result in results:
        (session,) = emulator.connections(result.environment_id)
        assert session.id == result.payload["connection_id"]


def test_connections_that_nobody_closes_pile_up(emulator: Emulator, deploy: Deploy) -> None:
    """The bug: one session more with every invocation, all asleep in one frozen environment."""
    function = deploy("connect_per_invocation")
    results = [function.invoke({}) for _ in range(4)]
    assert [result.payload["open_connections"] for result in results] == [1, 2, 3, 4]
    assert sorted(sessions_of(emulator, function)) == sorted(r.payload["connection_id"] for r in results)
    (view,) = function.environments()
    assert view.connections == 4


def test_connection_closed_in_the_handler_leaves_nothing(emulator: Emulator, deploy: Deploy) -> None:
    """Opened and closed in the handler: no session is left when the environment is frozen."""
    function = deploy("connect_and_close")
    ids = {function.invoke({}).payload["connection_id"] for _ in range(3)}
    assert len(ids) == 3
    eventually(lambda: not sessions_of(emulator, function), "the server drops closed sessions")


def test_timeout_never_reaches_the_close(emulator: Emulator, deploy: Deploy) -> None:
    """After a timeout the process is gone, and its living kernel has closed the session."""
    function = deploy("connect_once", timeout=1)
    failed = function.invoke({"seconds": 30})
    assert failed.report.status == "timeout"
    eventually(lambda: not sessions_of(emulator, function), "the server drops the session of the ended process")


def test_summary_counts(emulator: Emulator, deploy: Deploy) -> None:
    """The summary is of the same moment as the list, and knows the server's limits."""
    function = deploy("connect_once")
    function.invoke({})
    summary = emulator.connections_summary()
    assert summary.connected == summary.active + summary.sleeping
    assert summary.sleeping >= 1
    assert summary.max_connections >= 10
    assert summary.wait_timeout > 0


def test_too_many_connections() -> None:
    """The functions' user has no reserve of its own: at max_connections it gets error 1040."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"max_connections": 10}}) as emulator:
        function = emulator.add(Function(name="leaky", code=SAMPLES / "connect_per_invocation"))
        results = [function.invoke({}) for _ in range(12)]
    errors = [result.payload for result in results if result.function_error]
    assert errors
    assert errors[0]["errorType"] == "OperationalError"
    assert "(1040, 'Too many connections')" in errors[0]["errorMessage"]
