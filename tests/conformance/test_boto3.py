"""AWS's own client library against the emulator, unmodified."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.conformance.aws import lambda_client
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_engine
from tests.support import eventually


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator without a database, in both kinds of sandbox."""
    if request.param == "container":
        need_engine()
    with Emulator({"emulator": {"sandbox": request.param, "concurrency": 4}, "database": {"server": "none"}}) as one:
        yield one


@pytest.fixture(scope="module")
def function(emulator: Emulator) -> DeployedFunction:
    """A function that does what the event says."""
    return emulator.add(Function(name="anything", code=FUNCTIONS / "anything", memory=512, timeout=10))


@pytest.fixture(scope="module")
def aws(emulator: Emulator, function: DeployedFunction) -> Iterator[Any]:
    """boto3's client for Lambda."""
    with lambda_client(emulator) as client:
        yield client


def test_request_response(aws: Any) -> None:
    """The answer of the function, with the status, version and request id that AWS gives."""
    answer = aws.invoke(FunctionName="anything", Payload=json.dumps({"do": "echo", "text": "✓"}))
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert json.load(answer["Payload"]) == {"do": "echo", "text": "✓"}
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["ResponseMetadata"]["RequestId"])


def test_request_id_is_the_functions_own(aws: Any) -> None:
    """The client's request id is the one that the handler's context shows."""
    answer = aws.invoke(FunctionName="anything", Payload=json.dumps({"do": "describe"}))
    assert json.load(answer["Payload"])["request_id"] == answer["ResponseMetadata"]["RequestId"]


def test_log_tail(aws: Any) -> None:
    """LogType Tail brings the last 4 KB of the log, from START to REPORT."""
    answer = aws.invoke(FunctionName="anything", LogType="Tail", Payload=json.dumps({"do": "say", "lines": ["hello"]}))
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "\nhello\n" in tail
    assert re.search(r"\nREPORT RequestId: \S+\tDuration: ", tail)
    long = aws.invoke(
        FunctionName="anything", LogType="Tail", Payload=json.dumps({"do": "say", "lines": ["x" * 99] * 100})
    )
    assert len(base64.b64decode(long["LogResult"])) == 4096


def test_nothing_returned_is_null(aws: Any) -> None:
    """A handler that returns nothing answers the four bytes null."""
    answer = aws.invoke(FunctionName="anything", Payload=json.dumps({"do": "nothing"}))
    assert answer["Payload"].read() == b"null"


def test_function_error(aws: Any) -> None:
    """A failing handler is a 200 with FunctionError."""
    answer = aws.invoke(FunctionName="anything", Payload=json.dumps({"do": "fail", "message": "no"}))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorMessage"] == "no"


def test_event_and_dry_run(aws: Any, emulator: Emulator) -> None:
    """Event is accepted and served later; DryRun is only looked at."""
    before = emulator.timeline()[-1].seq
    accepted = aws.invoke(FunctionName="anything", InvocationType="Event", Payload=json.dumps({"do": "count"}))
    assert accepted["StatusCode"] == 202
    assert accepted["Payload"].read() == b""
    assert "ExecutedVersion" not in accepted
    request_id = accepted["ResponseMetadata"]["RequestId"]

    def is_served() -> bool:
        finished = [event for event in emulator.timeline(before) if event.kind == "invocation.finished"]
        return request_id in [event.request_id for event in finished]  # that of an invocation before may be late

    eventually(is_served, "the event's end")
    mark = emulator.timeline()[-1].seq
    assert aws.invoke(FunctionName="anything", InvocationType="DryRun")["StatusCode"] == 204
    assert [event for event in emulator.timeline(mark) if event.kind.startswith("invocation")] == []


@pytest.mark.parametrize(
    "name",
    [
        "anything:$LATEST",
        "123456789012:function:anything",
        "arn:aws:lambda:us-east-1:123456789012:function:anything",
        "arn:aws:lambda:us-east-1:123456789012:function:anything:$LATEST",
    ],
)
def test_names(aws: Any, name: str) -> None:
    """Every form of name that AWS takes."""
    answer = aws.invoke(FunctionName=name, Payload=json.dumps({"do": "describe"}))
    arn = json.load(answer["Payload"])["arn"]
    expected = "arn:aws:lambda:us-east-1:123456789012:function:anything"
    assert arn == (f"{expected}:$LATEST" if name.endswith("$LATEST") else expected)


def test_client_context(aws: Any) -> None:
    """The client context reaches the handler."""
    context = base64.b64encode(json.dumps({"custom": {"colour": "blue"}}).encode()).decode()
    answer = aws.invoke(FunctionName="anything", ClientContext=context, Payload=json.dumps({"do": "describe"}))
    assert json.load(answer["Payload"])["client_context"] == {"colour": "blue"}


def test_unknown_function(aws: Any) -> None:
    """404 with the version in the message, as recorded since 2025."""
    with pytest.raises(ClientError) as caught:
        aws.invoke(FunctionName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["Message"] == (
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody:$LATEST"
    )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_wrong_region_and_qualifier(aws: Any) -> None:
    """Another region's ARN and an unknown version are not found; two qualifiers must agree."""
    with pytest.raises(ClientError, match="Functions from 'eu-west-1' are not reachable in this region"):
        aws.invoke(FunctionName="arn:aws:lambda:eu-west-1:123456789012:function:anything")
    with pytest.raises(ClientError, match=r"Function not found: .*:function:anything:7"):
        aws.invoke(FunctionName="anything", Qualifier="7")
    with pytest.raises(ClientError, match="does not match the specified qualifier"):
        aws.invoke(FunctionName="anything:live", Qualifier="test")


def test_payload_that_is_no_json(aws: Any) -> None:
    """400 in the words of AWS's parser."""
    with pytest.raises(ClientError) as caught:
        aws.invoke(FunctionName="anything", Payload=b"{'single': 1}")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"
    assert caught.value.response["message"].startswith(
        "Could not parse request body into json: Could not parse payload into json: "
        "Unexpected character (''' (code 39))"
    )


def test_payload_that_is_too_large(aws: Any) -> None:
    """413 for more than 6 MiB, and for an event of more than 1 MiB."""
    large = json.dumps("x" * (6 * 2**20))
    with pytest.raises(ClientError) as caught:
        aws.invoke(FunctionName="anything", Payload=large)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    with pytest.raises(ClientError, match="must be smaller than 1048576 bytes"):
        aws.invoke(FunctionName="anything", InvocationType="Event", Payload=json.dumps("x" * 2**20))


def test_throttled(aws: Any, emulator: Emulator) -> None:
    """429 with the reason when the account's limit is reached."""
    mark = emulator.timeline()[-1].seq
    with ThreadPoolExecutor(4) as threads:
        slow = [
            threads.submit(aws.invoke, FunctionName="anything", Payload=json.dumps({"do": "sleep", "seconds": 4}))
            for _ in range(4)
        ]
        eventually(
            lambda: [e.kind for e in emulator.timeline(mark)].count("environment.invoking") == 4,
            "four that run at once",
        )
        with pytest.raises(ClientError) as caught:
            aws.invoke(FunctionName="anything")
        # Read to the end: what is not keeps its connection open until somebody collects it.
        assert all(json.load(future.result()["Payload"]) > 0 for future in slow)
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert caught.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_operation_that_is_not_there(aws: Any) -> None:
    """What is not implemented says so; it never answers an empty 200."""
    with pytest.raises(ClientError) as caught:
        aws.list_event_source_mappings()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
