"""One execution environment: its lifecycle, its sandbox and its conversation with the runtime.

It is the only caller of :func:`emulator.lifecycle.advance`, and every transition is one event on the timeline,
with its reason. What happens on the warm path (thaw, hand out, answer, park, freeze) happens in plain calls
from the connection of the runtime or of the client: no task, no future.

After a timeout, a crash or a failed init it is reset: its processes and their memory go, its surroundings (``/tmp``,
the log stream, the address) stay, and init runs again inside the next invocation, on that invocation's time. A cold
start whose init fails tries it a second time inside its first invocation, so module-level code runs twice.

The room is long because it is one subject: what happens to an environment, in the order in which it happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from emulator import text
from emulator.connectivity import Connectivity
from emulator.errors import EmulatorError, FreezeError, SandboxError, ServiceError
from emulator.invocation import Invocation
from emulator.lifecycle import Event, State, advance
from emulator.logs import LogStream
from emulator.model import Answer, EnvironmentId, EnvironmentView, Function, Reclaim, Report, RequestId
from emulator.runtime_api.runtime import InvocationEvent, RuntimeSession
from emulator.sandbox.base import ExitStatus, SandboxSpec
from emulator.surroundings import Surroundings
from emulator.variables import lambda_variables

__all__ = ["Environment", "Owner"]

_INIT_LIMIT = 10.0  # seconds [D]
_OUT_OF_MEMORY = "Runtime.OutOfMemory"
_TIMED_OUT = "Sandbox.Timedout"
_GRACE = 0.5  # seconds that a graceful end lets processes take


class Owner(Protocol):
    """Who is told that an environment is free, or no more."""

    def environment_parked(self, environment: Environment) -> None: ...

    def environment_gone(self, environment: Environment) -> None: ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an init or an invocation came to nothing: for the client, for the log, and in words for the timeline."""

    answer: Answer
    status: str
    error_type: str | None
    reason: str


class Environment:
    """An environment of ``function``. It is made for an invocation and starts with it."""

    def __init__(
        self, environment_id: EnvironmentId, function: Function, surroundings: Surroundings, owner: Owner
    ) -> None:
        self.id = environment_id
        self.function = function
        self.state = State.STARTING
        self.invocations = 0
        self.freezes = 0
        self.created_at = self.idle_since = surroundings.clock.monotonic()
        self.end_when_parked: str | None = None
        self.reclaim_when_parked: Reclaim | None = None
        self._around = surroundings
        self._owner = owner
        self._created_wall = surroundings.clock.now()
        self.log_stream = text.log_stream_name(self._created_wall, environment_id)
        self._logs = LogStream(function.name, environment_id, surroundings.log_sink)
        self._session = RuntimeSession(self)
        self._invocation: Invocation | None = None
        self.last_request_id: RequestId | None = None
        self._handed_out_at = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._init_done = asyncio.Event()
        self._init_failure: _Failure | None = None
        self._init_ms: float | None = None
        self._needs_init = False
        self._frozen_since: float | None = None
        self._epoch = 0
        self._task: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        door = surroundings.door
        self._relay = door.open(environment_id, lambda: self.last_request_id) if door is not None else None
        self._sandbox = surroundings.provider.create(
            SandboxSpec(
                environment_id,
                function,
                lambda_variables(
                    function,
                    region=surroundings.region,
                    log_stream=self.log_stream,
                    database=door.variables(self._relay) if door is not None and self._relay is not None else {},
                ),
                surroundings.runtime_api.port,
            ),
            self,
        )
        self._network: Connectivity | None = None

    # -- start -------------------------------------------------------------------------------------------

    def start(self, invocation: Invocation) -> None:
        """Begin life with this invocation to serve; returns at once."""
        self._take(invocation)
        self._record(f"cold start for request {invocation.request_id}: no idle environment")
        self._begin(self._start)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = self._around.spawn(self._guarded(work))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            if not self._is_ending():  # in the very round of the loop in which this was begun
                await work()
        except asyncio.CancelledError:
            if self.state not in (State.SHUTTING_DOWN, State.GONE):
                raise  # it is not our own end() that cancelled us
        except (OSError, EmulatorError) as failure:
            error = failure if isinstance(failure, EmulatorError) else SandboxError(str(failure))
            self._fail_invocation(ServiceError(error.message, cure=error.cure))
            self.end(f"its sandbox failed: {error.message}")
        finally:
            if self._task is asyncio.current_task():  # or this one has ended by beginning the next
                self._task = None

    async def _start(self) -> None:
        sandbox, door = self._sandbox, self._around.door
        if door is not None and self._relay is not None:
            await self._relay.__aenter__()
            door.admit(sandbox.view.address, self._relay)
        self._around.runtime_api.register(sandbox.runtime_api_address, self._session, sandbox.owns_connection)
        await sandbox.start()
        self._network = Connectivity(
            sandbox.cut,
            self._relay,
            quiet=self._around.quiet,
            on_trouble=lambda trouble: self._record(trouble, kind="environment.trouble"),
        )
        if self._is_ending():
            return  # in the very round of the loop in which it came up
        self._fire(Event.SANDBOX_STARTED, "the sandbox runs, the runtime starts")
        self._logs.platform(text.init_start_line(self.function.runtime))
        failure = await self._init(_INIT_LIMIT)
        if self._is_ending():
            return
        if failure is None:
            self._init_ms = self._init_took()
            self._sandbox.initialized()
            self._fire(Event.PARKED, f"init took {self._init_ms:.1f} ms")
            self._deliver()
            return
        self._sandbox.initialized()
        self._log_init_failure("init", failure)
        await self._reset(failure.reason)
        if not self._is_ending():
            await self._init_again()

    async def _init(self, limit: float) -> _Failure | None:
        """Wait until the runtime asks for its first event; why it does not, if it does not."""
        try:
            async with asyncio.timeout(limit):
                await self._init_done.wait()
        except TimeoutError:
            return _Failure(
                Answer(text.timeout_body(self.last_request_id or "", self.function.timeout), "Unhandled", _TIMED_OUT),
                "timeout",
                None,
                f"init took longer than {limit:.3g} s",
            )
        return self._init_failure

    def _init_took(self) -> float:
        return (time.time() - self._sandbox.started_at) * 1000

    def _log_init_failure(self, phase: str, failure: _Failure) -> None:
        self._sandbox.drain_output()
        self._logs.platform(text.init_report_line(self._init_took(), phase, failure.status, failure.error_type))

    async def _init_again(self) -> None:
        """Init inside the invocation that waits, on its time; then serve it, if that works."""
        begin = self._handed_out_at = time.perf_counter()
        self._fire(Event.INIT_AGAIN, "there is no runtime since the last reset")
        self._init_done.clear()
        self._init_failure = None
        self._session = RuntimeSession(self)
        address = self._sandbox.runtime_api_address
        self._around.runtime_api.register(address, self._session, self._sandbox.owns_connection)
        self._sandbox.start_runtime()
        failure = await self._init(self.function.timeout)
        if self._is_ending():
            return
        self._needs_init = False
        if failure is None:
            self._fire(Event.PARKED, f"init took {self._init_took():.1f} ms of the invocation")
            self._deliver(spent=time.perf_counter() - begin)
            return
        self._log_init_failure("invoke", failure)
        if self._invocation is not None:
            self.invocations += 1
            self._logs.platform(text.start_line(self._invocation.request_id))
            self._invocation.answer(failure.answer)
        self._finish_invocation(failure.status, failure.error_type)
        await self._reset_and_park(failure.reason)

    # -- reset -------------------------------------------------------------------------------------------

    def _fail(self, failure: _Failure) -> None:
        """The running invocation ends here, and the environment is reset."""
        if self._invocation is not None:
            self._invocation.answer(failure.answer)
        self._finish_invocation(failure.status, failure.error_type)
        self._fire(Event.RESET, failure.reason)
        self._begin(functools.partial(self._reset_and_park, failure.reason))

    async def _reset_and_park(self, reason: str) -> None:
        await self._reset(reason)
        if not self._is_ending():
            self.idle_since = self._around.clock.monotonic()
            self._owner.environment_parked(self)

    async def _reset(self, reason: str) -> None:
        """End processes, and with them their memory and their connections: the kernel lives, so servers hear of it."""
        if self.state is not State.RESETTING:
            self._fire(Event.RESET, reason)
        self._needs_init = True
        self._around.runtime_api.unregister(self._sandbox.runtime_api_address)
        if self._relay is not None:
            self._relay.reset()
        await self._sandbox.reset()
        if not self._is_ending():
            self._fire(Event.RESET_DONE, "processes and memory are gone, /tmp is as it was")

    # -- invoke ------------------------------------------------------------------------------------------

    def invoke(self, invocation: Invocation) -> None:
        """Serve one more event; only for an environment that its owner holds to be free."""
        self._take(invocation)
        if self.state is State.IDLE:
            self._serve()
            return
        self._fire(Event.THAW, "an event came")
        epoch = self._next_epoch()
        # A packet that finds no network is lost for a second, so the network comes first.
        self._connectivity.thaw(functools.partial(self._network_is_back, epoch))

    def _network_is_back(self, epoch: int, error: SandboxError | None) -> None:
        if epoch != self._epoch:
            return
        if error is not None:
            self._thawed(epoch, FreezeError(error.message, cure=error.cure))
            return
        try:
            self._sandbox.freezer.thaw(functools.partial(self._thawed, epoch))
        except FreezeError as trouble:
            self._thawed(epoch, trouble)

    def _take(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._handed_out_at = time.perf_counter()
        self.last_request_id = invocation.request_id
        invocation.outcome.environment_id = self.id

    def _thawed(self, epoch: int, error: FreezeError | None) -> None:
        if epoch != self._epoch:
            return
        if error is not None:
            self._fail_invocation(ServiceError(error.message, cure=error.cure))
            self.end(f"it could not be thawed: {error.message}")
            return
        self._frozen_since = None
        self._fire(Event.THAW_CONFIRMED)
        self._serve()

    def _serve(self) -> None:
        if self._needs_init:
            self._begin(self._init_again)
        else:
            self._deliver()

    def _deliver(self, spent: float = 0.0) -> None:
        """Hand the event out; ``spent`` seconds of its time have gone into an init."""
        invocation = self._invocation
        assert invocation is not None, "an environment is made or thawed for an invocation"
        self._fire(Event.INVOKE)
        self.invocations += 1
        self._logs.platform(text.start_line(invocation.request_id))
        timeout = max(0.0, self.function.timeout - spent)
        self._handed_out_at = time.perf_counter() - spent
        self._deadline = asyncio.get_running_loop().call_later(timeout, self._timed_out)
        event = InvocationEvent(
            invocation.request_id,
            invocation.payload,
            int((time.time() + timeout) * 1000),
            invocation.function_arn,
            invocation.trace_id,
            invocation.client_context,
        )
        # A runtime that is not there has died this very moment: its exit is on its way to us.
        self._session.hand_out(event)

    def runtime_answered(self, answer: Answer) -> None:
        """The client gets its answer now; the environment is busy until the runtime is parked again."""
        if self._invocation is not None:
            self._invocation.answer(answer)
            self._record("", kind="invocation.answered")

    def runtime_parked(self) -> None:
        if self.state in (State.STARTING, State.INIT):
            self._settle_init(None)
        elif self.state is State.INVOKING:
            error = self._invocation.outcome.answer if self._invocation is not None else None
            failed = error is not None and error.error_type is not None
            self._finish_invocation("error" if failed else None, error.error_type if error else None)
            self._fire(Event.PARKED)
            self.idle_since = self._around.clock.monotonic()
            self._owner.environment_parked(self)

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        self._settle_init(
            _Failure(Answer(body, "Unhandled", error_type), "error", error_type, f"init failed: {error_type}")
        )

    def _settle_init(self, failure: _Failure | None) -> None:
        # The first failure counts; an exit may come right behind the first "next", before anybody has looked.
        self._init_failure = self._init_failure or failure
        self._init_done.set()

    def _timed_out(self) -> None:
        self._deadline = None
        if self._invocation is not None:
            body = text.timeout_body(self._invocation.request_id, self.function.timeout)
            reason = f"the invocation took longer than {self.function.timeout} s"
            self._fail(_Failure(Answer(body, "Unhandled", _TIMED_OUT), "timeout", None, reason))

    def runtime_wrote(self, output: bytes) -> None:
        self._logs.write(output)

    def extension_wrote(self, output: bytes) -> None:
        self._logs.write(output)

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        pass

    def runtime_exited(self, status: ExitStatus) -> None:
        if self._is_ending() or self.state is State.RESETTING:
            return
        message = text.exit_message(self.last_request_id or "", status.code, status.signal)
        error_type = _OUT_OF_MEMORY if status.out_of_memory else "Runtime.ExitError"
        reason = "out of memory" if status.out_of_memory else message.partition("Error: ")[2]
        answer = Answer(text.error_body(error_type, message), "Unhandled", error_type)
        failure = _Failure(answer, "error", error_type, reason)
        if self.state in (State.STARTING, State.INIT):
            self._settle_init(failure)
        elif self.state is State.INVOKING:
            self._fail(failure)
        elif not self._needs_init:
            if self._invocation is not None:  # it was just being thawed for it
                self._invocation.answer(answer)
                self._finish_invocation("error", error_type)
            self.end(reason)

    def _finish_invocation(self, status: str | None, error_type: str | None) -> None:
        """Everybody is parked, or the environment has failed: END, REPORT, and whoever waits for them."""
        invocation, self._invocation = self._invocation, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if invocation is None:
            return
        duration_ms = (time.perf_counter() - self._handed_out_at) * 1000
        if status == "timeout":
            duration_ms = self.function.timeout * 1000.0  # [R] exactly that, whatever the timer did
        self._sandbox.drain_output()
        cold = self.invocations <= 1
        init_ms = self._init_ms if cold else None
        report = Report(
            request_id=invocation.request_id,
            environment_id=self.id,
            log_stream=self.log_stream,
            cold_start=cold,
            duration_ms=duration_ms,
            billed_ms=text.billed_milliseconds(duration_ms, init_ms),
            memory_mb=self.function.memory,
            # [R] out of memory: what was used is what there was
            max_memory_mb=self.function.memory if error_type == _OUT_OF_MEMORY else self._max_memory_mb(),
            init_ms=init_ms,
            # A handled error is a success for the platform: only what ends the environment has a status.
            status=status if status == "timeout" or self._is_fatal(error_type) else None,
            error_type=error_type,
        )
        self._logs.platform(text.end_line(invocation.request_id))
        self._logs.platform(text.report_line(report))
        self._record("", kind="invocation.finished", request_id=invocation.request_id)
        invocation.finish(dataclasses.replace(report, logs=self._logs.take()))

    def _max_memory_mb(self) -> int:
        return min(self.function.memory, -(-self._sandbox.peak_memory() // 2**20))

    def _is_fatal(self, error_type: str | None) -> bool:
        return error_type in ("Runtime.ExitError", _OUT_OF_MEMORY) or self.state is State.INIT

    def _fail_invocation(self, failure: ServiceError) -> None:
        invocation, self._invocation = self._invocation, None
        if invocation is not None:
            invocation.fail(failure)

    # -- freeze ------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop every process; done when the state says ``frozen``. A freeze that fails leaves it idle."""
        self._fire(Event.FREEZE)
        epoch = self._next_epoch()
        try:
            self._sandbox.freezer.freeze(functools.partial(self._froze, epoch))
        except FreezeError as error:
            self._froze(epoch, error)
        if self.state is not State.IDLE:  # where it is, the freeze has failed already
            self._connectivity.freeze()

    def _froze(self, epoch: int, error: FreezeError | None) -> None:
        if epoch != self._epoch or self.state is not State.FREEZING:
            return  # a thaw, or the end, has overtaken this freeze
        if error is not None:
            self._fire(Event.FREEZE_FAILED, error.message)
            self._connectivity.thaw(lambda _error: None)
            return
        self.freezes += 1
        self._frozen_since = self._around.clock.now()
        self._fire(Event.FREEZE_CONFIRMED)

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    # -- end ---------------------------------------------------------------------------------------------

    def end(self, reason: str, how: Reclaim = Reclaim.FIN) -> None:
        """Begin the end; :attr:`gone` is set when nothing is left. A second call changes nothing.

        No extension is there to be told, so nobody is: no signal, no grace ([D] a shutdown of 0 ms). What becomes
        of its connections says ``how``; after a failure the kernel lives on and closes them at once.
        """
        if self._is_ending():
            return
        self._fire(Event.END, reason)
        self._next_epoch()
        self._fail_invocation(ServiceError(f"the environment was ended: {reason}"))
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._around.spawn(self._tear_down(how))

    def _is_ending(self) -> bool:
        return self.state in (State.SHUTTING_DOWN, State.GONE)

    async def _tear_down(self, how: Reclaim) -> None:
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._around.before_end is not None:
            with contextlib.suppress(EmulatorError):  # a database that is away must not keep environments alive
                await self._around.before_end(self.id)
        try:
            if self._network is not None:
                await self._reclaim(self._network, how)
            self._around.runtime_api.unregister(self._sandbox.runtime_api_address)
            await self._sandbox.stop()
        except (OSError, EmulatorError) as error:
            self._record(f"its sandbox could not be removed: {error}", kind="environment.trouble")
        if self._relay is not None:
            # What is still open, after a start that failed or a graceful end, ends with the processes.
            self._relay.reclaim(Reclaim.FIN)
        if self._around.door is not None:
            self._around.door.dismiss(self._sandbox.view.address)
        self._fire(Event.ENDED)
        self.gone.set()
        self._owner.environment_gone(self)

    async def _reclaim(self, network: Connectivity, how: Reclaim) -> None:
        if how is Reclaim.SILENT:
            # Whoever is about to vanish must not get the chance to say so.
            with contextlib.suppress(FreezeError):
                self._sandbox.freezer.freeze(lambda _error: None)
            if not network.is_cut:
                await asyncio.sleep(self._around.quiet)
            await network.reclaim(how)
            self._sandbox.hold_sockets()
        elif how is Reclaim.GRACEFUL:
            await network.reclaim(how)
            with contextlib.suppress(FreezeError):
                self._sandbox.freezer.thaw(lambda _error: None)
            await self._sandbox.terminate(_GRACE)
        else:
            await network.reclaim(how)

    # -- views -------------------------------------------------------------------------------------------

    @property
    def _connectivity(self) -> Connectivity:
        assert self._network is not None, "an environment that is frozen or thawed has been started"
        return self._network

    @property
    def init_ms(self) -> float | None:
        """How long its Init phase took; ``None`` while that is not known."""
        return self._init_ms

    @property
    def sandbox_kind(self) -> str:
        return self._sandbox.view.kind

    @property
    def address(self) -> str:
        return self._sandbox.view.address

    def process_ids(self) -> list[int]:
        return list(self._sandbox.process_ids())

    def view(self, connections: int | None) -> EnvironmentView:
        """What the inspection API shows. ``connections`` is the count of its database sessions, if known."""
        idle = self.state in (State.IDLE, State.FREEZING, State.FROZEN)
        now = self._around.clock.monotonic()
        return EnvironmentView(
            id=self.id,
            function=self.function.name,
            version=text.VERSION,
            state=self.state,
            sandbox=self._sandbox.view,
            log_stream=self.log_stream,
            created_at=self._created_wall,
            invocations=self.invocations,
            cold=self.invocations <= 1,
            last_request_id=self.last_request_id,
            frozen_since=self._frozen_since,
            freezes=self.freezes,
            idle_seconds=now - self.idle_since if idle else 0.0,
            connections=connections,
            memory_bytes=self._sandbox.peak_memory(),
        )

    def _fire(self, event: Event, reason: str = "") -> None:
        self.state = advance(self.state, event)
        self._record(reason)

    def _record(self, reason: str, *, kind: str | None = None, request_id: str | None = None) -> None:
        invocation = self._invocation
        self._around.timeline.record(
            kind or f"environment.{self.state}",
            reason,
            function=self.function.name,
            environment=self.id,
            request_id=request_id or (invocation.request_id if invocation is not None else None),
        )
