"""The Telemetry API and the Logs API with a real listener inside, in both kinds of sandbox."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.embedded import DeployedFunction
from emulator.model import Logging
from tests.conformance.kinds import KINDS, LAYERS, Bench

TELEMETRY = {"path": "/2022-07-01/telemetry", "schemaVersion": "2022-12-13"}
LOGS = {"path": "/2020-08-15/logs", "schemaVersion": "2021-03-18"}
HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8090/some/where?now=yes"}
TCP = {"protocol": "TCP", "port": 8090}


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One emulator for each kind of sandbox."""
    with Bench.set_up(request.param) as bench:
        yield bench


def listen(
    bench: Bench,
    api: dict[str, str],
    destination: dict[str, Any],
    *more_layers: str,
    types: tuple[str, ...] = ("platform", "function"),
    code: str = "anything",
    timeout: int = 10,
    logging: Logging | None = None,
    **wish: Any,
) -> DeployedFunction:
    """A function with a listener beside it."""
    body = {
        "schemaVersion": api["schemaVersion"],
        "types": types,
        "buffering": {"timeoutMs": 25},
        "destination": destination,
    }
    return bench.deploy(
        code,
        timeout=timeout,
        logging=logging or Logging(),
        layers=[LAYERS / "listener", *(LAYERS / layer for layer in more_layers)],
        environment={"LISTENER": json.dumps({"path": api["path"], "body": body, **wish})},
    )


def heard(function: DeployedFunction) -> list[dict[str, Any]]:
    """What the listener was sent so far, in that order."""
    return [json.loads(found) for found in re.findall(r"^listener: heard (.+)$", function.logs(), re.MULTILINE)]


# -- destinations and shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", [HTTP, TCP], ids=["http", "tcp"])
def test_telemetry(bench: Bench, destination: dict[str, Any]) -> None:
    """Everything of a life comes over both ways, in one order, each record in its envelope."""
    function = listen(bench, TELEMETRY, destination, wait_for={"SHUTDOWN": "platform.report"})
    function.invoke({"do": "say", "lines": ["hello", "✓"]})
    function.recycle()
    assert 'listener: subscribed 200 "OK"\n' in function.logs()
    records = heard(function)
    assert [record["type"] for record in records] == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "function",
        "function",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert all(list(record) == ["time", "type", "record"] for record in records)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"]) for record in records)
    assert [record["time"] for record in records] == sorted(record["time"] for record in records)
    assert [record["record"] for record in records if record["type"] == "function"] == ["hello\n", "✓\n"]
    if destination is HTTP:
        assert "listener: batch POST /some/where?now=yes application/json\n" in function.logs()


def test_the_logs_api(bench: Bench) -> None:
    """Its own events, and fewer members in the records that both APIs have."""
    destination = HTTP | {"method": "PUT"}
    function = listen(bench, LOGS, destination, wait_for={"SHUTDOWN": "platform.report"})
    first = function.invoke({"do": "say", "lines": ["hello"]})
    function.recycle()
    assert "LOGS\tName: listener\tState: Subscribed\tTypes: [Platform, Function]\n" in first.logs
    assert "listener: batch PUT /some/where?now=yes application/json\n" in function.logs()
    records = [(record["type"], record["record"]) for record in heard(function)]
    (metrics,) = [record.pop("metrics") for kind, record in records if kind == "platform.report"]
    assert records == [
        (
            "platform.logsSubscription",
            {"name": "listener", "state": "Subscribed", "types": ["platform", "function"]},
        ),
        ("platform.extension", {"name": "listener", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}),
        ("platform.start", {"requestId": first.request_id, "version": "$LATEST"}),
        ("function", "hello\n"),
        ("platform.runtimeDone", {"requestId": first.request_id, "status": "success"}),
        ("platform.end", {"requestId": first.request_id}),
        ("platform.report", {"requestId": first.request_id}),
    ]
    assert metrics.keys() == {
        "durationMs",
        "billedDurationMs",
        "memorySizeMB",
        "maxMemoryUsedMB",
        "initDurationMs",
    }


def test_lines_of_extensions_and_lines_that_are_objects(bench: Bench) -> None:
    """With a log in JSON the function's objects stay objects; what another extension prints comes as well."""
    function = listen(
        bench,
        TELEMETRY,
        TCP,
        "actor",
        types=("function", "extension"),
        logging=Logging(format="JSON"),
        wait_for={"1": "function"},
    )
    function.invoke({"do": "say", "lines": ['{"level": "WARN", "n": 1.50}', "plain"]})
    records = [(record["type"], record["record"]) for record in heard(function)]
    assert ("extension", "actor: begin\n") in records
    assert ("function", {"level": "WARN", "n": 1.5}) in records


# -- failures --------------------------------------------------------------------------------------------------


def test_a_timeout_in_telemetry(bench: Bench) -> None:
    """[R] Without an error type or a span; the report is cut at the timeout; the init that follows is told as well."""
    function = listen(bench, TELEMETRY, TCP, types=("platform",), timeout=3, wait_for={"SHUTDOWN": "platform.report"})
    failed = function.invoke({"do": "sleep", "seconds": 60})
    function.invoke({"do": "count"})
    function.recycle()
    records = heard(function)
    kinds = [record["type"] for record in records]
    begin = kinds.index("platform.runtimeDone")
    done, report = records[begin]["record"], records[begin + 1]["record"]
    assert done == {
        "requestId": failed.request_id,
        "status": "timeout",
        "metrics": {"durationMs": done["metrics"]["durationMs"], "producedBytes": 0},
        "tracing": done["tracing"],
    }
    assert done["metrics"]["durationMs"] > 1500
    assert report["status"] == "timeout"
    assert "errorType" not in report
    assert report["metrics"]["durationMs"] == 3000
    assert kinds[begin + 2 :] == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert [records[at]["record"]["phase"] for at in (begin + 2, begin + 4, begin + 6)] == ["invoke"] * 3


def test_a_crash_in_telemetry(bench: Bench) -> None:
    """Status and type of the error in both records."""
    function = listen(bench, TELEMETRY, TCP, types=("platform",), wait_for={"SHUTDOWN": "platform.report"})
    function.invoke({"do": "leave", "status": 3})
    records = {record["type"]: record["record"] for record in heard(function)}
    for kind in ("platform.runtimeDone", "platform.report"):
        assert (records[kind]["status"], records[kind]["errorType"]) == ("error", "Runtime.ExitError")


# -- freeze ----------------------------------------------------------------------------------------------------


def test_nothing_comes_while_it_is_frozen(bench: Bench) -> None:
    """The report of an invocation waits for the thaw of the next one, or for the end."""
    function = listen(
        bench, TELEMETRY, HTTP, types=("platform",), wait_for={"2": "platform.report", "SHUTDOWN": "platform.report"}
    )
    first = function.invoke({"do": "count"})
    before = function.logs()
    threading.Event().wait(0.3)  # the gap that is looked at
    assert function.logs() == before
    assert reports(before) == []
    second = function.invoke({"do": "count"})
    log = function.logs()
    assert reports(log) == [first.request_id]
    assert log.index(f"START RequestId: {second.request_id}") < log.index('heard {"time"', len(before))
    function.recycle()
    log = function.logs()
    assert reports(log) == [first.request_id, second.request_id]
    assert log.index("listener: SHUTDOWN spindown") > log.index(f"REPORT RequestId: {second.request_id}")


def reports(log: str) -> list[str]:
    """The invocations whose report the listener has got."""
    return re.findall(r'^listener: heard .*"platform.report", "record": {"requestId": "([^"]+)"', log, re.MULTILINE)


# -- too slow --------------------------------------------------------------------------------------------------


def test_a_listener_that_does_not_read_loses_records(bench: Bench) -> None:
    """The function is not held up, the oldest records are dropped, and a record tells how many."""
    function = listen(
        bench,
        TELEMETRY,
        HTTP,
        types=("function",),
        code="chatty",
        deaf_until=2,
        wait_for={"2": "platform.logsDropped", "SHUTDOWN": "function"},
    )
    lines, writers = 20_000, 3
    function.invoke({"lines": lines})
    assert heard(function) == []
    function.invoke({"lines": 0})
    (dropped,) = [record for record in heard(function) if record["type"] == "platform.logsDropped"]
    assert dropped["record"].keys() == {"droppedBytes", "droppedRecords", "reason"}
    assert 0 < dropped["record"]["droppedRecords"] < lines * writers
    assert dropped["record"]["droppedBytes"] > 100 * dropped["record"]["droppedRecords"]
    assert function.logs().count("\nout ") == lines
