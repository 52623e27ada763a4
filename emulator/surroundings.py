"""What all environments of an emulator share."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from emulator.clock import Clock
from emulator.database.doors import Door
from emulator.logs import LogSink
from emulator.model import EnvironmentId
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import SandboxProvider, Spawn
from emulator.timeline import Timeline

__all__ = ["BeforeEnd", "Surroundings"]


class BeforeEnd(Protocol):
    """Called before an environment's processes are ended, while they can still be looked at."""

    async def __call__(self, environment_id: EnvironmentId) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all environments of an emulator share. ``chance`` is the one source of everything that is drawn."""

    provider: SandboxProvider
    runtime_api: RuntimeApiServer
    timeline: Timeline
    clock: Clock
    spawn: Spawn
    region: str
    quiet: float
    door: Door | None = None
    before_end: BeforeEnd | None = None
    log_sink: LogSink | None = None
    chance: Random = field(default_factory=Random)
