"""The seam between an environment and the place it runs in."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from emulator.errors import SandboxError
from emulator.model import EnvironmentId, FreezerReport, Function, SandboxView
from emulator.runtimes import is_python
from emulator.sandbox.freezer import FakeFreezer, Freezer
from emulator.sandbox.network import Cut, FakeCut

__all__ = [
    "ExitStatus",
    "FakeProvider",
    "FakeSandbox",
    "Sandbox",
    "SandboxEvents",
    "SandboxProvider",
    "SandboxSpec",
    "Spawn",
    "require_code",
]

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a coroutine in a task group that outlives the caller."""


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process of a sandbox ended; the two numbers mean, as in a shell, that it never began.

    ``launch_error`` says of a runtime why it never began, in the words of AWS's agent; ``wrong_folder`` that its
    working directory is the reason.
    """

    CANNOT_EXECUTE: ClassVar[int] = 126
    NOT_FOUND: ClassVar[int] = 127

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    launch_error: str = ""
    wrong_folder: bool = False

    @classmethod
    def from_shell(cls, code: int, *, out_of_memory: bool = False) -> ExitStatus:
        """From the number a shell or an engine reports, where 128 + n stands for signal n."""
        if code > 128 and code - 128 in signal.valid_signals():
            return cls(signal=code - 128, out_of_memory=out_of_memory)
        return cls(code=code, out_of_memory=out_of_memory)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Everything a sandbox needs to know to run one environment.

    ``variables`` are complete but for what only the sandbox knows: paths, and the host of the Runtime API. With
    ``origins`` a Python runtime tells which line of code has opened a connection.

    With ``awaits_debugger`` the runtime runs under a debugger, at :attr:`Sandbox.debugger_end`. Each time it is started
    that is asked whether it begins with the function's code only when somebody has attached.
    """

    environment_id: EnvironmentId
    function: Function
    variables: Mapping[str, str]
    runtime_api_port: int
    origins: bool = False
    awaits_debugger: Callable[[], bool] | None = None

    @property
    def tells_origins(self) -> bool:
        """Whether its runtime can be asked to, and is; of what is in an image with its code nothing is known."""
        return self.origins and not self.function.is_image and is_python(self.function.runtime)


def require_code(function: Function) -> None:
    """See that the code is where it was when the function was deployed.

    Raises:
        SandboxError: the folder has been taken away.
    """
    if function.code is not None and not function.code.is_dir():
        raise SandboxError(
            f"the code of function {function.name} is gone: {function.code}",
            cure="Put the folder back; the next invocation finds it.",
        )


class SandboxEvents(Protocol):
    """What an environment wants to hear of its sandbox."""

    def runtime_wrote(self, output: bytes) -> None:
        """The runtime, or a process that it started, has printed this."""
        ...

    def extension_wrote(self, output: bytes) -> None:
        """An external extension has printed this."""
        ...

    def runtime_exited(self, status: ExitStatus) -> None:
        """The runtime has ended, and nobody had asked for that by :meth:`Sandbox.reset` or :meth:`Sandbox.stop`."""
        ...

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        """An external extension has ended, in the same sense."""
        ...

    def connection_told(self, port: int, peer_port: int, place: str) -> None:
        """The runtime has connected from this port to that one, at this place in the code."""
        ...


class Sandbox(Protocol):
    """One environment's processes, and their surroundings."""

    @property
    def view(self) -> SandboxView: ...

    @property
    def started_at(self) -> float:
        """When what was started last began to run, in seconds since the epoch: right after the start, when init did."""
        ...

    @property
    def freezer(self) -> Freezer:
        """There is one once the sandbox has started."""
        ...

    @property
    def cut(self) -> Cut:
        """What takes it off its network; the Runtime API is not reached over that."""
        ...

    @property
    def runtime_api_address(self) -> str:
        """The address by which its connections to the Runtime API are known."""
        ...

    @property
    def debugger_end(self) -> tuple[str, int] | None:
        """Host and port where the runtime that was started last listens for a debugger, or is about to."""
        ...

    @property
    def extensions(self) -> Sequence[str]:
        """The external extensions, by the names of their files in ``/opt/extensions``; known before the start."""
        ...

    async def start(self) -> None:
        """Make the surroundings and start the external extensions in them; the runtime, where there are none.

        Raises:
            SandboxError: it could not be started; nothing is left of it.
        """
        ...

    async def reset(self) -> None:
        """End every process without a signal it could catch; the surroundings and what is in them stay.

        Raises:
            SandboxError: that cannot be done; the sandbox is of no use any more.
        """
        ...

    def start_extensions(self) -> None:
        """Start every external extension anew, after a reset; nothing where there are none.

        One that cannot be executed is told of by :meth:`SandboxEvents.extension_exited`, with status 126 or 127.

        Raises:
            SandboxError: nothing can be started here any more.
        """
        ...

    def start_runtime(self) -> None:
        """Start the runtime: when all extensions have registered, or anew after a reset.

        Raises:
            SandboxError: it could not be started.
        """
        ...

    def signal_runtime(self, number: signal.Signals) -> None:
        """Send SIGTERM or SIGKILL to the runtime alone, extensions stay; nothing if it has ended."""
        ...

    def kill_extension(self, name: str) -> None:
        """SIGKILL for one external extension; nothing if it has ended."""
        ...

    def initialized(self) -> None:
        """Init is over: from now on the function gets the CPU share that its memory setting buys."""
        ...

    def drain_output(self) -> None:
        """Hand on what the processes have written so far."""
        ...

    def peak_memory(self) -> int:
        """The most bytes of memory that the environment used at once; 0 where that cannot be known."""
        ...

    def process_ids(self) -> Sequence[int]:
        """Every process inside, by the host's numbers; empty where they cannot be seen."""
        ...

    def hold_sockets(self) -> None:
        """Keep the connections that its processes have open from being closed by their end."""
        ...

    async def terminate(self, patience: float) -> None:
        """Ask every process to end, and wait for that at most ``patience`` seconds."""
        ...

    def owns_connection(self, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        """Whether a connection to the Runtime API (our end, its end) comes from inside this sandbox."""
        ...

    async def stop(self) -> None:
        """End every process without a signal it could catch, and remove the surroundings. Idempotent."""
        ...


class SandboxProvider(Protocol):
    """Makes sandboxes of one kind; entering it prepares what they share, leaving it removes that."""

    @property
    def kind(self) -> str: ...

    @property
    def runtime_api_host(self) -> str:
        """The address to listen on so that sandboxes reach the Runtime API."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know about the sandboxes here, in sentences: stand-ins, missing rights."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @property
    def freezer_report(self) -> FreezerReport: ...

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> Sandbox:
        """A sandbox that is not started yet."""
        ...

    async def prepare(self, function: Function) -> None:
        """Find what the function needs to run here, before its first environment; and merge its layers anew.

        Environments that are made from now on get those; what there is keeps the old ones. To be called again when
        the function is deployed again, or one of its layers has changed.

        Raises:
            SandboxError: no image, no interpreter, no engine, with the cure.
            CodeError: a layer cannot be used; what was prepared before stays in force.
        """
        ...


class FakeSandbox:
    """A sandbox without processes: the test plays the runtime, and the extensions."""

    extensions: Sequence[str] = ()
    debugger_end: tuple[str, int] | None = None

    def __init__(self, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        self.spec = spec
        self.freezer = FakeFreezer()
        self.cut = FakeCut()
        self.runtime_api_address = address
        self.view = SandboxView("fake", spec.environment_id, 0, address)
        self.started_at = time.time()
        self.started = self.stopped = self.is_initialized = False
        self.resets = self.runtime_starts = self.extension_starts = 0
        self.fail_start_with: SandboxError | None = None
        self.on_output, self.on_exit = events.runtime_wrote, events.runtime_exited
        self.on_extension_output, self.on_extension_exit = events.extension_wrote, events.extension_exited
        self.pending_output = b""
        self.calls: list[str] = []
        """What was done to its processes, in order."""

    async def start(self) -> None:
        if self.fail_start_with is not None:
            raise self.fail_start_with
        self.started = True

    async def reset(self) -> None:
        self.resets += 1

    def start_runtime(self) -> None:
        self.runtime_starts += 1
        self.started_at = time.time()

    def start_extensions(self) -> None:
        self.extension_starts += 1

    def signal_runtime(self, number: signal.Signals) -> None:
        self.calls.append(f"runtime {number.name}")

    def kill_extension(self, name: str) -> None:
        self.calls.append(f"kill {name}")

    def initialized(self) -> None:
        self.is_initialized = True

    def drain_output(self) -> None:
        if self.pending_output:
            output, self.pending_output = self.pending_output, b""
            self.on_output(output)

    def peak_memory(self) -> int:
        return 36 * 2**20

    def process_ids(self) -> Sequence[int]:
        return ()

    def hold_sockets(self) -> None:
        self.calls.append("hold sockets")

    async def terminate(self, patience: float) -> None:
        self.calls.append("terminate")

    def owns_connection(self, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        return True

    async def stop(self) -> None:
        self.stopped = True


@dataclass
class FakeProvider:
    """Makes :class:`FakeSandbox` objects, or those of a class derived from it, and remembers them."""

    kind: str = "fake"
    runtime_api_host: str = "127.0.0.1"
    notes: Sequence[str] = ()
    sandboxes: list[FakeSandbox] = field(default_factory=list)
    freezer_report: FreezerReport = field(default_factory=lambda: FreezerReport("fake", ()))
    fail_start_with: SandboxError | None = None
    sandbox_class: type[FakeSandbox] = FakeSandbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> FakeSandbox:
        number = len(self.sandboxes) + 2
        sandbox = self.sandbox_class(spec, f"127.0.{number // 256}.{number % 256}", events)
        sandbox.fail_start_with = self.fail_start_with
        self.sandboxes.append(sandbox)
        return sandbox

    async def prepare(self, function: Function) -> None:
        pass
