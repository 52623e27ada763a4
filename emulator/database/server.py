"""Which database server the functions get."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emulator.database.base import DatabaseServer
from emulator.database.hosted import ContainerEngine, DockerServer
from emulator.database.local import LocalServer
from emulator.database.program import find_program
from emulator.database.url import UrlServer, parse_url
from emulator.errors import ConfigurationError, DatabaseError
from emulator.sandbox.instance import Instance

__all__ = ["DatabaseServer", "start_server"]

_INSTALL = "Install one (Debian, Ubuntu: apt-get install mariadb-server-core; Fedora: dnf install mariadb-server)"


def start_server(
    setting: str,
    *,
    instance: Instance,
    engine: ContainerEngine | None = None,
    max_connections: int | None = None,
    bind: Sequence[str] = (),
    host_gateway: str | None = None,
    on_child: Callable[[int], None] | None = None,
    options: Sequence[str] = (),
) -> DatabaseServer:
    """The server that a setting stands for; it starts when it is entered.

    Arguments:
        setting: ``auto`` (``local`` where a server program is found, else ``docker`` where there is an engine),
            ``local``, ``docker`` or ``mysql://user:password@host:port/database``.
        instance: where a local server may write.
        engine: what runs a server in a container; ``None`` where there is none.
        max_connections: how many sessions functions can hold at once; only for servers that we start.
        bind: addresses for a local server to listen on besides 127.0.0.1, the containers' way to it first.
        host_gateway: this machine as containers see it, in place of a loopback address of the user's server.
        on_child: is told the process id of a local server right after its start.
        options: further options for a server that we start, such as ``--wait-timeout=8``.

    Raises:
        ConfigurationError: the setting is none of these.
        DatabaseError: there is no such server here, with the cure.
    """
    if setting.startswith("mysql:"):
        if max_connections is not None or options:
            raise ConfigurationError(
                "limits (max_connections, wait_timeout, profile) can be set only for a server that the emulator starts",
                cure="Leave them out, or set them on your server: SET GLOBAL max_connections = ...",
            )
        return UrlServer(parse_url(setting), host_gateway=host_gateway)
    if setting not in ("auto", "local", "docker"):
        raise ConfigurationError(
            # Not the whole of it: it may be another database's address, with a password.
            f"{setting.partition(':')[0]!r} is not a database server",
            cure="Allowed: auto, local, docker, none, mysql://user:password@host:port/database.",
        )
    program = find_program() if setting != "docker" else None
    if program is not None:
        return LocalServer(
            program,
            instance=instance,
            bind=bind,
            max_connections=max_connections,
            options=options,
            on_child=on_child,
        )
    if setting == "local":
        raise DatabaseError(
            "no MariaDB or MySQL server program was found on this machine",
            cure=f'{_INSTALL}, or set server = "docker", a mysql:// address or "none".',
        )
    if engine is None:
        found = "no container engine is at hand" if setting == "docker" else "neither a server program nor an engine"
        raise DatabaseError(
            f"there is nothing to run a database server with: {found}",
            cure=f'{_INSTALL}, start a container engine, or set server = "none".',
        )
    return DockerServer(engine, max_connections=max_connections, options=options)
