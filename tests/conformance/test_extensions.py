"""Real extensions beside the real runtime client, in both kinds of sandbox: how they live, fail and end."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.embedded import DeployedFunction, InvocationResult
from tests.conformance.kinds import KINDS, LAYERS, Bench, layer_of, lines_of, open_gate, still_running
from tests.integration.conftest import SAMPLES
from tests.support import eventually

WATCHERS = SAMPLES / "layers"
GATE_PORT = 8060


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One emulator for each kind of sandbox."""
    with Bench.set_up(request.param) as bench:
        yield bench


def zipped(layer: Path, folder: Path) -> Path:
    """The same layer as an archive, with the modes of its files."""
    return Path(shutil.make_archive(str(folder / layer.name), "zip", layer))


def platform_error(result: InvocationResult, error_type: str, message: str) -> None:
    """The client's payload, byte for byte."""
    text = f'{{"errorType":"{error_type}","errorMessage":"RequestId: {result.request_id} Error: {message}"}}'
    assert result.raw_payload.decode() == text
    assert result.function_error == "Unhandled"


def platform_lines(log: str) -> list[str]:
    """Lambda's own, by their first words."""
    return [line for line in lines_of(log) if line.replace("_", "").isalpha() and line.isupper()]


# -- the life of an extension ----------------------------------------------------------------------------------


def test_the_samples_in_one_environment(bench: Bench, tmp_path: Path) -> None:
    """A folder in Python and an archive with a shell and curl: INVOKE, telemetry in the recorded order, SHUTDOWN."""
    layers = [WATCHERS / "watcher", zipped(WATCHERS / "curl-watcher", tmp_path)]
    function = bench.deploy(layers=layers)
    first = function.invoke({"do": "say", "lines": ["hello"]})
    eventually(lambda: all_told(function, first.request_id), "telemetry of the first invocation")
    function.recycle()
    log = function.logs()
    assert lines_of(first.logs)[0] == "INIT_START"
    names = ("curl-watcher", "watcher")
    for name in names:
        assert f"TELEMETRY\tName: {name}\tState: Subscribed\tTypes: [Platform, Function]\n" in first.logs
        assert f"EXTENSION\tName: {name}\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in first.logs
        assert f"{name}: INVOKE {first.request_id}\n" in first.logs
        assert f"{name}: SHUTDOWN spindown\n" in log
        types = re.findall(rf"^{name}: telemetry ([\w.]+)", log, re.MULTILINE)
        assert types[: types.index("platform.report") + 1] == [
            "platform.initStart",
            *["platform.telemetrySubscription"] * 2,
            "platform.initRuntimeDone",
            *["platform.extension"] * 2,
            "platform.initReport",
            "platform.start",
            "function",
            "platform.runtimeDone",
            "platform.report",
        ]
    assert still_running(function) == []


def all_told(function: DeployedFunction, request_id: str) -> bool:
    """One more invocation; whether the report of an earlier one has come to both watchers by then."""
    function.invoke({"do": "echo"})
    log = function.logs()
    return f'watcher: telemetry platform.report {{"requestId": "{request_id}"' in log and (
        "curl-watcher: telemetry platform.report\n" in log
    )


def test_two_emulators_on_one_machine() -> None:
    """As processes, the extensions of both listen on the same port, and each hears of its own environment."""
    with Bench.set_up("process") as one, Bench.set_up("process") as other:
        functions = [bench.deploy(layers=[WATCHERS / "watcher"]) for bench in (one, other)]
        results = [function.invoke({"do": "count"}) for function in functions]
        assert [result.payload for result in results] == [1, 1]
        for function in functions:
            function.recycle()
            (told,) = re.findall(r"^watcher: telemetry platform.initStart (.+)$", function.logs(), re.MULTILINE)
            assert json.loads(told)["functionName"] == function.name


def test_what_the_events_tell(bench: Bench) -> None:
    """Statuses, metrics and spans that agree with each other and with the log; the line of the function."""
    function = bench.deploy(layers=[WATCHERS / "watcher"])
    first = function.invoke({"do": "say", "lines": ["hello"]})
    (environment,) = function.environments()
    function.recycle()
    told = dict(re.findall(r"^watcher: telemetry ([\w.]+) (.+)$", function.logs(), re.MULTILINE))
    events: dict[str, Any] = {kind: json.loads(record) for kind, record in told.items()}
    init = {"initializationType": "on-demand", "phase": "init"}
    assert events["platform.initStart"] == init | {
        "runtimeVersion": events["platform.initStart"]["runtimeVersion"],
        "functionName": function.name,
        "functionVersion": "$LATEST",
        "instanceId": environment.log_stream,
        "instanceMaxMemory": 512 * 2**20,
    }
    assert events["platform.initRuntimeDone"] == init | {"status": "success"}
    assert events["platform.initReport"].keys() == {*init, "status", "metrics"}
    assert events["function"] == "hello\n"
    done, report = events["platform.runtimeDone"], events["platform.report"]
    tracing = events["platform.start"]["tracing"]
    assert events["platform.start"] == {"requestId": first.request_id, "version": "$LATEST", "tracing": tracing}
    assert done["tracing"] == tracing
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == (first.request_id, "success", 4)
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert sum(span["durationMs"] for span in done["spans"]) == pytest.approx(done["metrics"]["durationMs"], abs=0.01)
    assert [span["name"] for span in report["spans"]] == ["extensionOverhead"]
    metrics = report["metrics"]
    overhead = report["spans"][0]["durationMs"]
    assert metrics["durationMs"] == pytest.approx(done["metrics"]["durationMs"] + overhead, abs=0.01)
    report_line = re.findall(
        r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms.+Init Duration: ([\d.]+) ms", first.logs
    )
    in_report = [metrics["durationMs"], metrics["billedDurationMs"], metrics["initDurationMs"]]
    assert [float(number) for number in report_line[0]] == pytest.approx(in_report, abs=0.01)


def test_variables_that_extensions_do_not_see(bench: Bench) -> None:
    """Those of the documented list and what begins with an underscore; everything else they share."""
    function = bench.act({"begin": ["dump"]})
    in_function = function.invoke({"do": "describe"}).payload["environment"]
    in_extension = json.loads(re.findall(r"^actor: variables (.+)$", function.logs(), re.MULTILINE)[0])
    hidden = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
    }
    assert in_function.keys() & hidden == hidden
    assert in_extension.keys() & hidden == set()
    assert not [name for name in in_extension if name.startswith("_")]
    for name in ("AWS_LAMBDA_FUNCTION_NAME", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "PLAN", "TZ"):
        assert in_extension[name] == in_function[name]


def test_metadata(bench: Bench, tmp_path: Path) -> None:
    """The endpoint answers whoever uses the variables for it, and nobody else."""
    (tmp_path / "app.py").write_text(METADATA)
    tmp_path.chmod(0o755)
    assert bench.deploy(tmp_path).invoke().payload == {
        "right": [200, "private, max-age=43200, immutable", {"AvailabilityZoneID": "use1-az1"}],
        "wrong": [401, None, None],
    }


METADATA = """
import http.client, json, os

def ask(token):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_METADATA_API"], timeout=20)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", "/2026-01-15/metadata/execution-environment", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    return [answer.status, answer.getheader("Cache-Control"), json.loads(body) if answer.status == 200 else None]

def handler(event, context):
    return {"right": ask(os.environ["AWS_LAMBDA_METADATA_TOKEN"]), "wrong": ask("another")}
"""


# -- failures of an invocation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "error_type", "message", "status", "reason"),
    [
        (
            {"do": "sleep", "seconds": 60},
            "Sandbox.Timedout",
            "Task timed out after 3.00 seconds",
            "Status: timeout\t",
            "timeout",
        ),
        (
            {"do": "leave", "status": 3},
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
            "Status: error\tError Type: Runtime.ExitError\t",
            "failure",
        ),
    ],
)
def test_a_failing_runtime(
    bench: Bench, event: dict[str, Any], error_type: str, message: str, status: str, reason: str
) -> None:
    """The extension hears why, both are started again by the next invocation, and /tmp is as it was."""
    function = bench.act({}, timeout=3)
    function.invoke({"do": "write", "name": "kept", "content": "still here"})
    failed = function.invoke(event)
    platform_error(failed, error_type, message)
    assert failed.logs.endswith(status + "\n")
    assert platform_lines(failed.logs) == ["START", "END", "REPORT"]
    assert still_running(function) == []
    after = function.invoke({"do": "read", "name": "kept"})
    assert after.payload == "still here"
    assert after.environment_id == failed.environment_id
    assert platform_lines(after.logs) == ["EXTENSION", "START", "END", "REPORT"]
    heard = [line for line in lines_of(function.logs()) if line.startswith("actor")]
    start = ["actor: begin", "actor: INVOKE …"]
    assert heard == [*start, "actor: INVOKE …", f"actor: SHUTDOWN {reason}, …", *start]
    assert after.report.init_ms is None
    assert function.invoke({"do": "count"}).payload == 2


@pytest.mark.parametrize(
    ("word", "error_type", "message"),
    [
        ("exit 0", "Extension.Crash", "exit code 0"),
        ("exit 1", "Extension.Crash", "exit status 1"),
        ("exit/error My.Trouble", "Extension.ExitError", "My.Trouble"),
    ],
)
def test_an_extension_that_fails_an_invocation(bench: Bench, word: str, error_type: str, message: str) -> None:
    """The client is told if it has no answer yet; then both are started again, and /tmp is as it was."""
    function = bench.act({"INVOKE": ["", word]})
    function.invoke({"do": "write", "name": "kept", "content": "still here"})
    failed = function.invoke({"do": "sleep", "seconds": 30})
    platform_error(failed, error_type, message)
    assert failed.logs.endswith(f"\tStatus: error\tError Type: {error_type}\t\n")
    assert still_running(function) == []
    after = function.invoke({"do": "read", "name": "kept"})
    assert after.payload == "still here"
    assert after.environment_id == failed.environment_id
    lines = lines_of(after.logs)
    assert lines[lines.index("actor: begin") :][:3] == ["actor: begin", "EXTENSION", "START"]
    assert function.invoke({"do": "count"}).payload == 2


def test_an_extension_that_fails_after_the_answer(bench: Bench) -> None:
    """The client has its answer and keeps it; the report tells, and the next invocation begins anew."""
    function = bench.act({"INVOKE": ["", "gate 5"]})
    function.invoke({"do": "count"})
    with bench.client() as aws:
        answer = aws.invoke(FunctionName=function.name, Payload='{"do": "count"}')
        assert (answer["Payload"].read(), answer.get("FunctionError")) == (b"2", None)
    open_gate(function, GATE_PORT)
    eventually(lambda: function.logs().count("REPORT Req") == 2, "the report")
    assert function.logs(tail=1).endswith("\tStatus: error\tError Type: Extension.Crash\t\n")
    eventually(lambda: [found.state for found in function.environments()] == ["frozen"], "the reset")
    assert function.invoke({"do": "count"}).payload == 1


def test_one_extension_fails_and_the_other_hears_of_it(bench: Bench, tmp_path: Path) -> None:
    """A reset is told to all that are left."""
    layer = layer_of(tmp_path, first="actor", second="actor")
    (layer / "extensions" / "first").write_text(FAILS_AT_ONCE)
    function = bench.act({}, layer)
    failed = function.invoke({"do": "sleep", "seconds": 30})
    platform_error(failed, "Extension.Crash", "exit status 9")
    function.invoke({"do": "sleep", "seconds": 30})
    assert "second: SHUTDOWN failure" in function.logs()


FAILS_AT_ONCE = """#!/bin/sh
# Registers, waits for its first event, and ends.
api=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
id=$(curl -s -o /dev/null -D - -X POST $api/register -H "Lambda-Extension-Name: first" -d '{"events": ["INVOKE"]}' |
    tr -d '\\r' | sed -n 's/^Lambda-Extension-Identifier: *//p')
curl -s -o /dev/null $api/event/next -H "Lambda-Extension-Identifier: $id"
exit 9
"""


# -- failures of an init ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "error_type", "message"),
    [
        ({"begin": ["exit 0", "exit 0"]}, "Extension.Crash", "exit code 0"),
        ({"begin": ["exit 1", "exit 1"]}, "Extension.Crash", "exit status 1"),
        ({"init": ["exit 2", "exit 2"]}, "Extension.Crash", "exit status 2"),
        ({"init": ["init/error My.Trouble"] * 2}, "Extension.InitError", "My.Trouble"),
    ],
)
def test_an_extension_that_fails_init_twice(
    bench: Bench, plan: dict[str, list[str]], error_type: str, message: str
) -> None:
    """Everything is started a second time inside the invocation; its client is told, and the next one is served."""
    function = bench.act(plan)
    failed = function.invoke({"do": "count"})
    platform_error(failed, error_type, message)
    phases = re.findall(r"INIT_REPORT .+Phase: (\w+)\tStatus: (\w+)\tError Type: (\S+)", failed.logs)
    assert phases == [("init", "error", error_type), ("invoke", "error", error_type)]
    assert platform_lines(failed.logs)[-4:] == ["INIT_REPORT", "START", "END", "REPORT"]
    assert failed.logs.count("actor: begin") == 2
    assert still_running(function) == []
    after = function.invoke({"do": "count"})
    assert after.payload == 1
    assert after.environment_id == failed.environment_id


def test_an_extension_that_fails_init_once(bench: Bench) -> None:
    """Nobody but the log tells of it."""
    result = bench.act({"init": ["exit 1"]}).invoke({"do": "count"})
    assert result.payload == 1
    assert result.logs.count("INIT_REPORT") == result.logs.count("Phase: init\tStatus: error") == 1


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("#!/bin/sh\n", 0o644, "fork/exec /opt/extensions/broken: permission denied"),
        ("#!/no/such/interpreter\n", 0o755, "fork/exec /opt/extensions/broken: no such file or directory"),
    ],
)
def test_an_extension_that_cannot_be_executed(
    bench: Bench, tmp_path: Path, content: str, mode: int, message: str
) -> None:
    """It never ran, and the client hears why not."""
    function = bench.deploy(layers=[layer_of(tmp_path, mode=mode, broken=content)])
    failed = function.invoke({"do": "count"})
    platform_error(failed, "Extension.LaunchError", message)
    assert failed.logs.count("\tError Type: Extension.LaunchError") == 3  # both inits, and REPORT


def test_an_extension_that_never_registers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the time of init, and then that of the invocation; the runtime was never started."""
    monkeypatch.setattr("emulator.environment._ON_DEMAND_LIMIT", 1.0)
    function = bench.act({"begin": ["hang", "hang"]}, timeout=3)
    failed = function.invoke({"do": "count"})
    platform_error(failed, "Sandbox.Timedout", "Task timed out after 3.00 seconds")
    phases = re.findall(r"INIT_REPORT .+Phase: (\w+)\tStatus: (\w+)\n", failed.logs)
    assert phases == [("init", "timeout"), ("invoke", "timeout")]
    assert still_running(function) == []
    assert function.invoke({"do": "count"}).payload == 1


# -- the end ---------------------------------------------------------------------------------------------------


def timed_end(function: DeployedFunction) -> float:
    """Recycle it; the seconds that took."""
    begin = time.monotonic()
    function.recycle()
    spent = time.monotonic() - begin
    assert still_running(function) == []
    return spent


def test_an_extension_that_does_not_end(bench: Bench) -> None:
    """It has two seconds, and is killed."""
    function = bench.act({"SHUTDOWN": ["hang"]})
    function.invoke({"do": "count"})
    assert timed_end(function) >= 2
    (ahead,) = re.findall(r"SHUTDOWN spindown, (\d+) ms ahead", function.logs())
    assert int(ahead) <= 2000


def test_a_runtime_that_does_not_end(bench: Bench) -> None:
    """It has 300 of the 2,000 ms, and is killed; the extension hears of the end after that."""
    function = bench.deploy("ending", layers=[LAYERS / "actor"], environment={"DEAF": "yes"})
    function.invoke()
    assert timed_end(function) >= 0.3
    (ahead,) = re.findall(r"SHUTDOWN spindown, (\d+) ms ahead", function.logs())
    assert int(ahead) <= 1700


def test_an_internal_extension_buys_half_a_second(bench: Bench) -> None:
    """For a runtime that is deaf to SIGTERM; it is killed then."""
    function = bench.deploy("ending", environment={"NO_OP": "yes", "DEAF": "yes"})
    function.invoke()
    assert "EXTENSION\tName: no-op\tState: Ready\tEvents: []\n" in function.logs()
    assert timed_end(function) >= 0.5
