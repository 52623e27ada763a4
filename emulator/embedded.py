"""The emulator inside a Python program: in a thread of its own, behind plain blocking calls.

with Emulator() as emulator:
    orders = emulator.add(Function(name="orders", code="sample_functions/connect_once"))
    first, second = orders.invoke({"id": 1}), orders.invoke({"id": 2})
    assert second.environment_id == first.environment_id

The room is long because it is one list: what a program can ask of an emulator, each method a few lines.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pymysql.connections
import uvloop

from emulator.api.app import ApiServer
from emulator.api.stream import ResponseQueue
from emulator.config import Settings
from emulator.database.server import DatabaseServer
from emulator.environments import RecycleAnswer
from emulator.errors import DatabaseError, EmulatorError
from emulator.event_queue import EventView
from emulator.evidence import Evidence
from emulator.invocation import Invocation, Outcome
from emulator.killing import Middle
from emulator.lifecycle import State
from emulator.logs import LogSink
from emulator.model import (
    Answer,
    ConnectionsSummary,
    EnvironmentId,
    EnvironmentView,
    Function,
    Reclaim,
    Report,
    Session,
)
from emulator.rulebook import PolicyView
from emulator.service import Service
from emulator.skipping import FastForwardAnswer
from emulator.status import Status
from emulator.timeline import TimelineEvent
from emulator.waiting import wait_for

__all__ = ["DeployedFunction", "Emulator", "FollowedInvocation", "InvocationResult"]

T = TypeVar("T")

_LAST_WORDS = 5.0  # seconds that an emulator which has failed is given to say why


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What came of an invocation, and what it took.

    Attributes:
        payload: the function's answer, or its error, as parsed JSON; as text where a runtime posted no JSON.
        function_error: ``"Unhandled"`` when the function failed.
        report: durations, memory and the log lines.
    """

    payload: Any
    raw_payload: bytes
    function_error: str | None
    report: Report

    @property
    def request_id(self) -> str:
        return self.report.request_id

    @property
    def environment_id(self) -> EnvironmentId:
        return self.report.environment_id

    @property
    def cold_start(self) -> bool:
        return self.report.cold_start

    @property
    def logs(self) -> str:
        return self.report.logs.decode(errors="replace")

    @classmethod
    def of(cls, answer: Answer, report: Report) -> InvocationResult:
        try:
            payload = json.loads(answer.payload)
        except ValueError:  # a runtime may post what it likes
            payload = answer.payload.decode("utf-8", "replace")
        return cls(payload, answer.payload, answer.function_error, report)


@dataclass(frozen=True, slots=True)
class FollowedInvocation:
    """An invocation whose conversation with the database was followed.

    Attributes:
        pieces: how many pieces its clients sent to the server; a statement of most drivers is one.
        killed: its runtime was ended on the way.
    """

    result: InvocationResult
    pieces: int
    killed: bool


class Emulator:
    """An emulator with everything that belongs to it, database server included, for as long as the ``with`` lasts.

    Arguments:
        settings: what a configuration file would say; by default a free port is taken.
        base: relative code folders of the settings are below it.
        log_sink: gets every line that functions and Lambda write, one or more in one piece, from the emulator's thread.

    Raises:
        EmulatorError: on entering, when it cannot start; nothing is left running.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        base: Path | None = None,
        log_sink: LogSink | None = None,
    ) -> None:
        if not isinstance(settings, Settings):
            settings = Settings().with_values({"emulator": {"port": 0}}).with_values(settings or {})
        self._settings = settings
        self._base, self._log_sink = base, log_sink
        self._thread: threading.Thread | None = None
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._mishaps: list[Exception] = []
        self._abandoned = False  # by somebody who was interrupted before the thread had a loop
        self.endpoint_url = ""
        """What boto3, the AWS CLI and every SDK take as their endpoint."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="lambda-freezer", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        if self._failure is not None and error is None:
            raise self._failure

    # -- what one does with it ---------------------------------------------------------------------------

    def add(self, function: Function) -> DeployedFunction:
        """Deploy a function; one of the same name is replaced, its environments are recycled.

        What it has initialised ahead is waited for, as far as that works.
        """
        self._call(self._service.functions.add(function))
        self._call(self._service.environments.initialised(function.name))
        return DeployedFunction(self, function.name)

    def function(self, name: str) -> DeployedFunction:
        """One that the settings deployed."""
        self._do(lambda: self._service.functions.named(name))
        return DeployedFunction(self, name)

    def invoke(self, name: str, payload: Any = None) -> InvocationResult:
        """Invoke and wait until the environment is at rest again: frozen, or gone.

        Raises:
            RequestError: what the API would answer with a status that is not 200.
        """
        return self._call(self._invoke(name, payload))

    def invoke_and_kill(self, name: str, payload: Any = None, *, middle: Middle | None = None) -> FollowedInvocation:
        """Invoke, and end the runtime in the middle, as the kernel does when memory runs out.

        Arguments:
            middle: after how much of its conversation with the database; by default it is only counted.

        Raises:
            RequestError: what the API would answer with a status that is not 200.
        """
        return self._call(self._invoke_and_kill(name, payload, middle or Middle(pieces=None)))

    def send(self, name: str, payload: Any = None) -> str:
        """Invoke asynchronously; answers the request id of the event, which is accepted and not yet served.

        Raises:
            RequestError: what the API would answer with a status that is not 202.
        """

        def send() -> str:
            invocation = self._service.new_invocation(name, json.dumps(payload).encode())
            invocation.asynchronous = True
            self._service.submit(name, invocation)
            return invocation.request_id

        return self._do(send)

    def queue(self, function: str | None = None) -> list[EventView]:
        """The asynchronous events that are not done. After the end: those that were not done then."""
        if self._thread is None:
            return [view for view in self._service.left if function in (None, view.function)]
        return self._do(lambda: self._service.queue(function))

    def freeze(self, name: str) -> list[EnvironmentView]:
        """Wait until every environment of a function is at rest; answers those that are frozen now.

        That is so already when an invocation has come back. What goes on is that of events that nobody waits for.

        Raises:
            EmulatorError: one is not frozen: it still serves, or it cannot be frozen here.
        """

        async def at_rest() -> list[EnvironmentView]:
            for environment in self._service.environments.views(name):
                await self._service.environments.at_rest(environment.id)
            return [view for view in self._service.environments.views(name) if view.state != State.GONE]

        found = self._call(at_rest())
        awake = [view for view in found if view.state not in (State.FROZEN, State.SHUTTING_DOWN)]
        if awake:
            states = ", ".join(f"{view.id[:8]} is {view.state}" for view in awake)
            raise EmulatorError(f"not all environments of {name} are frozen: {states}", cure="lambda-freezer doctor")
        return [view for view in found if view.state == State.FROZEN]

    def invoke_parallel(self, name: str, payloads: list[Any]) -> list[InvocationResult]:
        """Invoke once for each payload, all at the same time; the results in the order of the payloads."""

        async def all_of_them() -> list[InvocationResult]:
            return await asyncio.gather(*(self._invoke(name, payload) for payload in payloads))

        return self._call(all_of_them())

    def invoke_stream(self, name: str, payload: Any = None) -> Iterator[bytes]:
        """Invoke, and get the response in pieces as the function streams it; in one where it does not.

        The event goes out when the first piece is asked for, and the last has come when the environment is at rest
        again. Whoever reads slowly makes the function wait; whoever stops reading does not disturb it.

        Raises:
            RequestError: what the API would answer with a status that is not 200.
            EmulatorError: the function failed, before its response or in the middle of it.
        """

        async def begin() -> tuple[Invocation, ResponseQueue, asyncio.AbstractEventLoop]:
            invocation = self._service.new_invocation(name, json.dumps(payload).encode())
            response = ResponseQueue(invocation, until_report=True)
            self._service.submit(name, invocation)
            return invocation, response, asyncio.get_running_loop()

        invocation, response, loop = self._call(begin())
        try:
            while (piece := self._call(response.get())) is not None:
                yield piece
        finally:
            # Without waiting: who knows in which thread a forgotten generator ends, and when.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(response.leave)
        if invocation.outcome.environment_id is not None:
            self._call(self._service.environments.at_rest(invocation.outcome.environment_id))
        if response.error is not None:
            details = response.error.details.decode("utf-8", "replace")
            raise EmulatorError(f"the function failed with {response.error.code}: {details}")

    def function_url(self, name: str) -> str | None:
        """Where a function answers HTTP requests, if it has a URL; see :attr:`DeployedFunction.url`."""

        def address() -> str | None:
            urls = self._service.urls
            config = urls.find(name)
            return urls.path_address(config) if config is not None else None

        return self._do(address)

    def environments(self, function: str | None = None) -> list[EnvironmentView]:
        """All environments, or those of one function; oldest first."""

        async def environments() -> list[EnvironmentView]:
            await self._service.database.look()
            return self._service.environments.views(function)

        return self._call(environments())

    def logs(self, function: str, environment: str | None = None, *, tail: int | None = None) -> str:
        """What a function's environments, or one of them, have written so far, in the order in which it came.

        Arguments:
            tail: only so many lines of the end.
        """

        async def logs() -> bytes:
            batches = self._service.environments.logs(function, environment, tail=tail)
            return b"".join([piece.lines async for batch in batches for piece in batch])

        return self._call(logs()).decode(errors="replace")

    def connections(self, environment: EnvironmentId | None = None) -> tuple[Session, ...]:
        """The database's sessions, of one environment or all, looked at now."""
        return self._call(self._service.database.connections(environment))[0]

    def connections_summary(self) -> ConnectionsSummary:
        return self._call(self._service.database.connections())[1]

    def recycle(self, function: str, reclaim: Reclaim | str | None = None) -> RecycleAnswer:
        """End a function's environments and wait until those that were idle are gone.

        Arguments:
            reclaim: what becomes of their connections (``silent``, ``fin``, ``rst``, ``graceful``); the policy's by
                default.
        """
        how = Reclaim(reclaim) if reclaim is not None else None

        async def recycle() -> RecycleAnswer:
            answer = self._service.environments.recycle_all(function, how)
            for environment in answer.recycled:
                await self._service.environments.at_rest(environment)
            return answer

        return self._call(recycle())

    def deployed(self, name: str) -> Function:
        """What is deployed by this name, as it is now."""
        return self._do(lambda: self._service.functions.named(name))

    def policy(self, function: str | None = None) -> PolicyView:
        """The policy in force for a function, or for all that say nothing else."""
        return self._do(lambda: self._service.policy(function))

    def set_policy(self, policy: object, function: str | None = None) -> PolicyView:
        """Another policy from now on, for one function or for all; what is idle and within its limits stays.

        Arguments:
            policy: keys of the ``[policy]`` table, or rules: ``IdleTimeout("7m") | MaxLifetime("2h")``.

        Raises:
            ConfigurationError: it is no policy; nothing has changed.
        """
        return self._do(lambda: self._service.set_policy(policy, function))

    def fast_forward(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> FastForwardAnswer:
        """Skip time on the emulator's clock; answers what that has caused.

        Idle timeouts and lifetimes pass, paths forget idle connections, the server closes sessions that slept for
        too long. Processes live in real time: their own clocks do not move.
        """
        return self._call(self._service.fast_forward(hours * 3600 + minutes * 60 + seconds))

    def set_path(self, name: str) -> str:
        """Put ``direct``, ``nat`` or ``firewall`` between environments and their database; answers what was there."""
        return self._do(lambda: self._service.database.take_path(name))

    def restart_database(self) -> None:
        """End the emulator's own server and start it anew on the same data: every session is lost.

        Raises:
            DatabaseError: it is not the emulator's own, or does not come back.
        """
        self._call(self._service.database.restart())

    def fail_over(self) -> None:
        """From now on the database sessions that there are may only read (1290), and those to come may write.

        Raises:
            DatabaseError: the server is not the emulator's own, or refuses.
        """
        self._call(self._service.database.fail_over())

    def fail_back(self) -> None:
        """Every session may write again."""
        self._call(self._service.database.fail_back())

    def kill_zombies(self) -> list[Session]:
        """Have the server end every session whose environment is gone; answers which."""
        return self._call(self._service.database.kill_zombies())

    def timeline(self, since: int = 0) -> list[TimelineEvent]:
        """Everything that happened after event number ``since``, oldest first."""
        return self._do(lambda: list(self._service.timeline.since(since)))

    @property
    def last_event(self) -> int:
        """The number of the event that happened last."""
        return self._do(lambda: self._service.timeline.last_seq)

    def evidence(self, function: str | None = None, *, since: int = 0, before: Iterable[Session] = ()) -> Evidence:
        """What a function, or all, did to the database after event number ``since``; the server is looked at now.

        Arguments:
            before: what :meth:`connections` said just before; without it some sessions may lack their numbers.
        """

        async def look() -> list[TimelineEvent]:
            await self._service.database.look()
            return list(self._service.timeline.since(since))

        return Evidence.of(self._call(look()), function, before=before)

    def wait_for(
        self, kind: str, *, environment: str | None = None, since: int = 0, timeout: float = 30
    ) -> TimelineEvent:
        """The first event of a kind, of one environment or any; one that has happened already counts.

        Arguments:
            kind: as on the timeline: ``environment.frozen``, ``session.opened``.
            since: only events after this number.
            timeout: seconds to wait for it.

        Raises:
            EmulatorError: it did not happen in time.
        """

        def wanted(event: TimelineEvent) -> bool:
            return event.kind == kind and environment in (None, event.environment)

        return self._call(wait_for(self._service.timeline, wanted, since=since, timeout=timeout, what=kind))

    @property
    def instance_id(self) -> str:
        """What marks this emulator's containers and networks, in the label ``lambda-freezer.instance``."""
        return self._do(lambda: self._service.instance_id)

    @property
    def database_kind(self) -> str | None:
        """``local`` and ``docker`` are the emulator's own, ``url`` is the user's; ``None`` without a database."""
        return self._do(lambda: self._service.database.kind)

    def status(self) -> Status:
        return self._do(self._service.status)

    def now(self) -> float:
        """The emulator's clock: seconds since the epoch, skipped time included."""
        return self._do(lambda: self._service.clock.now())

    def take_failures(self) -> list[Exception]:
        """What went wrong in the emulator's own thread, where no caller hears of it, since this was last asked.

        Raises:
            EmulatorError: the thread has ended, and nothing works any more.
        """
        self._check_it_runs()
        failures, self._mishaps = self._mishaps, []
        return failures

    def database_variables(self) -> dict[str, str]:
        """``DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME``: the server itself, for clients that are no functions."""
        return self._database.variables(from_container=False)

    def ensure_database(self, name: str) -> None:
        """Make a database where it is missing, with all rights on it for the functions' user.

        Raises:
            DatabaseError: there is no server, or it refused.
            ConfigurationError: no database can, or should, have this name.
        """
        self._call(self._database.ensure_database(name))

    def connect(self, *, as_function: bool = False, **options: Any) -> pymysql.connections.Connection[Any]:
        """A connection of your own to the emulator's database: as its administrator, or as the functions' user.

        ``options`` are PyMySQL's own.
        """
        return self._database.connect(as_function=as_function, **options)

    @property
    def _database(self) -> DatabaseServer:
        server = self._service.database.server
        if server is None:
            raise DatabaseError("this emulator runs without a database", cure='Set server = "auto" in [database].')
        return server

    # -- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (it is handed to the caller's thread)
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                self._failure = error

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_mishap)
        self._stop = asyncio.Event()
        if self._abandoned:
            self._stop.set()
        self._service = Service(self._settings, self._base, log_sink=self._log_sink)
        server = ApiServer(self._service, host=self._settings.emulator.host, port=self._settings.emulator.port)
        with contextlib.closing(server):
            server.bind()
            async with self._service, server:
                self.endpoint_url = server.url
                self._ready.set_result(None)
                await self._stop.wait()
                await self._service.stop_intake()

    def _end(self) -> None:
        self._abandoned = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _note_mishap(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._mishaps.append(error if isinstance(error, Exception) else EmulatorError(str(context["message"])))
        loop.default_exception_handler(context)

    async def _invoke(self, name: str, payload: Any) -> InvocationResult:
        return await self._result_of(await self._submit(name, payload)[1])

    async def _invoke_and_kill(self, name: str, payload: Any, middle: Middle) -> FollowedInvocation:
        invocation, done = self._submit(name, payload)
        killing = self._service.environments.follow(invocation, middle)
        try:
            outcome = await done
        finally:
            killing.close()
        return FollowedInvocation(await self._result_of(outcome), killing.pieces, killing.killed)

    def _submit(self, name: str, payload: Any) -> tuple[Invocation, asyncio.Future[Outcome]]:
        invocation = self._service.new_invocation(name, json.dumps(payload).encode())
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def arrive(outcome: Outcome) -> None:
            if not done.done():  # whoever waited may have been cancelled; the environment must not feel that
                done.set_result(outcome)

        invocation.on_report = arrive
        invocation.on_answer = lambda outcome: arrive(outcome) if outcome.failure else None
        self._service.submit(name, invocation)
        return invocation, done

    async def _result_of(self, outcome: Outcome) -> InvocationResult:
        if outcome.failure is not None:
            raise outcome.failure
        assert outcome.answer is not None
        assert outcome.report is not None
        await self._service.environments.at_rest(outcome.report.environment_id)
        return InvocationResult.of(outcome.answer, outcome.report)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._check_it_runs()
        except EmulatorError:
            coroutine.close()
            raise
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        except concurrent.futures.CancelledError:
            if self._thread is not None:
                self._thread.join(_LAST_WORDS)
            self._check_it_runs()
            raise

    def _check_it_runs(self) -> asyncio.AbstractEventLoop:
        if self._failure is not None:
            cause = self._failure
            while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
                cause = cause.exceptions[0]
            raise EmulatorError(
                f"the emulator has ended: {type(cause).__name__}: {cause}",
                cure="Start another one; this one serves nobody any more.",
            ) from cause
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            raise EmulatorError("the emulator does not run", cure="Use it inside its with block.")
        return self._loop

    def _do(self, action: Callable[[], T]) -> T:
        async def do() -> T:
            return action()

        return self._call(do())


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A function that an emulator runs."""

    emulator: Emulator
    name: str

    def invoke(self, payload: Any = None) -> InvocationResult:
        """As :meth:`Emulator.invoke`."""
        return self.emulator.invoke(self.name, payload)

    def invoke_and_kill(self, payload: Any = None, *, middle: Middle | None = None) -> FollowedInvocation:
        """As :meth:`Emulator.invoke_and_kill`."""
        return self.emulator.invoke_and_kill(self.name, payload, middle=middle)

    def send(self, payload: Any = None) -> str:
        """As :meth:`Emulator.send`."""
        return self.emulator.send(self.name, payload)

    def queue(self) -> list[EventView]:
        """As :meth:`Emulator.queue`."""
        return self.emulator.queue(self.name)

    def invoke_stream(self, payload: Any = None) -> Iterator[bytes]:
        """As :meth:`Emulator.invoke_stream`."""
        return self.emulator.invoke_stream(self.name, payload)

    def freeze(self) -> list[EnvironmentView]:
        """As :meth:`Emulator.freeze`."""
        return self.emulator.freeze(self.name)

    def evidence(self, *, since: int = 0) -> Evidence:
        """As :meth:`Emulator.evidence`."""
        return self.emulator.evidence(self.name, since=since)

    def invoke_parallel(self, payloads: list[Any]) -> list[InvocationResult]:
        """As :meth:`Emulator.invoke_parallel`."""
        return self.emulator.invoke_parallel(self.name, payloads)

    @property
    def url(self) -> str | None:
        """Where it answers HTTP requests, if it has a URL: ``http://127.0.0.1:3001/_url/<name>/``.

        The path form, for Python finds no names below ``.localhost`` on many machines.
        """
        return self.emulator.function_url(self.name)

    def environments(self) -> list[EnvironmentView]:
        return self.emulator.environments(self.name)

    def logs(self, environment: str | None = None, *, tail: int | None = None) -> str:
        """As :meth:`Emulator.logs`."""
        return self.emulator.logs(self.name, environment, tail=tail)

    def recycle(self, reclaim: Reclaim | str | None = None) -> RecycleAnswer:
        """As :meth:`Emulator.recycle`."""
        return self.emulator.recycle(self.name, reclaim)

    def policy(self) -> PolicyView:
        """As :meth:`Emulator.policy`."""
        return self.emulator.policy(self.name)

    def set_policy(self, policy: object) -> PolicyView:
        """As :meth:`Emulator.set_policy`."""
        return self.emulator.set_policy(policy, self.name)
