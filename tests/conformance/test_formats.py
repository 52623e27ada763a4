"""What stands in logs and payloads, in the old format and in JSON, in both kinds of sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.embedded import DeployedFunction
from emulator.model import Logging
from tests.conformance.kinds import KINDS, Bench

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
REPORT = r"Duration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB\tMax Memory Used: \d+ MB\t"


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One emulator of the old format for each kind of sandbox; it says nothing of logs in JSON."""
    folder = str(tmp_path_factory.mktemp("logs"))
    with Bench.set_up(request.param, old_formats=True, log_folder=folder) as bench:
        yield bench


# -- the old format --------------------------------------------------------------------------------------------


def test_an_old_timeout(bench: Bench) -> None:
    """A payload without a type; the log has the same sentence, an empty line, and a REPORT that says nothing of it."""
    function = bench.deploy(timeout=1)
    function.invoke({"do": "count"})
    failed = function.invoke({"do": "sleep", "seconds": 30})
    sentence = rf"({TIME} {failed.request_id} Task timed out after 1\.00 seconds)"
    payload = re.fullmatch(rf'{{"errorMessage":"{sentence}"}}', failed.raw_payload.decode())
    assert payload is not None
    assert failed.function_error == "Unhandled"
    request_id = re.escape(failed.request_id)
    log = re.fullmatch(
        rf"START RequestId: {request_id} Version: \$LATEST\n"
        rf"{sentence}\n\n"
        rf"END RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\t{REPORT}\n",
        failed.logs,
    )
    assert log is not None, failed.logs
    assert log[1] == payload[1]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"do": "leave", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "leave", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "kill_self"}, "Runtime exited with error: signal: killed"),
    ],
)
def test_an_old_exit(bench: Bench, event: dict[str, Any], text: str) -> None:
    """The payload is as ever; the log has message and type of it in two lines, and no Status."""
    function = bench.deploy()
    function.invoke({"do": "count"})
    failed = function.invoke(event)
    message = f"RequestId: {failed.request_id} Error: {text}"
    assert failed.raw_payload.decode() == f'{{"errorType":"Runtime.ExitError","errorMessage":"{message}"}}'
    request_id = re.escape(failed.request_id)
    assert re.fullmatch(
        rf"START RequestId: {request_id} Version: \$LATEST\n"
        rf"{re.escape(message)}\nRuntime\.ExitError\n"
        rf"END RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\t{REPORT}\n",
        failed.logs,
    ), failed.logs


def test_an_old_report_of_a_cold_start(bench: Bench) -> None:
    """As the new one: there is nothing to say of what went well."""
    result = bench.deploy().invoke({"do": "say", "lines": ["hello"]})
    request_id = re.escape(result.request_id)
    assert re.fullmatch(
        r"INIT_START Runtime Version: python:[\d.]+\.emulated\t\n"
        rf"START RequestId: {request_id} Version: \$LATEST\n"
        r"hello\n"
        rf"END RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\t{REPORT}Init Duration: [\d.]+ ms\t\n",
        result.logs,
    ), result.logs


# -- JSON ------------------------------------------------------------------------------------------------------


LOGGING = """
import logging, sys

logger = logging.getLogger()

def handler(event, context):
    logger.debug("too fine")
    logger.info("also too fine")
    logger.warning("careful, %s", event["name"], extra={"order": 7})
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    print("printed")
    print('{"level": "INFO", "by": "hand"}')
    print('{"level": "error", "by": "hand"}', file=sys.stderr)
"""


def test_a_log_in_json(bench: Bench, tmp_path: Path) -> None:
    """Python's logging writes objects and leaves out what is below the level; so do Lambda and the log itself."""
    (tmp_path / "app.py").write_text(LOGGING)
    tmp_path.chmod(0o755)
    function = bench.deploy(tmp_path, logging=Logging(format="JSON", application_level="WARN"))
    result = function.invoke({"name": "you"})
    lines = result.logs.splitlines()
    assert "printed" in lines
    entries = [json.loads(line) for line in lines if line != "printed"]
    platform = [entry for entry in entries if "type" in entry]
    own = [entry for entry in entries if "type" not in entry]
    assert [entry["type"] for entry in platform] == ["platform.initStart", "platform.start", "platform.report"]
    assert all(list(entry) == ["time", "type", "record"] and re.fullmatch(TIME, entry["time"]) for entry in platform)
    assert platform[2]["record"]["requestId"] == result.request_id
    assert [entry.get("message", entry.get("by")) for entry in own] == ["careful, you", "failed", "hand"]
    warning, error, by_hand = own
    assert (warning["level"], warning["order"], warning["requestId"]) == ("WARNING", 7, result.request_id)
    assert (error["level"], error["errorType"], error["errorMessage"]) == ("ERROR", "ValueError", "no")
    assert by_hand["level"] == "error"
    assert "too fine" not in function.logs()


@pytest.mark.parametrize(
    ("level", "types"),
    [
        (
            "DEBUG",
            [
                "platform.initStart",
                "platform.initRuntimeDone",
                "platform.initReport",
                "platform.start",
                "platform.runtimeDone",
                "platform.report",
            ],
        ),
        ("WARN", []),
    ],
)
def test_levels_of_lambdas_own_lines(bench: Bench, level: Any, types: list[str]) -> None:
    """All of them, or none where all went well."""
    function = bench.deploy(logging=Logging(format="JSON", system_level=level))
    result = function.invoke({"do": "count"})
    assert [json.loads(line)["type"] for line in result.logs.splitlines()] == types


def test_a_timeout_in_json(bench: Bench) -> None:
    """A report of level WARN, with what the record of telemetry has."""
    function = bench.deploy(timeout=1, logging=Logging(format="JSON", system_level="WARN"))
    failed = function.invoke({"do": "sleep", "seconds": 30})
    records = {entry["type"]: entry["record"] for entry in map(json.loads, failed.logs.splitlines())}
    assert records.keys() == {"platform.runtimeDone", "platform.report"}
    assert all(record["status"] == "timeout" and "errorType" not in record for record in records.values())


# -- groups and streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [None, "/shared/by-all"])
def test_groups_and_streams(bench: Bench, group: str | None) -> None:
    """What the function is told is where its log is; in a group of one's own the stream has the function's name."""
    function = bench.deploy(logging=Logging(group=group))
    result = function.invoke({"do": "describe"})
    variables, stream = result.payload["environment"], result.payload["log_stream"]
    name = function.name if group else ""
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == (group or f"/aws/lambda/{function.name}")
    assert variables["AWS_LAMBDA_LOG_STREAM_NAME"] == stream == result.report.log_stream
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/{name}\[\$LATEST\][0-9a-f]{{32}}", stream)
    assert file_of(function, variables).read_text() == result.logs


def file_of(function: DeployedFunction, variables: dict[str, str]) -> Path:
    """Where the stream is on this machine."""
    folder = Path(function.emulator.status().log_folder)
    group, stream = variables["AWS_LAMBDA_LOG_GROUP_NAME"], variables["AWS_LAMBDA_LOG_STREAM_NAME"]
    return folder / group.strip("/") / f"{stream}.log"
