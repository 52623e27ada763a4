"""What conversations leave in their sessions: read from statements as people and libraries write them."""

from __future__ import annotations

import pytest

from emulator.audit.facts import Leftover
from emulator.audit.session_state import SessionState, leftovers
from emulator.audit.statements import Statement

DEFAULTS = {"autocommit": "ON", "time_zone": "+00:00", "sql_mode": "STRICT_TRANS_TABLES"}
LOGIN = ["SET NAMES utf8mb4", "SET AUTOCOMMIT = 0"]


def conversation(*invocations: list[str], session: int = 7, quits: bool = False) -> list[Statement]:
    """One session; what the first invocation says begins with the login."""
    said = [Statement(session, "Connect", "lambda@127.0.0.1 on lambda", 0)]
    for number, statements in enumerate(invocations):
        said += [Statement(session, "Query", text, number) for text in statements]
    return [*said, Statement(session, "Quit", "", len(invocations) - 1)] if quits else said


def left(*each_time: str) -> list[tuple[str, str]]:
    """What is left of a session in which every invocation says this."""
    said = ["SELECT 1", *each_time]
    found = leftovers(conversation([*LOGIN, *said], said, said), DEFAULTS)
    return [(leftover.kind, leftover.name) for leftover in found]


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["SELECT 1"], []),
        (["SET @customer = 7"], [("user variable", "@customer")]),
        (["set @a := 1, @b = 'x, y'"], [("user variable", "@a"), ("user variable", "@b")]),
        (["SELECT @n := COUNT(*) FROM t"], [("user variable", "@n")]),
        (["SELECT a, b INTO @a, @b FROM t"], [("user variable", "@a"), ("user variable", "@b")]),
        (["SET @customer = 7", "SET @customer = NULL"], []),
        (["/* app */ SET @customer = 7 -- why\n"], [("user variable", "@customer")]),
        (["CREATE TEMPORARY TABLE IF NOT EXISTS basket (id INT)"], [("temporary table", "basket")]),
        (["CREATE TEMPORARY TABLE `basket` SELECT 1", "DROP TEMPORARY TABLE IF EXISTS basket"], []),
        (["CREATE TABLE basket (id INT)"], []),
        (["SELECT GET_LOCK('stock', 10)"], [("named lock", "stock")]),
        (["SELECT GET_LOCK('stock', 10)", "DO RELEASE_LOCK('stock')"], []),
        (["SELECT GET_LOCK('a', 1), GET_LOCK('b', 1)", "SELECT RELEASE_ALL_LOCKS()"], []),
        (["LOCK TABLES stock WRITE"], [("table lock", "stock WRITE")]),
        (["LOCK TABLES stock WRITE", "UNLOCK TABLES"], []),
        (["SET time_zone = '+02:00'"], [("session variable", "time_zone")]),
        (["SET SESSION sql_mode = ''"], [("session variable", "sql_mode")]),
        (["SET @@session.sql_mode = ''"], [("session variable", "sql_mode")]),
        (["SET time_zone = '+02:00'", "SET time_zone = '+00:00'"], []),
        (["SET autocommit = 1", "SET autocommit = 0"], []),
        (["SET autocommit = 1"], [("session variable", "autocommit")]),
        (["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"], [("session variable", "transaction")]),
        (["SET TRANSACTION ISOLATION LEVEL READ COMMITTED"], []),
        (["SET GLOBAL wait_timeout = 5"], []),
        (["SET NAMES utf8mb4"], []),
        (["INSERT INTO t VALUES ('SET @a = 1')"], []),
    ],
)
def test_what_is_left_of_an_invocation(statements: list[str], found: list[tuple[str, str]]) -> None:
    """And what was put back, belongs to a login, or was never of the session."""
    assert left(*statements) == found


def test_what_only_the_login_sets_is_the_same_for_every_event() -> None:
    """A driver's settings are not left by anybody."""
    assert leftovers(conversation([*LOGIN, "SET time_zone = '+02:00'", "SELECT 1"], ["SELECT 1"]), DEFAULTS) == ()


def test_what_each_event_sets_first_of_all_meets_nobody() -> None:
    """It is set again before anything is asked: no event sees another's."""
    said = ["SET time_zone = '+02:00'", "SELECT 1"]
    assert leftovers(conversation(said, said), DEFAULTS) == ()


def test_the_server_s_default_in_other_words() -> None:
    """1 is ON."""
    assert leftovers(conversation(["SELECT 1"], ["SET autocommit = 1"]), DEFAULTS) == ()


def test_only_sessions_that_serve_again_can_leave_something() -> None:
    """One that was closed, or is never used again, tells nobody anything."""
    once = conversation(["SELECT 1", "SET @a = 1"])
    closed = conversation(["SELECT 1"], ["SET @a = 1"], session=8, quits=True)
    assert leftovers([*once, *closed], DEFAULTS) == ()


def test_a_reset_forgets() -> None:
    """What pools of other languages do when they hand a connection out."""
    said = conversation(["SELECT 1"], ["SET @a = 1"])
    assert leftovers(said, DEFAULTS) == (Leftover("user variable", "@a", "1"),)
    assert leftovers([*said, Statement(7, "Reset Connection", "", 1)], DEFAULTS) == ()


def test_values_are_short() -> None:
    """They stand in a title."""
    state = SessionState()
    state.take(f"SET @a = '{'x' * 100}'")
    assert len(state.user_variables["a"]) == 60
