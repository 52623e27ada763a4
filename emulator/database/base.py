"""What every kind of database server offers, and the opening of connections that they share."""

from __future__ import annotations

import asyncio
import socket
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, Self, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

__all__ = [
    "DATABASE",
    "DEFAULT_MAX_CONNECTIONS",
    "FUNCTIONS_USER",
    "Account",
    "Connector",
    "DatabaseServer",
    "Endpoint",
    "Kind",
    "in_thread",
]

FUNCTIONS_USER = "lambda"
DATABASE = "lambda"
DEFAULT_MAX_CONNECTIONS = 151  # what MySQL and MariaDB ship with

Kind = Literal["local", "docker", "url"]

_CONNECT_TIMEOUT = 5
_ANSWER_TIMEOUT = 30
# How many of our own sessions are kept in mind. Closed ones are among them: the server may have been asked for
# its sessions a moment before they were closed.
_REMEMBERED_SESSIONS = 256

_P = ParamSpec("_P")
_T = TypeVar("_T")


class DatabaseServer(Protocol):
    """A server for the functions; entering it starts it and waits until it answers, leaving it stops it."""

    @property
    def kind(self) -> Kind:
        """``local`` | ``docker`` | ``url``."""
        ...

    @property
    def version(self) -> str:
        """As the server says it, such as ``10.11.19-MariaDB``; empty before it was started."""
        ...

    @property
    def description(self) -> str:
        """One line for people, without the password."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What will not work as the user may expect, one sentence or two each; known once it was started."""
        ...

    @property
    def reserved_sessions(self) -> int:
        """How many of the server's ``max_connections`` the emulator keeps for itself: the observer's one,
        and those that only keep places taken (see :mod:`emulator.database.accounts`)."""
        ...

    def variables(self, *, from_container: bool) -> dict[str, str]:
        """``DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME`` for a function in a container or a process."""
        ...

    def connect(self, *, as_function: bool = False, **options: Any) -> Connection[Cursor]:
        """Open a connection, blocking: as the administrator, or as the functions' user.

        It commits by itself and has deadlines for connecting, reading and writing; ``options`` are those
        of :func:`pymysql.connect` and go before.

        Raises:
            pymysql.err.MySQLError: what the server, or the way to it, answered.
        """
        ...

    def own_sessions(self) -> Collection[int]:
        """The server's thread ids of administrative connections made by :meth:`connect`."""
        ...

    async def ensure_database(self, name: str) -> None:
        """Make the database where it is missing and let the functions' user work in it.

        Raises:
            ConfigurationError: no database can, or should, have this name.
            DatabaseError: the server refused or could not be asked.
        """
        ...

    async def restart(self) -> None:
        """End the server and start it anew, at the same address and on the same data.

        Every session is gone, with what it had not committed; what was set with ``SET GLOBAL`` is as it was at first.

        Raises:
            DatabaseError: it is not ours to restart, or does not come back.
        """
        ...

    async def fail_over(self) -> None:
        """Make the sessions that there are those of a demoted writer: they stay open and may only read.

        Whoever connects from now on may write, as with a name that leads to the new writer.

        Raises:
            DatabaseError: it is not ours to change, or refuses.
        """
        ...

    async def fail_back(self) -> None:
        """Let every session write again; nothing where there was no failover.

        Raises:
            DatabaseError: the server refuses.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the server; the password stays out of every text made from this record."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: an address and port, or the path of a socket."""

    host: str = ""
    port: int = 0
    unix_socket: str | None = None

    def options(self) -> dict[str, Any]:
        if self.unix_socket is not None:
            return {"unix_socket": self.unix_socket}
        return {"host": self.host, "port": self.port}


class Connector:
    """Opens connections to one server, with deadlines, and knows which of them are the emulator's own."""

    def __init__(
        self,
        *,
        administrator: Account,
        administration: Endpoint,
        functions: Account,
        service: Endpoint,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.functions = functions
        self.service = service
        self._doors = {
            False: (administration, administrator),
            True: (service, functions),
        }
        self._options = dict(options or {})
        self._own: dict[int, weakref.ref[Connection[Cursor]]] = {}
        self._lock = threading.Lock()

    def connect(self, *, as_function: bool = False, **options: Any) -> Connection[Cursor]:
        """See :meth:`DatabaseServer.connect`."""
        endpoint, account = self._doors[as_function]
        settings: dict[str, Any] = {
            "user": account.user,
            "password": account.password.encode(),  # PyMySQL would encode it as Latin-1
            "autocommit": True,
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _ANSWER_TIMEOUT,
            "write_timeout": _ANSWER_TIMEOUT,
            **endpoint.options(),
            **self._options,
            **options,
        }
        if as_function:
            return pymysql.connect(**settings)
        # Locked, so that whoever asks for our sessions while one is on its way hears of that one too.
        with self._lock:
            connection = _connect_by_path(settings) if endpoint.unix_socket else pymysql.connect(**settings)
            self._remember(connection)
        return connection

    def own_sessions(self) -> Collection[int]:
        """See :meth:`DatabaseServer.own_sessions`."""
        with self._lock:
            return frozenset(self._own)

    def _remember(self, connection: Connection[Cursor]) -> None:
        session = int(connection.thread_id())  # type: ignore[no-untyped-call]
        # Thread ids only rise while a server lives. One that is lower tells of a server that was started
        # anew, and on that one the numbers of old may stand for sessions of functions.
        if any(known >= session for known in self._own):
            self._own.clear()
        if len(self._own) >= _REMEMBERED_SESSIONS:
            self._own = {known: one for known, one in self._own.items() if (open_ := one()) and open_.open}
        self._own[session] = weakref.ref(connection)


def _connect_by_path(settings: dict[str, Any]) -> Connection[Cursor]:
    """As :func:`pymysql.connect` does it, but for the socket that it leaves open where nobody listens."""
    connection = pymysql.connect(**settings, defer_connect=True)
    way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        way.settimeout(settings["connect_timeout"])
        way.connect(settings["unix_socket"])
    except OSError as error:
        way.close()
        raise pymysql.err.OperationalError(2003, f"Can't connect to MySQL server by its socket ({error})") from error
    connection.connect(way)
    return connection


async def in_thread(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run blocking work in a thread.

    When cancelled, wait for the work to end before going on: a thread cannot be stopped, and what it is
    still making (a copy, a process) could not be cleaned up behind its back.
    """
    job = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # looked at, so that asyncio does not report it as overlooked
        raise
