"""A private MariaDB or MySQL, started from the program on this machine and thrown away at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pymysql

from emulator.database.accounts import describe, server_limit
from emulator.database.base import Account, Connector, Endpoint, Kind, in_thread
from emulator.database.own import OwnServer
from emulator.database.program import Program, bind_option, run_as
from emulator.database.template import cache_folder, copy_folder, cure_for, last_lines, prepare_template
from emulator.errors import DatabaseError
from emulator.sandbox.instance import Instance

__all__ = ["LocalServer", "free_port"]

_LOOPBACK = "127.0.0.1"
_START_DEADLINE = 60.0
_SHUTDOWN_DEADLINE = 10.0
_LOOK_EVERY = 0.002
_PORT_TRIES = 5
# Below the ports that kernels hand out by themselves (from 32768 on Linux): nobody gets one of these between
# our look and the server's start unless they ask for exactly it.
_PORTS = range(20_000, 32_768)
_LONGEST_SOCKET_PATH = 107  # bytes, Linux


class LocalServer(OwnServer):
    """A server of the emulator's own. See :class:`emulator.database.base.DatabaseServer`.

    Arguments:
        program: the server program.
        instance: in its folder lie the data, the log and the administrator's socket.
        bind: addresses to listen on besides 127.0.0.1; the first is what containers are given.
        max_connections: how many sessions functions can hold at once; the server's limit is one higher,
            for the observer. ``None`` stands for what servers are shipped with.
        options: further options for the server program; they go before our own.
        on_child: is told the server's process id right after its start.
        cache: where the template of its data directory is kept.
        choose_port: a port that is free on all of these addresses, as it seems; asked again where it was not.
    """

    kind: Kind = "local"

    def __init__(
        self,
        program: Path,
        *,
        instance: Instance,
        bind: Sequence[str] = (),
        max_connections: int | None = None,
        options: Sequence[str] = (),
        on_child: Callable[[int], None] | None = None,
        cache: Path | None = None,
        choose_port: Callable[[Sequence[str]], int] | None = None,
    ) -> None:
        super().__init__(max_connections)
        self._path = program
        self._instance = instance
        self._addresses = tuple(dict.fromkeys([_LOOPBACK, *bind]))
        self._options = tuple(options)
        self._on_child = on_child
        self._cache = cache or cache_folder()
        self._choose_port = choose_port or free_port
        self._folder: Path | None = None
        self._program: Program | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def description(self) -> str:
        if self._connector is None:
            return f"{self._path.name}, not started"
        return f"{self.product}, a private server on port {self._connector.service.port}"

    def variables(self, *, from_container: bool) -> dict[str, str]:
        if from_container and len(self._addresses) == 1:
            raise DatabaseError(
                "containers cannot reach the database: it listens on 127.0.0.1 only",
                cure="Start it with an address of the containers' network to listen on.",
            )
        host = self._addresses[1] if from_container else _LOOPBACK
        return self._variables(Endpoint(host, self._started.service.port))

    async def _start(self) -> Connector:
        folder = self._folder = self._instance.make_folder("database")
        self._trusted_way = {"unix_socket": str(folder / "socket")}
        if len(str(folder / "socket").encode()) > _LONGEST_SOCKET_PATH:
            raise DatabaseError(
                f"the path of the emulator's folder is too long for a socket: {folder}",
                cure="Set TMPDIR to a folder with a shorter path.",
            )
        template = await in_thread(prepare_template, self._path, cache=self._cache, scratch=folder)
        self._program = template.program
        for _ in range(_PORT_TRIES):
            port = self._choose_port(self._addresses)
            await in_thread(self._renew_data, template.data, folder / "data")
            connector = self._connect_to(folder, port)
            self._launch(template.program, folder, port)
            if await self._answers(connector, folder):
                return connector
        raise DatabaseError(f"{_PORT_TRIES} times another program took the port meant for the database")

    def _renew_data(self, template: Path, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)
        copy_folder(template, data)

    def _connect_to(self, folder: Path, port: int) -> Connector:
        return Connector(
            administrator=Account("root", ""),
            administration=Endpoint(unix_socket=str(folder / "socket")),
            functions=self._functions,
            service=Endpoint(_LOOPBACK, port),
            # Nothing leaves this machine, and getting ready for TLS would take longer than connecting does.
            options={"ssl_disabled": True},
        )

    def _launch(self, program: Program, folder: Path, port: int) -> None:
        command = [
            str(program.path),
            "--no-defaults",
            *run_as(),
            f"--datadir={folder / 'data'}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--tmpdir={folder}",
            f"--port={port}",
            bind_option(program, self._addresses),
            *program.dialect.all_options,
            f"--max-connections={server_limit(self._max_connections)}",
            *self._options,
        ]
        with (folder / "log").open("wb") as log:
            # A session of its own: a Ctrl-C at the terminal is for the emulator, which ends it in its turn.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        if self._on_child is not None:
            self._on_child(self._process.pid)

    async def _answers(self, connector: Connector, folder: Path) -> bool:
        """Wait for the first answer; ``False`` when the server ended because its port was taken."""
        assert self._process is not None
        give_up = time.monotonic() + _START_DEADLINE
        reason = "its socket never appeared"
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                if _port_was_taken(_log(folder)):
                    return False
                raise self._death(folder, self._process.returncode)
            if (folder / "socket").exists():
                try:
                    await in_thread(_greet, connector)
                except pymysql.err.MySQLError as error:
                    reason = describe(error)
                else:
                    return True
            await asyncio.sleep(_LOOK_EVERY)
        raise DatabaseError(
            f"{self._path.name} did not answer within {_START_DEADLINE:.0f} s: {reason}\n{_log(folder)}"
        )

    def _death(self, folder: Path, status: int) -> DatabaseError:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        log = (folder / "log").read_text(errors="replace")
        return DatabaseError(
            f"{self._path} {how} while it started; the end of its log:\n{last_lines(log)}", cure=cure_for(log)
        )

    async def _start_again(self, connector: Connector) -> None:
        assert self._folder is not None, "what is started again has been started"
        assert self._program is not None, "what is started again has been started"
        await in_thread(self._shut_process_down)
        self._launch(self._program, self._folder, connector.service.port)
        if not await self._answers(connector, self._folder):
            raise DatabaseError("another program took the port of the database while it was down")

    async def _end(self) -> None:
        await in_thread(self._end_process)
        if self._folder is not None:
            await in_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = None

    def _shut_process_down(self) -> None:
        """In order: what was committed a moment ago may not be in a file yet, see the options of its start."""
        assert self._process is not None, "what is started again has been started"
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SHUTDOWN_DEADLINE)
        self._end_process()

    def _end_process(self) -> None:
        if self._process is not None:
            # Nobody will read this data again, so an orderly shutdown would only take time.
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None


def free_port(addresses: Sequence[str]) -> int:
    """A port that is free on all of the addresses, as far as that can be known without keeping it."""
    for _ in range(1000):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with contextlib.ExitStack() as stack:
            try:
                for address in addresses:
                    stack.enter_context(socket.create_server((address, port)))
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES):
                    raise DatabaseError(f"the database cannot listen on {address}: {error.strerror}") from error
                continue
            return port
    raise DatabaseError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1} for the database")


def _greet(connector: Connector) -> None:
    connector.connect().close()


def _log(folder: Path) -> str:
    return last_lines((folder / "log").read_text(errors="replace"))


def _port_was_taken(log: str) -> bool:
    return "Address already in use" in log or "already have another" in log
