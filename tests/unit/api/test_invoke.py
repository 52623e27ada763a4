"""AWS's Invoke operation: what a client gets, header by header."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from emulator.api.invoke import Message, Scope
from emulator.errors import SandboxError, ServiceError
from tests.support import in_loop
from tests.unit.api.play import Answered, Play

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


# -- the route -------------------------------------------------------------------------------------------------


@in_loop
async def test_a_successful_invocation_has_lambdas_headers_and_the_functions_bytes() -> None:
    """Executed version, the function's own request id, the trace's root; no error, no logs."""
    play = Play()
    asking = play.ask("orders", b'{"id":', b"1}")
    runtime = await play.runtime()
    assert runtime.events[0].payload == b'{"id":1}'
    assert runtime.events[0].function_arn == ARN
    runtime.respond(b'{"ok": true}')
    answered = await asking
    assert answered == Answered(
        200,
        {
            "x-amzn-requestid": runtime.events[0].request_id,
            "x-amzn-trace-id": "root=1-5bef-77;sampled=0",
            "content-type": "application/json",
            "x-amz-executed-version": "$LATEST",
            "content-length": "12",
        },
        b'{"ok": true}',
    )


@in_loop
async def test_the_client_is_answered_before_the_environment_is_parked() -> None:
    """What the function still does after its answer keeps nobody waiting."""
    play = Play()
    asking = play.ask()
    runtime = await play.runtime()
    runtime.respond(b"1")
    assert (await asking).body == b"1"
    assert [environment.state for environment in play.pool.environments] == ["invoking"]


@in_loop
async def test_an_error_of_the_function_is_a_200_that_says_unhandled() -> None:
    """Whether the runtime reported it properly or not."""
    play = Play()
    asking = play.ask()
    runtime = await play.runtime()
    runtime.report_error(b'{"errorMessage":"Handler fails"}', "Exception")
    answered = await asking
    assert answered.status == 200
    assert answered.headers["x-amz-function-error"] == "Unhandled"
    assert answered.headers["x-amz-executed-version"] == "$LATEST"
    assert answered.body == b'{"errorMessage":"Handler fails"}'


@in_loop
async def test_the_tail_is_the_log_from_start_to_report() -> None:
    """In base64; the answer waits for the REPORT line, which belongs to it."""
    play = Play()
    asking = play.ask(headers={"X-Amz-Log-Type": "Tail"})
    runtime = await play.runtime()
    runtime.sandbox.on_output(b"hello\n")
    runtime.respond(b"1")
    await play.stage.settle()
    assert not asking.done()
    runtime.park()
    answered = await asking
    lines = base64.b64decode(answered.headers["x-amz-log-result"]).decode().splitlines()
    request_id = runtime.events[0].request_id
    assert lines[1:4] == [
        f"START RequestId: {request_id} Version: $LATEST",
        "hello",
        f"END RequestId: {request_id}",
    ]
    assert lines[4].startswith(f"REPORT RequestId: {request_id}\t")


@in_loop
async def test_of_a_long_log_the_last_four_kilobytes_are_sent() -> None:
    """Exactly 4096 bytes, the end included."""
    play = Play()
    asking = play.ask(headers={"X-Amz-Log-Type": "Tail"})
    runtime = await play.runtime()
    runtime.sandbox.on_output(b"x" * 9_999 + b"\n")
    runtime.serve()
    tail = base64.b64decode((await asking).headers["x-amz-log-result"])
    assert len(tail) == 4096
    assert tail.endswith(b"\t\n")


@in_loop
async def test_an_event_is_accepted_at_once_and_served_later() -> None:
    """202 without a body or a version; a full house does not throttle it."""
    play = Play(limit=1)
    first = play.ask()
    runtime = await play.runtime()
    answered = await play.ask("orders", b'{"later":1}', headers={"X-Amz-Invocation-Type": "Event"})
    assert (answered.status, answered.body) == (202, b"")
    assert "x-amz-executed-version" not in answered.headers
    runtime.serve()
    await first
    assert runtime.events[1].payload == b'{"later":1}'
    assert runtime.events[1].request_id == answered.headers["x-amzn-requestid"]


@in_loop
async def test_a_dry_run_runs_nothing() -> None:
    """204 without a body, and no environment."""
    play = Play()
    answered = await play.ask(headers={"X-Amz-Invocation-Type": "DryRun"})
    assert (answered.status, answered.body) == (204, b"")
    assert "x-amz-executed-version" not in answered.headers
    assert "content-length" not in answered.headers
    assert play.stage.provider.sandboxes == []


@in_loop
async def test_an_empty_body_is_an_empty_object() -> None:
    """As functions see it."""
    play = Play()
    asking = play.ask("orders", b"")
    runtime = await play.runtime()
    assert runtime.events[0].payload == b"{}"
    runtime.respond()
    await asking


@pytest.mark.parametrize(
    ("name", "query", "arn"),
    [
        (ARN, "", ARN),
        (f"{ARN}:$LATEST", "", f"{ARN}:$LATEST"),
        ("orders", "Qualifier=%24LATEST", f"{ARN}:$LATEST"),
        ("orders", "x=1&Qualifier=$LATEST", f"{ARN}:$LATEST"),
    ],
)
def test_the_function_hears_its_name_as_it_was_invoked(name: str, query: str, arn: str) -> None:
    """With a qualifier only where the caller gave one; ARNs come percent-encoded in the path."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        asking = play.ask(name, query=query)
        runtime = await play.runtime()
        assert runtime.events[0].function_arn == arn
        runtime.respond()
        assert (await asking).status == 200

    play_it()


@in_loop
async def test_an_unknown_function_is_the_recorded_404() -> None:
    """With the version in the message, as since 2025."""
    answered = await Play().refused("nope")
    assert answered.status == 404
    assert answered.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert answered.headers["content-type"] == "application/json"
    assert answered.body == (
        b'{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope:$LATEST"}'
    )


@in_loop
async def test_another_version_is_not_found() -> None:
    """There is $LATEST and nothing else; the message names what was asked for."""
    answered = await Play().refused("orders", query="Qualifier=7")
    assert answered.status == 404
    assert json.loads(answered.body)["Message"] == f"Function not found: {ARN}:7"


@in_loop
async def test_a_name_that_is_none_is_the_recorded_400() -> None:
    """A validation error has only a message."""
    answered = await Play().refused("two words")
    assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert list(json.loads(answered.body)) == ["message"]


@pytest.mark.parametrize(
    ("payload", "found", "column"),
    [(b"hello", "('h' (code 104))", 1), (b'{"a":x}', "('x' (code 120))", 6), (b"'a'", "(''' (code 39))", 1)],
)
def test_a_payload_that_is_no_json_is_refused_in_the_recorded_words(payload: bytes, found: str, column: int) -> None:
    """Character, code and place, as AWS's parser tells them."""

    @in_loop
    async def play_it() -> None:
        answered = await Play().refused("orders", payload)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")
        assert json.loads(answered.body) == {
            "Type": "User",
            "message": (
                "Could not parse request body into json: Could not parse payload into json: "
                f"Unexpected character {found}: expected a valid value (JSON String, Number, Array, Object or token "
                "'null', 'true' or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` "
                f"disabled); line: 1, column: {column}]"
            ),
        }

    play_it()


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"a":1} x',
        b"NaN",
        b"[Infinity]",
        b"\xff\xfe",
        b'"\xff"',
        b"[1,]",
        b"[" * 5_000,
        b"[" * 5_000 + b"]" * 5_000,
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_every_payload_that_lambda_would_not_parse_is_a_400(payload: bytes) -> None:
    """Also what Python's own parser takes for JSON, and what is nested too deeply for anybody."""

    @in_loop
    async def play_it() -> None:
        answered = await Play().refused("orders", payload)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")

    play_it()


@pytest.mark.parametrize("payload", [b"null", b"1", b'"text"', b"[]", b' {"a": [1.5e3, "\xc3\xa4"]} '])
def test_every_json_value_is_an_event(payload: bytes) -> None:
    """Not only objects; the bytes reach the function as they came."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        asking = play.ask("orders", payload)
        runtime = await play.runtime()
        assert runtime.events[0].payload == payload
        runtime.respond()
        assert (await asking).status == 200

    play_it()


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
def test_a_payload_above_the_limit_is_the_recorded_413(kind: str, limit: int) -> None:
    """One byte more than the limit is too many; the limit itself is not."""

    @in_loop
    async def play_it() -> None:
        headers = {"X-Amz-Invocation-Type": kind}
        body = b'"' + b"x" * (limit - 2) + b'"'
        answered = await Play().refused("orders", body, b" ", headers=headers)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        assert json.loads(answered.body) == {"Type": "User", "Message": message}
        play = Play()
        asking = play.ask("orders", body[:1000], body[1000:], headers=headers)
        runtime = await play.runtime()
        assert runtime.events[0].payload == body
        runtime.serve()
        assert (await asking).status in (200, 202)

    play_it()


@in_loop
async def test_throttling_is_the_recorded_429() -> None:
    """Reason first, then type and message."""
    answered = await Play(limit=0).refused()
    assert (answered.status, answered.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
    assert answered.body == (b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}')


@pytest.mark.parametrize(
    ("header", "member"), [("X-Amz-Invocation-Type", "invocationType"), ("X-Amz-Log-Type", "logType")]
)
def test_an_unknown_choice_is_a_validation_error(header: str, member: str) -> None:
    """Member, value and what is allowed are named."""

    @in_loop
    async def play_it() -> None:
        answered = await Play().refused(headers={header: "Sometimes"})
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, "ValidationException")
        message = json.loads(answered.body)["message"]
        assert message.startswith(f"1 validation error detected: Value 'Sometimes' at '{member}' failed")
        assert "Member must satisfy enum value set: [" in message

    play_it()


@in_loop
async def test_the_client_context_reaches_the_function_decoded() -> None:
    """Base64 on the way here, JSON for the runtime, on one line."""
    play = Play()
    context = base64.b64encode(b'{"custom":\r\n{"a":1}}').decode()
    asking = play.ask(headers={"X-Amz-Client-Context": context, "X-Amzn-Trace-Id": "Root=1-a-b;Sampled=1"})
    runtime = await play.runtime()
    assert runtime.events[0].client_context == '{"custom":  {"a":1}}'
    assert runtime.events[0].trace_id == "Root=1-a-b;Sampled=1"
    runtime.respond()
    assert (await asking).headers["x-amzn-trace-id"] == "root=1-a-b;sampled=0"


@in_loop
async def test_an_identity_reaches_the_function() -> None:
    """As the runtime's clients read it; whoever sends none has none."""
    play = Play()
    headers = {"Cognito-Identity-Id": "us-east-1:me", "Cognito-Identity-Pool-Id": "us-east-1:pool"}
    asking = play.ask(headers=headers)
    runtime = await play.runtime()
    assert json.loads(runtime.events[0].cognito_identity or "") == {
        "cognitoIdentityId": "us-east-1:me",
        "cognitoIdentityPoolId": "us-east-1:pool",
    }
    runtime.respond()
    await asking


@in_loop
async def test_what_is_for_other_functions_is_refused() -> None:
    """A tenant, and the name of a durable execution: passed over, the function would not run as it does on AWS."""
    for header in ("X-Amz-Tenant-Id", "X-Amz-Durable-Execution-Name"):
        answered = await Play().refused(headers={header: "x"})
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ("not base64!", "InvalidRequestContentException"),
        (base64.b64encode(b"not json").decode(), "InvalidRequestContentException"),
        (base64.b64encode(b"\xff").decode(), "InvalidRequestContentException"),
        ("A" * 3584, "InvalidParameterValueException"),
    ],
    ids=["no base64", "no json", "no text", "too long"],
)
def test_a_client_context_that_is_none_is_a_400(context: str, code: str) -> None:
    """Not base64, not JSON, or longer than 3,583 bytes."""

    @in_loop
    async def play_it() -> None:
        answered = await Play().refused(headers={"X-Amz-Client-Context": context})
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (400, code)

    play_it()


@in_loop
async def test_a_sandbox_that_cannot_start_is_a_502_with_the_cure() -> None:
    """The fault is the emulator's and not the function's; with the tail asked for as well."""
    for headers in ({}, {"X-Amz-Log-Type": "Tail"}):
        play = Play()
        play.stage.provider.fail_start_with = SandboxError("no interpreter", cure="Install one.")
        async with asyncio.timeout(30):
            answered = await play.ask(headers=headers)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (502, "ServiceException")
        assert json.loads(answered.body) == {"Type": "Service", "Message": "no interpreter\nInstall one."}


@in_loop
async def test_a_stopping_emulator_says_so() -> None:
    """It takes nothing any more."""
    play = Play()
    await play.pool.close("the emulator stops")
    answered = await play.refused()
    assert answered.status == ServiceError.status
    assert b"the emulator is stopping" in answered.body


@in_loop
async def test_a_client_that_goes_away_does_not_disturb_the_environment() -> None:
    """The function finishes, is frozen and serves the next one."""
    play = Play()
    asking = play.ask()
    runtime = await play.runtime()
    asking.cancel()
    await play.stage.settle()
    assert asking.cancelled()
    runtime.serve(b"nobody hears this")
    assert [environment.state for environment in play.pool.environments] == ["frozen"]
    again = play.ask()
    await play.stage.settle()
    runtime.serve(b"2")
    assert (await again).body == b"2"


@in_loop
async def test_a_client_that_goes_away_in_its_own_request_invokes_nothing() -> None:
    """Half a payload is no event."""
    play = Play()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Nobody is there to hear it."""

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/2015-03-31/functions/orders/invocations",
        "query_string": b"",
        "headers": [],
    }
    await play.route(scope, receive, send)
    assert play.stage.provider.sandboxes == []


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        ("http", "GET", "/2015-03-31/functions/orders/invocations"),
        ("http", "POST", "/2015-03-31/functions/orders"),
        ("http", "POST", "/2015-03-31/functions/orders/invocations/more"),
        ("http", "POST", "/2021-11-15/functions/orders/response-streaming-invocations"),
        ("http", "GET", "/_emulator/api/status"),
        ("websocket", "", "/2015-03-31/functions/orders/invocations"),
        ("lifespan", "", ""),
    ],
)
def test_everything_else_goes_on_to_the_application(kind: str, method: str, path: str) -> None:
    """Untouched, with nothing read from the client."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        scope: Scope = {"type": kind, "method": method, "path": path, "headers": [], "query_string": b""}

        async def receive() -> Message:
            raise AssertionError("nothing is to be read")

        async def send(message: Message) -> None:
            raise AssertionError("nothing is to be sent")

        await play.route(scope, receive, send)
        assert play.reached == [scope]

    play_it()
