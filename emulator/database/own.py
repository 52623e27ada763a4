"""What the servers have in common that the emulator starts itself, for itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

from emulator.database.accounts import (
    Furnishings,
    check_name,
    describe,
    furnish,
    make_database,
    refurnish,
    refuse_system_database,
)
from emulator.database.base import DATABASE, FUNCTIONS_USER, Account, Connector, Endpoint, in_thread
from emulator.database.failover import Failover
from emulator.errors import DatabaseError

__all__ = ["OwnServer"]


# Seconds in which a client that was refused for want of a place may still take one: the administrator's, too.
_STILL_COUNTED = 2.0


class OwnServer:
    """A server that is made when it is entered and gone when it is left.

    A kind of server says how it starts (:meth:`_start`) and ends (:meth:`_end`); this class gives the running
    server its accounts and is the rest of :class:`emulator.database.base.DatabaseServer`.
    """

    _trusted_way: Mapping[str, Any] = {}
    """Options of a connection on which the functions' user can log in without the server trusting it yet."""

    def __init__(self, max_connections: int | None) -> None:
        self._max_connections = max_connections
        self._functions = Account(FUNCTIONS_USER, secrets.token_urlsafe(18))
        self._connector: Connector | None = None
        self._furnishings: Furnishings | None = None
        self._failover: Failover | None = None

    async def _start(self) -> Connector:
        """Start the server; the answer opens connections to it, and one has been opened.

        Raises:
            DatabaseError: it does not start.
        """
        raise NotImplementedError

    async def _start_again(self, connector: Connector) -> None:
        """End the server and start it anew, so that this connector leads to it.

        Raises:
            DatabaseError: it does not come back, or this kind of server cannot do that.
        """
        raise NotImplementedError

    async def _end(self) -> None:
        """End the server, however far its start came."""
        raise NotImplementedError

    # -- what there is to know -------------------------------------------------------------------------

    @property
    def version(self) -> str:
        return self._furnishings.version if self._furnishings is not None else ""

    @property
    def product(self) -> str:
        """Name and number for people: ``MariaDB 10.11.19``."""
        name = "MariaDB" if "mariadb" in self.version.lower() else "MySQL"
        return f"{name} {self.version.partition('-')[0]}"

    @property
    def warnings(self) -> Sequence[str]:
        return self._furnishings.warnings if self._furnishings is not None else ()

    @property
    def reserved_sessions(self) -> int:
        return self._furnishings.reserved if self._furnishings is not None else 0

    def connect(self, *, as_function: bool = False, **options: Any) -> Connection[Cursor]:
        return self._started.connect(as_function=as_function, **options)

    def own_sessions(self) -> Collection[int]:
        return self._started.own_sessions()

    async def ensure_database(self, name: str) -> None:
        check_name(name)
        if name.lower() == "information_schema":
            return  # it is there, and everybody may look at what concerns them
        refuse_system_database(name)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STILL_COUNTED
        while True:
            try:
                await asyncio.to_thread(self._make_database, name)
            except pymysql.err.MySQLError as error:
                if error.args[:1] == (ER.CON_COUNT_ERROR,) and loop.time() < deadline:
                    await asyncio.sleep(0.02)
                    continue
                raise DatabaseError(f"the database {name} cannot be made: {describe(error)}") from error
            return

    def _make_database(self, name: str) -> None:
        with self.connect() as administration:
            make_database(administration, name, self._functions)

    def _variables(self, service: Endpoint) -> dict[str, str]:
        return {
            "DB_HOST": service.host,
            "DB_PORT": str(service.port),
            "DB_USER": self._functions.user,
            "DB_PASSWORD": self._functions.password,
            "DB_NAME": DATABASE,
        }

    @property
    def _started(self) -> Connector:
        if self._connector is None:
            raise DatabaseError("the database server is not started")
        return self._connector

    # -- what happens to servers -----------------------------------------------------------------------

    async def restart(self) -> None:
        connector, furnishings = self._started, self._furnishings
        assert furnishings is not None, "a server that is started is furnished"
        self._close_placeholders()
        await self._start_again(connector)
        try:
            self._furnishings = await in_thread(refurnish, connector, furnishings)
            await in_thread(self._first_logins, connector)
        except pymysql.err.MySQLError as error:
            raise DatabaseError(f"the database server came back but cannot be used: {describe(error)}") from error

    async def fail_over(self) -> None:
        await self.fail_back()
        failover = self._failover = Failover(self._functions)
        await self._change(failover.begin, "does not fail over")

    async def fail_back(self) -> None:
        failover, self._failover = self._failover, None
        if failover is not None:
            await self._change(failover.end, "does not become writable again")

    async def _change(self, change: Callable[[Connection[Cursor]], None], trouble: str) -> None:
        def work() -> None:
            with self.connect() as administration:
                change(administration)

        try:
            await in_thread(work)
        except pymysql.err.MySQLError as error:
            raise DatabaseError(f"the database server {trouble}: {describe(error)}") from error

    # -- start and stop --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            connector = await self._start()
            self._furnishings = await in_thread(self._furnish, connector)
        except pymysql.err.MySQLError as error:
            await self._stop()
            raise DatabaseError(f"the database server started but cannot be used: {describe(error)}") from error
        except BaseException:
            await self._stop()
            raise
        self._connector = connector
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    def _furnish(self, connector: Connector) -> Furnishings:
        furnishings = furnish(connector, self._max_connections)
        self._first_logins(connector)
        return furnishings

    def _first_logins(self, connector: Connector) -> None:
        # MySQL's default plug-in wants either TLS, or a key exchange that small clients (PyMySQL alone) do
        # not have, from whoever comes first; then it remembers. So come first, on a way that it trusts.
        connector.connect(as_function=True, **self._trusted_way).close()
        # And once as functions do: the port answers, and it is this server that does.
        connector.connect(as_function=True, database=DATABASE).close()

    async def _stop(self) -> None:
        self._close_placeholders()
        self._furnishings = self._connector = None
        await self._end()

    def _close_placeholders(self) -> None:
        for connection in self._furnishings.placeholders if self._furnishings is not None else ():
            if connection.open:
                connection.close()
