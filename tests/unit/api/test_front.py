"""Which requests the door of a connection serves itself, and how it ends; the answers are in the integration tests."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.api.front import Front
from emulator.api.invoke import HttpAnswer, InvokeRequest, InvokeRoute
from tests.support import in_loop
from tests.unit.api.raw import INVOKE, PATHS, REQUESTS, raw_request


class Wire(asyncio.Transport):
    """The other end of a connection: what was written to it."""

    def __init__(self) -> None:
        super().__init__(extra={"socket": self})
        self.written = b""
        self.protocol: object = None
        self.closed = self.paused = False

    def fileno(self) -> int:
        return 7

    def write(self, data: Any) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class General:
    """The general server's protocol."""

    received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        self.received += data


class Served(InvokeRoute):
    """Remembers what it is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[bytes, bytes], bytes, int]] = []
        self.done: list[Any] = []

    def read(self, *asked: Any) -> InvokeRequest:
        self.asked.append(asked)
        return cast(InvokeRequest, asked)

    def serve(self, _request: InvokeRequest, done: Any) -> None:
        self.done.append(done)


class Scene:
    """One connection."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.default_headers = [(b"date", b"now")]
        self.route, self.general, self.wire = Served(), General(), Wire()
        self.watched: list[int] = []
        self.front = Front(self.route, self, lambda: self.general, self.watched.append)
        self.front.connection_made(self.wire)

    def answer(self, body: bytes = b"{}") -> None:
        self.route.done.pop(0)(HttpAnswer(200, [(b"a", b"b")], body))


ECHO = raw_request(INVOKE.format("orders"), ["X-A: b"], b'{"a": 1}')
ANSWER = b"HTTP/1.1 200 OK\r\ndate: now\r\na: b\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize("name", [*REQUESTS, *PATHS])
def test_what_is_usual_is_served_here_and_what_is_not_is_handed_on_untouched(name: str) -> None:
    """The table says which is which."""
    if name in REQUESTS:
        usual, lines, payload = REQUESTS[name]
        asked = raw_request(INVOKE.format("orders"), lines, payload)
    else:
        usual, path = PATHS[name]
        asked = raw_request(path, [], b"{}")
    scene = Scene()
    scene.front.data_received(asked)
    assert (len(scene.route.asked), scene.general.received) == ((1, b"") if usual else (0, asked))
    assert (scene.front in scene.connections) == usual


def test_a_function_url_is_not_served_here() -> None:
    """Its function may be asked for any path, that of an invocation among them."""
    scene = Scene()
    asked = ECHO.replace(b"Host: a", b"Host: abc.lambda-url.localhost:3001")
    scene.front.data_received(asked)
    assert (scene.route.asked, scene.general.received) == ([], asked)


@given(cut=st.integers(0, len(ECHO) - 1), change=st.binary(max_size=3), at=st.integers(0, len(ECHO)))
def test_no_byte_is_lost_whatever_comes(cut: int, change: bytes, at: int) -> None:
    """It is served whole, it is waited for, or the general server gets all of it from the first byte on."""
    asked = ECHO[:at] + change + ECHO[at:]
    scene = Scene()
    pieces = [piece for piece in (asked[:cut], asked[cut:]) if piece]
    for piece in pieces:
        receiver = scene.wire.protocol or scene.front
        cast(Any, receiver).data_received(piece)
    if scene.general.received:
        assert asked.endswith(scene.general.received)
        assert scene.route.asked or scene.general.received == asked
    for name, _, _, payload, size in scene.route.asked:
        assert len(payload) == size
        assert INVOKE.format(name).encode() in asked


def test_request_and_answer() -> None:
    """What the route is told, and what the client gets."""
    scene = Scene()
    scene.front.data_received(ECHO.replace(b"invocations ", b"invocations?Qualifier=1 "))
    headers = {b"host": b"a", b"x-a": b"b", b"content-length": b"8"}
    assert scene.route.asked == [("orders", "Qualifier=1", headers, b'{"a": 1}', 8)]
    scene.answer()
    assert scene.wire.written == ANSWER


@in_loop
async def test_a_client_that_does_not_wait_is_answered_in_order() -> None:
    """One at a time; one that sends too much ahead is not read on until then."""
    scene = Scene()
    scene.front.data_received(ECHO + ECHO)
    scene.front.data_received(ECHO * 2000)
    assert len(scene.route.asked) == 1
    assert scene.wire.paused
    scene.answer()
    await asyncio.sleep(0)
    assert len(scene.route.asked) == 2
    assert not scene.wire.paused


def test_a_stop_waits_for_the_answer() -> None:
    """At rest the connection ends at once; at work behind its answer, which says so."""
    scene = Scene()
    scene.front.shutdown()
    assert scene.wire.closed
    scene = Scene()
    scene.front.data_received(ECHO)
    scene.front.shutdown()
    assert not scene.wire.closed
    scene.answer()
    assert scene.wire.written == ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert scene.wire.closed


def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    """Its answer comes to nothing, and nobody hears of it."""
    scene = Scene()
    scene.front.data_received(ECHO)
    scene.wire.closed = True
    scene.front.connection_lost(None)
    scene.answer()
    assert scene.wire.written == b""
    assert not scene.connections


def test_a_connection_is_watched_from_its_beginning() -> None:
    """What it brings can be seen on the doorstep before anybody reads it."""
    assert Scene().watched == [7]
