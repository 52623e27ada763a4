"""What the conditions do to real functions and a real server, beyond what audits show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.conditions import CONDITIONS, Stage, error_of
from emulator.embedded import DeployedFunction
from emulator.errors import DatabaseError, InvalidParameterValueError
from emulator.killing import Middle
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database

TWO_STEPS = ["BEGIN", "INSERT INTO steps VALUES (1)", "INSERT INTO steps VALUES (2)", "COMMIT"]
CONNECTS_ANEW_ON_1290 = """
import os
import pymysql
def connect():
    return pymysql.connect(
        host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"], database=os.environ["DB_NAME"], autocommit=True,
    )
connection = connect()
def write():
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO steps VALUES (1)")
def handler(event, context):
    global connection
    try:
        write()
    except pymysql.err.OperationalError as error:
        if error.args[0] != 1290:
            raise
        connection.close()
        connection = connect()
        write()
        return "at the new writer"
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for all tests of this module."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}}) as running:
        yield running


@pytest.fixture
def rows(emulator: Emulator) -> Iterator[Any]:
    """How many rows the table of these tests has, which is empty at first."""
    with emulator.connect(database="lambda") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE steps (step INT)")

    def count() -> int:
        with emulator.connect(database="lambda") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM steps")
            return int((cursor.fetchone() or (0,))[0])

    yield count
    emulator.fail_back()


def deploy(emulator: Emulator, folder: Path, code: str = "", name: str = "steps") -> DeployedFunction:
    """A function with its driver."""
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", folder / "pymysql")
    (folder / "app.py").write_text(code or (FUNCTIONS / "sql" / "app.py").read_text())
    return emulator.add(Function(name=name, code=folder, timeout=10, memory=512))


def test_half_of_a_transaction_is_rolled_back(emulator: Emulator, tmp_path: Path, rows: Any) -> None:
    """Killed behind its first insert it leaves nothing; the retry does the whole of it, in the same environment."""
    function = deploy(emulator, tmp_path)
    event = {"statements": TWO_STEPS}
    whole = function.invoke_and_kill(event)
    assert (whole.killed, rows()) == (False, 2)
    killed = function.invoke_and_kill(event, middle=Middle(whole.pieces // 2))
    assert killed.killed
    assert killed.result.payload["errorType"] == "Runtime.ExitError"
    assert rows() == 2
    retried = function.invoke(event)
    assert retried.environment_id == killed.result.environment_id
    assert rows() == 4
    function.recycle()


def test_killed_in_the_middle_is_answered_by_the_retry(emulator: Emulator, tmp_path: Path, rows: Any) -> None:
    """The test sees one answer for each event, as a client that retries does."""
    function = deploy(emulator, tmp_path)
    condition, stage = CONDITIONS["killed-in-the-middle"], Stage(emulator)
    before = emulator.timeline()[-1].seq
    for nth in (1, 2):
        assert error_of(condition.invoke(stage, function, {"statements": TWO_STEPS}, nth)) is None
    resets = [event for event in emulator.timeline(before) if event.kind == "environment.resetting"]
    assert len(resets) == 2
    assert rows() == 4
    function.recycle()


def test_after_a_failover_whoever_connects_anew_can_write(emulator: Emulator, tmp_path: Path, rows: Any) -> None:
    """The session of old may only read, for as long as it is there; afterwards everything is as before."""
    function = deploy(emulator, tmp_path, CONNECTS_ANEW_ON_1290)
    condition, stage = CONDITIONS["failover-read-only"], Stage(emulator)
    with stage.under(condition, function):
        answers = [condition.invoke(stage, function, {}, nth) for nth in (1, 2, 3)]
    assert [error_of(answer) for answer in answers] == [None, None, None]
    assert [answer.payload for answer in answers] == [None, "at the new writer", None]
    assert rows() == 3
    with emulator.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@global.read_only")
        assert cursor.fetchone() == (0,)
        cursor.execute("SHOW GRANTS FOR lambda@'%'")
        assert not [grant for (grant,) in cursor.fetchall() if "ADMIN" in grant or "SUPER" in grant]
    function.recycle()


def test_a_restart_keeps_data_and_address(emulator: Emulator, rows: Any) -> None:
    """Every session is gone, what was committed is there, and the same coordinates lead to it."""
    with emulator.connect(as_function=True, database="lambda") as connection:
        port = connection.port
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO steps VALUES (1)")
        before = emulator.timeline()[-1].seq
        emulator.restart_database()
    assert rows() == 1
    with emulator.connect(as_function=True) as connection:
        assert connection.port == port
    assert emulator.connections() == ()
    assert "database.restarted" in [event.kind for event in emulator.timeline(before)]


def test_a_path_is_another_one_at_once(emulator: Emulator, tmp_path: Path) -> None:
    """Also for a connection that was open before; there and back."""
    function = deploy(emulator, tmp_path)
    query = {"statements": ["SELECT 1"]}
    assert "error" not in function.invoke(query).payload
    assert emulator.set_path("nat") == "direct"
    emulator.fast_forward(seconds=351)
    assert function.invoke(query).payload["error"] == 2013
    assert emulator.set_path("direct") == "nat"
    with pytest.raises(InvalidParameterValueError, match="no path"):
        emulator.set_path("tunnel")
    function.recycle()


def test_without_a_database_there_is_none_to_restart() -> None:
    """It is said, and not passed over."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        for action in (emulator.restart_database, emulator.fail_over, lambda: emulator.set_path("nat")):
            with pytest.raises(DatabaseError, match="without a database"):
                action()
