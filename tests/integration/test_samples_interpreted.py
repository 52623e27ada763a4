"""The samples in JavaScript, Java and Python: what each way to hold a connection leaves, and how a lost one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction, InvocationResult
from emulator.errors import RuntimeNotFoundError
from tests.integration.conftest import SAMPLES
from tests.needs import need_database, need_sample
from tests.support import eventually, require

# Runtime, and how the handler of a variant is called.
SAMPLE = {
    "node_mysql2": ("nodejs20.x", "index.{}"),
    "node_serverless_mysql": ("nodejs20.x", "index.{}"),
    "java_hikaricp": ("java17", "shop.Orders::{}"),
    "python_sqlalchemy": (None, "app.{}"),
}
# Sessions on the server after three invocations of one environment.
KEPT = {"leave": 3, "close": 0, "connection": 1, "once": 1, "checked": 1, "nullpool": 0}
VARIANTS = {
    "node_mysql2": ("leave", "close", "connection", "once", "checked"),
    "node_serverless_mysql": ("leave", "close", "once", "checked"),
    "java_hikaricp": ("leave", "close", "connection", "once", "checked"),
    "python_sqlalchemy": ("leave", "close", "once", "checked", "nullpool"),
}
# How long HikariCP trusts a connection that was in use; half a second by default, which a test may well need.
TRUSTING = {"JAVA_TOOL_OPTIONS": "-Dcom.zaxxer.hikari.aliveBypassWindowMs=600000"}
ENVIRONMENT = {("java_hikaricp", "once"): TRUSTING}

NO_MORE = "Can't add new command when connection is in closed state"
LINK_FAILURE = "com.mysql.cj.jdbc.exceptions.CommunicationsException"
# What a function fails with whose session was killed while it was frozen: at first, and for ever after.
FAILS: dict[tuple[str, str], tuple[tuple[str, str], tuple[str, str] | None]] = {
    ("node_mysql2", "connection"): (("Error", "read ECONNRESET"), ("Error", NO_MORE)),
    ("node_mysql2", "once"): (("Error", "read ECONNRESET"), None),
    ("java_hikaricp", "connection"): (
        (LINK_FAILURE, "Communications link failure"),
        ("java.sql.SQLNonTransientConnectionException", "No operations allowed after connection closed."),
    ),
    ("java_hikaricp", "once"): ((LINK_FAILURE, "Communications link failure"), None),
    ("python_sqlalchemy", "once"): (("OperationalError", "(pymysql.err.OperationalError) (2013, 'Lost conn"), None),
}
RECOVERS = [
    ("node_mysql2", "checked"),
    ("node_serverless_mysql", "once"),  # it sends what failed once again, on a new connection
    ("node_serverless_mysql", "checked"),
    ("java_hikaricp", "checked"),
    ("python_sqlalchemy", "checked"),
]

Deploy = Callable[[str, str], DeployedFunction]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for all tests of this module."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}}) as running:
        yield running


@pytest.fixture(scope="module")
def deploy(emulator: Emulator) -> Deploy:
    """A variant of a sample; one that is deployed already is used again, for a cold start of Java takes a second."""
    deployed: dict[tuple[str, str], DeployedFunction] = {}

    def deploy(sample: str, variant: str) -> DeployedFunction:
        if (sample, variant) not in deployed:
            deployed[sample, variant] = emulator.add(function_of(sample, variant))
        return deployed[sample, variant]

    def deploy_or_say(sample: str, variant: str) -> DeployedFunction:
        need_sample(sample)
        try:
            return deploy(sample, variant)
        except RuntimeNotFoundError as error:
            require(False, str(error), error.cure or "")
            raise

    return deploy_or_say


def function_of(sample: str, variant: str) -> Function:
    """A function that shares its environments with nobody."""
    runtime, handler = SAMPLE[sample]
    settings: dict[str, Any] = {"runtime": runtime} if runtime else {}
    return Function(
        name=f"{sample}-{variant}",
        code=SAMPLES / sample / "build",
        handler=handler.format(variant),
        environment=ENVIRONMENT.get((sample, variant), {}),
        memory=512,
        timeout=15,
        **settings,
    )


def sessions(function: DeployedFunction) -> list[int]:
    """The numbers of the sessions that its environments hold on the server."""
    return [session.id for session in function.emulator.connections() if session.function == function.name]


def kill(function: DeployedFunction) -> None:
    """Have the server end its sessions, and wait until they are gone."""
    with function.emulator.connect() as connection, connection.cursor() as cursor:
        for session in sessions(function):
            cursor.execute(f"KILL {session:d}")
    eventually(lambda: not sessions(function), "the end of the killed sessions")


def orders(emulator: Emulator, number: int | None = None) -> int:
    """How many orders there are; or how many of this number."""
    with emulator.connect(database="lambda") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM orders" + (f" WHERE id = {number:d}" if number is not None else ""))
        return int((cursor.fetchone() or (0,))[0])


def error_of(result: InvocationResult) -> tuple[str, str]:
    assert result.function_error == "Unhandled", result.payload
    return result.payload["errorType"], result.payload["errorMessage"]


def assert_error(result: InvocationResult, wanted: tuple[str, str]) -> None:
    """It failed with this type, and a message that begins like this."""
    kind, message = error_of(result)
    assert (kind, message[: len(wanted[1])]) == wanted


@pytest.mark.parametrize(("sample", "variant"), [(sample, name) for sample in VARIANTS for name in VARIANTS[sample]])
def test_what_a_variant_leaves(emulator: Emulator, deploy: Deploy, sample: str, variant: str) -> None:
    """Cold, warm and frozen: the orders are there, and of its sessions as many as its way of holding them says."""
    function = deploy(sample, variant)
    function.recycle("fin")
    cold, warm, shown = (function.invoke(event) for event in ({}, {"item": "cake", "pieces": 1}, {"show": True}))
    assert [result.payload["count"] for result in (cold, warm, shown)] == [1, 2, 3], shown.payload
    assert (cold.cold_start, warm.cold_start) == (True, False)
    assert warm.environment_id == shown.environment_id == cold.environment_id
    assert orders(emulator, cold.payload["order"]) == orders(emulator, warm.payload["order"]) == 1
    assert shown.payload["orders"] == orders(emulator)
    assert [environment.state for environment in function.environments()] == ["frozen"]
    seen = {result.payload["session"] for result in (cold, warm, shown)}
    left = set(sessions(function))
    assert len(left) == KEPT[variant]
    assert left <= seen
    assert len(seen) == (1 if KEPT[variant] == 1 else 3)


@pytest.mark.parametrize(("sample", "variant"), FAILS)
def test_a_session_that_is_killed_while_frozen_fails_the_next_event(deploy: Deploy, sample: str, variant: str) -> None:
    """With the driver's own words; a pool has learnt of it then, and a single connection is dead for ever."""
    function = deploy(sample, variant)
    function.invoke({})
    kill(function)
    first, later = FAILS[sample, variant]
    assert_error(function.invoke({}), first)
    second = function.invoke({})
    assert not second.cold_start
    if later is None:
        assert second.function_error is None, second.payload
        assert sessions(function) == [second.payload["session"]]
    else:
        assert_error(second, later)
        assert_error(function.invoke({}), later)
        function.recycle()


@pytest.mark.parametrize(("sample", "variant"), RECOVERS)
def test_a_variant_that_notices_recovers(deploy: Deploy, sample: str, variant: str) -> None:
    """Killed while frozen, it serves the next event in the same environment, on one new session."""
    function = deploy(sample, variant)
    before = function.invoke({})
    kill(function)
    after = function.invoke({})
    assert after.function_error is None, after.payload
    assert after.environment_id == before.environment_id
    assert after.payload["session"] != before.payload["session"]
    assert sessions(function) == [after.payload["session"]]


def test_serverless_mysql_answers_for_an_order_that_was_rolled_back(emulator: Emulator, deploy: Deploy) -> None:
    """Killed in its transaction it goes on with the rest of it on a new connection, and nobody hears of the loss.

    Takes a second: what was killed while it waited waits again, whole.
    """
    function = deploy("node_serverless_mysql", "once")
    function.invoke({})
    result = kill_in_transaction(function)
    assert result.function_error is None
    # Now and then it loses the new connection too, for it takes late news of the old one for news of this.
    if result.payload is not None:
        assert orders(emulator, result.payload["order"]) == 0


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        ("node_mysql2", ("Error", NO_MORE)),
        ("node_serverless_mysql", ("Error", NO_MORE)),
        ("java_hikaricp", (LINK_FAILURE, "Communications link failure")),
        ("python_sqlalchemy", ("OperationalError", "(pymysql.err.OperationalError) (2013, 'Lost conn")),
    ],
)
def test_a_session_that_is_killed_in_its_transaction_fails_the_event(
    emulator: Emulator, deploy: Deploy, sample: str, wanted: tuple[str, str]
) -> None:
    """A check before use is no help there: the driver's error is the function's, and the next event is served."""
    function = deploy(sample, "checked")
    function.invoke({})
    before = orders(emulator)
    assert_error(kill_in_transaction(function), wanted)
    assert orders(emulator) == before
    assert orders(emulator, function.invoke({}).payload["order"]) == 1


def kill_in_transaction(function: DeployedFunction) -> InvocationResult:
    """Invoke, and have the server end the session as soon as its insertion can be seen by who looks at everything."""
    committed = orders(function.emulator)
    with (
        function.emulator.connect(database="lambda", autocommit=True) as connection,
        connection.cursor() as cursor,
        ThreadPoolExecutor(1) as thread,
    ):
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        answer = thread.submit(function.invoke, {"hold": 0.5})

        def has_inserted() -> bool:
            cursor.execute("SELECT COUNT(*) FROM orders")
            return bool(cursor.fetchone() != (committed,))

        eventually(has_inserted, "the insertion within a transaction")
        (session,) = sessions(function)
        cursor.execute(f"KILL {session:d}")
        return answer.result()


@pytest.fixture
def small_server(emulator: Emulator) -> Iterator[None]:
    """The same server, with room for few sessions."""
    with emulator.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@max_connections")
        (most,) = cursor.fetchone() or (0,)
        cursor.execute("SET GLOBAL max_connections = 12")
    yield
    with emulator.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET GLOBAL max_connections = {most:d}")


def test_serverless_mysql_kills_the_sleeping_and_cannot_tell_whose_they_are(
    emulator: Emulator, deploy: Deploy, small_server: None
) -> None:
    """Above 80 % of max_connections: its own connection as long as all are young, then others', of the living too.

    Takes three seconds: it lets nobody be killed who has not slept so long.
    """
    for environment in emulator.environments():
        emulator.recycle(environment.function, "fin")
    eventually(lambda: not emulator.connections(), "the end of all sessions")
    leaving, checked = deploy("node_serverless_mysql", "leave"), deploy("node_serverless_mysql", "checked")
    assert checked.invoke({}).payload["session"] in sessions(checked)
    for _ in range(9):
        leaving.invoke({})
    assert checked.invoke({}).function_error is None
    assert (len(sessions(checked)), len(sessions(leaving))) == (0, 9)
    eventually(lambda: min(session.seconds for session in emulator.connections()) >= 3.1, "that all slept for 3 s")
    assert checked.invoke({}).function_error is None
    assert len(sessions(checked)) == 1
    assert len(sessions(leaving)) < 9
    assert [environment.state for environment in leaving.environments()] == ["frozen"]
