"""A database server that answers from a script, and environments without processes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.sessions import ProcessRow
from emulator.model import EnvironmentId, Function, RequestId

__all__ = ["ScriptedServer", "SomeEnvironment", "row"]


def row(
    thread: int,
    host: str = "127.0.0.1:40000",
    *,
    user: str = "lambda",
    command: str = "Sleep",
    database: str | None = "lambda",
    seconds: float = 1.0,
    statement: str | None = None,
) -> ProcessRow:
    """A row of a process list."""
    return ProcessRow(thread, user, host, database, command, seconds, statement)


@dataclass
class SomeEnvironment:
    """What the observer asks of an environment, and nothing else."""

    id: EnvironmentId
    sandbox_kind: str = "container"
    address: str = ""
    state: str = "frozen"
    last_request_id: RequestId | None = None
    pids: Collection[int] = ()
    function: Function = field(default_factory=lambda: Function(name="orders", code=Path("code")))

    def process_ids(self) -> Collection[int]:
        return self.pids


class _ScriptedCursor:
    def __init__(self, server: ScriptedServer, thread: int) -> None:
        self._server, self._thread = server, thread
        self._answer: Sequence[Sequence[Any]] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def execute(self, query: str) -> None:
        self._server.questions.append(query)
        if self._server.failures:
            raise self._server.failures.pop(0)
        if "Uptime" in query:
            self._answer = [("Uptime", str(self._server.uptime))]
            return
        for table in self._server.missing_tables:
            if table in query:
                raise pymysql.err.OperationalError(1109, f"Unknown table '{table}'")
        own = row(self._thread, "localhost", user="root", command="Query")
        self._answer = [
            (r.id, r.user, r.host, r.database, r.command, r.seconds, r.statement, 152, 28800, r.locked_rows)
            for r in (own, *self._server.rows)
        ]

    def fetchone(self) -> Sequence[Any] | None:
        return self._answer[0] if self._answer else None

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return self._answer


class _ScriptedConnection:
    def __init__(self, server: ScriptedServer, thread: int) -> None:
        self._server, self._thread = server, thread
        self.open = True

    def cursor(self) -> _ScriptedCursor:
        return _ScriptedCursor(self._server, self._thread)

    def thread_id(self) -> int:
        return self._thread

    def close(self) -> None:
        self.open = False


class ScriptedServer:
    """Answers with ``rows``, unless the next of ``failures`` comes first.

    Attributes:
        questions: what it was asked.
        logins: how many connections were opened.
    """

    kind: Literal["local"] = "local"
    description = "a script"
    warnings: Sequence[str] = ()
    reserved_sessions = 1

    def __init__(self, version: str = "10.11.19-MariaDB") -> None:
        self.version = version
        self.port = 3306
        self.rows: list[ProcessRow] = []
        self.failures: list[Exception] = []
        self.refuse_logins: Exception | None = None
        self.missing_tables: set[str] = set()
        self.questions: list[str] = []
        self.logins = 0
        self.next_thread = 3
        self.uptime = 100_000

    def variables(self, *, from_container: bool) -> dict[str, str]:
        return {"DB_HOST": "127.0.0.1", "DB_PORT": str(self.port)}

    def connect(self, *, as_function: bool = False, **options: Any) -> Connection[Cursor]:
        if self.refuse_logins is not None:
            raise self.refuse_logins
        self.logins += 1
        self.next_thread += 1
        return cast("Connection[Cursor]", _ScriptedConnection(self, self.next_thread))

    def own_sessions(self) -> Collection[int]:
        return ()

    async def ensure_database(self, name: str) -> None: ...

    async def restart(self) -> None: ...

    async def fail_over(self) -> None: ...

    async def fail_back(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
