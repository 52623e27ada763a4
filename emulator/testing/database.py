"""A database of a test's own on the emulator's server: made for it, and gone with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.accounts import describe
from emulator.embedded import Emulator
from emulator.errors import DatabaseError
from emulator.model import Session
from emulator.skipping import FastForwardAnswer
from emulator.testing.watching import Connections

__all__ = ["PrivateDatabase"]


class PrivateDatabase:
    """A database that is there for as long as the ``with`` lasts.

    Arguments:
        emulator: whose server it is on.
        name: what it is called; it must not be there yet.
        functions: the names of the functions that work with it.

    Raises:
        DatabaseError: on entering: there is no server, or it makes no database for us.
    """

    def __init__(self, emulator: Emulator, name: str, functions: Callable[[], Collection[str]] = lambda: ()) -> None:
        self._emulator, self.name = emulator, name
        self._connection: Connection[Cursor] | None = None
        self._connections = Connections(emulator, functions, lambda session: session.database == name)

    def __enter__(self) -> PrivateDatabase:
        self._emulator.ensure_database(self.name)
        return self

    def __exit__(self, *_error: object) -> None:
        administration = self._administration()
        try:
            with administration.cursor() as cursor:
                for session in self._emulator.connections():
                    if session.database == self.name:
                        _kill(cursor, session.id)
                cursor.execute(f"DROP DATABASE IF EXISTS `{self.name}`")
        except pymysql.err.MySQLError as error:
            raise DatabaseError(f"the database {self.name} cannot be removed: {describe(error)}") from error
        finally:
            self._connection = None
            administration.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variable that leads a function to it; the others (``DB_HOST``, ...) functions have anyway."""
        return {"DB_NAME": self.name}

    @property
    def url(self) -> str:
        """``mysql://user:password@host:port/name``: for clients of the test's own, as the functions' user."""
        given = self._emulator.database_variables()
        user, password = quote(given["DB_USER"], safe=""), quote(given["DB_PASSWORD"], safe="")
        return f"mysql://{user}:{password}@{given['DB_HOST']}:{given['DB_PORT']}/{self.name}"

    def execute(self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None) -> list[Any]:
        """Run one statement as the server's administrator, committed at once; answers its rows.

        Raises:
            pymysql.err.MySQLError: what the server answered.
        """
        with self._administration().cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def connect(self, **options: Any) -> Connection[Cursor]:
        """A connection of the test's own, as the functions' user; to be closed by whoever asked for it."""
        return self._emulator.connect(as_function=True, database=self.name, **options)

    def sessions(self) -> tuple[Session, ...]:
        """What the server holds for this database, or for the functions that work with it."""
        return self._connections.sessions()

    def zombies(self) -> tuple[Session, ...]:
        """Those of environments that are gone."""
        return self._connections.zombies()

    def fast_forward(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> FastForwardAnswer:
        """As :meth:`emulator.embedded.Emulator.fast_forward`."""
        return self._emulator.fast_forward(hours=hours, minutes=minutes, seconds=seconds)

    def _administration(self) -> Connection[Cursor]:
        if self._connection is None:
            self._connection = self._emulator.connect(database=self.name)
        return self._connection


def _kill(cursor: Cursor, session: int) -> None:
    with contextlib.suppress(pymysql.err.MySQLError):  # it has ended meanwhile; what may not be ended is left alone
        cursor.execute("KILL %s", (session,))
