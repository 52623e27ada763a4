"""The plugin, in runs of pytest of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from emulator.errors import EmulatorError
from emulator.testing.running import SharedEmulator, settings_for_tests
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database
from tests.pytest_runs import run_pytest
from tests.support import require

# One run for most of it, for each starts an emulator and a server. The tests in it depend on their order.
CONFTEST = f"""
import pytest
@pytest.fixture(scope="session")
def lambda_settings():
    return {{
        "database": {{"max_connections": 20}},
        "functions": {{"of_the_settings": {{"code": {str(SAMPLES / "counter")!r}}}}},
    }}
@pytest.fixture
def once(lambda_function):
    return lambda_function({str(SAMPLES / "connect_once")!r})
"""
IN_ORDER = f"""
from urllib.parse import urlsplit
import pymysql
import pytest
from emulator.policies import MaxInvocations

left = []

def test_one(once, connections):
    assert once.invoke({{}}).cold_start
    assert len(connections.sessions()) == 1

def test_the_next_finds_it_warm(once):
    assert not once.invoke({{}}).cold_start

def test_fresh(lambda_function):
    assert lambda_function({str(SAMPLES / "connect_once")!r}, fresh=True).invoke({{}}).cold_start

@pytest.mark.lambda_policy("always-cold")
def test_policy(once):
    assert once.invoke({{}}).cold_start and once.invoke({{}}).cold_start

@pytest.mark.lambda_policy(MaxInvocations(2))
def test_rules(once):
    assert [once.invoke({{}}).cold_start for _ in range(3)] == [True, False, True]

@pytest.mark.lambda_policy(max_invocations=2)
def test_keys(lambda_emulator):
    assert lambda_emulator.policy().rules == ("2 invocations",)

def test_policy_is_as_before(lambda_emulator, once):
    assert lambda_emulator.policy().name == "keep-warm"
    assert lambda_emulator.policy().rules == ()
    assert [session for session in lambda_emulator.connections() if session.zombie] == []
    once.set_policy({{"max_invocations": 1}})

def test_a_policy_of_its_own_stays_with_its_test(once):
    assert once.policy().rules == ()
    once.invoke({{}})

def test_time_is_skipped(once, lambda_emulator):
    lambda_emulator.fast_forward(hours=9)

def test_and_nobody_feels_it(once):
    assert once.invoke({{}}).cold_start

@pytest.mark.parametrize("number", [1, 2])
def test_database(number, mysql, lambda_function):
    mysql.execute("CREATE TABLE things (id INT)")
    writing = lambda_function({str(FUNCTIONS / "sql")!r}, environment={{"READ_TIMEOUT": "3"}})
    statements = ["INSERT INTO things VALUES (7)", "COMMIT", "SELECT DATABASE()"]
    assert writing.invoke({{"statements": statements}}).payload["rows"] == [[mysql.name]]
    assert mysql.execute("SELECT id FROM things WHERE id = %s", [7]) == [(7,)]
    assert [session.database for session in mysql.sessions()] == [mysql.name]
    writing.recycle("silent")
    assert len(mysql.zombies()) == 1
    parts = urlsplit(mysql.url)
    with mysql.connect() as connection:
        assert connection.port == parts.port and parts.path == "/" + mysql.name
    left.append(mysql.connect())

def test_no_database_is_left(lambda_emulator):
    for connection in left:
        with pytest.raises(pymysql.err.OperationalError):
            connection.ping(reconnect=False)
    with lambda_emulator.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES LIKE 'test_%'")
        assert cursor.fetchall() == ()
    assert [session for session in lambda_emulator.connections() if session.zombie] == []

def test_settings_and_command_line(lambda_emulator, lambda_function):
    assert lambda_emulator.connections_summary().max_connections == 20
    assert lambda_emulator.status().sandbox == "process"
    assert lambda_emulator.status().speed == 2
    assert lambda_function("of_the_settings").invoke({{}}).function_error is None

def test_that_fails(lambda_function, connections):
    each = lambda_function({str(SAMPLES / "connect_per_invocation")!r})
    with connections.watch(each) as seen:
        each.invoke({{}})
        each.invoke({{}})
    seen.assert_opened(at_most=1)

def test_in_the_emulators_own_thread(lambda_emulator):
    def fail():
        raise ZeroDivisionError("in a callback")
    lambda_emulator._loop.call_soon_threadsafe(fail)
    lambda_emulator.status()

def test_nothing_of_ours():
    assert True
"""


@pytest.mark.database
@pytest.mark.timeout(120)
def test_one_run_of_many_tests(tmp_path: Path) -> None:
    """Warm functions, policies, time, databases, settings, options, reports: none leaves anything to the next test."""
    need_database()
    told = run_pytest(
        tmp_path,
        {"conftest.py": CONFTEST, "test_in_order.py": IN_ORDER, "pytest.ini": "[pytest]\nlambda_speed = 2\n"},
        "--lambda-sandbox=process",
    )
    assert "1 failed, 16 passed, 1 error" in told, told
    assert "FAILED test_in_order.py::test_that_fails" in told
    assert "connect_per_invocation opened 2 sessions, and 1 may be:" in told
    assert "opened at app.py:15 in handler by invocation 2" in told
    report, timeline = told.partition("lambda-freezer: log")[2].partition("lambda-freezer: timeline")[::2]
    assert report.count("connect_per_invocation | START RequestId:") == 2
    assert "connection.opened" in timeline
    assert "ERROR test_in_order.py::test_in_the_emulators_own_thread" in told
    assert "something went wrong in the emulator's own thread: ZeroDivisionError: in a callback" in told


WORKERS = """
import json, pathlib
def test_worker(lambda_emulator, lambda_function, worker_id):
    result = lambda_function({code!r}).invoke({{}})
    told = {{
        "endpoint": lambda_emulator.endpoint_url,
        "instance": lambda_emulator.instance_id,
        "port": lambda_emulator.database_variables()["DB_PORT"],
        "cold": result.cold_start,
    }}
    pathlib.Path({folder!r}, worker_id + ".json").write_text(json.dumps(told))
"""


@pytest.mark.database
@pytest.mark.timeout(120)
def test_workers_of_xdist_have_an_emulator_each(tmp_path: Path) -> None:
    """A port, a server and a label for what it makes, all of their own."""
    need_database()
    require(find_spec("xdist"), "There is no pytest-xdist.", "Run ./dev setup.")
    test = WORKERS.format(code=str(SAMPLES / "counter"), folder=str(tmp_path))
    told = run_pytest(
        tmp_path,
        {"test_workers.py": test},
        *("--lambda-sandbox=process", "-n2", "--dist=each"),
        plugins=("xdist.plugin", "emulator.pytest_plugin"),
    )
    assert "2 passed" in told, told
    workers = [json.loads(path.read_text()) for path in tmp_path.glob("gw*.json")]
    assert len(workers) == 2
    for key in ("endpoint", "instance", "port"):
        assert len({worker[key] for worker in workers}) == 2, key
    assert all(worker["cold"] for worker in workers)


def test_without_the_plugin(tmp_path: Path) -> None:
    """Blocked by its name, it is not there."""
    tests = "def test_other():\n    pass\ndef test_ours(lambda_emulator):\n    pass\n"
    told = run_pytest(tmp_path, {"test_it.py": tests}, "-p", "no:lambda-freezer", plugins=())
    assert "1 passed, 1 error" in told, told
    assert "fixture 'lambda_emulator' not found" in told


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedEmulator]:
    """What the plugin has, without pytest and without a database."""
    settings = settings_for_tests({"emulator": {"sandbox": "process"}, "database": {"server": "none"}})
    session = SharedEmulator(settings, SAMPLES)
    try:
        session.__enter__()
        yield session
    finally:
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            session.__exit__(None, None, None)


def test_an_emulator_that_has_ended_says_why(shared: SharedEmulator) -> None:
    """In the test in which it ended, in its report, and in every one after it; nobody waits for an answer for ever."""

    async def die() -> None:
        raise ZeroDivisionError("for good")

    async def wait() -> None:
        shared.emulator._service._spawn(die())
        await asyncio.Event().wait()

    with pytest.raises(EmulatorError, match="the emulator has ended") as ended, shared.test() as run:  # noqa: PT012
        with pytest.raises(EmulatorError, match=r"the emulator has ended: .*for good"):
            shared.emulator._call(wait())
        assert [heading for heading, _ in run.sections()] == ["lambda-freezer: trouble"]
    assert isinstance(ended.value.__cause__, ZeroDivisionError)
    with pytest.raises(EmulatorError, match="the emulator has ended"), shared.test():
        pass
