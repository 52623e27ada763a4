"""What all environments of an emulator share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from emulator.clock import Clock
from emulator.database.doors import Door
from emulator.log_files import LogFiles
from emulator.logs import LogSink, LogStream
from emulator.model import EnvironmentId, Function
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import SandboxProvider, Spawn
from emulator.timeline import Timeline

__all__ = ["BeforeEnd", "Surroundings"]


class BeforeEnd(Protocol):
    """Called before an environment's processes are ended, while they can still be looked at."""

    async def __call__(self, environment_id: EnvironmentId) -> None: ...


def _at_once(act: Callable[[], None]) -> None:
    act()


def _nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all environments of an emulator share. ``chance`` is the one source of everything that is drawn.

    With ``origins`` Python runtimes tell which line of code has opened a connection. ``end_of_round`` calls when
    everything has been heard that had come by now: who is wanted at once need not be frozen in between. For the same
    reason ``is_somebody_there`` says whether a client has asked for something that was not heard yet.
    """

    provider: SandboxProvider
    runtime_api: RuntimeApiServer
    timeline: Timeline
    clock: Clock
    spawn: Spawn
    region: str
    account: str
    quiet: float
    door: Door | None = None
    before_end: BeforeEnd | None = None
    log_sink: LogSink | None = None
    log_files: LogFiles | None = None
    old_formats: bool = False
    origins: bool = False
    chance: Random = field(default_factory=Random)
    end_of_round: Callable[[Callable[[], None]], object] = _at_once
    is_somebody_there: Callable[[], bool] = _nobody

    def open_log(self, function: Function, environment_id: EnvironmentId, name: str) -> LogStream:
        """The log stream ``name`` of an environment, on its way to whoever wants it."""
        file = self.log_files.open(function, environment_id, name) if self.log_files is not None else None
        return LogStream(function, environment_id, self.log_sink, file=file, now=self.clock.now)
