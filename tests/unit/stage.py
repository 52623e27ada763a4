"""A stage for environments and pools: everything around them is a fake, and the test plays the runtime."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

from emulator.clock import FakeClock
from emulator.errors import SandboxError, ServiceError, ThrottledError
from emulator.invocation import Invocation, Outcome
from emulator.model import Function, RequestId
from emulator.pool import Pool
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.runtime import InvocationEvent, RuntimeSession
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import ExitStatus, FakeProvider, FakeSandbox, SandboxEvents, SandboxSpec
from emulator.surroundings import BeforeEnd, Surroundings
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["Broken", "Line", "PlayedRuntime", "SlowReset", "Stage", "Watched", "settle"]

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


async def settle() -> None:
    """As many rounds of the loop as anything needs that waits for nothing outside."""
    for _ in range(12):
        await asyncio.sleep(0)


class SlowReset(FakeSandbox):
    """A sandbox whose reset takes until it is let through."""

    def __init__(self, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        super().__init__(spec, address, events)
        self.gate = asyncio.Event()

    async def reset(self) -> None:
        await self.gate.wait()
        await super().reset()


class Broken(FakeSandbox):
    """A sandbox whose processes do not end, or that can start none any more."""

    fail_reset_with: SandboxError | None = None
    fail_runtime_with: SandboxError | None = None

    async def reset(self) -> None:
        if self.fail_reset_with is not None:
            raise self.fail_reset_with
        await super().reset()

    def start_runtime(self) -> None:
        if self.fail_runtime_with is not None:
            raise self.fail_runtime_with
        super().start_runtime()


class Watched:
    """An invocation and what its client heard, in order: ``answer`` or ``failure``, then ``report``."""

    def __init__(self, number: int, payload: bytes, *, asynchronous: bool) -> None:
        self.heard: list[str] = []
        self.invocation = Invocation(
            RequestId(f"request-{number}"),
            payload,
            ARN,
            "Root=1",
            asynchronous=asynchronous,
            on_answer=self._answered,
            on_report=lambda _outcome: self.heard.append("report"),
        )

    @property
    def outcome(self) -> Outcome:
        return self.invocation.outcome

    @property
    def logs(self) -> str:
        """What the report says was written, START to REPORT."""
        assert self.outcome.report is not None, "there is no report yet"
        return self.outcome.report.logs.decode()

    def _answered(self, outcome: Outcome) -> None:
        self.heard.append("answer" if outcome.answer is not None else "failure")


class PlayedRuntime:
    """One generation of an environment's runtime: it calls when the test says so."""

    def __init__(self, session: RuntimeSession, sandbox: FakeSandbox) -> None:
        self.session, self.sandbox = session, sandbox
        self.events: list[InvocationEvent] = []

    def park(self) -> Reply | None:
        """``GET /next``."""
        return self.session.next(self._receive)

    def respond(self, body: bytes = b"null") -> Reply:
        """``POST /response`` for the event it got last."""
        return self.session.response(self.events[-1].request_id, body)

    def report_error(self, body: bytes, error_type: str | None) -> Reply:
        """``POST /error`` for the event it got last."""
        return self.session.error(self.events[-1].request_id, body, error_type)

    def serve(self, body: bytes = b"null") -> None:
        """A whole round: respond, then park."""
        self.respond(body)
        self.park()

    def die(self, code: int | None = None, signal: int | None = None, *, out_of_memory: bool = False) -> None:
        """The process is gone."""
        self.sandbox.on_exit(ExitStatus(code, signal, out_of_memory))

    def _receive(self, event: InvocationEvent) -> None:
        self.events.append(event)


class Line:
    """The simplest backlog of a pool: asynchronous invocations wait in their order until there is a place."""

    def __init__(self, pool: Pool) -> None:
        self.waiting: deque[Invocation] = deque()
        self._pool = pool
        self._waiter = pool.share.waiter(self._use_place)
        self._trying = False
        pool.backlog = self

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def has_ready(self) -> bool:
        """As :class:`emulator.pool.Backlog` says."""
        return bool(self.waiting)

    def submit(self, invocation: Invocation) -> None:
        """Have it served now, or when its turn has come."""
        self.waiting.append(invocation)
        while not self._waiter.waits and self._use_place():
            pass

    def next_event(self, *, shared_place: bool) -> Invocation | None:
        """As :class:`emulator.pool.Backlog` says."""
        if not self.waiting or (shared_place and not self._waiter.is_next):
            return None
        invocation = self.waiting.popleft()
        self._waiter.took_turn()
        if not self.waiting:
            self._waiter.leave()
        return invocation

    def go_first(self) -> None:
        """As :class:`emulator.pool.Backlog` says."""
        while self._use_place():
            pass

    def close(self) -> None:
        """Whoever still waits is told that nobody will come."""
        self._waiter.leave()
        while self.waiting:
            self.waiting.popleft().fail(ServiceError("the emulator is stopping"))

    def _use_place(self) -> bool:
        if self._trying or not self.waiting:
            return False
        invocation, self._trying = self.waiting.popleft(), True
        try:
            self._pool.submit(invocation)
        except ThrottledError:
            self.waiting.appendleft(invocation)
            self._waiter.wait()
            return False
        finally:
            self._trying = False
        if not self.waiting:
            self._waiter.leave()
        return True


class Stage:
    """The surroundings of environments, made of the fakes that ship with the package."""

    def __init__(
        self,
        *,
        before_end: BeforeEnd | None = None,
        sandbox_class: type[FakeSandbox] = FakeSandbox,
        quiet: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.clock = FakeClock()
        self.timeline = Timeline(self.clock)
        self.provider = FakeProvider(sandbox_class=sandbox_class)
        self.runtime_api = RuntimeApiServer("127.0.0.1")
        self.function = Function(name="orders", code=Path(), timeout=3)
        self.lines: list[str] = []
        self.failures: list[BaseException] = []
        self.surroundings = Surroundings(
            provider=self.provider,
            runtime_api=self.runtime_api,
            timeline=self.timeline,
            clock=self.clock,
            spawn=self._spawn,
            region="us-east-1",
            account="123456789012",
            quiet=quiet,
            before_end=before_end,
            log_sink=lambda _function, _environment, line: self.lines.append(line.decode()),
            chance=Random(seed),
        )
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def invocation(self, payload: bytes = b"{}", *, asynchronous: bool = False) -> Watched:
        """One more event, with a number of its own."""
        return Watched(next(self._numbers), payload, asynchronous=asynchronous)

    def runtime(self, index: int = -1) -> PlayedRuntime:
        """The runtime in one of the sandboxes, found as a connection finds it; by default in the newest.

        After a reset there is another one, with a session of its own.
        """
        sandbox = self.provider.sandboxes[index]
        sessions = self.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
        assert sessions is not None, "its environment is not served by the Runtime API"
        return PlayedRuntime(sessions.runtime, sandbox)

    def kinds(self, environment: str | None = None) -> list[str]:
        """What happened, in order; of one environment, or of all."""
        return [event.kind for event in self.events(environment)]

    def events(self, environment: str | None = None) -> list[TimelineEvent]:
        return [e for e in self.timeline.since() if environment is None or e.environment == environment]

    def reason(self, kind: str) -> str:
        """The reason of the last event of this kind."""
        return [event.reason for event in self.events() if event.kind == kind][-1]

    @property
    def working(self) -> int:
        """How many pieces of work of the environments have not ended."""
        return len(self._tasks)

    async def settle(self) -> None:
        """Let everything happen that can; what failed in a task fails the test."""
        await settle()
        if self.failures:
            raise self.failures.pop()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)
