"""AWS's own client library reads responses as streams, unmodified."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import Emulator, Function
from tests.conformance.aws import lambda_client
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_engine


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def aws(request: pytest.FixtureRequest) -> Iterator[Any]:
    """boto3's client for an emulator without a database, in both kinds of sandbox."""
    if request.param == "container":
        need_engine()
    with Emulator({"emulator": {"sandbox": request.param}, "database": {"server": "none"}}) as emulator:
        emulator.add(Function(name="anything", code=FUNCTIONS / "anything", memory=512, timeout=3))
        with lambda_client(emulator) as client:
            yield client


def stream(aws: Any, event: dict[str, object], **options: Any) -> tuple[Any, bytes, dict[str, str]]:
    """One invocation: boto3's answer, the response put together, and what the last event says."""
    answer = aws.invoke_with_response_stream(FunctionName="anything", Payload=json.dumps(event), **options)
    events = list(answer["EventStream"])
    chunks = [event["PayloadChunk"]["Payload"] for event in events[:-1]]
    return answer, b"".join(chunks), events[-1]["InvokeComplete"]


def test_response(aws: Any) -> None:
    """Status, version, content type of the stream, the response and an empty completion."""
    answer, response, completion = stream(aws, {"do": "echo", "text": "✓"})
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "application/json"
    assert json.loads(response) == {"do": "echo", "text": "✓"}
    assert completion == {}


def test_request_id_is_the_functions_own(aws: Any) -> None:
    """The client's request id is the one that the handler's context shows."""
    answer, response, _ = stream(aws, {"do": "describe"})
    assert json.loads(response)["request_id"] == answer["ResponseMetadata"]["RequestId"]


def test_large_response(aws: Any) -> None:
    """Six MiB arrive whole."""
    _, response, completion = stream(aws, {"do": "size", "characters": 6_291_000})
    assert response == b'"' + b"x" * 6_291_000 + b'"'
    assert completion == {}


def test_log_tail(aws: Any) -> None:
    """LogType Tail brings the log, to its REPORT line, in the last event."""
    _, _, completion = stream(aws, {"do": "say", "lines": ["hello"]}, LogType="Tail")
    tail = base64.b64decode(completion["LogResult"]).decode()
    assert "\nhello\n" in tail
    assert re.search(r"\nREPORT RequestId: \S+\tDuration: ", tail)


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        ({"do": "fail", "message": "no"}, "Unhandled", "no"),
        ({"do": "sleep", "seconds": 60}, "Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        ({"do": "leave", "status": 3}, "Runtime.ExitError", "exit status 3"),
    ],
)
def test_function_error(aws: Any, event: dict[str, object], code: str, message: str) -> None:
    """A failure is a 200; its error is the response, and the completion tells it too."""
    answer, response, completion = stream(aws, event)
    assert answer["StatusCode"] == 200
    assert json.loads(response)["errorMessage"].endswith(message)
    assert completion == {"ErrorCode": code, "ErrorDetails": response.decode()}


def test_dry_run(aws: Any) -> None:
    """204, and nothing comes."""
    answer = aws.invoke_with_response_stream(FunctionName="anything", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert list(answer["EventStream"]) == []


def test_refusals(aws: Any) -> None:
    """What could not be invoked is an ordinary error, in the words of Invoke."""
    with pytest.raises(ClientError) as caught:
        aws.invoke_with_response_stream(FunctionName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["Message"] == (
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody:$LATEST"
    )
    with pytest.raises(ClientError) as caught:
        aws.invoke_with_response_stream(FunctionName="anything", Payload=b"{'single': 1}")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"
