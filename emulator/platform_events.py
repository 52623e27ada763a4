"""What Lambda itself has to say of an environment, once for every reader: log lines and telemetry are made of these.

The records are those of AWS's telemetry schema; where the events of a text log have a line of their own, it comes
along. Pure functions. Sources: docs/fidelity.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["LogEvent", "PlatformEvent", "Span"]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One thing that a subscriber of telemetry may get. ``time`` is seconds since the epoch.

    ``type`` is ``function``, ``extension`` (the record is the line, without its newline) or ``platform.*``.
    """

    time: float
    type: str
    record: Any


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that a record names. ``start`` is seconds since the epoch."""

    name: str
    start: float
    duration_ms: float


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """One event of Lambda's own.

    Attributes:
        type: as in telemetry: ``platform.start``.
        record: as in telemetry.
        level: of a JSON log: ``DEBUG``, ``INFO`` or ``WARN``.
        line: of a text log, newline included; ``None`` where it has none there.
    """

    type: str
    record: Any
    level: str = "INFO"
    line: str | None = None
