"""A runtime that streams, and AWS's own client at the other end, in both kinds of sandbox."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.embedded import DeployedFunction
from tests.conformance.kinds import KINDS, Bench, open_gate
from tests.support import eventually

GATE_PORT = 8070
MIB = 2**20


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One emulator for each kind of sandbox."""
    with Bench.set_up(request.param) as bench:
        yield bench


@pytest.fixture(scope="module")
def client(bench: Bench) -> Iterator[Any]:
    """boto3's."""
    with bench.client() as client:
        yield client


@pytest.fixture(scope="module")
def streaming(bench: Bench) -> DeployedFunction:
    """One function for all of them: whatever happens to it, it serves the next test."""
    function = deploy(bench)
    function.invoke("count")
    return function


@pytest.fixture
def function(streaming: DeployedFunction) -> DeployedFunction:
    """It is at rest."""
    at_rest(streaming)
    return streaming


def deploy(bench: Bench, **settings: Any) -> DeployedFunction:
    return bench.deploy("streaming", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}, **settings)


def begin(client: Any, function: DeployedFunction, *steps: Any, **options: Any) -> tuple[Any, Iterator[dict[str, Any]]]:
    """boto3's answer, and its events as they come."""
    answer = client.invoke_with_response_stream(FunctionName=function.name, Payload=json.dumps(steps), **options)
    return answer, iter(answer["EventStream"])


def rest(events: Iterator[dict[str, Any]]) -> tuple[bytes, dict[str, str]]:
    """What has not been read yet, put together, and what the last event says."""
    found = list(events)
    return b"".join(event["PayloadChunk"]["Payload"] for event in found[:-1]), found[-1]["InvokeComplete"]


def at_rest(function: DeployedFunction) -> None:
    """Its one environment is frozen: whoever is answered may be earlier than that, and would get another one."""
    eventually(lambda: [found.state for found in function.environments()] == ["frozen"], "the freeze")


def served(function: DeployedFunction) -> int:
    """How many invocations its runtime has served, this one included."""
    at_rest(function)
    count = function.invoke("count").payload
    assert isinstance(count, int)
    return count


# -- responses -------------------------------------------------------------------------------------------------


def test_chunks_arrive_as_they_are_written(client: Any, function: DeployedFunction) -> None:
    """The first is here before the second is written: the runtime waits for us in between."""
    answer, events = begin(client, function, ["write", "first"], ["gate"], ["write", "second"])
    assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
    open_gate(function, GATE_PORT)
    assert rest(events) == (b"second", {})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "application/octet-stream"


def test_a_prelude_passes_through(client: Any, function: DeployedFunction) -> None:
    """It is a matter of function URLs; here it is bytes like all others, under its own content type."""
    prelude = json.dumps({"statusCode": 201, "headers": {"x-mine": "yes"}, "cookies": []}) + "\0" * 8
    kind = "application/vnd.awslambda.http-integration-response"
    headers = {"headers": {"Content-Type": kind}}
    answer, events = begin(client, function, headers, ["write", prelude], ["write", "body"])
    assert rest(events) == (f"{prelude}body".encode(), {})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == kind


def test_an_empty_response(client: Any, function: DeployedFunction) -> None:
    """Is one as well."""
    _, events = begin(client, function)
    assert rest(events) == (b"", {})


def test_more_than_a_response_in_one_piece_may_have(client: Any, function: DeployedFunction) -> None:
    """20 MiB, every byte of them, and the runtime is thanked."""
    _, events = begin(client, function, ["fill", 20 * MIB], ["write", "end"], LogType="Tail")
    response, completion = rest(events)
    assert len(response) == 20 * MIB + 3
    assert response.endswith(b"xend")
    log = base64.b64decode(completion["LogResult"]).decode()
    assert 'answered 202 {"status":"OK"}\n' in log
    assert "\nREPORT RequestId: " in log


def test_buffered_callers_get_the_whole(client: Any, function: DeployedFunction) -> None:
    """Invoke knows nothing of streams."""
    steps = [["write", '"'], ["fill", 5 * MIB], ["write", '"']]
    answer = client.invoke(FunctionName=function.name, Payload=json.dumps(steps))
    assert answer["Payload"].read() == b'"' + b"x" * 5 * MIB + b'"'
    assert "FunctionError" not in answer
    at_rest(function)
    assert function.invoke(steps).payload == "x" * 5 * MIB


def test_a_response_that_is_not_streamed(client: Any, function: DeployedFunction) -> None:
    """A client that wants a stream gets it in one piece."""
    answer, events = begin(client, function, ["answer", '{"n": 1}'])
    assert rest(events) == (b'{"n": 1}', {})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "application/json"


# -- errors ----------------------------------------------------------------------------------------------------


def test_an_error_in_the_trailers(client: Any, function: DeployedFunction) -> None:
    """The response stays one, and its end says what went wrong; the environment stays warm."""
    before = served(function)
    error = {"errorType": "Gone", "errorMessage": "the source dried up"}
    _, events = begin(client, function, ["write", "half"], ["trailers", "Function.Gone", error])
    assert rest(events) == (b"half", {"ErrorCode": "Function.Gone", "ErrorDetails": json.dumps(error)})
    at_rest(function)
    buffered = function.invoke([["write", "half"], ["trailers", "Function.Gone", error]])
    assert (buffered.raw_payload, buffered.function_error) == (b"half", "Unhandled")
    assert buffered.report.status is None
    assert served(function) == before + 3


def test_an_error_before_the_first_byte(client: Any, function: DeployedFunction) -> None:
    """It is the response."""
    before = served(function)
    error = {"errorMessage": "no", "errorType": "Refused"}
    _, events = begin(client, function, ["error", "Function.Refused", error])
    completion = {"ErrorCode": "Function.Refused", "ErrorDetails": json.dumps(error)}
    assert rest(events) == (json.dumps(error).encode(), completion)
    assert served(function) == before + 2


def test_a_timeout_in_the_middle(bench: Bench, client: Any) -> None:
    """What came is there, the end tells of the timeout, and the next invocation finds a new runtime."""
    function = deploy(bench, timeout=3)
    answer, events = begin(client, function, ["write", "half"], ["hang"])
    request_id = answer["ResponseMetadata"]["RequestId"]
    response, completion = rest(events)
    assert response == b"half"
    assert completion["ErrorCode"] == "Sandbox.Timedout"
    assert json.loads(completion["ErrorDetails"]) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 3.00 seconds",
    }
    assert served(function) == 1
    assert re.search(rf"REPORT RequestId: {request_id}\t.+\tStatus: timeout\t\n", function.logs())


def test_a_crash_in_the_middle(client: Any, function: DeployedFunction) -> None:
    """The response breaks off, the invocation has failed, and the next one finds a new runtime."""
    answer, events = begin(client, function, ["write", "half"], ["gate"], ["exit", 3])
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert next(events) == {"PayloadChunk": {"Payload": b"half"}}
    open_gate(function, GATE_PORT)
    response, completion = rest(events)
    assert response == b""
    assert completion["ErrorCode"] in ("Runtime.TruncatedResponse", "Runtime.ExitError")  # what is seen first
    assert served(function) == 1
    ended = rf"REPORT RequestId: {request_id}\t.+\tStatus: error\tError Type: Runtime.ExitError\t\n"
    assert re.search(ended, function.logs())


def test_a_response_that_breaks_off(client: Any, function: DeployedFunction) -> None:
    """The runtime itself lives on, and serves the next."""
    before = served(function)
    _, events = begin(client, function, ["write", "half"], ["gate"], ["break"])
    assert next(events) == {"PayloadChunk": {"Payload": b"half"}}
    open_gate(function, GATE_PORT)
    response, completion = rest(events)
    assert (response, completion["ErrorCode"]) == (b"", "Runtime.TruncatedResponse")
    assert served(function) == before + 2


# -- readers ---------------------------------------------------------------------------------------------------


def test_a_client_that_goes_away(client: Any, function: DeployedFunction) -> None:
    """The runtime does not notice: it writes all of its response, and serves the next."""
    before, answered = served(function), function.logs().count("answered 202")
    answer, events = begin(client, function, ["write", "first"], ["gate"], ["fill", 20 * MIB])
    assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
    answer["EventStream"].close()
    open_gate(function, GATE_PORT)
    assert served(function) == before + 2
    assert function.logs().count("answered 202") == answered + 1


def test_a_client_that_reads_later(client: Any, function: DeployedFunction) -> None:
    """The runtime waits with it, so the emulator need not hold what nobody reads; nothing is lost."""
    _, events = begin(client, function, ["write", "first"], ["fill", 30 * MIB])
    assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
    (environment,) = function.environments()
    assert environment.state == "invoking"
    response, completion = rest(events)
    assert (len(response), completion) == (30 * MIB, {})


@pytest.mark.parametrize("kind", KINDS)
def test_the_bandwidth_of_aws(kind: str) -> None:
    """After a burst of 6 MiB it is 2 MiB a second, refilled eight times in it."""
    with Bench.set_up(kind, streaming_bandwidth="aws") as bench, bench.client() as client:
        function = deploy(bench)
        start = time.monotonic()  # the bucket is filled later than this
        _, events = begin(client, function, ["fill", 8 * MIB])
        received = 0
        for event in events:
            received += len(event.get("PayloadChunk", {}).get("Payload", b""))
            assert received <= 6 * MIB + 2 * MIB * (time.monotonic() - start)
        assert received == 8 * MIB
