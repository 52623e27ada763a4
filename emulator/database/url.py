"""The user's own server, named by a ``mysql://`` address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.accounts import check_name, create_database, describe
from emulator.database.base import DATABASE, Account, Connector, Endpoint, Kind, in_thread
from emulator.errors import ConfigurationError, DatabaseError

__all__ = ["Address", "UrlServer", "parse_url"]

_ALLOWED = (
    "Allowed is mysql://user:password@host:port/database; the port is 3306 and the database is "
    f"{DATABASE} where they are left out. Write @ : / ? # % in a user or password as %40 %3A %2F %3F %23 %25."
)
_DEFAULT_PORT = 3306
_PROBE_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a ``mysql://`` address, decoded."""

    endpoint: Endpoint
    account: Account
    database: str


def parse_url(text: str) -> Address:
    """Take a ``mysql://`` address apart.

    Raises:
        ConfigurationError: a part is missing, or there is one too many; the password is not repeated.
    """
    if "?" in text or "#" in text:
        raise _refusal("has a ? or a # in it")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refusal("has a host or a port that is none") from None
    if parts.scheme != "mysql":
        raise _refusal(f"begins with {parts.scheme or 'no scheme'}, not with mysql://")
    if not host:
        raise _refusal("names no host")
    if not parts.username:
        raise _refusal("names no user")
    if port == 0:
        raise _refusal("has port 0, where nothing can listen")
    database = unquote(parts.path.removeprefix("/"))
    if "/" in database:
        raise _refusal("has more than a database after the host")
    if database:
        check_name(database)
    return Address(
        Endpoint(host, port or _DEFAULT_PORT),
        Account(unquote(parts.username), unquote(parts.password or "")),
        database or DATABASE,
    )


def _refusal(what: str) -> ConfigurationError:
    return ConfigurationError(f"the address of the database server {what}", cure=_ALLOWED)


class UrlServer:
    """A server that is not ours: used as it is. See :class:`emulator.database.base.DatabaseServer`.

    Functions and the emulator itself use the one account that the address names.

    Arguments:
        address: where the server is, and as whom to log in.
        host_gateway: the address of this machine as containers see it; ``None`` where there are none.
    """

    kind: Kind = "url"
    reserved_sessions = 1

    def __init__(self, address: Address, *, host_gateway: str | None = None) -> None:
        self._address = address
        self._host_gateway = host_gateway
        self._connector = Connector(
            administrator=address.account,
            administration=address.endpoint,
            functions=address.account,
            service=address.endpoint,
        )
        self.version = ""
        self.warnings: Sequence[str] = ()

    @property
    def description(self) -> str:
        name = "MariaDB" if "mariadb" in self.version.lower() else "MySQL"
        where = f"{self._where} as {self._address.account.user}"
        return f"{name} {self.version.partition('-')[0]}, {where}" if self.version else f"{where}, not yet asked"

    @property
    def _where(self) -> str:
        endpoint = self._address.endpoint
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        return f"{host}:{endpoint.port}"

    def variables(self, *, from_container: bool) -> dict[str, str]:
        endpoint, account = self._address.endpoint, self._address.account
        return {
            "DB_HOST": self._host_for_containers() if from_container else endpoint.host,
            "DB_PORT": str(endpoint.port),
            "DB_USER": account.user,
            "DB_PASSWORD": account.password,
            "DB_NAME": self._address.database,
        }

    def _host_for_containers(self) -> str:
        """A container's own loopback is not this machine's."""
        host = self._address.endpoint.host
        return self._host_gateway if self._host_gateway and _is_loopback(host) else host

    def connect(self, *, as_function: bool = False, **options: Any) -> Connection[Cursor]:
        return self._connector.connect(as_function=as_function, **options)

    def own_sessions(self) -> Collection[int]:
        return self._connector.own_sessions()

    async def ensure_database(self, name: str) -> None:
        check_name(name)
        await asyncio.to_thread(create_database, self._connector, name)

    async def restart(self) -> None:
        raise self._not_ours("restarted")

    async def fail_over(self) -> None:
        raise self._not_ours("made read-only")

    async def fail_back(self) -> None:
        """There was no failover."""

    def _not_ours(self, done: str) -> DatabaseError:
        return DatabaseError(
            f"the database server {self._where} is your own, and is not {done} by the emulator",
            cure='Set server = "local" or "docker" in [database] for one that is the emulator\'s.',
        )

    async def __aenter__(self) -> Self:
        self.version = await in_thread(self._ask_version)
        await self.ensure_database(self._address.database)
        self.warnings = await in_thread(self._look_from_containers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The server goes on; it is not ours."""

    def _ask_version(self) -> str:
        try:
            with self._connector.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT VERSION()")
                return str((cursor.fetchone() or ("",))[0])
        except pymysql.err.MySQLError as error:
            raise DatabaseError(
                f"the database server {self._where} cannot be used as {self._address.account.user}: {describe(error)}",
                cure=_cure_for(error),
            ) from error
        except RuntimeError as error:
            # PyMySQL without its optional packages: "'cryptography' package is required for ...".
            raise DatabaseError(
                f"the database server {self._where} wants a way to log in that is not installed here: {error}",
                cure="Install the package it names, or let the server offer TLS.",
            ) from error

    def _look_from_containers(self) -> Sequence[str]:
        """Whether the server listens where containers look for it, as far as that can be seen from here."""
        host, port = self._host_for_containers(), self._address.endpoint.port
        if host == self._address.endpoint.host or not _is_address(host):
            return ()
        try:
            socket.create_connection((host, port), timeout=_PROBE_TIMEOUT).close()
        except OSError as error:
            warning = (
                f"Functions in containers will not reach the database: nothing answers at {host}:{port} ({error}). "
                f"Let the server listen there too (bind-address = 127.0.0.1,{host} or 0.0.0.0)."
            )
            return (warning,)
        return ()


def _cure_for(error: pymysql.err.MySQLError) -> str:
    number = error.args[0] if error.args else 0
    if number in (2003, 2013):
        return "Start that server, or correct host and port in the address."
    if number in (1044, 1045, 1698, 1130):
        return "Correct user and password in the address, or create that account for this machine's address."
    return "See the server's own log, or take another server."


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
