"""What Lambda itself has to say of an environment, once for every reader: log lines and telemetry are made of these.

The records are those of AWS's telemetry schema; where the events of a text log have a line of their own, it comes
along. Levels are those of AWS's system log level event mapping [D]. Pure functions. Sources: docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator import text
from emulator.model import Function, InitializationType, Report

__all__ = [
    "LogEvent",
    "PlatformEvent",
    "Span",
    "end",
    "extension",
    "fault",
    "init_report",
    "init_runtime_done",
    "init_start",
    "json_line",
    "logs_dropped",
    "logs_subscription",
    "report",
    "runtime_done",
    "start",
    "telemetry_subscription",
]

_NOT_IN_JSON = frozenset({"platform.end", "platform.fault"})  # [D] a JSON log has neither


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


def json_line(event: PlatformEvent, time: float) -> str | None:
    """The line of a JSON log, newline included; ``None`` for an event that has none there."""
    if event.type in _NOT_IN_JSON:
        return None
    entry = {"time": text.iso_time(time), "type": event.type, "record": event.record}
    return text.to_json(entry).decode() + "\n"


# -- init --------------------------------------------------------------------------------------------------


def init_start(function: Function, *, initialization: InitializationType, phase: str, log_stream: str) -> PlatformEvent:
    """An init begins. One inside an invocation (``phase`` ``invoke``) has no line in a text log [D].

    What is in an image has no version that anybody knows, and no such line [X].

    DIFFERS: without ``runtimeVersionArn``, for the runtime is not AWS's build.
    """
    record = {
        "initializationType": initialization,
        "phase": phase,
        **({"runtimeVersion": text.runtime_version(function.runtime)} if not function.is_image else {}),
        "functionName": function.name,
        "functionVersion": function.version,
        "instanceId": log_stream,
        "instanceMaxMemory": function.memory * 2**20,  # [R] bytes, whatever the example of the documentation has
    }
    line = text.init_start_line(function.runtime) if phase == "init" and not function.is_image else None
    return PlatformEvent("platform.initStart", record, "INFO", line)


def init_runtime_done(
    *, initialization: InitializationType, phase: str, status: str = "success", error_type: str | None = None
) -> PlatformEvent:
    """The runtime has asked for its first event, or has failed to."""
    record = {"initializationType": initialization, "phase": phase, **_ending(status, error_type)}
    return PlatformEvent("platform.initRuntimeDone", record, "DEBUG" if status == "success" else "WARN")


def init_report(
    *,
    initialization: InitializationType,
    phase: str,
    duration_ms: float,
    status: str = "success",
    error_type: str | None = None,
) -> PlatformEvent:
    """An init is over. [D] The line of a text log is left out for a successful one on demand."""
    record = {
        "initializationType": initialization,
        "phase": phase,
        **_ending(status, error_type),
        "metrics": {"durationMs": _milliseconds(duration_ms)},
    }
    if status != "success":
        line = text.init_report_line(duration_ms, phase, status, error_type if status != "timeout" else None)
        return PlatformEvent("platform.initReport", record, "WARN", line)
    if initialization is InitializationType.ON_DEMAND:
        return PlatformEvent("platform.initReport", record, "DEBUG")
    return PlatformEvent("platform.initReport", record, "INFO", text.init_report_line(duration_ms, phase, status, None))


# -- invoke ------------------------------------------------------------------------------------------------


def start(request_id: str, trace_id: str, version: str = text.VERSION) -> PlatformEvent:
    """An event is handed out."""
    record = {"requestId": request_id, "version": version, **_tracing(trace_id)}
    return PlatformEvent("platform.start", record, "INFO", text.start_line(request_id, version))


def runtime_done(
    request_id: str,
    *,
    status: str = "success",
    error_type: str | None = None,
    duration_ms: float,
    produced_bytes: int,
    spans: Sequence[Span],
    trace_id: str,
) -> PlatformEvent:
    """The runtime has asked for its next event, or has failed to; extensions may still be at work."""
    record = {
        "requestId": request_id,
        **_ending(status, error_type),
        "metrics": {"durationMs": _milliseconds(duration_ms), "producedBytes": produced_bytes},
        **_spans(spans),
        **_tracing(trace_id),
    }
    return PlatformEvent("platform.runtimeDone", record, "DEBUG" if status == "success" else "WARN")


def end(request_id: str) -> PlatformEvent:
    """Everybody is parked. Only text logs and the Logs API know this event."""
    return PlatformEvent("platform.end", {"requestId": request_id}, "INFO", text.end_line(request_id))


def report(report: Report, *, spans: Sequence[Span], old: bool) -> PlatformEvent:
    """What an invocation took; ``old`` leaves status and error type out of the line of a text log."""
    metrics: dict[str, float] = {
        "durationMs": _milliseconds(report.duration_ms),
        "billedDurationMs": report.billed_ms,
        "memorySizeMB": report.memory_mb,
        "maxMemoryUsedMB": report.max_memory_mb,
    }
    if report.init_ms is not None:
        metrics["initDurationMs"] = _milliseconds(report.init_ms)
    status = report.status or "success"
    error_type = report.error_type if status != "success" else None
    record = {"requestId": report.request_id, **_ending(status, error_type), "metrics": metrics, **_spans(spans)}
    level = "INFO" if status == "success" else "WARN"
    return PlatformEvent("platform.report", record, level, text.report_line(report, old=old))


def fault(message: str, *, old: bool) -> PlatformEvent:
    """An invocation has failed, in words; [D] only the Logs API and text logs of the old format have it."""
    return PlatformEvent("platform.fault", message.rstrip("\n"), "WARN", f"{message}\n" if old else None)


# -- extensions and their subscriptions --------------------------------------------------------------------


def extension(name: str, state: str, events: Sequence[str], error_type: str | None = None) -> PlatformEvent:
    """An extension is ready, or has failed."""
    record: dict[str, Any] = {"name": name, "state": state, "events": list(events)}
    if error_type is not None:
        record["errorType"] = error_type
    level = "INFO" if error_type is None else "WARN"
    return PlatformEvent("platform.extension", record, level, text.extension_line(name, state, events, error_type))


def telemetry_subscription(name: str, types: Sequence[str]) -> PlatformEvent:
    """An extension listens to the Telemetry API."""
    return _subscription("telemetry", name, types)


def logs_subscription(name: str, types: Sequence[str]) -> PlatformEvent:
    """An extension listens to the Logs API."""
    return _subscription("logs", name, types)


def logs_dropped(dropped_bytes: int, dropped_records: int, reason: str) -> PlatformEvent:
    """A subscriber was too slow, and has lost something."""
    record = {"droppedBytes": dropped_bytes, "droppedRecords": dropped_records, "reason": reason}
    return PlatformEvent("platform.logsDropped", record, "WARN")


def _subscription(api: str, name: str, types: Sequence[str]) -> PlatformEvent:
    record = {"name": name, "state": "Subscribed", "types": list(types)}
    return PlatformEvent(f"platform.{api}Subscription", record, "INFO", text.subscription_line(api, name, types))


# -- parts of records --------------------------------------------------------------------------------------


def _ending(status: str, error_type: str | None) -> dict[str, str]:
    # [C] a timeout has no error type
    named = error_type if status != "timeout" else None
    return {"status": status} if named is None else {"status": status, "errorType": named}


def _spans(spans: Sequence[Span]) -> dict[str, Any]:
    found = [
        {"name": span.name, "start": text.iso_time(span.start), "durationMs": _milliseconds(span.duration_ms)}
        for span in spans
    ]
    return {"spans": found} if found else {}


def _tracing(trace_id: str) -> Mapping[str, Any]:
    return {"tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id}} if trace_id else {}


def _milliseconds(value: float) -> float:
    return round(value, 3)
