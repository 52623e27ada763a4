"""Streamed responses and environments: who gets the whole, who gets a limit, and what an end in the middle does."""

from __future__ import annotations

from collections.abc import Callable

from emulator.environment import Environment
from emulator.model import MAX_RESPONSE_BYTES, EnvironmentId
from tests.support import in_loop, skip_time
from tests.unit.stage import PlayedRuntime, Stage, Watched


class Owner:
    """An owner who wants to know nothing."""

    has_waiting = False

    def environment_parked(self, environment: Environment) -> None:
        pass

    def environment_ending(self, environment: Environment) -> None:
        pass

    def environment_gone(self, environment: Environment) -> None:
        pass


class Reader:
    """A client that reads a response as it comes."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.broken: bytes | None = None

    def response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self.heard.append(content_type)

    def response_chunk(self, chunk: bytes) -> bool:
        self.heard.append(chunk)
        return True

    def response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.heard.append((error_type, error_body))
        self.broken = error_body


async def invoking(stage: Stage, reader: Reader | None = None) -> tuple[PlayedRuntime, Watched]:
    """An environment whose runtime has an event, and has begun to answer it."""
    environment = Environment(EnvironmentId("e1"), stage.function, stage.surroundings, Owner())
    watched = stage.invocation()
    watched.invocation.reader = reader
    environment.start(watched.invocation)
    await stage.settle()
    runtime = stage.runtime()
    runtime.park()
    await stage.settle()
    assert runtime.session.begin_response(watched.invocation.request_id, "text/html", lambda: None) is None
    return runtime, watched


@in_loop
async def test_a_client_that_streams_hears_every_piece() -> None:
    """The content type first, then what comes, then the end; REPORT when the runtime is parked."""
    reader = Reader()
    runtime, watched = await invoking(Stage(), reader)
    assert runtime.session.response_chunk(b"one")
    assert runtime.session.response_chunk(b"two")
    runtime.session.end_response(None, None)
    runtime.park()
    assert reader.heard == ["text/html", b"one", b"two", (None, None)]
    assert watched.heard == ["answer", "report"]


@in_loop
async def test_a_client_that_does_not_gets_the_whole() -> None:
    """Pieces are put together."""
    runtime, watched = await invoking(Stage())
    runtime.session.response_chunk(b'{"a":')
    runtime.session.response_chunk(b"1}")
    assert watched.heard == []
    runtime.session.end_response(None, None)
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == b'{"a":1}'


@in_loop
async def test_the_whole_has_the_limit_of_every_answer() -> None:
    """Up to 6,291,556 bytes; one more is an error, and a client that streams may get it all the same."""
    for size, error in ((MAX_RESPONSE_BYTES, None), (MAX_RESPONSE_BYTES + 1, "Function.ResponseSizeTooLarge")):
        runtime, watched = await invoking(Stage())
        runtime.session.response_chunk(bytes(size))
        runtime.session.end_response(None, None)
        assert watched.outcome.answer is not None
        assert watched.outcome.answer.error_type == error
    reader = Reader()
    runtime, _ = await invoking(Stage(), reader)
    runtime.session.response_chunk(bytes(MAX_RESPONSE_BYTES + 1))
    runtime.session.end_response(None, None)
    assert reader.heard[-1] == (None, None)


@in_loop
async def test_a_timeout_in_the_middle_ends_the_stream() -> None:
    """Who streams hears why it broke off; who does not gets what every timeout gives."""
    stage, reader = Stage(), Reader()
    runtime, _ = await invoking(stage, reader)
    runtime.session.response_chunk(b"half")
    skip_time(3)
    await stage.settle()
    body = reader.broken
    assert reader.heard[-1] == ("Sandbox.Timedout", body)
    assert body is not None
    assert b"Task timed out after 3.00 seconds" in body
    stage = Stage()
    runtime, watched = await invoking(stage)
    runtime.session.response_chunk(b"half")
    skip_time(3)
    await stage.settle()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == body


@in_loop
async def test_an_environment_that_is_ended_after_the_answer_still_reports() -> None:
    """Whoever waits for the report must not wait for ever."""
    stage = Stage()
    environment = Environment(EnvironmentId("e1"), stage.function, stage.surroundings, Owner())
    watched = stage.invocation()
    environment.start(watched.invocation)
    await stage.settle()
    runtime = stage.runtime()
    runtime.park()
    await stage.settle()
    runtime.respond()
    environment.end("the emulator stops")
    await stage.settle()
    assert watched.heard == ["answer", "report"]
