"""A failover as the sessions of the old writer see it, on one server.

On AWS a name leads to the writer. Who is connected when another instance takes over may go on speaking to the old one,
which answers every write with 1290; who connects anew finds the new writer. Here that is a server that may only be
read, and a right to write all the same that holds for logins from now on: rights on the whole server are looked up
once, at the login [D].
"""

from __future__ import annotations

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.base import Account

__all__ = ["Failover"]

# MariaDB since 10.5, MySQL since 8.0, both before that.
_RIGHTS_TO_WRITE = ("READ_ONLY ADMIN", "CONNECTION_ADMIN", "SUPER")
_NO_SUCH_RIGHT = (1064, 1149)  # it is not even a word of this server's language
_PATIENCE = 2  # seconds that other sessions' locks may hold it up


class Failover:
    """One failover and its end, for the sessions of one account.

    DIFFERS: on AWS the old writer restarts and drops most of its sessions; what is shown here are those that live on,
    and clients that find the old writer again by a name they keep in mind.
    """

    def __init__(self, functions: Account) -> None:
        self._functions = functions
        self._right: str | None = None

    def begin(self, administration: Connection[Cursor]) -> None:
        """The sessions that there are can only read; logins from now on can write.

        Raises:
            pymysql.err.MySQLError: what the server answered; nothing has changed.
        """
        with administration.cursor() as cursor:
            self._right = self._grant(cursor)
            cursor.execute("SET SESSION lock_wait_timeout = %s", (_PATIENCE,))
            try:
                cursor.execute("SET GLOBAL read_only = 1")
            except pymysql.err.MySQLError:
                self._revoke(cursor)
                raise

    def end(self, administration: Connection[Cursor]) -> None:
        """Everybody can write again.

        Raises:
            pymysql.err.MySQLError: what the server answered.
        """
        with administration.cursor() as cursor:
            cursor.execute("SET GLOBAL read_only = 0")
            self._revoke(cursor)

    def _grant(self, cursor: Cursor) -> str:
        for right in _RIGHTS_TO_WRITE:
            try:
                cursor.execute(f"GRANT {right} ON *.* TO %s@'%%'", (self._functions.user,))
            except pymysql.err.MySQLError as error:
                if error.args[0] not in _NO_SUCH_RIGHT:
                    raise
            else:
                return right
        raise pymysql.err.NotSupportedError(0, "it has no right that passes read_only")

    def _revoke(self, cursor: Cursor) -> None:
        right, self._right = self._right, None
        if right is not None:
            cursor.execute(f"REVOKE {right} ON *.* FROM %s@'%%'", (self._functions.user,))
