"""The Runtime API on real sockets: what a runtime client sees, byte by byte, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
import uvloop

from emulator.errors import AddressInUseError
from emulator.model import Answer
from emulator.runtime_api.server import RuntimeApiServer
from tests.support import SkippingLoop, run
from tests.unit.runtime_api.wire import (
    ACCEPTED,
    ADDRESS,
    ID,
    NEXT,
    TOKEN,
    Client,
    Inside,
    connected,
    event,
    on_each_loop,
    post,
    post_chunked,
    request,
    serving,
    wire,
)

LIMIT = 6_291_556
INVALID_ID = wire("400 Bad Request", b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n')


@on_each_loop
async def test_a_round_on_the_wire_is_as_recorded() -> None:
    """``next`` waits, is answered with the event, and the response is accepted, byte for byte."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        assert await client.answer() == (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
            b"Lambda-Runtime-Deadline-Ms: 1542409706888\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\n"
            b'Lambda-Runtime-Trace-Id: Root=1\r\nContent-Length: 9\r\n\r\n{"k":"v"}'
        )
        assert await client.ask(post("response", b'"x"')) == ACCEPTED
        assert inside.answers == [Answer(b'"x"')]


@on_each_loop
async def test_refusals_on_the_wire_are_as_recorded() -> None:
    """A wrong id is 400, a second response 403, and the connection goes on."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        assert await client.ask(post("response", b"1", request_id="other-id")) == INVALID_ID
        assert await client.ask(post("response", b"1")) == ACCEPTED
        assert await client.ask(post("response", b"2")) == wire(
            "403 Forbidden",
            b'{"errorMessage":"State transition from RuntimeResponseSentState to InvocationResponse failed '
            b'for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}\n',
        )
        assert inside.answers == [Answer(b"1")]


@on_each_loop
async def test_next_while_running_renders_the_same_event() -> None:
    """A runtime that asks twice is told twice."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        first = await client.answer()
        assert await client.ask(NEXT) == first
        assert inside.parks == 1


@on_each_loop
async def test_errors_carry_the_type_of_their_header() -> None:
    """Header names are the same in any case."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        request = post("error", b'{"a":1}', "lambda-runtime-FUNCTION-error-type: Runtime.Panic")
        assert await client.ask(request) == ACCEPTED
        assert inside.answers == [Answer(b'{"a":1}', "Unhandled", "Runtime.Panic")]


@on_each_loop
async def test_init_error_is_accepted_once_and_only_before_next() -> None:
    """202 before, 403 after, with the state in the message."""
    request = (
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\n"
        b"Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\nContent-Length: 2\r\n\r\n{}"
    )
    async with serving() as (server, inside, client):
        assert await client.ask(request) == ACCEPTED
        assert inside.init_failures == [(b"{}", "Runtime.ImportModuleError")]
        late = Inside()
        server.register("127.1.2.4", late.sessions)
        async with connected(server, "127.1.2.4") as other:
            await other.send(NEXT)
            await late.hand_out(event())
            await other.answer()
            answer = await other.ask(request)
            assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
            assert b"from Running to InitError failed for runtime." in answer
            assert late.init_failures == []


@on_each_loop
async def test_a_response_of_exactly_the_limit_passes() -> None:
    """6,291,556 bytes arrive whole, with a length and in chunks."""
    for whole in (True, False):
        async with serving() as (_, inside, client):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            body = b'"' + b"x" * (LIMIT - 2) + b'"'
            request = post("response", body) if whole else post_chunked("response", body[:1000], body[1000:])
            assert await client.ask(request) == ACCEPTED
            assert inside.answers[0].payload == body


@on_each_loop
async def test_one_byte_more_is_too_large_and_the_environment_stays_usable() -> None:
    """413 for the runtime, the recorded error for the client, and the next round on the same connection."""
    for whole in (True, False):
        async with serving() as (_, inside, client):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            body = b"x" * (LIMIT + 1)
            request = post("response", body) if whole else post_chunked("response", body[:-1], body[-1:])
            answer = await client.ask(request)
            assert answer.startswith(b"HTTP/1.1 413 ")  # Python's own phrase behind it has changed once
            assert answer.endswith(
                b'\r\n\r\n{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).",'
                b'"errorType":"RequestEntityTooLarge"}\n'
            )
            assert inside.answers[0].error_type == "Function.ResponseSizeTooLarge"
            await client.send(NEXT)
            await inside.hand_out(event(request_id="second"))
            await client.answer()
            assert await client.ask(post("response", b"1", request_id="second")) == ACCEPTED


@on_each_loop
async def test_a_large_event_arrives_whole() -> None:
    """Six mebibytes on their way in, written apart from their head."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        payload = b'"' + bytes(range(32, 127)).replace(b'"', b"") * 66_000 + b'"'
        await inside.hand_out(event(payload))
        assert (await client.answer()).endswith(b"\r\n\r\n" + payload)


@on_each_loop
async def test_chunks_are_put_together() -> None:
    """Whatever their number, also when the pieces of the request come one byte at a time."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        for byte in post_chunked("response", b'{"a"', b":", b"1}"):
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.answer() == ACCEPTED
        assert inside.answers == [Answer(b'{"a":1}')]


@on_each_loop
async def test_trailers_are_accepted_on_every_post() -> None:
    """Go's client announces them always; they are no part of the body."""
    trailers = b"Lambda-Runtime-Function-Error-Type: Function.X\r\nLambda-Runtime-Function-Error-Body: e30=\r\n"
    announced = b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
    async with serving() as (_, inside, client):
        for number, what in enumerate(("response", "error")):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            request = post_chunked(what, b"{}", trailers=trailers, headers=announced)
            assert await client.ask(request) == ACCEPTED
            assert inside.answers[number].payload == b"{}"


@on_each_loop
async def test_a_body_cut_short_is_told_so_and_answers_nothing() -> None:
    """400 in the recorded words; the invocation still waits for its answer, on another connection."""
    cut = [post_chunked("response", b"12345")[:-8], post("response", b"12345")[:-2]]
    for given in cut:
        async with serving() as (server, inside, client):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            await client.send(given)
            client.writer.write_eof()
            assert await client.closed() == wire(
                "400 Bad Request",
                b'{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}\n',
            )
            assert inside.answers == []
            async with connected(server) as again:
                assert await again.ask(post("response", b"1")) == ACCEPTED


@on_each_loop
async def test_a_client_that_waits_for_100_continue_is_not_left_waiting() -> None:
    """It hears "go on" before it has sent any of its body."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        request = post("response", b"12345", "Expect: 100-continue")
        await client.send(request[:-5])
        assert await client.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert inside.answers == []
        assert await client.ask(b"12345") == ACCEPTED


@on_each_loop
async def test_runtimes_that_start_at_once_can_wait_to_be_accepted() -> None:
    """As many as a busy emulator may keep waiting: AWS's client gives a connection up after a second."""
    with contextlib.ExitStack() as stack:
        async with RuntimeApiServer("127.0.0.1") as server:
            for _ in range(300):  # without a round of the loop in between
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))


@on_each_loop
async def test_an_unknown_address_is_closed_without_a_word() -> None:
    """Neither end of the connection belongs to an environment."""
    async with serving() as (server, _, _), connected(server, "127.9.9.9") as stranger:
        with contextlib.suppress(ConnectionError):
            await stranger.send(NEXT)
        assert await stranger.closed() == b""


@on_each_loop
async def test_a_connection_that_the_guard_refuses_is_closed() -> None:
    """The address alone proves nothing: the guard sees both ends and decides."""
    seen: list[tuple[tuple[str, int], tuple[str, int]]] = []

    def refuse(local: tuple[str, int], peer: tuple[str, int]) -> bool:
        seen.append((local, peer))
        return False

    async with serving(guard=refuse) as (server, inside, client):
        with contextlib.suppress(ConnectionError):
            await client.send(NEXT)
        assert await client.closed() == b""
        assert inside.parks == 0
        assert [local for local, _ in seen] == [(ADDRESS, server.port)]
        assert seen[0][1] == client.writer.get_extra_info("sockname")


@on_each_loop
async def test_a_connection_that_the_guard_lets_pass_is_served() -> None:
    """The guard is asked once a connection and not for every request."""
    asked: list[object] = []

    def allow(local: tuple[str, int], peer: tuple[str, int]) -> bool:
        asked.append((local, peer))
        return True

    async with serving(guard=allow) as (_, inside, client):
        for _ in range(2):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            assert await client.ask(post("response", b"1")) == ACCEPTED
        assert len(asked) == 1


@on_each_loop
async def test_environments_are_told_apart_by_the_address_they_call() -> None:
    """One port for all; each runtime gets its own event."""
    async with RuntimeApiServer("0.0.0.0") as server, contextlib.AsyncExitStack() as stack:
        pairs = []
        for number in range(1, 6):
            inside = Inside()
            server.register(f"127.1.0.{number}", inside.sessions)
            client = await stack.enter_async_context(connected(server, f"127.1.0.{number}"))
            await client.send(NEXT)
            pairs.append((inside, client))
        for number, (inside, _) in enumerate(pairs):
            await inside.hand_out(event(b"%d" % number))
        for number, (_, client) in enumerate(pairs):
            assert (await client.answer()).endswith(b"\r\n\r\n%d" % number)


@on_each_loop
async def test_environments_are_told_apart_by_the_address_they_call_from() -> None:
    """A container calls one address from its own."""
    async with RuntimeApiServer("127.0.0.1") as server:
        first, second = Inside(), Inside()
        server.register("127.7.0.1", first.sessions)
        server.register("127.7.0.2", second.sessions)
        async with connected(server, "127.0.0.1", source="127.7.0.2") as client:
            await client.send(NEXT)
            await second.hand_out(event())
            await client.answer()
        assert (first.parks, second.parks) == (0, 1)


@on_each_loop
async def test_one_connection_serves_many_invocations() -> None:
    """A warm runtime never connects again."""
    async with serving() as (_, inside, client):
        for number in range(200):
            await client.send(NEXT)
            await inside.hand_out(event(request_id=str(number)))
            assert f"Request-Id: {number}\r\n".encode() in await client.answer()
            assert await client.ask(post("response", b"%d" % number, request_id=str(number))) == ACCEPTED
        assert [answer.payload for answer in inside.answers] == [b"%d" % number for number in range(200)]


@on_each_loop
async def test_a_runtime_may_use_a_connection_for_each_call() -> None:
    """Go's client waits on one connection and answers on another."""
    async with serving() as (server, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        async with connected(server) as other:
            assert await other.ask(post("response", b"1")) == ACCEPTED
        await client.send(NEXT)
        await inside.hand_out(event(request_id="second"))
        assert b"second" in await client.answer()


@on_each_loop
async def test_a_connection_is_closed_when_the_client_asks_for_it() -> None:
    """``Connection: close``, and HTTP/1.0 without a word about it."""
    for old in (False, True):
        async with serving() as (_, inside, client):
            await client.send(NEXT)
            await inside.hand_out(event())
            await client.answer()
            request = post("response", b"1") if old else post("response", b"1", "Connection: close")
            await client.send(request.replace(b"HTTP/1.1", b"HTTP/1.0") if old else request)
            assert await client.closed() == ACCEPTED


@on_each_loop
async def test_unregister_drops_what_is_connected_and_refuses_what_comes() -> None:
    """Of this environment; another one's parked call is not touched."""
    async with serving() as (server, inside, client):
        other = Inside()
        server.register("127.1.2.4", other.sessions)
        async with connected(server, "127.1.2.4") as neighbour:
            await neighbour.send(NEXT)
            await client.send(NEXT)
            async with asyncio.timeout(30):
                await inside.parked.wait()
            server.unregister(ADDRESS)
            server.unregister(ADDRESS)
            assert await client.closed() == b""
            async with connected(server) as late:
                assert await late.closed() == b""
            await other.hand_out(event())
            assert (await neighbour.answer()).startswith(b"HTTP/1.1 200 OK")


@on_each_loop
async def test_a_runtime_that_lost_its_parked_connection_gets_its_event_on_the_next() -> None:
    """An event that comes in between waits for it."""
    async with serving() as (server, inside, _):
        async with connected(server) as lost:
            await lost.send(NEXT)
            async with asyncio.timeout(30):
                await inside.parked.wait()
        async with asyncio.timeout(30):
            await inside.session.unparked.wait()
        assert not inside.session.hand_out(event())
        async with connected(server) as again:
            assert b"Aws-Request-Id: " + ID.encode() in await again.ask(NEXT)


@on_each_loop
async def test_what_is_no_http_is_answered_and_closed() -> None:
    """One plain 400, and the end."""
    async with serving() as (_, _, client):
        await client.send(b"hello?\r\n\r\n")
        assert (await client.closed()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@on_each_loop
async def test_other_paths_are_not_found() -> None:
    """As AWS's agent says it; also those of an API that is not offered here, and known ones with another method."""
    known = "/2018-06-01/runtime"
    others = [
        ("GET", "/"),
        ("GET", f"{known}/restore/next"),
        ("POST", f"{known}/restore/error"),
        ("GET", "/2021-04-23/credentials"),
        ("GET", f"{known}/invocation/next/"),
        ("POST", f"{known}/invocation/next"),
        ("GET", f"{known}/invocation/{ID}/response"),
        ("POST", f"{known}/invocation/{ID}"),
        ("POST", f"{known}/invocation/{ID}/other"),
        ("GET", f"{known}/init/error"),
        ("GET", "/2020-01-01/extension/register"),
        ("POST", "/2020-01-01/extension/event/next"),
        ("POST", "/2022-07-01/telemetry"),
        ("PUT", "/2022-07-01/logs"),
    ]
    async with serving() as (_, inside, client):
        for method, path in others:
            assert await client.ask(request(method, path)) == (
                b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\n"
                b"404 page not found\n"
            )
        assert (inside.parks, inside.subscriptions) == (0, [])


@on_each_loop
async def test_ping_is_answered() -> None:
    """For those who have come to rely on it; no newline behind it."""
    async with serving() as (_, _, client):
        assert await client.ask(request("GET", "/2018-06-01/ping")) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\npong"
        )


def identifier_of(answer: bytes) -> str:
    """What registration gave."""
    (line,) = (line for line in answer.split(b"\r\n") if line.startswith(b"Lambda-Extension-Identifier: "))
    return line.partition(b": ")[2].decode()


def next_event(identifier: str) -> bytes:
    return request("GET", "/2020-01-01/extension/event/next", b"", f"Lambda-Extension-Identifier: {identifier}")


def register(name: str, body: bytes) -> bytes:
    return request("POST", "/2020-01-01/extension/register", body, f"Lambda-Extension-Name: {name}")


@on_each_loop
async def test_the_life_of_an_extension_on_the_wire() -> None:
    """Registration, an invocation, the end, byte for byte; header names are the same in any case."""
    async with serving(external=("my-ext",)) as (_, inside, client):
        answer = await client.ask(register("my-ext", b'{"events":["INVOKE","SHUTDOWN"]}'))
        identifier = identifier_of(answer)
        body = b'{"functionName":"fn","functionVersion":"$LATEST","handler":"app.handler"}\n'
        assert answer == (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Lambda-Extension-Identifier: " + identifier.encode() + b"\r\nContent-Length: 74\r\n\r\n" + body
        )
        await client.send(next_event(identifier).replace(b"Lambda-Extension-I", b"lambda-EXTENSION-i"))
        await inside.until(lambda: inside.extension_parks)
        inside.extensions.invoke(event())
        head, _, body = (await client.answer()).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[:2] == [b"HTTP/1.1 200 OK", b"Content-Type: application/json"]
        assert lines[2].startswith(b"Lambda-Extension-Event-Identifier: ")
        assert body == (
            b'{"eventType":"INVOKE","deadlineMs":1542409706888,"requestId":"' + ID.encode() + b'",'
            b'"invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}'
        )
        await client.send(next_event(identifier))
        await inside.until(lambda: len(inside.extension_parks) == 2)
        assert inside.extensions.shut_down("spindown", 12) == ["my-ext"]
        assert await client.answer() == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 68\r\n\r\n"
            b'{"eventType":"SHUTDOWN","deadlineMs":12,"shutdownReason":"spindown"}'
        )


@on_each_loop
async def test_an_extension_may_ask_for_the_account() -> None:
    """By a header of its registration."""
    async with serving() as (_, _, client):
        given = register("a", b"{}").replace(b"Host: x", b"Lambda-Extension-Accept-Feature: accountId")
        assert (await client.ask(given)).endswith(b'"handler":"app.handler","accountId":"123456789012"}\n')


@on_each_loop
async def test_an_extension_without_an_identifier_is_refused_as_recorded() -> None:
    """403, in JSON."""
    async with serving() as (_, _, client):
        assert await client.ask(request("GET", "/2020-01-01/extension/event/next")) == wire(
            "403 Forbidden",
            b'{"errorMessage":"Missing Lambda-Extension-Identifier header",'
            b'"errorType":"Extension.MissingExtensionIdentifier"}\n',
        )


@on_each_loop
async def test_errors_of_extensions_are_accepted() -> None:
    """Each on its own path, with type and body as they were sent."""
    async with serving() as (_, inside, client):
        for name, what in (("a", "init"), ("b", "exit")):
            identifier = identifier_of(await client.ask(register(name, b"{}")))
            headers = (f"Lambda-Extension-Identifier: {identifier}", f"Lambda-Extension-Function-Error-Type: My.{what}")
            given = request("POST", f"/2020-01-01/extension/{what}/error", b'{"errorMessage":"no"}', *headers)
            assert await client.ask(given) == ACCEPTED
        assert inside.failed == [
            ("a", "InitError", "My.init", b'{"errorMessage":"no"}'),
            ("b", "ExitError", "My.exit", b'{"errorMessage":"no"}'),
        ]


@on_each_loop
async def test_an_extension_that_lost_its_parked_connection_gets_its_event_on_the_next() -> None:
    """It is parked all the while; an event that comes in between waits for it."""
    async with serving() as (server, inside, client):
        identifier = identifier_of(await client.ask(register("a", b'{"events":["INVOKE"]}')))
        async with connected(server) as lost:
            await lost.send(next_event(identifier))
            await inside.until(lambda: inside.extension_parks)
        async with asyncio.timeout(30):
            await inside.session.unparked.wait()
        assert inside.extensions.all_parked
        inside.extensions.invoke(event())
        assert b'"eventType":"INVOKE"' in await client.ask(next_event(identifier))
        assert inside.extension_parks == ["a"]


@on_each_loop
async def test_a_parked_connection_that_was_to_be_closed_is_closed_behind_its_event() -> None:
    """Of an extension and of a runtime: a client that reads to the end gets there."""
    async with serving() as (server, inside, client):
        identifier = identifier_of(await client.ask(register("a", b'{"events":["INVOKE"]}')))
        async with connected(server) as runtime:
            await client.send(next_event(identifier).replace(b"Host: x", b"Connection: close"))
            await runtime.send(NEXT.replace(b"Host: x", b"Connection: close"))
            await inside.until(lambda: inside.extension_parks)
            await inside.hand_out(event())
            inside.extensions.invoke(event())
            assert b'"eventType":"INVOKE"' in await client.closed()
            assert (await runtime.closed()).endswith(b'{"k":"v"}')


@on_each_loop
async def test_subscriptions_go_to_who_takes_them() -> None:
    """Telemetry and the older logs, with who asks and what for; the answer comes back as it is."""
    async with serving() as (_, inside, client):
        for path in ("/2022-07-01/telemetry", "/2020-08-15/logs"):
            given = request("PUT", path, b'{"types":["platform"]}', "Lambda-Extension-Identifier: who")
            assert await client.ask(given) == wire("200 OK", b'"OK"')
        await client.ask(request("PUT", "/2022-07-01/telemetry"))
        assert inside.subscriptions == [
            ("telemetry", "who", b'{"types":["platform"]}'),
            ("logs", "who", b'{"types":["platform"]}'),
            ("telemetry", None, b""),
        ]


@on_each_loop
async def test_a_body_that_is_far_too_large_is_not_taken() -> None:
    """What no extension needs is not kept in memory."""
    async with serving() as (_, inside, client):
        for path, method in (("/2020-01-01/extension/register", "POST"), ("/2022-07-01/telemetry", "PUT")):
            answer = await client.ask(request(method, path, b" " * (LIMIT + 1), "Lambda-Extension-Name: a"))
            assert answer.startswith(b"HTTP/1.1 413 ")
        assert (inside.registered, inside.subscriptions) == ([], [])


METADATA = "/2026-01-15/metadata/execution-environment"


@on_each_loop
async def test_metadata_tell_the_zone_to_who_has_the_token() -> None:
    """With leave to keep it."""
    async with serving() as (_, _, client):
        assert await client.ask(request("GET", METADATA, b"", f"Authorization: Bearer {TOKEN}")) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Cache-Control: private, max-age=43200, immutable\r\nContent-Length: 33\r\n\r\n"
            b'{"AvailabilityZoneID":"use1-az1"}'
        )
        assert (await client.ask(request("GET", METADATA))).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert (await client.ask(request("PUT", METADATA, b"x"))).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")


@on_each_loop
async def test_the_zone_is_of_the_listeners_region() -> None:
    """There is one region to an emulator."""
    async with RuntimeApiServer("0.0.0.0", region="ap-southeast-2") as server:
        server.register(ADDRESS, Inside().sessions)
        async with connected(server) as client:
            answer = await client.ask(request("GET", METADATA, b"", f"Authorization: Bearer {TOKEN}"))
            assert answer.endswith(b'{"AvailabilityZoneID":"apse2-az1"}')


HTTP2 = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c"


@on_each_loop
async def test_a_client_that_offers_http_2_keeps_its_body() -> None:
    """As Java's does with every request; with a length or in chunks, in one piece or byte by byte."""
    whole = post("response", b'"x"', HTTP2)
    chunked = post_chunked("response", b'"', b'x"', headers=HTTP2.encode() + b"\r\n")
    for given in (whole, chunked):
        for width in (len(given), 1):
            async with serving() as (_, inside, client):
                await client.send(NEXT.replace(b"Host: x", HTTP2.encode()))
                await inside.hand_out(event())
                await client.answer()
                for start in range(0, len(given), width):
                    client.writer.write(given[start : start + width])
                    await asyncio.sleep(0)
                assert await client.answer() == ACCEPTED
                assert inside.answers == [Answer(b'"x"')]
                await client.send(NEXT.replace(b"Host: x", HTTP2.encode()))
                await inside.hand_out(event(request_id="second"))
                assert b"second" in await client.answer()
                assert inside.parks == 2


@on_each_loop
async def test_a_client_that_offers_http_2_keeps_its_headers() -> None:
    """An error type, an extension's name, and the wish to stream."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        assert (
            await client.ask(post("error", b"{}", HTTP2, "Lambda-Runtime-Function-Error-Type: Runtime.Panic"))
            == ACCEPTED
        )
        assert inside.answers[0].error_type == "Runtime.Panic"
        await client.ask(register("a", b"{}").replace(b"Host: x", HTTP2.encode()))
        assert inside.registered == ["a"]
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        streamed = post("response", b"abc", HTTP2, "Lambda-Runtime-Function-Response-Mode: streaming")
        assert await client.ask(streamed) == ACCEPTED
        assert (b"".join(inside.chunks), inside.ended) == (b"abc", [(None, None)])


@on_each_loop
async def test_a_client_that_offers_http_2_may_wait_for_100_continue() -> None:
    """Both at once: it hears "go on" once, and then its body counts."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        given = post("response", b"12345", HTTP2, "Expect: 100-continue")
        await client.send(given[:-5])
        assert await client.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await client.ask(b"12345") == ACCEPTED
        assert inside.answers == [Answer(b"12345")]


@on_each_loop
async def test_a_tunnel_is_not_built() -> None:
    """``CONNECT`` is answered like any other path that there is not, and closed."""
    async with serving() as (_, _, client):
        await client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        answer = await client.closed()
        assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert answer.count(b"HTTP/1.1") == 1


@on_each_loop
async def test_an_error_with_its_cause_on_the_wire() -> None:
    """The content type says that there is one; the client gets the error alone."""
    async with serving() as (_, inside, client):
        await client.send(NEXT)
        await inside.hand_out(event())
        await client.answer()
        body = b'{"errorMessage":"m","errorType":"T","stackTrace":["l"],"errorCause":{"exceptions":[]}}'
        given = post("error", body, "Content-Type: application/vnd.aws.lambda.error.cause+json")
        assert await client.ask(given) == ACCEPTED
        assert inside.answers[0].payload == b'{"errorMessage":"m","errorType":"T","stackTrace":["l"]}'


@on_each_loop
async def test_leaving_the_server_ends_parked_calls() -> None:
    """A runtime that waits for ever does not keep the emulator from stopping."""
    async with RuntimeApiServer("0.0.0.0") as server:
        inside = Inside()
        server.register(ADDRESS, inside.sessions)
        reader, writer = await asyncio.open_connection(ADDRESS, server.port)
        writer.write(NEXT)
        async with asyncio.timeout(30):
            await inside.parked.wait()
    assert await Client(reader, writer).closed() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(ADDRESS, server.port)


@on_each_loop
async def test_an_address_that_is_not_ours_is_a_plain_error() -> None:
    """The message names the address; 203.0.113.0/24 is nobody's by definition."""
    with pytest.raises(AddressInUseError, match=r"203\.0\.113\.1"):
        async with RuntimeApiServer("203.0.113.1"):
            pytest.fail("it cannot listen there")


class Broken(Inside):
    """An environment that fails when it hears of the answer."""

    def runtime_answered(self, answer: Answer) -> None:
        raise LookupError("behind the door")


def test_a_failure_of_the_emulator_is_not_blamed_on_the_runtime() -> None:
    """What fails behind the door reaches the loop as what it is, and is no "400 Bad Request"."""

    async def answer_to_a_broken_environment() -> None:
        async with RuntimeApiServer("0.0.0.0") as server:
            broken = Broken()
            server.register(ADDRESS, broken.sessions)
            async with connected(server) as client:
                await client.send(NEXT)
                await broken.hand_out(event())
                await client.answer()
                await client.send(post("response", b"1"))
                assert await client.closed() == b""

    for factory in (SkippingLoop, uvloop.new_event_loop):
        with pytest.raises(ExceptionGroup) as caught:
            run(answer_to_a_broken_environment(), factory)
        assert caught.group_contains(LookupError, match="behind the door")
