"""The one question to the server, and what is done when it is not answered."""

from __future__ import annotations

import pymysql
import pytest

from emulator.database.processlist import ProcessList, was_restarted
from emulator.errors import DatabaseError
from tests.unit.database.scripted import ScriptedServer, row

LOST = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
DENIED = pymysql.err.OperationalError(1227, "Access denied; you need (at least one of) the PROCESS privilege(s)")
REFUSED = pymysql.err.OperationalError(2003, "Can't connect to MySQL server")


def test_one_question_answers_everything() -> None:
    """Rows and limits come together, on a connection that stays."""
    server = ScriptedServer()
    server.rows = [row(7, command="Query", statement="SELECT 1"), row(8)]
    process_list = ProcessList(server)
    look = process_list.look()
    assert [one.id for one in look.rows] == [4, 7, 8]
    assert look.rows[1:] == server.rows
    assert (look.max_connections, look.wait_timeout, look.own) == (152, 28800, {4})
    asked = len(server.questions)
    process_list.look()
    assert len(server.questions) == asked + 1
    assert server.logins == 1


@pytest.mark.parametrize(
    ("version", "missing", "table"),
    [
        ("10.11.19-MariaDB-0+deb12u1", set(), "time_ms / 1000, LEFT(info, 1000)"),
        ("8.4.3", set(), "information_schema.processlist"),
        ("12.0.0", {"information_schema.processlist"}, "performance_schema.processlist"),
    ],
    ids=["MariaDB, milliseconds", "MySQL", "MySQL without the old table"],
)
def test_question_in_the_server_s_dialect(version: str, missing: set[str], table: str) -> None:
    """Found out once; then the same question every time."""
    server = ScriptedServer(version)
    server.missing_tables = missing
    process_list = ProcessList(server)
    process_list.look()
    asked = len(server.questions)
    process_list.look()
    assert len(server.questions) == asked + 1
    assert table in server.questions[-1]


@pytest.mark.parametrize(
    ("version", "refusals"), [("10.11.19-MariaDB", 1), ("8.4.3", 2)], ids=["MariaDB", "MySQL, by both of its tables"]
)
def test_account_that_may_not_see_transactions_asks_without_them(version: str, refusals: int) -> None:
    """Found out once, on the connection that there is; whose rows are locked is then not known."""
    server = ScriptedServer(version)
    process_list = ProcessList(server)
    process_list.look()
    assert "innodb_trx" in server.questions[-1]
    server.failures = [DENIED] * refusals
    process_list.look()
    asked = len(server.questions)
    process_list.look()
    assert len(server.questions) == asked + 1
    assert "innodb_trx" not in server.questions[-1]
    assert server.logins == 1


def test_account_that_may_not_see_anything_is_an_error_with_its_reason() -> None:
    """There is no question left; the last one stays, for privileges can be given while one runs."""
    server = ScriptedServer()
    process_list = ProcessList(server)
    process_list.look()
    server.failures = [DENIED] * 2
    server.refuse_logins = DENIED
    with pytest.raises(DatabaseError, match="PROCESS privilege"):
        process_list.look()
    server.refuse_logins = None
    process_list.look()


def test_lost_connection_is_opened_anew_at_once() -> None:
    """The user may have killed it, for it is in their process list."""
    server = ScriptedServer()
    process_list = ProcessList(server)
    process_list.look()
    server.failures = [LOST]
    assert process_list.look().run == 0
    assert server.logins == 2


def test_server_that_is_away_is_an_error_with_its_reason() -> None:
    """A new connection is tried once; then whoever asked has to know."""
    server = ScriptedServer()
    process_list = ProcessList(server)
    process_list.look()
    server.failures, server.refuse_logins = [LOST], REFUSED
    with pytest.raises(DatabaseError, match=r"Can't connect to MySQL server \(2003\)") as caught:
        process_list.look()
    assert caught.value.__cause__ is REFUSED
    assert caught.value.cure
    server.refuse_logins = None
    process_list.look()


def test_restart_makes_another_run() -> None:
    """Whoever remembers thread ids has to forget them."""
    server = ScriptedServer()
    process_list = ProcessList(server)
    process_list.look()
    server.failures, server.next_thread, server.uptime = [LOST], 2, 1
    assert process_list.look().run == 1
    assert process_list.look().run == 1


@pytest.mark.parametrize(
    ("new_session", "uptime", "silence", "restarted"),
    [
        (101, 5000, 1.0, False),
        (101, 5000, 4999.0, False),
        (3, 0, 1.0, True),
        (100, 5000, 1.0, True),
        (5000, 30, 60.0, True),
        (101, 60, 60.5, False),
    ],
    ids=["lost", "lost for long", "restarted", "same number", "restarted, busy since", "uptime is whole seconds"],
)
def test_was_restarted(new_session: int, uptime: float, silence: float, restarted: bool) -> None:
    """By the thread id where it fell, else by a server that is younger than its last answer."""
    assert was_restarted(100, new_session, uptime=uptime, silence=silence) is restarted
