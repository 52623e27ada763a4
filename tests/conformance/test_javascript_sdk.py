"""AWS's client library for JavaScript (SDK v3), unmodified; one program asks everything, each test looks at a case."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kinds import Bench, lines_of
from tests.needs import need_javascript_sdk

PROGRAM = Path(__file__).parent / "javascript" / "cases.mjs"
NOT_FOUND = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:"
Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One emulator, with processes."""
    need_javascript_sdk()
    with Bench.set_up("process") as bench:
        yield bench


@pytest.fixture(scope="module")
def functions(bench: Bench) -> dict[str, str]:
    """Their names: one that does what the event says, two that stream, and one that is switched off."""
    streams: dict[str, Any] = {"environment": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}}
    return {
        "anything": bench.deploy().name,
        "streaming": bench.deploy("streaming", **streams).name,
        "single": bench.deploy("streaming", reserved_concurrency=1, **streams).name,
        "off": bench.deploy(reserved_concurrency=0).name,
    }


@pytest.fixture(scope="module")
def seen(bench: Bench, functions: dict[str, str]) -> Seen:
    """What the library made of each case, by the case's name."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        ["node", PROGRAM, need_javascript_sdk(), bench.emulator.endpoint_url, json.dumps(functions)],
        env={"PATH": os.environ["PATH"], **credentials},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Seen = json.loads(done.stdout)
    return found


def case(seen: Seen, name: str) -> Any:
    """What the library made of one case."""
    assert "broke" not in seen[name], seen[name]["broke"]
    return seen[name]["saw"]


# -- Invoke ----------------------------------------------------------------------------------------------------


def test_request_response(seen: Seen) -> None:
    """The answer at the first attempt, with status and version."""
    answer = case(seen, "requestResponse")
    assert json.loads(answer["payload"]) == {"do": "echo", "text": "✓"}
    assert (answer["StatusCode"], answer["ExecutedVersion"], answer["attempts"]) == (200, "$LATEST", 1)
    assert "FunctionError" not in answer


def test_what_travels_along(seen: Seen) -> None:
    """The client context reaches the handler; its request id is the one that the library shows."""
    answer = case(seen, "describe")
    described = json.loads(answer["payload"])
    assert described["client_context"] == {"colour": "blue"}
    assert described["request_id"] == answer["requestId"]


def test_log_tail(seen: Seen) -> None:
    """LogType Tail brings the log, from START to REPORT."""
    assert lines_of(case(seen, "tail")["log"])[-4:] == ["START", "hello", "END", "REPORT"]


def test_function_error(seen: Seen) -> None:
    """A failing handler is an answer, not an exception."""
    answer = case(seen, "functionError")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["payload"])["errorMessage"] == "no"


@pytest.mark.parametrize(("name", "status"), [("latest", 200), ("arn", 200), ("event", 202), ("dryRun", 204)])
def test_status(seen: Seen, name: str, status: int) -> None:
    """$LATEST, an ARN, and the invocation types; what only is accepted has no payload."""
    answer = case(seen, name)
    assert (answer["StatusCode"], answer["attempts"]) == (status, 1)
    assert answer["payload"] == ('{"do": "echo"}' if status == 200 else None)


def test_large_payloads(seen: Seen) -> None:
    """Five megabytes go and come."""
    assert case(seen, "large") == {"status": 200, "length": 5_000_026}


@pytest.mark.parametrize(
    ("name", "kind", "status", "message"),
    [
        ("unknown", "ResourceNotFoundException", 404, NOT_FOUND + "nobody:$LATEST"),
        ("streamUnknown", "ResourceNotFoundException", 404, NOT_FOUND + "nobody:$LATEST"),
        ("qualifier", "ResourceNotFoundException", 404, NOT_FOUND),
        ("noJson", "InvalidRequestContentException", 400, "Could not parse request body into json: "),
        ("throttled", "TooManyRequestsException", 429, "Rate Exceeded."),
        ("streamThrottled", "TooManyRequestsException", 429, "Rate Exceeded."),
    ],
)
def test_exceptions(seen: Seen, name: str, kind: str, status: int, message: str) -> None:
    """Refusals are the exceptions that the library has classes for, with their members."""
    error = case(seen, name)
    assert (error["class"], error["name"], error["status"], error["attempts"]) == (kind, kind, status, 1)
    assert error["message"].startswith(message)
    assert error["type"] == "User"
    assert error["reason"] == ("ReservedFunctionConcurrentInvocationLimitExceeded" if status == 429 else None)


@pytest.mark.parametrize(("name", "limit"), [("tooLarge", 6_291_456), ("eventTooLarge", 1_048_576)])
def test_too_large(seen: Seen, name: str, limit: int) -> None:
    """AWS answers with a name that is not in its own model: the library has only its general class for it."""
    error = case(seen, name)
    assert (error["class"], error["status"]) == ("LambdaServiceException", 413)
    assert error["name"] == "RequestEntityTooLargeException"
    assert error["message"] == f"Request must be smaller than {limit} bytes for the InvokeFunction operation"


def test_a_throttled_request_is_tried_again(seen: Seen) -> None:
    """By the library's own rules: refused once, and served when the place is free."""
    saw = case(seen, "triedAgain")
    assert saw["first"]["payload"] == "first"
    assert (saw["second"]["payload"], saw["second"]["attempts"], saw["refusals"]) == ("second", 2, 1)


# -- InvokeWithResponseStream ----------------------------------------------------------------------------------


def test_a_stream_comes_piece_by_piece(seen: Seen) -> None:
    """The first piece is there while the function still runs."""
    expected = {"first": "one", "state": "invoking", "second": "two", "completion": {}, "done": True}
    assert case(seen, "piecewise") == expected


def test_stream(seen: Seen) -> None:
    """Status, version, type, the whole response, and the log at its end."""
    saw = case(seen, "streamed")
    (completion,) = saw.pop("completions")
    assert saw == {
        "status": 200,
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "ResponseStreamContentType": "application/vnd.amazon.eventstream",
        "payload": "one ✓",
    }
    log = lines_of(base64.b64decode(completion["LogResult"]).decode())
    assert (log[0], log[-1]) == ("START", "REPORT")


def test_a_long_stream(seen: Seen) -> None:
    """Eight mebibytes arrive whole."""
    assert case(seen, "longStream") == {"length": 8 * 2**20, "completions": [{}]}


def test_an_error_in_the_middle_of_a_stream(seen: Seen) -> None:
    """What came before is there, and the completion says what went wrong."""
    saw = case(seen, "errorInTheMiddle")
    (completion,) = saw["completions"]
    assert (saw["status"], saw["payload"], completion["ErrorCode"]) == (200, "begun", "Function.Broken")
    assert json.loads(completion["ErrorDetails"]) == {"errorMessage": "in the middle"}


def test_an_exit_in_the_middle_of_a_stream(seen: Seen) -> None:
    """The same of a runtime that is gone."""
    saw = case(seen, "exitInTheMiddle")
    assert (saw["payload"], [each["ErrorCode"] for each in saw["completions"]]) == (
        "begun",
        ["Runtime.TruncatedResponse"],
    )


# -- connections -----------------------------------------------------------------------------------------------


def test_connections_are_kept(seen: Seen) -> None:
    """Twenty requests go over one connection, twice six at once over six; each gets its own answer."""
    saw = case(seen, "keptAlive")
    assert (saw["oneByOne"], saw["together"]) == (1, 6)
    assert saw["numbers"] == [0, 1, 2, 3, 4, 5] * 2


def test_expect_and_chunked_bodies(seen: Seen) -> None:
    """A body that waits to be asked for is asked for before the library loses patience; one in chunks is whole."""
    asked, chunked = case(seen, "expect"), case(seen, "chunked")
    assert json.loads(asked["payload"])["text"] == "asked"
    assert asked["milliseconds"] < 900
    assert json.loads(chunked["payload"])["text"] == "chunked"


def test_an_aborted_request(seen: Seen) -> None:
    """The function does not notice: it ends its work, and the same environment serves the next."""
    expected = {"name": "AbortError", "sameEnvironment": True, "served": 1, "next": "next"}
    assert case(seen, "aborted") == expected


def test_an_aborted_stream(seen: Seen) -> None:
    """Nor does one that streams, and has more to say than fits between it and a client that reads nothing."""
    assert case(seen, "abortedStream") == {"first": "begun", "next": "next"}


def test_a_request_aborted_while_it_is_sent(seen: Seen) -> None:
    """Half a body is nobody's invocation."""
    assert case(seen, "abortedBody") == {"name": "AbortError", "next": '{"do": "echo"}'}
