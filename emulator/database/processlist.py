"""One connection that asks the server for its sessions, again and again; opened anew when it is lost.

Blocking, and used from one thread only.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.accounts import describe
from emulator.database.base import DatabaseServer
from emulator.database.sessions import ProcessRow
from emulator.errors import DatabaseError

__all__ = ["Look", "ProcessList", "was_restarted"]

_DEADLINE = 2  # seconds; for connecting, and for each answer
_STATEMENT_LENGTH = 1000
_NO_SUCH_THREAD, _UNKNOWN_TABLE, _NOT_ALLOWED = 1094, 1109, 1227

# The limits come with every row, so that one question is all there is to a look. The observer's own session
# is always a row.
_QUERY = (
    "SELECT id, user, host, db, command, {seconds}, LEFT(info, {length}), "
    "@@global.max_connections, @@global.wait_timeout, {locked} FROM {table}"
)
_TRANSACTIONS = " LEFT JOIN information_schema.innodb_trx ON trx_mysql_thread_id = id"


def _queries(seconds: str, *tables: str) -> list[str]:
    """Best first: with open transactions, which an account needs a privilege to see, and without."""
    return [
        _QUERY.format(seconds=seconds, length=_STATEMENT_LENGTH, locked=locked, table=table + joined)
        for locked, joined in (("trx_rows_locked", _TRANSACTIONS), ("NULL", ""))
        for table in tables
    ]


_MARIADB = _queries("time_ms / 1000", "information_schema.processlist")
# MySQL means to take the first table away. Its successor is empty where the performance schema is off.
_MYSQL = _queries("time", "information_schema.processlist", "performance_schema.processlist")


@dataclass(frozen=True, slots=True)
class Look:
    """What the server said.

    Attributes:
        own: thread ids of the emulator's own sessions.
        run: another number whenever the server has been started anew: its thread ids then mean other sessions.
    """

    rows: Sequence[ProcessRow]
    max_connections: int
    wait_timeout: int
    own: Collection[int]
    run: int


class ProcessList:
    """See the module."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server
        self._connection: Connection[Cursor] | None = None
        self._queries = list(_MARIADB if "mariadb" in server.version.lower() else _MYSQL)
        self._session = 0
        self._answered_at: float | None = None
        self._run = 0

    def look(self) -> Look:
        """Ask once.

        Raises:
            DatabaseError: the server cannot be asked, not on a new connection either.
        """
        had_connection = self._connection is not None
        try:
            try:
                return self._look()
            except pymysql.err.MySQLError as error:
                self.close()
                # Worth a second try is a connection that was lost, not a server that lets us wait.
                if not had_connection or isinstance(error.__context__, TimeoutError):
                    raise
            return self._look()
        except (pymysql.err.MySQLError, RuntimeError) as error:
            self.close()
            reason = describe(error) if isinstance(error, pymysql.err.MySQLError) else str(error)
            raise DatabaseError(
                f"the database server does not answer: {reason}",
                cure="If it is your own server, start it again; else stop and start the emulator.",
            ) from error

    def kill(self, threads: Sequence[int]) -> None:
        """End these sessions; one that has ended by itself is fine.

        Raises:
            DatabaseError: the server does not answer, or the account may not do that.
        """
        self.look()  # opens the connection anew if it was lost
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            for thread in threads:
                try:
                    cursor.execute("KILL %s", (thread,))
                except pymysql.err.MySQLError as error:
                    if error.args[0] != _NO_SUCH_THREAD:
                        raise DatabaseError(f"session {thread} cannot be ended: {describe(error)}") from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            connection.close()

    def _look(self) -> Look:
        if self._connection is None:
            self._connection = self._open()
        with self._connection.cursor() as cursor:
            rows = self._ask(cursor)
        self._answered_at = time.monotonic()
        return Look(
            [
                ProcessRow(
                    int(row[0]),
                    _text(row[1]),
                    _text(row[2]),
                    row[3],
                    _text(row[4]),
                    float(row[5] or 0),
                    row[6] or None,
                    int(row[9]) if row[9] is not None else None,
                )
                for row in rows
            ],
            max_connections=int(rows[0][7]),
            wait_timeout=int(rows[0][8]),
            own=frozenset({self._session, *self._server.own_sessions()}),
            run=self._run,
        )

    def _ask(self, cursor: Cursor) -> Sequence[Sequence[Any]]:
        while True:
            try:
                cursor.execute(self._queries[0])
            except pymysql.err.MySQLError as error:
                if len(self._queries) == 1 or error.args[0] not in (_UNKNOWN_TABLE, _NOT_ALLOWED):
                    raise
                del self._queries[0]
            else:
                return cursor.fetchall()

    def _open(self) -> Connection[Cursor]:
        connection = self._server.connect(connect_timeout=_DEADLINE, read_timeout=_DEADLINE, write_timeout=_DEADLINE)
        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Uptime'")
            uptime = float((cursor.fetchone() or ("", 0))[1])
        session = int(connection.thread_id())  # type: ignore[no-untyped-call]
        if self._answered_at is not None:
            silence = time.monotonic() - self._answered_at
            self._run += was_restarted(self._session, session, uptime=uptime, silence=silence)
        self._session = session
        return connection


def was_restarted(old_session: int, new_session: int, *, uptime: float, silence: float) -> bool:
    """Whether a server has been started anew between two of our connections to it.

    Thread ids rise for as long as a server runs, and it cannot have begun before it last answered. ``uptime``
    is whole seconds as the server tells it, ``silence`` how long ago it last answered.
    """
    return new_session <= old_session or uptime + 1 < silence


def _text(value: object) -> str:
    return "" if value is None else str(value)
