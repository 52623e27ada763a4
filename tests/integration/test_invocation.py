"""Invocations of real runtimes in real sandboxes, of both kinds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from emulator import Emulator
from emulator.errors import FunctionNotFoundError
from tests.integration.conftest import Deploy


def test_memory_of_the_module_survives_between_invocations(deploy: Deploy) -> None:
    """What is declared outside the handler goes on, in the same environment and log stream."""
    function = deploy()
    results = [function.invoke({"do": "count"}) for _ in range(3)]
    assert [r.payload for r in results] == [1, 2, 3]
    assert [r.cold_start for r in results] == [True, False, False]
    assert len({r.environment_id for r in results}) == 1
    assert len({r.report.log_stream for r in results}) == 1


def test_parallel_events_get_environments_of_their_own(deploy: Deploy) -> None:
    """A function never sees two events at once: three at the same time are three environments."""
    function = deploy()
    results = function.invoke_parallel([{"do": "sleep", "seconds": 0.3}] * 3)
    assert len({r.environment_id for r in results}) == 3
    assert [r.payload for r in results] == [1, 1, 1]
    again = function.invoke_parallel([{"do": "sleep", "seconds": 0.3}] * 3)
    assert {r.environment_id for r in again} == {r.environment_id for r in results}


def test_environment_used_last_serves_next(deploy: Deploy) -> None:
    """Sequential calls after a burst all go to one environment, so the others can grow old."""
    function = deploy()
    function.invoke_parallel([{"do": "sleep", "seconds": 0.2}] * 2)
    assert len({function.invoke({"do": "count"}).environment_id for _ in range(4)}) == 1


def test_environment_is_frozen_when_it_is_at_rest(emulator: Emulator, deploy: Deploy) -> None:
    """After the answer every environment of the function is frozen, and counted as such."""
    function = deploy()
    result = function.invoke({"do": "count"})
    (view,) = function.environments()
    assert view.id == result.environment_id
    assert view.state == "frozen"
    assert view.freezes == 1
    assert view.frozen_since is not None
    assert view.sandbox.kind == emulator.status().sandbox
    assert view.sandbox.pid > 0


def test_log_lines_and_report(deploy: Deploy) -> None:
    """START, the function's lines, END and REPORT come in this order, with true figures."""
    function = deploy()
    result = function.invoke({"do": "say", "lines": ["one", "zwei ✓"], "rest": "no newline"})
    lines = result.logs.splitlines()
    assert lines[0].startswith("INIT_START Runtime Version: python:3.")
    assert lines[1:6] == [
        f"START RequestId: {result.request_id} Version: $LATEST",
        "one",
        "zwei ✓",
        "no newline",
        f"END RequestId: {result.request_id}",
    ]
    assert re.fullmatch(
        rf"REPORT RequestId: {result.request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 512 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t",
        lines[6],
    )
    second = function.invoke({"do": "say", "lines": ["three"]})
    assert second.logs.splitlines()[1] == "three"
    assert "Init Duration" not in second.logs


def test_max_memory_used_is_measured(deploy: Deploy) -> None:
    """A function that takes 150 MB more shows 150 MB more, and the high-water mark stays."""
    function = deploy()
    small = function.invoke({"do": "count"}).report.max_memory_mb
    large = function.invoke({"do": "eat", "megabytes": 150}).report.max_memory_mb
    assert 8 <= small <= 100
    assert 140 <= large - small <= 200
    assert function.invoke({"do": "count"}).report.max_memory_mb >= large


def test_duration_is_the_time_of_the_handler(deploy: Deploy) -> None:
    """Duration counts the handler, billed duration rounds duration and init up."""
    report = deploy().invoke({"do": "sleep", "seconds": 0.25}).report
    assert report.init_ms is not None
    assert report.duration_ms >= 250
    assert report.billed_ms - 1 < report.duration_ms + report.init_ms <= report.billed_ms


def test_handled_error_keeps_the_environment(deploy: Deploy) -> None:
    """An exception is the function's answer, in the runtime's own words, and nothing is reset."""
    function = deploy()
    failed = function.invoke({"do": "fail", "message": "no ✓"})
    assert failed.function_error == "Unhandled"
    assert failed.payload["errorMessage"] == "no ✓"
    assert failed.payload["errorType"] == "ValueError"
    assert failed.payload["requestId"] == failed.request_id
    assert list(failed.payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert failed.report.status is None
    assert function.invoke({"do": "count"}).payload == 2


def test_timeout(deploy: Deploy) -> None:
    """A handler that takes too long is answered in AWS's words, and the next event starts afresh."""
    function = deploy(timeout=3)
    failed = function.invoke({"do": "sleep", "seconds": 60})
    assert failed.function_error == "Unhandled"
    assert failed.raw_payload == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: %b Error: Task timed out after 3.00 seconds"}'
        % failed.request_id.encode()
    )
    assert failed.report.status == "timeout"
    assert failed.report.duration_ms == 3000
    assert failed.logs.endswith("Status: timeout\t\n")
    assert function.invoke({"do": "count"}).payload == 1


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"do": "leave", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "leave", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "kill_self"}, "Runtime exited with error: signal: killed"),
        ({"do": "segfault"}, "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_crash(deploy: Deploy, event: dict[str, object], message: str) -> None:
    """However the runtime's process dies, the client learns how, and the next event is served."""
    function = deploy()
    failed = function.invoke(event)
    assert failed.function_error == "Unhandled"
    assert (
        failed.raw_payload
        == (
            f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: {failed.request_id} Error: {message}"}}'
        ).encode()
    )
    assert failed.report.status == "error"
    assert failed.logs.endswith("Status: error\tError Type: Runtime.ExitError\t\n")
    assert function.invoke({"do": "count"}).payload == 1


def test_out_of_memory(emulator: Emulator, deploy: Deploy) -> None:
    """What needs more than its memory setting is killed and told apart from other deaths."""
    if any(note.startswith("No memory limit") for note in emulator.status().notes):
        pytest.skip("this machine gives process sandboxes no memory limit: run as root, or use containers")
    function = deploy(memory=128)
    failed = function.invoke({"do": "eat", "megabytes": 400})
    assert json.loads(failed.raw_payload)["errorType"] == "Runtime.OutOfMemory"
    assert failed.report.max_memory_mb == 128
    assert function.invoke({"do": "count"}).payload == 1


def test_failing_import(deploy: Deploy) -> None:
    """A module that cannot be imported is the answer of the first event, with an empty request id in it."""
    function = deploy("broken_import")
    failed = function.invoke({})
    assert failed.function_error == "Unhandled"
    assert failed.payload["errorType"] == "Runtime.ImportModuleError"
    assert failed.payload["errorMessage"] == (
        "Unable to import module 'app': No module named 'there_is_no_such_module'"
    )
    assert failed.payload["requestId"] == ""
    assert re.search(
        r"^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\t"
        r"Error Type: Runtime.ImportModuleError$",
        failed.logs,
        re.MULTILINE,
    )


def test_unknown_handler(deploy: Deploy) -> None:
    """A handler that is not in its module is named in the answer."""
    failed = deploy(handler="app.nowhere").invoke({})
    assert failed.payload["errorType"] == "Runtime.HandlerNotFound"
    assert failed.payload["errorMessage"] == "Handler 'nowhere' missing on module 'app'"


def test_unknown_function(emulator: Emulator) -> None:
    """The name of a function that is not deployed is refused as AWS refuses it."""
    with pytest.raises(FunctionNotFoundError) as refused:
        emulator.invoke("nobody")
    assert refused.value.message.endswith("function:nobody:$LATEST")


def test_answer_that_is_no_json(deploy: Deploy) -> None:
    """What the runtime cannot serialise is an error of the function."""
    failed = deploy().invoke({"do": "not_json"})
    assert failed.payload["errorType"] == "Runtime.MarshalError"


def test_answer_of_the_largest_size_and_one_beyond(deploy: Deploy) -> None:
    """6 MiB pass; 1 KiB more is refused with AWS's error, and the next event is served.

    It is served by a new environment: the Python runtime client exits when its answer is refused with a 413,
    here as on AWS. That the Runtime API itself stays usable is shown in the tests of its server.
    """
    function = deploy(memory=1769)
    largest = 6 * 2**20
    assert len(function.invoke({"do": "size", "characters": largest}).payload) == largest
    failed = function.invoke({"do": "size", "characters": largest + 1024})
    assert failed.payload == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert function.invoke({"do": "count"}).payload == 1


def test_surroundings(emulator: Emulator, deploy: Deploy) -> None:
    """The function finds the variables, the folder and the identity that Lambda gives it."""
    function = deploy(environment={"COLOUR": "blue"})
    result = function.invoke({"do": "describe"})
    found = result.payload
    variables = found["environment"]
    assert variables["COLOUR"] == "blue"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == function.name
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == found["memory"] == "512"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{function.name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["log_stream"])
    assert variables["DB_HOST"]
    assert found["request_id"] == result.request_id
    assert found["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}"
    assert 0 < found["remaining_ms"] <= 10_000
    assert "HOME" not in variables
    if emulator.status().sandbox == "container":
        assert (found["cwd"], found["uid"], found["gid"]) == ("/var/task", 993, 990)
        assert variables["LAMBDA_TASK_ROOT"] == "/var/task"


def test_files(emulator: Emulator, deploy: Deploy) -> None:
    """/tmp is kept from one invocation to the next, is each environment's own, and nothing else can be written."""
    function = deploy()
    function.invoke({"do": "write", "name": "kept", "content": "for later"})
    assert function.invoke({"do": "read", "name": "kept"}).payload == "for later"
    assert deploy().invoke({"do": "read", "name": "kept"}).payload["errorType"] == "FileNotFoundError"
    if emulator.status().sandbox == "container":
        failed = function.invoke({"do": "write", "folder": "/var/task", "name": "x", "content": ""})
        assert failed.payload["errorType"] == "OSError"


def test_environments_cannot_reach_each_other_through_the_runtime_api(deploy: Deploy) -> None:
    """An environment that uses another's address is not served: nobody takes somebody else's events."""
    victim, thief = deploy(), deploy()
    address = victim.invoke({"do": "describe"}).payload["environment"]["AWS_LAMBDA_RUNTIME_API"]
    own = thief.invoke({"do": "describe"}).payload["environment"]["AWS_LAMBDA_RUNTIME_API"]
    answer = thief.invoke({"do": "ask_runtime_api", "address": address}).payload
    if address != own:  # processes: addresses of their own
        assert answer in ("ConnectionResetError", "RemoteDisconnected")
    assert victim.invoke({"do": "count"}).payload == 2


def test_code_change_recycles(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """A saved file ends the environments of the old code, and the next event runs the new one."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text("def handler(event, context):\n    return 'old'\n")
    code.chmod(0o755)
    function = deploy(code=code)
    first = function.invoke()
    assert first.payload == "old"
    (code / "app.py").write_text("def handler(event, context):\n    return 'the new one'\n")
    ended = emulator.wait_for("environment.shutting-down", environment=first.environment_id)
    assert ended.reason == "its code changed"
    assert function.invoke().payload == "the new one"
