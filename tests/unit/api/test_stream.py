"""AWS's InvokeWithResponseStream: what a client gets, message by message, and what the runtime feels of it."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from typing import cast

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from emulator.api.app import ApiServer
from emulator.api.stream import ResponseQueue, StreamRoute
from emulator.errors import SandboxError, ServiceError
from emulator.invocation import Invocation
from emulator.model import Answer, RequestId
from emulator.service import Service
from tests.support import in_loop, skip_time
from tests.unit.api.play import Answered, Play
from tests.unit.stage import PlayedRuntime, settle

MIB = 2**20
TAIL = {"X-Amz-Log-Type": "Tail"}


def stream_play(*, limit: int = 10) -> Play:
    return Play(limit=limit, route=StreamRoute)


def messages(body: bytes) -> list[tuple[str, bytes]]:
    """What botocore reads: the kind of each whole message, and its payload."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [(event.headers[":event-type"], event.payload) for event in buffer]


def completion(answered: Answered) -> dict[str, str]:
    """The last message's JSON."""
    kind, payload = messages(answered.body)[-1]
    assert kind == "InvokeComplete"
    return cast("dict[str, str]", json.loads(payload))


def response(answered: Answered) -> bytes:
    """The response, put together."""
    return b"".join(payload for kind, payload in messages(answered.body) if kind == "PayloadChunk")


class Resumed:
    """How often the runtime was told to go on."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


async def begun(play: Play, *, headers: dict[str, str] | None = None) -> tuple[asyncio.Task[Answered], PlayedRuntime]:
    """A request whose function has got its event."""
    asking = play.ask(headers=headers)
    return asking, await play.runtime()


# -- answers that are not streamed -----------------------------------------------------------------------------


@in_loop
async def test_a_response_in_one_piece_is_one_chunk_and_a_completion() -> None:
    """With the headers that AWS sends, the function's own content type among them; no word of errors or logs."""
    play = stream_play()
    asking, runtime = await begun(play)
    runtime.respond(b'{"ok": true}')
    answered = await asking
    assert answered.status == 200
    assert answered.headers == {
        "x-amzn-requestid": runtime.events[0].request_id,
        "x-amzn-trace-id": "root=1-5bef-77;sampled=0",
        "content-type": "application/vnd.amazon.eventstream",
        "x-amz-executed-version": "$LATEST",
        "x-amzn-remapped-content-type": "application/json",
    }
    assert messages(answered.body) == [("PayloadChunk", b'{"ok": true}'), ("InvokeComplete", b"{}")]


@pytest.mark.parametrize(
    ("error_type", "code"),
    [("Runtime.ImportModuleError", "Runtime.ImportModuleError"), ("Exception", "Unhandled"), (None, "Unhandled")],
)
def test_an_error_that_is_not_streamed_comes_as_chunk_and_in_the_completion(error_type: str | None, code: str) -> None:
    """The type is the runtime's own where Lambda knows it."""

    @in_loop
    async def play_it() -> None:
        asking, runtime = await begun(stream_play())
        runtime.report_error(b'{"errorMessage":"\xc3\xa4"}', error_type)
        answered = await asking
        assert answered.status == 200
        assert response(answered) == b'{"errorMessage":"\xc3\xa4"}'
        assert completion(answered) == {"ErrorCode": code, "ErrorDetails": '{"errorMessage":"ä"}'}

    play_it()


@in_loop
async def test_a_large_response_comes_in_pieces() -> None:
    """Of 32 KiB, the last one smaller; nothing is lost or doubled."""
    asking, runtime = await begun(stream_play())
    body = b'"' + bytes(range(48, 58)) * 10_000 + b'"'
    runtime.respond(body)
    answered = await asking
    assert response(answered) == body
    assert [len(payload) for _, payload in messages(answered.body)][:-1] == [32_768, 32_768, 32_768, 1_698]


@in_loop
async def test_an_empty_response_has_no_chunk() -> None:
    """Only its completion."""
    asking, runtime = await begun(stream_play())
    runtime.respond(b"")
    assert messages((await asking).body) == [("InvokeComplete", b"{}")]


@in_loop
async def test_the_tail_of_the_log_is_in_the_completion() -> None:
    """From START to REPORT, so the completion waits for both, but the response does not."""
    play = stream_play()
    asking, runtime = await begun(play, headers=TAIL)
    runtime.sandbox.on_output(b"hello\n")
    runtime.respond(b"1")
    await play.stage.settle()
    assert messages(play.answered.body) == [("PayloadChunk", b"1")]
    runtime.park()
    lines = base64.b64decode(completion(await asking)["LogResult"]).decode().splitlines()
    assert [line.split(" ")[0] for line in lines[-4:]] == ["START", "hello", "END", "REPORT"]


@in_loop
async def test_a_dry_run_runs_nothing() -> None:
    """204 without a body, and no environment."""
    play = stream_play()
    answered = await play.ask(headers={"X-Amz-Invocation-Type": "DryRun"})
    assert (answered.status, answered.body) == (204, b"")
    assert play.stage.provider.sandboxes == []


# -- streamed responses ----------------------------------------------------------------------------------------


@in_loop
async def test_a_streamed_response_comes_as_it_is_made() -> None:
    """Headers with the first bytes, each piece before the next is there, the completion at the end."""
    play = stream_play()
    asking, _ = await begun(play)
    (invocation,) = play.invocations
    invocation.begin("text/event-stream", Resumed())
    await settle()
    assert play.answered.status == 0
    assert invocation.chunk(b"one")
    await settle()
    assert play.answered.headers["x-amzn-remapped-content-type"] == "text/event-stream"
    assert messages(play.answered.body) == [("PayloadChunk", b"one")]
    assert invocation.chunk(b"\x00\xff")
    await settle()
    assert messages(play.answered.body) == [("PayloadChunk", b"one"), ("PayloadChunk", b"\x00\xff")]
    invocation.end()
    assert messages((await asking).body)[2:] == [("InvokeComplete", b"{}")]


@in_loop
async def test_a_prelude_for_http_passes_as_it_is() -> None:
    """The object and its eight NULs are bytes like others."""
    play = stream_play()
    asking, _ = await begun(play)
    (invocation,) = play.invocations
    invocation.begin("application/vnd.awslambda.http-integration-response", Resumed())
    invocation.chunk(b'{"statusCode":201}' + bytes(8) + b"body")
    invocation.end()
    answered = await asking
    assert answered.headers["x-amzn-remapped-content-type"] == "application/vnd.awslambda.http-integration-response"
    assert response(answered) == b'{"statusCode":201}\0\0\0\0\0\0\0\0body'


@pytest.mark.parametrize(
    ("error_type", "body", "expected"),
    [
        ("Function.Broken", b'{"errorMessage":"no"}', ("Function.Broken", '{"errorMessage":"no"}')),
        ("Runtime.Unknown", None, ("Unhandled", "")),
    ],
)
def test_an_error_in_the_middle_is_told_at_the_end(
    error_type: str, body: bytes | None, expected: tuple[str, str]
) -> None:
    """The status is 200 by then, and what was streamed before stays."""

    @in_loop
    async def play_it() -> None:
        play = stream_play()
        asking, _ = await begun(play)
        (invocation,) = play.invocations
        invocation.begin("text/plain", Resumed())
        invocation.chunk(b"half")
        invocation.end(error_type, body)
        answered = await asking
        assert (answered.status, response(answered)) == (200, b"half")
        told = completion(answered)
        assert (told["ErrorCode"], told["ErrorDetails"]) == expected

    play_it()


@in_loop
async def test_a_timeout_in_the_middle_is_told_at_the_end() -> None:
    """With the platform's own words; the log ends with a REPORT of it."""
    play = stream_play()
    asking, _ = await begun(play, headers=TAIL)
    (invocation,) = play.invocations
    invocation.begin("text/plain", Resumed())
    invocation.chunk(b"half")
    skip_time(3)
    answered = await asking
    assert response(answered) == b"half"
    told = completion(answered)
    assert told["ErrorCode"] == "Sandbox.Timedout"
    assert json.loads(told["ErrorDetails"])["errorMessage"].endswith("Task timed out after 3.00 seconds")
    assert b"Status: timeout" in base64.b64decode(told["LogResult"])


@in_loop
async def test_an_environment_that_is_ended_in_the_middle_is_told_at_the_end() -> None:
    """An error of the emulator and not of the function, which a status can no longer say."""
    play = stream_play()
    asking, _ = await begun(play, headers=TAIL)
    (invocation,) = play.invocations
    invocation.begin("text/plain", Resumed())
    invocation.chunk(b"half")
    await play.stage.settle()
    await play.pool.close("the emulator stops")
    answered = await asking
    assert (answered.status, response(answered)) == (200, b"half")
    told = completion(answered)
    assert told["ErrorCode"] == "ServiceException"
    assert "the emulator stops" in told["ErrorDetails"]


@in_loop
async def test_a_slow_client_makes_the_runtime_wait() -> None:
    """At more than 1 MiB that waits; when half of it has gone the runtime is told to go on, once."""
    play = stream_play()
    asking, _ = await begun(play)
    (invocation,) = play.invocations
    resumed = Resumed()
    invocation.begin("text/plain", resumed)
    play.client_reads.clear()
    assert invocation.chunk(b"x")
    await settle()
    assert invocation.chunk(b"a" * MIB)
    assert not invocation.chunk(b"b")
    assert not invocation.chunk(b"c")
    await settle()
    assert resumed.times == 0
    play.client_reads.set()
    await settle()
    assert resumed.times == 1
    assert invocation.chunk(b"d")
    invocation.end()
    assert response(await asking) == b"x" + b"a" * MIB + b"bcd"
    assert resumed.times == 1


@in_loop
async def test_a_response_that_has_ended_holds_nobody_up() -> None:
    """A client that reads after a timeout gets what there was, and no dead runtime is told to go on."""
    play = stream_play()
    asking, _ = await begun(play)
    (invocation,) = play.invocations
    resumed = Resumed()
    play.client_reads.clear()
    invocation.begin("text/plain", resumed)
    invocation.chunk(b"a" * MIB)
    assert not invocation.chunk(b"b" * MIB)
    skip_time(3)
    await settle()
    play.client_reads.set()
    answered = await asking
    assert len(response(answered)) == 2 * MIB
    assert completion(answered)["ErrorCode"] == "Sandbox.Timedout"
    assert resumed.times == 0


@in_loop
async def test_a_client_that_goes_away_does_not_disturb_the_runtime() -> None:
    """One that waits is told to go on, everything is swallowed, and the environment serves the next."""
    play = stream_play()
    asking, runtime = await begun(play)
    (invocation,) = play.invocations
    resumed = Resumed()
    play.client_reads.clear()
    invocation.begin("text/plain", resumed)
    invocation.chunk(b"a" * MIB)
    assert not invocation.chunk(b"b" * MIB)
    await settle()
    asking.cancel()
    await settle()
    assert asking.cancelled()
    assert resumed.times == 1
    assert all(invocation.chunk(b"c" * MIB) for _ in range(4))
    invocation.end()
    runtime.serve()
    await play.stage.settle()
    assert [environment.state for environment in play.pool.environments] == ["frozen"]
    play.client_reads.set()
    again = play.ask()
    await play.stage.settle()
    runtime.respond(b"2")
    assert response(await again) == b"2"


@in_loop
async def test_a_connection_that_is_reset_does_not_hold_the_runtime_up() -> None:
    """Through a real server and socket: the client leaves in the middle and does not say a word."""
    play = stream_play()
    async with asyncio.timeout(10), ApiServer(cast(Service, play), host="127.0.0.1", port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        path = b"/2021-11-15/functions/orders/response-streaming-invocations"
        writer.write(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        while not play.invocations:
            await asyncio.sleep(0)
        runtime = await play.runtime()
        (invocation,) = play.invocations
        resumed = asyncio.Event()
        invocation.begin("text/plain", resumed.set)
        invocation.chunk(b"first")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head.lower()
        while invocation.chunk(b"a" * MIB):
            await settle()  # until the sockets and the queue are full
        assert not resumed.is_set()
        reset = struct.pack("ii", 1, 0)  # at once
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()
        await resumed.wait()
        invocation.end()
        runtime.serve()
        await play.stage.settle()
        assert [environment.state for environment in play.pool.environments] == ["frozen"]


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"name": "nope"}, 404, "ResourceNotFoundException"),
        ({"query": "Qualifier=7"}, 404, "ResourceNotFoundException"),
        ({"name": "two words"}, 400, "ValidationException"),
        ({"headers": {"X-Amz-Invocation-Type": "Event"}}, 400, "ValidationException"),
        ({"headers": {"X-Amz-Log-Type": "All"}}, 400, "ValidationException"),
        ({"headers": {"X-Amz-Client-Context": "!"}}, 400, "InvalidRequestContentException"),
    ],
)
def test_a_request_is_refused_as_by_invoke(asked: dict[str, str], status: int, code: str) -> None:
    """An ordinary error, and no stream; an event cannot be streamed."""

    @in_loop
    async def play_it() -> None:
        answered = await stream_play().refused(**asked)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (status, code)

    play_it()


@in_loop
async def test_payloads_are_checked_as_by_invoke() -> None:
    """What is no JSON, and what is too large."""
    play = stream_play()
    assert (await play.refused("orders", b"{")).headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert (await play.refused("orders", b'"' + b"x" * 6_291_456)).status == 413


@in_loop
async def test_throttling_is_an_ordinary_error() -> None:
    """It comes before the first byte."""
    answered = await stream_play(limit=0).refused()
    assert (answered.status, answered.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")


@in_loop
async def test_a_sandbox_that_cannot_start_is_an_ordinary_error() -> None:
    """It comes before the first byte, with the tail asked for as well."""
    for headers in ({}, TAIL):
        play = stream_play()
        play.stage.provider.fail_start_with = SandboxError("no interpreter", cure="Install one.")
        async with asyncio.timeout(30):
            answered = await play.ask(headers=headers)
        assert (answered.status, answered.headers["x-amzn-errortype"]) == (502, "ServiceException")


# -- the queue -------------------------------------------------------------------------------------------------


def queued(*, until_report: bool = False) -> tuple[Invocation, ResponseQueue]:
    invocation = Invocation(RequestId("r"), b"{}", "arn", "Root=1")
    return invocation, ResponseQueue(invocation, until_report=until_report)


@given(
    chunks=st.lists(st.binary(max_size=30), max_size=20),
    late=st.integers(0, 20),
    error=st.none() | st.just("Function.Broken"),
)
def test_every_byte_is_read_in_its_order(chunks: list[bytes], late: int, error: str | None) -> None:
    """Whenever the reader begins, and whether or not the response breaks off; never an empty piece."""

    @in_loop
    async def play_it() -> None:
        invocation, response = queued()
        invocation.begin("text/plain", Resumed())
        for chunk in chunks[:late]:
            invocation.chunk(chunk)
        pieces: list[bytes] = []

        async def read() -> None:
            while (piece := await response.get()) is not None:
                pieces.append(piece)

        reading = asyncio.get_running_loop().create_task(read())
        for chunk in chunks[late:]:
            invocation.chunk(chunk)
            await asyncio.sleep(0)
        invocation.end(error)
        await reading
        assert pieces == [chunk for chunk in chunks if chunk]
        assert (response.error.code if response.error else None) == error

    play_it()


@in_loop
async def test_what_could_not_be_served_to_its_end_is_raised_after_what_came() -> None:
    """First the pieces, then the failure, as often as one asks."""
    invocation, response = queued(until_report=True)
    invocation.begin("text/plain", Resumed())
    invocation.chunk(b"half")
    invocation.fail(ServiceError("ended"))
    assert await response.get() == b"half"
    for _ in range(2):
        with pytest.raises(ServiceError, match="ended"):
            await response.get()


@in_loop
async def test_a_runtime_that_is_told_to_go_on_may_answer_at_once() -> None:
    """The call for more brings more, inside itself, until the queue is full again."""
    invocation, response = queued()
    left = [b"c" * MIB, b"d" * MIB]
    answers: list[bool] = []

    def more() -> None:
        while left:
            answers.append(invocation.chunk(left.pop(0)))
            if not answers[-1]:
                return
        invocation.end()

    invocation.begin("text/plain", more)
    invocation.chunk(b"a" * MIB)
    assert not invocation.chunk(b"b" * MIB)
    read = []
    while (piece := await response.get()) is not None:
        read.append(piece[:1])
    assert read == [b"a", b"b", b"c", b"d"]
    assert answers == [True, False]


def test_an_answer_after_the_stream_has_begun_is_its_end() -> None:
    """A crash in the middle is an error of the stream and adds no bytes to it."""

    @in_loop
    async def play_it() -> None:
        invocation, response = queued()
        invocation.begin("text/plain", Resumed())
        invocation.answer(Answer(b'{"errorType":"Runtime.ExitError"}', "Unhandled", "Runtime.ExitError"))
        assert await response.get() is None
        assert response.error is not None
        assert (response.error.code, response.error.details) == (
            "Runtime.ExitError",
            b'{"errorType":"Runtime.ExitError"}',
        )

    play_it()
