"""Where a lesson is played: a real emulator, its database server, and the functions of this lesson.

Several lessons may share an emulator, one after another: each leaves the stage as it found it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from emulator.embedded import DeployedFunction, Emulator, InvocationResult
from emulator.errors import EmulatorError, LessonError, ThrottledError
from emulator.lessons.blocks import Bar, Bars, Sessions, expect
from emulator.model import Function, Session

__all__ = ["CODE", "Stage", "Storm", "failure_of", "open_stage", "payload_of"]

CODE = Path(__file__).parent / "code"
"""The functions of all lessons."""

_LAYER = "shop"
_LOOK_AGAIN = 0.005
_DEADLINE = 10.0
_ONE_CPU = 1769  # MiB; [D] the share of CPU goes by memory, and a lesson should not show that
_DRIVER = Path(pymysql.__file__).parent


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of many events at the same time: answers, errors of the function, and refusals."""

    results: tuple[InvocationResult, ...]
    throttled: int

    @property
    def served(self) -> tuple[InvocationResult, ...]:
        return tuple(result for result in self.results if result.function_error is None)

    @property
    def failed(self) -> tuple[InvocationResult, ...]:
        return tuple(result for result in self.results if result.function_error is not None)


@contextmanager
def open_stage(emulator: Emulator) -> Iterator[Stage]:
    """A stage on an emulator that runs. At the end nothing of the lesson is left on it.

    But for an interruption: that ends the emulator as well, and clearing it would only take time.
    """
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-lesson-", ignore_cleanup_errors=True) as folder:
        stage = Stage(emulator, Path(folder))
        try:
            yield stage
        except Exception:
            with contextlib.suppress(EmulatorError):  # the first failure is the one to tell of
                stage.clear()
            raise
        stage.clear()


class Stage:
    """See the module. ``layers`` is a folder of its own, for what its functions share."""

    def __init__(self, emulator: Emulator, layers: Path) -> None:
        self.emulator = emulator
        self._layers = layers
        self._functions: dict[str, DeployedFunction] = {}
        self._server_before: dict[str, int] = {}
        self._tables: list[str] = []

    # -- functions ---------------------------------------------------------------------------------------

    def add(
        self, name: str, code: str | None = None, *, layers: Sequence[str] = (), **settings: Any
    ) -> DeployedFunction:
        """Deploy a function of this lesson.

        Its environments stay, however long a reader thinks, unless the settings say otherwise.

        Arguments:
            code: its folder below ``code/``; by default that of its name.
            layers: further folders there, besides the driver and the shop's module.
        """
        chosen: dict[str, Any] = {"timeout": 10, "memory": _ONE_CPU, "policy": {"name": "keep-warm"}} | settings
        found = self.emulator.add(
            Function(
                name=name,
                code=CODE / (code or name),
                layers=[self._layer(layer) for layer in (_LAYER, *layers)],
                **chosen,
            )
        )
        self._functions[name] = found
        return found

    def function(self, name: str) -> DeployedFunction:
        """One that this lesson has deployed before."""
        return self._functions[name]

    def storm(
        self,
        function: DeployedFunction,
        count: int,
        payload: Callable[[int], Any] = lambda number: {"id": number},
        *,
        look: Callable[[], object] = lambda: None,
    ) -> Storm:
        """So many events at the same time, and what came of each.

        Arguments:
            payload: for each event, by its number from 1.
            look: is called again and again meanwhile.
        """

        def invoke(number: int) -> InvocationResult | None:
            try:
                return function.invoke(payload(number))
            except ThrottledError:
                return None

        pool = ThreadPoolExecutor(count)
        try:
            futures = [pool.submit(invoke, number) for number in range(1, count + 1)]
            while wait(futures, timeout=_LOOK_AGAIN).not_done:
                look()
        finally:
            pool.shutdown(wait=False)  # whoever interrupts a storm ends the emulator, and with it what they wait for
        results = [future.result() for future in futures]
        return Storm(tuple(result for result in results if result is not None), results.count(None))

    # -- the server --------------------------------------------------------------------------------------

    def prepare(self, server: Mapping[str, int]) -> None:
        """Set variables of the server for this lesson."""
        for name, value in server.items():
            self.set_server(name, value)

    def set_server(self, name: str, value: int) -> None:
        """Set a variable for all sessions to come; ``max_connections`` counts functions' sessions only."""
        if name == "max_connections":
            value += self.number(f"SELECT @@GLOBAL.{name}") - self.limit
        self._server_before.setdefault(name, self.number(f"SELECT @@GLOBAL.{name}"))
        self.execute(f"SET GLOBAL {name} = {value:d}")

    def table(self, name: str, columns: str) -> None:
        """A table for this lesson, empty."""
        self.execute(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({columns})")
        self._tables.append(name)

    def execute(self, *statements: str) -> None:
        """As the server's administrator."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str) -> tuple[tuple[Any, ...], ...]:
        """What the server answers to its administrator."""
        with self._cursor() as cursor:
            cursor.execute(query)
            return tuple(cursor.fetchall())

    def number(self, query: str) -> int:
        """The first value of an answer."""
        return int(self.rows(query)[0][0])

    @property
    def limit(self) -> int:
        """How many sessions functions can hold at once."""
        return self.emulator.connections_summary().max_connections

    # -- what can be seen --------------------------------------------------------------------------------

    def sessions(self) -> tuple[Session, ...]:
        """The server's sessions of this lesson, looked at now."""
        return tuple(session for session in self.emulator.connections() if session.function in self._functions)

    def opened(self, function: DeployedFunction) -> int:
        """How many connections to the server a function's environments have opened so far."""
        events = self.emulator.timeline()
        ours = {event.environment for event in events if event.environment and event.function == function.name}
        return sum(event.kind == "connection.opened" and event.environment in ours for event in events)

    def process_list(self, *, limit: bool = False) -> Sessions:
        """The same as a picture, with the limit of the server where that is the subject."""
        return Sessions(self.sessions(), self.limit if limit else None)

    def bar(self, label: str, missing: int = 0) -> Bar:
        """The sessions of this moment, for a plot over time."""
        found = self.sessions()
        zombies = sum(session.zombie for session in found)
        return Bar(label, len(found) - zombies, zombies, missing)

    def gauge(self, label: str, limit: int) -> Bars:
        """The sessions of this moment as a picture of its own."""
        return Bars((self.bar(label),), limit)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the server does in its own time.

        Raises:
            LessonError: it did not come.
        """
        end = time.monotonic() + _DEADLINE
        while not condition():
            expect(time.monotonic() < end, what)
            time.sleep(_LOOK_AGAIN)

    # -- the end -----------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Take the lesson's functions, sessions, tables and settings away."""
        for name in self._functions:
            self.emulator.recycle(name, "fin")
        self.emulator.kill_zombies()
        self.until(lambda: not self.sessions(), "its sessions ended")
        self.execute(
            *(f"DROP TABLE IF EXISTS {table}" for table in self._tables),
            *(f"SET GLOBAL {name} = {value:d}" for name, value in self._server_before.items()),
        )

    # -- inside ------------------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self) -> Iterator[Cursor]:
        try:
            with self.emulator.connect(database="lambda") as connection, connection.cursor() as cursor:
                yield cursor
        except pymysql.err.MySQLError as error:
            raise LessonError(f"the database server refused the lesson's own question: {error}") from error

    def _layer(self, name: str) -> Path:
        """A copy that every user may read and whose extensions can be executed, however this package was installed."""
        folder = self._layers / name
        if not folder.exists():
            shutil.copytree(CODE / "layers" / name, folder)
            if name == _LAYER:
                shutil.copytree(_DRIVER, folder / "python" / "pymysql")
            for path in (self._layers, *self._layers.rglob("*")):
                path.chmod(0o755)
        return folder


def payload_of(result: InvocationResult) -> Any:
    """What a function answered.

    Raises:
        LessonError: it failed.
    """
    if result.function_error is not None:
        raise LessonError(f"a function of the lesson failed: {failure_of(result)}")
    return result.payload


def failure_of(result: InvocationResult) -> str:
    """What a function complained of.

    Raises:
        EmulatorError: it did not fail.
    """
    if result.function_error is None:
        raise EmulatorError("the invocation did not fail")
    return str(result.payload["errorMessage"])
