"""Lambda's own events: records in AWS's spelling and order, levels of its mapping, lines of a text log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator import platform_events as events
from emulator import text
from emulator.model import EnvironmentId, Function, InitializationType, Logging, Report, RequestId
from emulator.platform_events import PlatformEvent, Span

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"
ON_DEMAND, PROVISIONED = InitializationType.ON_DEMAND, InitializationType.PROVISIONED_CONCURRENCY
SPAN = Span("responseLatency", 1_709_572_958.0334, 1.23456)


def compact(event: PlatformEvent) -> str:
    """The record as it goes over the wire: the order of its members counts."""
    return json.dumps(event.record, separators=(",", ":"))


def report(**values: Any) -> Report:
    known: dict[str, Any] = {
        "request_id": RequestId(ID),
        "environment_id": EnvironmentId("e"),
        "log_stream": "s",
        "cold_start": True,
        "duration_ms": 11.64249,
        "billed_ms": 12,
        "memory_mb": 128,
        "max_memory_mb": 67,
        "init_ms": 174.0554,
    }
    return Report(**(known | values))


@pytest.mark.parametrize(("phase", "has_line"), [("init", True), ("invoke", False)])
def test_an_init_that_starts(phase: str, has_line: bool) -> None:
    """The stream is the instance's id, memory is bytes; one inside an invocation has no line."""
    function = Function(name="fn", code=Path(), runtime="python3.13", memory=256)
    event = events.init_start(function, initialization=ON_DEMAND, phase=phase, log_stream="2024/08/17/[$LATEST]60ce")
    assert compact(event) == (
        f'{{"initializationType":"on-demand","phase":"{phase}","runtimeVersion":"python:3.13.emulated",'
        '"functionName":"fn","functionVersion":"$LATEST","instanceId":"2024/08/17/[$LATEST]60ce",'
        '"instanceMaxMemory":268435456}'
    )
    assert (event.type, event.level) == ("platform.initStart", "INFO")
    assert event.line == (text.init_start_line("python3.13") if has_line else None)


def test_an_image_has_no_version_to_tell() -> None:
    """Neither in the record nor in the log."""
    function = Function(name="fn", image="mine:1", memory=256)
    event = events.init_start(function, initialization=ON_DEMAND, phase="init", log_stream="s")
    assert "runtimeVersion" not in event.record
    assert event.line is None


def test_a_runtime_that_has_done_its_init() -> None:
    """No line; a failure is a warning and has a type."""
    done = events.init_runtime_done(initialization=PROVISIONED, phase="init")
    assert compact(done) == '{"initializationType":"provisioned-concurrency","phase":"init","status":"success"}'
    assert (done.type, done.level, done.line) == ("platform.initRuntimeDone", "DEBUG", None)
    failed = events.init_runtime_done(
        initialization=ON_DEMAND, phase="invoke", status="error", error_type="Runtime.ExitError"
    )
    assert failed.record["errorType"] == "Runtime.ExitError"
    assert failed.level == "WARN"


@pytest.mark.parametrize(
    ("initialization", "status", "error_type", "level", "line"),
    [
        (ON_DEMAND, "success", None, "DEBUG", None),
        (PROVISIONED, "success", None, "INFO", "INIT_REPORT Init Duration: 565.40 ms\tPhase: init\tStatus: success\n"),
        (
            ON_DEMAND,
            "error",
            "Runtime.Unknown",
            "WARN",
            "INIT_REPORT Init Duration: 565.40 ms\tPhase: init\tStatus: error\tError Type: Runtime.Unknown\n",
        ),
        (
            PROVISIONED,
            "timeout",
            "Runtime.Unknown",
            "WARN",
            "INIT_REPORT Init Duration: 565.40 ms\tPhase: init\tStatus: timeout\n",
        ),
    ],
)
def test_the_report_of_an_init(
    initialization: InitializationType, status: str, error_type: str | None, level: str, line: str | None
) -> None:
    """A successful one on demand has no line and the lowest level; a timeout has no type."""
    event = events.init_report(
        initialization=initialization, phase="init", duration_ms=565.39961, status=status, error_type=error_type
    )
    named = ',"errorType":"Runtime.Unknown"' if status == "error" else ""
    assert compact(event) == (
        f'{{"initializationType":"{initialization}","phase":"init","status":"{status}"{named},'
        '"metrics":{"durationMs":565.4}}'
    )
    assert (event.type, event.level, event.line) == ("platform.initReport", level, line)


def test_an_invocation_that_starts() -> None:
    """With its trace where there is one."""
    event = events.start(ID, TRACE)
    assert compact(event) == (
        f'{{"requestId":"{ID}","version":"$LATEST","tracing":{{"type":"X-Amzn-Trace-Id","value":"{TRACE}"}}}}'
    )
    assert (event.type, event.level, event.line) == ("platform.start", "INFO", text.start_line(ID))
    assert "tracing" not in events.start(ID, "").record


def test_a_runtime_that_is_done() -> None:
    """Metrics to the microsecond, spans with their moments, and no line."""
    event = events.runtime_done(ID, duration_ms=11.18549, produced_bytes=40, spans=[SPAN], trace_id=TRACE)
    assert compact(event) == (
        f'{{"requestId":"{ID}","status":"success","metrics":{{"durationMs":11.185,"producedBytes":40}},'
        '"spans":[{"name":"responseLatency","start":"2024-03-04T17:22:38.033Z","durationMs":1.235}],'
        f'"tracing":{{"type":"X-Amzn-Trace-Id","value":"{TRACE}"}}}}'
    )
    assert (event.type, event.level, event.line) == ("platform.runtimeDone", "DEBUG", None)


@pytest.mark.parametrize(
    ("status", "error_type", "record"),
    [
        ("error", "Runtime.ExitError", '"status":"error","errorType":"Runtime.ExitError"'),
        ("failure", "Sandbox.Failure", '"status":"failure","errorType":"Sandbox.Failure"'),
        ("timeout", "Sandbox.Timedout", '"status":"timeout"'),
    ],
)
def test_a_runtime_that_has_failed(status: str, error_type: str, record: str) -> None:
    """Status and type stand behind the id; a timeout has no type."""
    event = events.runtime_done(
        ID, status=status, error_type=error_type, duration_ms=5001.182, produced_bytes=0, spans=(), trace_id=""
    )
    assert compact(event) == (f'{{"requestId":"{ID}",{record},"metrics":{{"durationMs":5001.182,"producedBytes":0}}}}')
    assert event.level == "WARN"


def test_the_report_of_an_invocation() -> None:
    """As recorded: durations to the microsecond, whole milliseconds billed, init only where there was one."""
    event = events.report(report(), spans=[Span("extensionOverhead", 0.0, 2.0)], old=False)
    assert compact(event) == (
        f'{{"requestId":"{ID}","status":"success","metrics":{{"durationMs":11.642,"billedDurationMs":12,'
        '"memorySizeMB":128,"maxMemoryUsedMB":67,"initDurationMs":174.055},'
        '"spans":[{"name":"extensionOverhead","start":"1970-01-01T00:00:00.000Z","durationMs":2.0}]}'
    )
    assert (event.type, event.level, event.line) == ("platform.report", "INFO", text.report_line(report()))
    assert "initDurationMs" not in events.report(report(init_ms=None), spans=(), old=False).record["metrics"]


def test_the_report_of_a_failure() -> None:
    """A crash has a type, a timeout has none, a handled error is a success; the old line says nothing of it."""
    crash = report(status="error", error_type="Runtime.ExitError")
    event = events.report(crash, spans=(), old=True)
    assert (event.record["status"], event.record["errorType"], event.level) == ("error", "Runtime.ExitError", "WARN")
    assert event.line == text.report_line(report())
    timeout = events.report(report(status="timeout", error_type="Sandbox.Timedout"), spans=(), old=False)
    assert timeout.record["status"] == "timeout"
    assert "errorType" not in timeout.record
    handled = events.report(report(error_type="Runtime.Unknown"), spans=(), old=False)
    assert handled.record["status"] == "success"
    assert "errorType" not in handled.record


def test_what_only_text_logs_and_the_logs_api_know() -> None:
    """END and faults have no line in a JSON log; a fault's record is its message."""
    end, fault = events.end(ID), events.fault(text.timeout_fault(ID, 3, 0.0), old=True)
    assert (end.type, end.record, end.line) == ("platform.end", {"requestId": ID}, text.end_line(ID))
    assert fault.record == f"1970-01-01T00:00:00.000Z {ID} Task timed out after 3.00 seconds"
    assert fault.line == f"{fault.record}\n\n"
    assert events.json_line(end, 0.0) is None
    assert events.json_line(fault, 0.0) is None


def test_extensions_and_their_subscriptions() -> None:
    """Types in a record are as subscribed, in a line with capitals; a failure is a warning."""
    ready = events.extension("x", "Ready", ("INVOKE", "SHUTDOWN"))
    assert compact(ready) == '{"name":"x","state":"Ready","events":["INVOKE","SHUTDOWN"]}'
    assert (ready.type, ready.level) == ("platform.extension", "INFO")
    assert ready.line == text.extension_line("x", "Ready", ["INVOKE", "SHUTDOWN"])
    failed = events.extension("x", "InitError", (), "Extension.Bad")
    assert compact(failed) == '{"name":"x","state":"InitError","events":[],"errorType":"Extension.Bad"}'
    assert failed.level == "WARN"
    for api, event in {
        "telemetry": events.telemetry_subscription("x", ["platform"]),
        "logs": events.logs_subscription("x", ["platform"]),
    }.items():
        assert compact(event) == '{"name":"x","state":"Subscribed","types":["platform"]}'
        assert (event.type, event.level) == (f"platform.{api}Subscription", "INFO")
        assert event.line == text.subscription_line(api, "x", ["platform"])


def test_what_was_dropped() -> None:
    """A warning without a line."""
    event = events.logs_dropped(123, 4, "too slow")
    assert compact(event) == '{"droppedBytes":123,"droppedRecords":4,"reason":"too slow"}'
    assert (event.type, event.level, event.line) == ("platform.logsDropped", "WARN", None)


def test_a_line_of_a_json_log_is_the_event_in_its_envelope() -> None:
    """Letters as they are, without blanks, a newline at the end."""
    function = Function(name="fn", code=Path(), logging=Logging(format="JSON"))
    event = events.init_start(function, initialization=ON_DEMAND, phase="init", log_stream="ä")
    line = events.json_line(event, 1_709_572_958.033)
    assert line is not None
    assert line.startswith('{"time":"2024-03-04T17:22:38.033Z","type":"platform.initStart","record":{"init')
    assert '"instanceId":"ä"' in line
    assert line.endswith("}}\n")
