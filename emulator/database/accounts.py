"""What a server of our own is furnished with: the functions' user, their databases, and room for sessions.

The functions' user has rights on the functions' databases and on nothing else. That is what makes the limits
real: an account with rights on everything passes ``max_connections`` and ``max_user_connections``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.base import DATABASE, DEFAULT_MAX_CONNECTIONS, Account, Connector
from emulator.errors import ConfigurationError, DatabaseError

__all__ = [
    "Furnishings",
    "check_name",
    "create_database",
    "describe",
    "furnish",
    "make_database",
    "refurnish",
    "refuse_system_database",
    "server_limit",
]

# Rights on these would be rights on the server.
_SYSTEM_DATABASES = frozenset({"mysql", "performance_schema", "sys"})
_NAME = re.compile(r"[^\0/\\.]{1,64}")
# A place that is only kept taken must not come free because nobody used it: one year, the most there is.
_FOR_EVER = 31_536_000


@dataclass(frozen=True, slots=True)
class Furnishings:
    """What became of a server of our own.

    Attributes:
        version: as the server says it.
        reserved: how many of its ``max_connections`` are not for functions.
        placeholders: sessions that keep places taken, for as long as they are open.
        warnings: what came out differently from what was asked for.
    """

    version: str
    reserved: int
    placeholders: Sequence[Connection[Cursor]]
    warnings: Sequence[str]


def server_limit(max_connections: int | None) -> int:
    """The ``max_connections`` to start a server with, so that functions can have as many as was asked for.

    The observer's session takes one place for itself. Left out of the count it would make ``Too many
    connections`` come one connection early, at a number that nobody wrote down.

    DIFFERS: a function that asks for ``@@max_connections`` sees this number, which is higher by one (or 10, where
    fewer were asked of MariaDB).
    """
    return (max_connections or DEFAULT_MAX_CONNECTIONS) + 1


def furnish(connector: Connector, max_connections: int | None) -> Furnishings:
    """Make the functions' user and database on a server that has just been started.

    Raises:
        pymysql.err.MySQLError: what the server answered.
    """
    with connector.connect() as administration:
        with administration.cursor() as cursor:
            cursor.execute("SELECT VERSION(), @@global.max_connections")
            version, limit = cursor.fetchone() or ("", 0)
            user = connector.functions
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (user.user, user.password))
        make_database(administration, DATABASE, user)
    wanted = server_limit(max_connections)
    # MariaDB takes no limit below 10. Where a smaller one was asked for, the places too many are taken.
    placeholders = [_placeholder(connector) for _ in range(limit - wanted)]
    warnings = []
    if limit < wanted:
        warnings.append(
            f"The server allows {limit - 1} connections, not {wanted - 1}: it may not open enough files. "
            "Raise the limit (ulimit -n)."
        )
    return Furnishings(version, 1 + len(placeholders), placeholders, warnings)


def refurnish(connector: Connector, before: Furnishings) -> Furnishings:
    """The same again on the same data, after the server was started anew: accounts last, open sessions do not.

    Raises:
        pymysql.err.MySQLError: what the server answered.
    """
    return replace(before, placeholders=[_placeholder(connector) for _ in before.placeholders])


def make_database(administration: Connection[Cursor], name: str, user: Account) -> None:
    """Make a database where it is missing, with all rights on it, and on it only, for the functions' user."""
    with administration.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_identifier(name)}")
        # In a grant the name is a pattern: an underscore would stand for any character.
        pattern = _identifier(name.replace("_", r"\_").replace("%", r"\%"))
        cursor.execute(f"GRANT ALL PRIVILEGES ON {pattern}.* TO %s@'%%'", (user.user,))


def create_database(connector: Connector, name: str) -> None:
    """Make a database where it is missing, on a server whose accounts are not ours to change.

    Raises:
        DatabaseError: it is not there and the account may not make it, or the server cannot be asked.
    """
    try:
        with connector.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = %s", (name,))
            if (cursor.fetchone() or (0,))[0]:
                return
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_identifier(name)}")
    except pymysql.err.MySQLError as error:
        raise DatabaseError(
            f"the database {name} cannot be made: {describe(error)}",
            cure=f"Make it and give {connector.functions.user} rights on it, or name one that is there.",
        ) from error


def check_name(name: str) -> None:
    """Refuse names that no database can have.

    Raises:
        ConfigurationError: with what is allowed.
    """
    if not _NAME.fullmatch(name) or name != name.strip():
        raise ConfigurationError(
            f"{name!r} is not a name for a database",
            cure="A name is 1 to 64 characters without a full stop, a slash or a blank at an end.",
        )


def refuse_system_database(name: str) -> None:
    """Refuse to give functions rights on what belongs to the server.

    Raises:
        ConfigurationError: it does.
    """
    if name.lower() in _SYSTEM_DATABASES:
        raise ConfigurationError(
            f"the database {name} belongs to the server itself",
            cure="Give the function a database of its own; it is made where it is missing.",
        )


def describe(error: pymysql.err.MySQLError) -> str:
    """The server's number and text, as users know them from their clients."""
    number, *text = error.args or (0,)
    return f"{' '.join(map(str, text))} ({number})" if text else str(number)


def _placeholder(connector: Connector) -> Connection[Cursor]:
    return connector.connect(init_command=f"SET SESSION wait_timeout = {_FOR_EVER}")


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
