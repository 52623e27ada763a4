"""One execution environment: its lifecycle, its sandbox and what its processes are told.

It is the only caller of :func:`emulator.lifecycle.advance`, and every transition is one event on the timeline,
with its reason. What happens on the warm path (thaw, hand out, answer, park, freeze) happens in plain calls
from the connection of the runtime or of the client: no task, no future. Whom it has to wait for (the runtime, and
every extension) knows :mod:`emulator.generation`.

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
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from emulator import ending, failures, platform_events, text
from emulator.connectivity import Connectivity
from emulator.errors import EmulatorError, FreezeError, LaunchError, SandboxError, ServiceError
from emulator.failures import Failure
from emulator.generation import Generation
from emulator.invocation import Invocation, finish_detail
from emulator.lifecycle import Event, State, advance
from emulator.model import (
    MAX_RESPONSE_BYTES,
    Answer,
    EnvironmentId,
    EnvironmentView,
    Function,
    InitializationType,
    Reclaim,
    Report,
    RequestId,
)
from emulator.platform_events import Span
from emulator.runtime_api.runtime import InvocationEvent
from emulator.sandbox.base import ExitStatus, SandboxSpec
from emulator.surroundings import Surroundings
from emulator.timing import Timing
from emulator.variables import lambda_variables

__all__ = ["Environment", "Owner"]

_ON_DEMAND_LIMIT = 10.0  # seconds of init [D]
_PROVISIONED_LIMIT = 130.0  # seconds, or the function's timeout if that is longer [D]
_SPINDOWN = "spindown"  # [R] in lower case, whatever the documentation says


_KINDS = {state: f"environment.{state}" for state in State}  # of events on the timeline


def _is_done_inside(_error: FreezeError | None) -> None:
    """For a thaw that is over when the call is."""


class Owner(Protocol):
    """Who is told that an environment is free, that it ends, and that it is no more."""

    @property
    def has_waiting(self) -> bool:
        """Events wait, and an environment may have to serve the next one as soon as it is parked."""
        ...

    def environment_parked(self, environment: Environment) -> None: ...

    def environment_ending(self, environment: Environment) -> None:
        """It serves nobody any more, whoever has ended it; what is left of it may take seconds to go."""
        ...

    def environment_gone(self, environment: Environment) -> None: ...


class Environment:
    """An environment of ``function``. It is made for an invocation, or ahead of any, and starts with it."""

    def __init__(
        self,
        environment_id: EnvironmentId,
        function: Function,
        surroundings: Surroundings,
        owner: Owner,
        initialization: InitializationType = InitializationType.ON_DEMAND,
        *,
        awaits_debugger: Callable[[], bool] | None = None,
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
        self._timeline = surroundings.timeline
        self._owner = owner
        self._initialization = initialization
        self._created_wall = surroundings.clock.now()
        self.log_stream = text.log_stream_name(self._created_wall, environment_id, function)
        self._logs = surroundings.open_log(function, environment_id, self.log_stream)
        self._generation: Generation | None = None
        self._invocation: Invocation | None = None
        self.last_request_id: RequestId | None = None
        self._timing = Timing()
        self._deadline: asyncio.TimerHandle | None = None
        self._init_ms: float | None = None
        self._frozen_since: float | None = None
        self._freeze_began = 0.0
        self._is_stopped_early = False
        self._epoch = 0
        self._task: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        door = surroundings.door
        self._relay = door.open(environment_id, lambda: self.last_request_id) if door is not None else None
        self._metadata_token = secrets.token_urlsafe(32)
        self._sandbox = surroundings.provider.create(
            SandboxSpec(
                environment_id,
                function,
                lambda_variables(
                    function,
                    region=surroundings.region,
                    log_stream=self.log_stream,
                    database=door.variables(self._relay) if door is not None and self._relay is not None else {},
                    initialization=initialization,
                    metadata_token=self._metadata_token,
                    trace_id=text.new_trace_id(self._created_wall),
                ),
                surroundings.runtime_api.port,
                surroundings.origins,
                awaits_debugger,
            ),
            self,
        )
        self._network: Connectivity | None = None

    # -- start -------------------------------------------------------------------------------------------

    def start(self, invocation: Invocation | None) -> None:
        """Begin life with this invocation to serve, or ahead of any; returns at once."""
        if invocation is not None:
            self._take(invocation)
            self._record(f"cold start for request {invocation.request_id}: no idle environment")
        else:
            self._record("started ahead of any request")
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
            if isinstance(error, LaunchError):
                self._answer_with(failures.launch(self.last_request_id or "", error.message))
            else:
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
        self._new_generation("init")  # it is served before the sandbox says that it has started
        await sandbox.start()
        self._network = Connectivity(
            sandbox.cut,
            self._relay,
            quiet=self._around.quiet,
            on_trouble=lambda trouble: self._record(trouble, kind="environment.trouble"),
        )
        if self._is_ending():
            return  # in the very round of the loop in which it came up
        begin = sandbox.started_at
        self._fire(Event.SANDBOX_STARTED, "the sandbox runs, its processes start")
        failure = await self._init("init", begin, self._init_limit)
        if self._is_ending():
            return
        sandbox.initialized()
        if failure is not None:
            await self._reset_or_end(failure)
            if not self._is_ending():
                await self._after_failed_init(failure)
            return
        self._init_ms = (time.time() - begin) * 1000
        self._fire(Event.PARKED, f"init took {self._init_ms:.1f} ms")
        self._deliver_or_park()

    async def _reset_or_end(self, failure: Failure) -> None:
        """An image for another machine leaves a sandbox in which nothing can ever be started."""
        try:
            await self._reset(failure)
        except SandboxError:
            if not failure.never_began:
                raise
            self._answer_with(failure)
            self.end(failure.reason)

    async def _after_failed_init(self, failure: Failure) -> None:
        if self._invocation is not None:
            await self._init_again()
        else:  # [R] an environment that is made ahead of requests is not tried again
            self.end(failure.reason)

    @property
    def _init_limit(self) -> float | None:
        if self._initialization is InitializationType.ON_DEMAND:
            return _ON_DEMAND_LIMIT
        return max(_PROVISIONED_LIMIT, self.function.timeout)

    @property
    def _init_again_limit(self) -> float | None:
        return self.function.timeout

    def _new_generation(self, phase: str) -> Generation:
        generation = self._generation = Generation(
            self,
            self._sandbox,
            self.function,
            self._around,
            self._logs,
            self._initialization,
            self._metadata_token,
        )
        self._logs.platform(
            platform_events.init_start(
                self.function, initialization=self._initialization, phase=phase, log_stream=self.log_stream
            )
        )
        return generation

    async def _init(self, phase: str, begin: float, limit: float | None) -> Failure | None:
        """Wait for the end of init, and report on it; ``begin`` is seconds since the epoch."""
        assert self._generation is not None, "a generation is made before it is waited for"
        failure = await self._generation.init(phase, limit)
        if self._is_ending():
            return failure
        if failure is not None:
            self._sandbox.drain_output()
        self._logs.platform(
            platform_events.init_report(
                initialization=self._initialization,
                phase=phase,
                duration_ms=(time.time() - begin) * 1000,
                status=failure.status if failure is not None else "success",
                error_type=failure.error_type if failure is not None else None,
            )
        )
        return failure

    async def _init_again(self) -> None:
        """Init inside the invocation that waits, on its time; then serve it, if that works."""
        begin, begin_wall = time.perf_counter(), time.time()
        self._timing = Timing()
        self._fire(Event.INIT_AGAIN, "there is no runtime since the last reset")
        self._new_generation("invoke")
        if self._sandbox.extensions:
            self._sandbox.start_extensions()
        else:
            self._sandbox.start_runtime()
        failure = await self._init("invoke", begin_wall, self._init_again_limit)
        if self._is_ending():
            return
        if failure is None:
            spent = time.perf_counter() - begin
            self._fire(Event.PARKED, f"init took {spent * 1000:.1f} ms of the invocation")
            self._deliver(spent)
            return
        if self._invocation is not None:
            self._count(self._invocation, self._timing)
            self._invocation.answer(failure.answer)
        self._finish_invocation(failure)
        await self._reset_and_park(failure)

    # -- reset -------------------------------------------------------------------------------------------

    def failed(self, failure: Failure) -> None:
        """A process has ended, or said that it cannot go on."""
        if self.state is State.INVOKING:
            self._fail(failure)
        elif not self._is_ending() and self.state is not State.RESETTING:
            self._answer_with(failure)  # it was just being thawed for somebody, perhaps
            self.end(failure.reason)

    def _answer_with(self, failure: Failure) -> None:
        if self._invocation is not None:
            self._count(self._invocation, Timing())
            self._invocation.answer(failure.answer)
            self._finish_invocation(failure)

    def kill_runtime(self) -> None:
        """End the runtime as the kernel does when memory runs out, if it is serving an invocation."""
        if self.state is State.INVOKING:
            self._sandbox.signal_runtime(signal.SIGKILL)

    def _timed_out(self) -> None:
        self._deadline = None
        if self._invocation is not None:
            reason = f"the invocation took longer than {self.function.timeout} s"
            self._fail(
                failures.timeout(
                    self._invocation.request_id,
                    self.function.timeout,
                    reason,
                    now=self._around.clock.now(),
                    old=self._around.old_formats,
                )
            )

    def _fail(self, failure: Failure) -> None:
        """The running invocation ends here, and the environment is reset."""
        if self._invocation is not None:
            self._invocation.answer(failure.answer)
        self._finish_invocation(failure)
        self._fire(Event.RESET, failure.reason)
        self._begin(functools.partial(self._reset_and_park, failure))

    async def _reset_and_park(self, failure: Failure) -> None:
        await self._reset(failure)
        if not self._is_ending():
            self._park()

    async def _reset(self, failure: Failure) -> None:
        """End processes, and with them their memory and their connections: the kernel lives, so servers hear of it."""
        if self.state is not State.RESETTING:
            self._fire(Event.RESET, failure.reason)
        generation = self._generation
        if generation is not None:
            await generation.shut_down(failure.shutdown_reason)
            generation.close()
            self._generation = None
        if self._relay is not None:
            self._relay.reset()
        await self._sandbox.reset()
        if not self._is_ending():
            self._fire(Event.RESET_DONE, "processes and memory are gone, /tmp is as it was")

    # -- invoke ------------------------------------------------------------------------------------------

    @property
    def is_returning(self) -> bool:
        """Its client has the answer and no extension works on: with the runtime's next call it is free."""
        if self.state is not State.INVOKING or self.end_when_parked is not None:
            return False
        invocation, generation = self._invocation, self._generation
        if invocation is None or generation is None:
            return False
        return invocation.outcome.answer is not None and not generation.is_to_be_told

    def invoke(self, invocation: Invocation) -> None:
        """Serve one more event; only for an environment that its owner holds to be free."""
        self._take(invocation)
        if self.state is State.IDLE:
            if self._continue_early():
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
        self.last_request_id = invocation.request_id
        invocation.outcome.environment_id = self.id

    def _thawed(self, epoch: int, error: FreezeError | None) -> None:
        if epoch != self._epoch:
            return
        if error is not None:
            self._end_frozen(error)
            return
        self._frozen_since = None
        if self._generation is not None:
            self._generation.telemetry.resume()
        self._fire(Event.THAW_CONFIRMED)
        self._serve()

    def _end_frozen(self, error: FreezeError) -> None:
        self._fail_invocation(ServiceError(error.message, cure=error.cure))
        self.end(f"it could not be thawed: {error.message}")

    def _serve(self) -> None:
        if self._generation is None:
            self._begin(self._init_again)
        else:
            self._deliver()

    def _deliver_or_park(self) -> None:
        if self._invocation is not None:
            self._deliver()
        else:
            self._park()

    def _deliver(self, spent: float = 0.0) -> None:
        """Hand the event out; ``spent`` seconds of its time have gone into an init."""
        invocation, generation = self._invocation, self._generation
        assert invocation is not None, "only an environment that has an event delivers one"
        assert generation is not None, "init comes first"
        self._fire(Event.INVOKE)
        timeout = max(0.0, self.function.timeout - spent)
        self.invocations += 1
        self._timing = Timing(spent)
        event = InvocationEvent(
            invocation.request_id,
            invocation.payload,
            int((time.time() + timeout) * 1000),
            invocation.function_arn,
            invocation.trace_id,
            invocation.client_context,
            invocation.cognito_identity,
            invocation.wants_stream,
        )
        generation.deliver(event)
        # The runtime works by now. Whatever it does is heard of in a later round of the loop: START comes first.
        self._log_start(invocation)
        self._deadline = asyncio.get_running_loop().call_later(timeout, self._timed_out)

    def _count(self, invocation: Invocation, timing: Timing) -> None:
        """The invocation begins, for the log and for the report, if only to fail."""
        self.invocations += 1
        self._timing = timing
        self._log_start(invocation)

    def _log_start(self, invocation: Invocation) -> None:
        version = self.function.version
        if self._logs.is_detailed:
            self._logs.platform(platform_events.start(invocation.request_id, invocation.trace_id, version))
        else:
            self._logs.say(text.start_line(invocation.request_id, version))

    def runtime_answered(self, answer: Answer) -> None:
        """The client gets its answer now; the environment is busy until everybody is parked again."""
        self._timing.answered(len(answer.payload))
        if self._invocation is not None:
            self._invocation.answer(answer)
            self._record("", kind="invocation.answered")

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self._timing.first_byte = time.perf_counter()
        if self._invocation is not None:
            self._invocation.begin(content_type, resume)

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        self._timing.produced_bytes += len(chunk)
        return self._invocation is None or self._invocation.chunk(chunk)

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self._timing.answered(0)
        invocation = self._invocation
        if invocation is None:
            return
        if invocation.reader is None and self._timing.produced_bytes > MAX_RESPONSE_BYTES:
            # [D] Who does not stream gets no more than of any other function.
            too_large = "Function.ResponseSizeTooLarge"
            invocation.answer(Answer(text.response_too_large_body(), "Unhandled", too_large))
        else:
            invocation.end(error_type, error_body)
        self._record("", kind="invocation.answered")

    def runtime_done(self) -> None:
        """The runtime is parked; extensions may still work, and the deadline holds for them as well."""
        self._timing.runtime_done = time.perf_counter()
        if self._logs.is_detailed and self._invocation is not None:
            self._sandbox.drain_output()
            answer = self._invocation.outcome.answer
            failed = answer is not None and answer.error_type is not None
            self._log_runtime_done("error" if failed else "success", answer.error_type if answer is not None else None)

    def everybody_parked(self) -> None:
        if self.state is State.INVOKING:
            self._stop_early()
            self._finish_invocation(None)
            self._fire(Event.PARKED)
            self._park()

    def _park(self) -> None:
        self.idle_since = self._around.clock.monotonic()
        self._owner.environment_parked(self)

    # -- report ------------------------------------------------------------------------------------------

    def _log_runtime_done(self, status: str, error_type: str | None) -> None:
        invocation, timing = self._invocation, self._timing
        assert invocation is not None, "what is done had been begun"
        self._logs.platform(
            platform_events.runtime_done(
                invocation.request_id,
                status=status,
                error_type=error_type,
                duration_ms=timing.elapsed_ms(timing.runtime_done),
                produced_bytes=timing.produced_bytes,
                spans=timing.runtime_spans(),
                trace_id=invocation.trace_id,
            )
        )

    def _finish_invocation(self, failure: Failure | None) -> None:
        """Everybody is parked, or the environment has failed: END, REPORT, and whoever waits for them."""
        invocation = self._invocation
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if invocation is None:
            return
        end = time.perf_counter()
        self._sandbox.drain_output()
        if failure is not None:
            if self._logs.is_detailed and self._timing.runtime_done is None:
                self._log_runtime_done(failure.status, failure.error_type)
            self._logs.platform(platform_events.fault(failure.fault, old=self._around.old_formats))
        report = self._make_report(invocation, failure, self._timing.elapsed_ms(end))
        self._invocation = None
        self._log_report(report, self._timing.extension_span(end) if failure is None else None)
        self._record(
            "",
            kind="invocation.finished",
            request_id=invocation.request_id,
            detail=finish_detail(report, invocation.outcome.answer, self._extensions_ms(end, failure)),
        )
        logs = self._logs.take()
        # To copy a report costs more than to make it, and who wants to hear of none does not want its logs.
        invocation.finish(dataclasses.replace(report, logs=logs) if invocation.on_report is not None else report)

    def _log_report(self, report: Report, overhead: Span | None) -> None:
        old = self._around.old_formats
        if self._logs.is_detailed:
            spans = [overhead] if overhead is not None else []
            self._logs.platform(
                platform_events.end(report.request_id), platform_events.report(report, spans=spans, old=old)
            )
        else:
            self._logs.say(text.end_line(report.request_id) + text.report_line(report, old=old))

    def _extensions_ms(self, end: float, failure: Failure | None) -> float | None:
        generation, runtime_done = self._generation, self._timing.runtime_done
        if failure is not None or runtime_done is None or generation is None or not generation.is_to_be_told:
            return None
        return (end - runtime_done) * 1000

    def _make_report(self, invocation: Invocation, failure: Failure | None, duration_ms: float) -> Report:
        if failure is not None and failure.status == "timeout" and not self._around.old_formats:
            duration_ms = self.function.timeout * 1000.0  # [R] exactly that, whatever the timer did
        cold = self.invocations <= 1
        init_ms = self._init_ms if cold else None
        answer = invocation.outcome.answer
        return Report(
            request_id=invocation.request_id,
            environment_id=self.id,
            log_stream=self.log_stream,
            cold_start=cold,
            duration_ms=duration_ms,
            billed_ms=text.billed_milliseconds(duration_ms, init_ms),
            memory_mb=self.function.memory,
            # [R] out of memory: what was used is what there was
            max_memory_mb=self.function.memory if failure is not None and failure.out_of_memory else self._used_mb(),
            init_ms=init_ms,
            # A handled error is a success for the platform: only what ends the environment has a status.
            status=failure.status if failure is not None else None,
            error_type=failure.error_type if failure is not None else answer.error_type if answer is not None else None,
        )

    def _used_mb(self) -> int:
        return min(self.function.memory, -(-self._sandbox.peak_memory() // 2**20))

    def _fail_invocation(self, failure: ServiceError) -> None:
        if self._invocation is not None and self._invocation.answered:
            self._finish_invocation(None)  # its client has its answer, and may wait for the report
        invocation, self._invocation = self._invocation, None
        if invocation is not None:
            invocation.fail(failure)

    # -- what the sandbox tells ----------------------------------------------------------------------------

    def runtime_wrote(self, output: bytes) -> None:
        self._logs.write(output)

    def extension_wrote(self, output: bytes) -> None:
        self._logs.write(output, "extension")

    def runtime_exited(self, status: ExitStatus) -> None:
        if self._generation is not None:
            self._generation.runtime_exited(status)

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        if self._generation is not None:
            self._generation.extension_exited(name, status)

    def connection_told(self, port: int, peer_port: int, place: str) -> None:
        door = self._around.door
        if door is None or self._relay is None or str(peer_port) != door.variables(self._relay)["DB_PORT"]:
            return  # it leads elsewhere than to the database
        self._around.timeline.record(
            "connection.origin",
            place,
            function=self.function.name,
            environment=self.id,
            request_id=self.last_request_id,
            detail={"port": port},
        )

    # -- freeze ------------------------------------------------------------------------------------------

    def _stop_early(self) -> None:
        """Everybody waits: nobody is to run on while it is written down what has been.

        No state tells of it: in the same breath the environment is parked, and then it is frozen, serves, or ends.
        """
        if not self._owner.has_waiting and not self._around.is_somebody_there():
            self._freeze_began = time.perf_counter()
            self._is_stopped_early = self._sandbox.freezer.stop_early()

    def _continue_early(self) -> bool:
        """Whether it runs: it was not stopped early, or goes on."""
        if self._is_stopped_early:
            self._is_stopped_early = False
            try:
                self._sandbox.freezer.thaw(_is_done_inside)
            except FreezeError as error:
                self._end_frozen(error)
                return False
        return True

    def freeze(self) -> None:
        """Stop every process; done when the state says ``frozen``. A freeze that fails leaves it idle."""
        if not self._is_idle() or self._invocation is not None:
            return  # an event, which may have to wait for an init that begins in this round, or the end was quicker
        self._fire(Event.FREEZE)
        if self._is_stopped_early:
            self._is_stopped_early = False
        else:
            self._freeze_began = time.perf_counter()
        epoch = self._next_epoch()
        if self._generation is not None:
            self._generation.telemetry.pause()
        try:
            self._sandbox.freezer.freeze(functools.partial(self._froze, epoch))
        except FreezeError as error:
            self._froze(epoch, error)
        if not self._is_idle():  # where it is, the freeze has failed already
            self._connectivity.freeze()

    def _is_idle(self) -> bool:
        return self.state is State.IDLE

    def _froze(self, epoch: int, error: FreezeError | None) -> None:
        if epoch != self._epoch or self.state is not State.FREEZING:
            return  # a thaw, or the end, has overtaken this freeze
        if error is not None:
            self._connectivity.thaw(functools.partial(self._goes_on, epoch, error))
            return
        lag = time.perf_counter() - self._freeze_began
        self.freezes += 1
        self._frozen_since = self._around.clock.now()
        self._fire(Event.FREEZE_CONFIRMED, detail={"lag_ms": round(lag * 1000, 4)})

    def _goes_on(self, epoch: int, failure: FreezeError, trouble: SandboxError | None) -> None:
        """It could not be frozen and has its network back, or should have."""
        if epoch != self._epoch:
            return
        if trouble is not None:
            self.end(f"it could not be frozen, and its network did not come back: {trouble.message}")
            return
        self._fire(Event.FREEZE_FAILED, failure.message)
        if self._generation is not None:
            self._generation.telemetry.resume()

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    # -- end ---------------------------------------------------------------------------------------------

    def end(self, reason: str, how: Reclaim = Reclaim.FIN) -> None:
        """Begin the end; :attr:`gone` is set when nothing is left. A second call changes nothing.

        Without extensions nobody is told: no signal, no grace ([D] a shutdown of 0 ms). With them it is thawed, and
        they and the runtime may end by themselves. What becomes of the connections that are still open says
        ``how``; after a failure the kernel lives on and closes them at once.
        """
        if self._is_ending():
            return
        was_frozen = self._is_stopped_early or self.state in (State.FREEZING, State.FROZEN, State.THAWING)
        self._is_stopped_early = False
        self._fire(Event.END, reason)
        self._next_epoch()
        self._fail_invocation(ServiceError(f"the environment was ended: {reason}"))
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._around.spawn(self._tear_down(how, was_frozen=was_frozen))
        self._owner.environment_ending(self)

    def _is_ending(self) -> bool:
        return self.state in (State.SHUTTING_DOWN, State.GONE)

    async def _tear_down(self, how: Reclaim, *, was_frozen: bool) -> None:
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._around.before_end is not None:
            with contextlib.suppress(EmulatorError):  # a database that is away must not keep environments alive
                await self._around.before_end(self.id)
        if self._network is not None:
            told = self._let_everybody_end(self._network, was_frozen=was_frozen)
            await self._in_any_case(told, "its processes could not be told of the end")
            if how is Reclaim.SILENT and self._generation is not None:
                self._generation.telemetry.pause()
            reclaimed = ending.reclaim(how, self._network, self._sandbox, self._around.quiet)
            await self._in_any_case(reclaimed, "its connections could not be reclaimed")
        if self._generation is not None:
            self._generation.close()
        await self._in_any_case(self._sandbox.stop(), "its sandbox could not be removed")
        if self._relay is not None:
            # What is still open, after a start that failed or a graceful end, ends with the processes.
            self._relay.reclaim(Reclaim.FIN)
        if self._around.door is not None:
            self._around.door.dismiss(self._sandbox.view.address)
        self._logs.close()
        self._fire(Event.ENDED)
        self.gone.set()
        self._owner.environment_gone(self)

    async def _in_any_case(self, step: Coroutine[Any, Any, None], trouble: str) -> None:
        """One step of the end; the next one comes whatever becomes of it."""
        try:
            await step
        except (OSError, EmulatorError) as error:
            self._record(f"{trouble}: {error}", kind="environment.trouble")

    async def _let_everybody_end(self, network: Connectivity, *, was_frozen: bool) -> None:
        generation = self._generation
        if generation is None or not generation.is_to_be_told:
            return
        if was_frozen:
            if not await ending.thaw(network, self._sandbox.freezer):
                return
            generation.telemetry.resume()
        self._record("the runtime and its extensions are told", kind="environment.shutdown")
        await generation.shut_down(_SPINDOWN)
        self._sandbox.drain_output()

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
            version=self.function.version,
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

    def _fire(self, event: Event, reason: str = "", *, detail: Mapping[str, Any] | None = None) -> None:
        # Six times an invocation, so it does not go through _record.
        state = self.state = advance(self.state, event)
        invocation = self._invocation
        self._timeline.record(
            _KINDS[state],
            reason,
            function=self.function.name,
            environment=self.id,
            request_id=invocation.request_id if invocation is not None else None,
            detail=detail,
        )

    def _record(
        self,
        reason: str,
        *,
        kind: str | None = None,
        request_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        invocation = self._invocation
        self._timeline.record(
            kind or _KINDS[self.state],
            reason,
            function=self.function.name,
            environment=self.id,
            request_id=request_id or (invocation.request_id if invocation is not None else None),
            detail=detail,
        )
