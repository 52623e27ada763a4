"""One generation of an environment's processes: the runtime and the extensions, from an init to the next reset or end.

It knows who has to be waited for. Init is over, and an environment can be frozen, when the runtime *and* every
extension wait for their next event [D]; the end begins with the runtime, and extensions come last [C].
"""

from __future__ import annotations

import asyncio
import functools
import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from emulator import failures, platform_events
from emulator.failures import Failure
from emulator.logs import LogStream
from emulator.model import Answer, Function, InitializationType
from emulator.runtime_api.extensions import MAX_EXTENSIONS, Extension, ExtensionsSession, ExtensionState
from emulator.runtime_api.runtime import InvocationEvent, RuntimeSession
from emulator.runtime_api.sessions import Sessions
from emulator.runtime_api.telemetry import TelemetrySession
from emulator.sandbox.base import ExitStatus, Sandbox
from emulator.surroundings import Surroundings

__all__ = ["Generation", "GenerationOwner"]

# [D] What the end of an environment may take, in seconds: nothing without extensions.
_BUDGET_EXTERNAL = 2.0
_BUDGET_INTERNAL = 0.5
# [D] The runtime's part of it; AWS's published agent gives 30 % instead [C].
_RUNTIME_SHARE_EXTERNAL = 0.3
_RUNTIME_SHARE_INTERNAL = 0.5
# [X] The state in which the log shows an extension that could not be started.
_LAUNCH_ERROR = "LaunchError"


class GenerationOwner(Protocol):
    """What an environment wants to hear of its processes, once they are initialised."""

    @property
    def last_request_id(self) -> str | None: ...

    def runtime_answered(self, answer: Answer) -> None: ...

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None: ...

    def runtime_response_chunk(self, chunk: bytes) -> bool: ...

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None: ...

    def runtime_done(self) -> None:
        """The runtime waits for its next event; extensions may still be at work."""
        ...

    def everybody_parked(self) -> None:
        """And now nobody is."""
        ...

    def failed(self, failure: Failure) -> None:
        """Somebody has ended, or said that it cannot go on. Only the first time."""
        ...


class Generation:
    """The processes that one init has started; from here on the Runtime API serves them."""

    def __init__(
        self,
        owner: GenerationOwner,
        sandbox: Sandbox,
        function: Function,
        around: Surroundings,
        logs: LogStream,
        initialization: InitializationType,
        metadata_token: str,
    ) -> None:
        self._owner = owner
        self._sandbox = sandbox
        self._function = function
        self._around = around
        self._logs = logs
        self._initialization = initialization
        self._initializing = True
        self._ending = False
        self._failure: Failure | None = None
        self._runtime_has_begun = not sandbox.extensions  # else it begins when they have registered
        self._runtime_is_parked = False
        self._runtime_is_gone = bool(sandbox.extensions)  # it is not there before they have registered
        self._progress = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._limit_seconds: float | None = None
        self._gone: set[str] = set()
        self._unstarted: dict[str, str] = {}  # extensions, with the type of the error
        self.runtime = RuntimeSession(self)
        self.extensions = ExtensionsSession(self, function, external=sandbox.extensions, account=around.account)
        self.telemetry = TelemetrySession(
            self.extensions,
            address=sandbox.runtime_api_address,
            spawn=around.spawn,
            on_subscribed=self._subscribed,
            json_records=function.logging.format == "JSON",
        )
        logs.on_event = self.telemetry.publish
        around.runtime_api.register(
            sandbox.runtime_api_address,
            Sessions(self.runtime, self.extensions, self.telemetry, metadata_token),
            sandbox.owns_connection,
        )

    # -- init ----------------------------------------------------------------------------------------------

    async def init(self, phase: str, limit: float | None) -> Failure | None:
        """Wait until everybody waits for the first event; why that does not come to pass, if it does not.

        Arguments:
            phase: ``init``, or ``invoke`` inside an invocation.
            limit: seconds; none for one that a debugger may hold up.

        Raises:
            SandboxError: the runtime cannot be started.
        """
        self._limit_seconds = limit
        try:
            async with asyncio.timeout(limit) as self._limit:
                await self._all_ready(phase)
        except TimeoutError:
            self._failure = self._failure or failures.init_timeout(
                self._owner.last_request_id or "",
                self._limit_seconds or 0.0,
                self._function.timeout,
                now=self._around.clock.now(),
                old=self._around.old_formats,
            )
        self._initializing, self._limit = False, None
        failure = self._failure
        if failure is not None and self._runtime_has_begun and not self._runtime_is_parked:
            self._tell_runtime_done(phase, failure)
        self._tell_extensions()
        self.telemetry.close_subscription()
        if not self.telemetry.is_wanted:
            self._logs.on_event = None
        return failure

    def limit_init(self, limit: float | None) -> None:
        """From now on an init that goes on has so many seconds, or as long as it takes."""
        if self._limit is not None:
            self._limit_seconds = limit
            self._limit.reschedule(None if limit is None else asyncio.get_running_loop().time() + limit)

    async def _all_ready(self, phase: str) -> None:
        """[C] In this order, and nobody before his turn."""
        if len(self._sandbox.extensions) > MAX_EXTENSIONS:
            self._unstarted[self._sandbox.extensions[MAX_EXTENSIONS]] = "TooManyExtensions"
            self._fail(failures.too_many_extensions(self._owner.last_request_id or ""))
            return
        if self._sandbox.extensions:
            await self._until(lambda: self.extensions.all_registered)
            if self._failure is not None:
                return
            self._runtime_has_begun = True
            self._sandbox.start_runtime()
            self._runtime_is_gone = False
        await self._until(lambda: self._runtime_is_parked)
        if self._failure is not None:
            return
        self.extensions.close_registration()
        self._tell_runtime_done(phase, None)
        await self._until(lambda: self.extensions.all_parked)

    def _tell_extensions(self) -> None:
        """[C] A line for each, also for those that never registered; one that has ended is shown as it was then."""
        for extension in self.extensions.everyone:
            if extension.name not in self._unstarted:
                state = extension.ended_as or extension.state
                event = platform_events.extension(extension.name, state, extension.events, extension.error_type)
                self._logs.platform(event)
        for name, error_type in self._unstarted.items():
            self._logs.platform(platform_events.extension(name, _LAUNCH_ERROR, (), error_type))

    def _tell_runtime_done(self, phase: str, failure: Failure | None) -> None:
        self._logs.platform(
            platform_events.init_runtime_done(
                initialization=self._initialization,
                phase=phase,
                status=failure.status if failure is not None else "success",
                error_type=failure.error_type if failure is not None else None,
            )
        )

    async def _until(self, condition: Callable[[], bool]) -> None:
        """... or until somebody has failed."""
        while not condition() and self._failure is None:
            self._progress.clear()
            await self._progress.wait()

    def _subscribed(self, name: str, types: Sequence[str], api: str) -> None:
        tell = platform_events.telemetry_subscription if api == "telemetry" else platform_events.logs_subscription
        self._logs.platform(tell(name, types))

    # -- invoke --------------------------------------------------------------------------------------------

    def deliver(self, event: InvocationEvent) -> None:
        """Hand the event to everybody who wants it."""
        self._runtime_is_parked = False
        self.extensions.invoke(event)
        # A runtime that is not there has died this very moment: its exit is on its way to us.
        self.runtime.hand_out(event)

    def runtime_parked(self) -> None:
        self._runtime_is_parked = True
        if self._initializing or self._ending:
            self._progress.set()
            return
        self._owner.runtime_done()
        if self.extensions.all_parked:
            self._owner.everybody_parked()

    def extension_parked(self, extension: Extension) -> None:
        self._progress.set()
        if self._runtime_is_parked and not self._initializing and not self._ending and self.extensions.all_parked:
            self._owner.everybody_parked()

    def extension_registered(self, extension: Extension) -> None:
        self._progress.set()

    def runtime_answered(self, answer: Answer) -> None:
        self._owner.runtime_answered(answer)

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self._owner.runtime_response_began(content_type, resume)

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        return self._owner.runtime_response_chunk(chunk)

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self._owner.runtime_response_ended(error_type, error_body)

    # -- failures ------------------------------------------------------------------------------------------

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        self._fail(failures.runtime_init_error(body, error_type))

    def extension_failed(self, extension: Extension, error_type: str, body: bytes) -> None:
        request_id = self._owner.last_request_id or ""
        in_init = extension.state is ExtensionState.INIT_ERROR
        self._fail(failures.extension_error(request_id, extension.name, error_type, in_init=in_init))

    def runtime_exited(self, status: ExitStatus) -> None:
        self._runtime_is_gone = True
        request_id = self._owner.last_request_id or ""
        self._fail(failures.runtime_exit(request_id, status, old=self._around.old_formats))

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        self._gone.add(name)
        request_id = self._owner.last_request_id or ""
        extension = self.extensions.exited(name)
        failure = None
        if extension is not None and extension.ended_as is ExtensionState.STARTED:
            failure = failures.extension_launch(request_id, name, status)
            if failure is not None:
                self._unstarted[name] = _launch_error_type(status)
        self._fail(failure or failures.extension_crash(request_id, name, status))

    def _fail(self, failure: Failure) -> None:
        # The first failure counts; an exit may come right behind the first "next", before anybody has looked.
        self._progress.set()
        if self._ending or self._failure is not None:
            return
        self._failure = failure
        if not self._initializing:
            self._owner.failed(failure)

    # -- freeze and end ------------------------------------------------------------------------------------

    @property
    def is_to_be_told(self) -> bool:
        """Somebody is there who hears of the end; without any extension nobody does [D]."""
        return bool(self.extensions.known)

    async def shut_down(self, reason: str) -> None:
        """Let everybody end in the order and the time that AWS gives; whoever does not is killed afterwards.

        Arguments:
            reason: ``spindown``, ``timeout`` or ``failure``, in lower case as recorded.
        """
        self._ending = True
        if not self.is_to_be_told:
            return
        external = any(extension.external for extension in self.extensions.known)
        internal = any(not extension.external for extension in self.extensions.known)
        budget = _BUDGET_EXTERNAL if external else _BUDGET_INTERNAL
        share = _RUNTIME_SHARE_INTERNAL if internal else _RUNTIME_SHARE_EXTERNAL
        loop = asyncio.get_running_loop()
        end, deadline_ms = loop.time() + budget, int((time.time() + budget) * 1000)
        if not self._runtime_is_gone:
            self._sandbox.signal_runtime(signal.SIGTERM)
            if not await self._until_or(share, lambda: self._runtime_is_gone):
                self._sandbox.signal_runtime(signal.SIGKILL)
        told = self.extensions.shut_down(reason, deadline_ms)
        self.telemetry.flush()
        for extension in self.extensions.known:
            if extension.external and extension.name not in (*told, *self._gone):
                self._sandbox.kill_extension(extension.name)
        await self._until_or(end - loop.time(), functools.partial(self._gone.issuperset, told))

    async def _until_or(self, seconds: float, condition: Callable[[], bool]) -> bool:
        """Wait for the condition at most this long; whether it has come true."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Nobody of this generation is served any more."""
        self._ending = True
        self._around.runtime_api.unregister(self._sandbox.runtime_api_address)
        self.telemetry.close()
        if self._logs.on_event == self.telemetry.publish:
            self._logs.on_event = None


def _launch_error_type(status: ExitStatus) -> str:
    return "PermissionDenied" if status.code == ExitStatus.CANNOT_EXECUTE else "UnknownError"  # [C]
