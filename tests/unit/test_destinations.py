"""Records of asynchronous events: their shape as AWS sends them, and the ways they go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from emulator import destinations
from emulator.destinations import Courier, Result, dead_letter, error_type, invocation_record
from emulator.errors import DeliveryError, FunctionNotFoundError
from emulator.event_settings import Destination
from emulator.model import Answer, RequestId
from tests.support import in_loop
from tests.unit.runtime_api.listeners import HttpListener, free_port

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST"
NOW = 1_573_755_365.568
ERROR = b'{"errorMessage":"no","errorType":"Exception"}'


def record(condition: str, count: int, result: Result | None, payload: bytes = b'{"id":1}') -> bytes:
    return invocation_record(
        request_id=RequestId("request-1"),
        function_arn=ARN,
        condition=condition,
        count=count,
        payload=payload,
        result=result,
        now=NOW,
    )


def test_the_record_of_a_success() -> None:
    """Member by member as recorded."""
    assert record("Success", 1, Result(200, b'{"ok":true}')).decode() == (
        '{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"requestId":"request-1",'
        f'"functionArn":"{ARN}","condition":"Success","approximateInvokeCount":1}},"requestPayload":{{"id":1}},'
        '"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"ok":true}}'
    )


def test_the_record_of_a_failure() -> None:
    """With the error of the last attempt."""
    found = json.loads(record("RetriesExhausted", 3, Result(200, ERROR, "Unhandled")))
    assert found["requestContext"]["condition"] == "RetriesExhausted"
    assert found["requestContext"]["approximateInvokeCount"] == 3
    assert found["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert found["responsePayload"] == {"errorMessage": "no", "errorType": "Exception"}


def test_the_record_of_what_never_ran() -> None:
    """Refused to the end: the status of the refusal. Never tried: no word of a response."""
    throttled = json.loads(record("EventAgeExceeded", 0, Result(429, message="Rate Exceeded.")))
    assert throttled["responseContext"] == {"statusCode": 429}
    assert "responsePayload" not in throttled
    assert list(json.loads(record("ZeroReservedConcurrency", 0, None))) == [
        "version",
        "timestamp",
        "requestContext",
        "requestPayload",
    ]


@pytest.mark.parametrize(
    ("payload", "embedded"),
    [
        (b'{"big": 12345678901234567890, "one": 1.0}', b'{"big": 12345678901234567890, "one": 1.0}'),
        (b'{\r\n "a":\n "b\\n"}', b'{   "a":  "b\\n"}'),
        ("not JSON ✓".encode(), '"not JSON ✓"'.encode()),
        (b"NaN", b'"NaN"'),
        (b"", b'""'),
        (b"\xff", '"�"'.encode()),
    ],
)  # fmt: skip
def test_payloads_are_kept_as_they_are_and_in_one_line(payload: bytes, embedded: bytes) -> None:
    """Whoever reads lines of JSON gets one line a record; what is no JSON becomes a string of it."""
    made = record("Success", 1, Result(200, payload), payload=payload)
    assert b'"requestPayload":' + embedded + b"," in made
    assert made.endswith(b'"responsePayload":' + embedded + b"}")
    assert b"\n" not in made
    json.loads(made)


def test_a_dead_letter_is_the_event_with_attributes() -> None:
    """The body byte for byte, and why it was given up, as a message of a queue has it."""
    letter = json.loads(
        dead_letter(request_id=RequestId("r"), payload=b'{"id": 1}', result=Result(200, ERROR, "Unhandled"))
    )
    assert letter == {
        "Body": '{"id": 1}',
        "MessageAttributes": {
            "RequestID": {"DataType": "String", "StringValue": "r"},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {"DataType": "String", "StringValue": "no"},
        },
    }


@pytest.mark.parametrize(
    ("result", "code", "message"),
    [
        (Result(429, message="Rate Exceeded."), "429", "Rate Exceeded."),
        (Result(200, b'"just text"', "Unhandled"), "200", '"just text"'),
        (Result(200, b'{"errorMessage":1}', "Unhandled"), "200", '{"errorMessage":1}'),
        (
            Result(200, json.dumps({"errorMessage": "é" * 2000}).encode(), "Unhandled"),
            "200",
            "é" * 512,
        ),
        (None, None, "Function not invoked. Function isconfigured with zero reserved concurrent executions"),
    ],
)
def test_a_dead_letter_says_why(result: Result | None, code: str | None, message: str) -> None:
    """The first 1 KB of the message; without an attempt there is no code."""
    attributes = json.loads(dead_letter(request_id=RequestId("r"), payload=b"{}", result=result))["MessageAttributes"]
    assert attributes["ErrorMessage"]["StringValue"] == message
    assert attributes.get("ErrorCode", {}).get("StringValue") == code


def test_an_error_has_the_name_that_the_function_gave_it() -> None:
    """Else Lambda's."""
    assert error_type(Answer(ERROR, "Unhandled", "Runtime.Unknown")) == "Exception"
    assert error_type(Answer(b"?", "Unhandled", "Runtime.ExitError")) == "Runtime.ExitError"
    assert error_type(Answer(b"{}", "Unhandled")) == "Unhandled"


# -- ways ------------------------------------------------------------------------------------------------------


class Functions:
    """Those that take records here."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes, int]] = []

    def invoke(self, name: str, payload: bytes, hops: int) -> None:
        if name == "nobody":
            raise FunctionNotFoundError("Function not found")
        self.taken.append((name, payload, hops))


async def deliver(given: str, record: bytes = b"{}", *, base: Path = Path(), hops: int = 0) -> Functions:
    functions = Functions()
    await Courier(base, functions.invoke).deliver(Destination.of(given), record, hops)
    return functions


@in_loop
async def test_a_function_gets_the_record_as_its_event() -> None:
    """One that is not there is an error."""
    assert (await deliver("function:ship", b'{"a":1}', hops=3)).taken == [("ship", b'{"a":1}', 3)]
    with pytest.raises(FunctionNotFoundError):
        await deliver("function:nobody")


@in_loop
async def test_functions_that_invoke_each_other_come_to_an_end() -> None:
    """After 16 of them, as on AWS, if they are not allowed to go on."""
    await deliver("ship", hops=15)
    with pytest.raises(DeliveryError, match="through 16 functions already"):
        await deliver("ship", hops=16)
    functions = Functions()
    await Courier(Path(), functions.invoke, {"ship"}.__contains__).deliver(Destination.of("ship"), b"{}", 16)
    assert functions.taken == [("ship", b"{}", 16)]


@in_loop
async def test_a_record_that_is_too_large_for_an_event_does_not_arrive() -> None:
    """A function takes 1 MB; a file takes anything."""
    with pytest.raises(DeliveryError, match="1,048,577 bytes"):
        await deliver("ship", b"x" * 1_048_577)


@in_loop
async def test_a_file_gets_a_line_a_record(tmp_path: Path) -> None:
    """Behind those that are there; its folder has to be."""
    await deliver("file:out", b'{"a":1}', base=tmp_path)
    await deliver(f"file:{tmp_path}/out", b'{"a":2}')
    assert [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()] == [{"a": 1}, {"a": 2}]
    with pytest.raises(DeliveryError, match="No such file"):
        await deliver("file:no/where", base=tmp_path)


@in_loop
async def test_an_address_gets_a_post() -> None:
    """With the record as its body; any 2xx is fine, whatever else comes with it."""
    listener = HttpListener(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    async with listener.listen():
        await deliver(f"http://127.0.0.1:{listener.port}/hook?a=b", b'[{"a": 1}]')
    (request,) = listener.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{listener.port}"
    assert request.body == b'[{"a": 1}]'


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "it answered 503"),
        (b"", "."),
        (b"what?\r\n\r\n", "."),
    ],
)
def test_an_address_that_refuses_is_told(answer: bytes, complaint: str) -> None:
    """An error status, a hang-up and something that is no HTTP alike."""

    @in_loop
    async def play() -> None:
        listener = HttpListener(answer)
        async with listener.listen():
            with pytest.raises(DeliveryError, match=complaint):
                await deliver(f"http://127.0.0.1:{listener.port}", b"[]")

    play()


@in_loop
async def test_an_address_where_nobody_is_or_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, or when its time is over."""
    with pytest.raises(DeliveryError):
        await deliver(f"http://127.0.0.1:{await free_port()}/")
    monkeypatch.setattr(destinations, "_PATIENCE", 0.05)
    listener = HttpListener()
    async with listener.listen(), asyncio.timeout(30):
        listener.gate.clear()
        with pytest.raises(DeliveryError, match="no answer within"):
            await deliver(f"http://127.0.0.1:{listener.port}/", b"[]")
