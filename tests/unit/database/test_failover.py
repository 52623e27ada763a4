"""A failover in statements: what is granted, in which server's words, and that it is taken back."""

from __future__ import annotations

from typing import Any, cast

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.base import Account
from emulator.database.failover import Failover


class PlayedAdministration:
    """A server that knows only one of the rights, and may be held up by locks."""

    def __init__(self, right: str, *, locked: bool = False) -> None:
        self.right, self.locked = right, locked
        self.said: list[str] = []

    def cursor(self) -> PlayedAdministration:
        return self

    def __enter__(self) -> PlayedAdministration:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str, arguments: tuple[Any, ...] = ()) -> None:
        if statement.startswith("GRANT") and f"GRANT {self.right} " not in statement:
            raise pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax")
        if "read_only = 1" in statement and self.locked:
            raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")
        self.said.append(statement % arguments)

    @property
    def cast(self) -> Connection[Cursor]:
        return cast("Connection[Cursor]", self)


FUNCTIONS = Account("lambda", "secret")


@pytest.mark.parametrize("right", ["READ_ONLY ADMIN", "CONNECTION_ADMIN", "SUPER"])
def test_a_right_to_write_in_the_server_s_own_word(right: str) -> None:
    """Before the server may only be read, so that nobody who connects in between is taken for the old writer's."""
    server = PlayedAdministration(right)
    failover = Failover(FUNCTIONS)
    failover.begin(server.cast)
    failover.end(server.cast)
    assert server.said == [
        f"GRANT {right} ON *.* TO lambda@'%'",
        "SET SESSION lock_wait_timeout = 2",
        "SET GLOBAL read_only = 1",
        "SET GLOBAL read_only = 0",
        f"REVOKE {right} ON *.* FROM lambda@'%'",
    ]


def test_a_server_that_is_held_up_is_as_before() -> None:
    """Somebody's LOCK TABLES: no right stays behind."""
    server = PlayedAdministration("SUPER", locked=True)
    with pytest.raises(pymysql.err.OperationalError, match="1205"):
        Failover(FUNCTIONS).begin(server.cast)
    assert server.said[-1] == "REVOKE SUPER ON *.* FROM lambda@'%'"


def test_a_server_without_such_a_right() -> None:
    """Cannot tell old sessions from new ones."""
    server = PlayedAdministration("another word")
    with pytest.raises(pymysql.err.NotSupportedError):
        Failover(FUNCTIONS).begin(server.cast)
    assert server.said == []
