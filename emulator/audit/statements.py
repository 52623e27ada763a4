"""What a function says to its database, taken from the log of the emulator's own server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.base import FUNCTIONS_USER
from emulator.embedded import Emulator

__all__ = ["Statement", "StatementLog", "logged_statements"]

_READ = "SELECT thread_id, command_type, argument FROM mysql.general_log WHERE user_host LIKE %s"


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of the log.

    Attributes:
        session: the server's thread id.
        command: ``Connect``, ``Query``, ``Execute``, ``Quit``, ...
        text: as the client sent it.
        invocation: which of the invocations that were watched it belongs to, from 0.
    """

    session: int
    command: str
    text: str
    invocation: int


class StatementLog:
    """The server's general log while it is kept, read after each invocation."""

    def __init__(self, administration: Connection[Cursor]) -> None:
        self._administration = administration
        self._known = 0
        self._invocation = 0
        self.statements: list[Statement] = []

    def invocation_ended(self) -> None:
        """What was logged since the last call belongs to one invocation."""
        with self._administration.cursor() as cursor:
            cursor.execute(_READ, (f"{FUNCTIONS_USER}[%",))
            rows: Sequence[tuple[int, str, object]] = cursor.fetchall()
        for session, command, text in rows[self._known :]:
            words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            self.statements.append(Statement(int(session), str(command), words, self._invocation))
        self._known = len(rows)
        self._invocation += 1


@contextlib.contextmanager
def logged_statements(emulator: Emulator) -> Iterator[StatementLog]:
    """Have the emulator's own server keep a log for the block; afterwards it is as it was.

    Raises:
        pymysql.err.MySQLError: what the server answered.
    """
    with contextlib.closing(emulator.connect()) as administration:
        with administration.cursor() as cursor:
            cursor.execute("SELECT @@global.general_log, @@global.log_output")
            before = cursor.fetchone() or (0, "FILE")
            cursor.execute("SET GLOBAL log_output = 'TABLE'")
            cursor.execute("SET GLOBAL general_log = 1")
        try:
            yield StatementLog(administration)
        finally:
            with administration.cursor() as cursor:
                cursor.execute("SET GLOBAL general_log = %s", (before[0],))
                cursor.execute("SET GLOBAL log_output = %s", (before[1],))
                cursor.execute("TRUNCATE TABLE mysql.general_log")
