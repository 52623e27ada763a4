"""Streamed responses: piece by piece on their own, and byte by byte on real sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest
import uvloop

from emulator.model import MAX_STREAM_BYTES, Answer, RequestId
from emulator.runtime_api.bandwidth import INTERVAL, Bandwidth
from emulator.runtime_api.reply import ACCEPTED as ACCEPTED_REPLY
from emulator.runtime_api.reply import TOO_LARGE, TRUNCATED, Reply
from emulator.runtime_api.runtime import InvocationEvent, RuntimeSession
from emulator.runtime_api.streaming import ResponseStream
from tests.support import run, skip_time
from tests.unit.runtime_api.wire import (
    ACCEPTED,
    ADDRESS,
    ID,
    NEXT,
    connected,
    event,
    on_each_loop,
    post,
    post_chunked,
    request,
    running,
    wire,
)

MIB = 2**20
MODE = b"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
TRAILER = b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
HEAD = (
    f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nHost: x\r\n".encode()
    + MODE
    + b"Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Played:
    """Everything around a stream: the environment that reads it, and the line it comes in on."""

    def __init__(self, bandwidth: Callable[[Callable[[], float]], Bandwidth] | None = None) -> None:
        self.now = 0.0
        self.chunks: list[bytes] = []
        self.ended: list[tuple[str | None, bytes | None]] = []
        self.replies: list[Reply] = []
        self.reading = True
        self.timers: dict[float, Callable[[], None]] = {}
        self.wants_more: Callable[[], bool] = lambda: True
        self.session = RuntimeSession(self)
        self.session.next(lambda _event: None)
        self.session.hand_out(InvocationEvent(RequestId(ID), b"{}", 1, "arn", "Root=1"))
        self.stream = ResponseStream(self.session, self, bandwidth(lambda: self.now) if bandwidth else None)

    def begun(self) -> Played:
        self.stream.begin(ID, "text/html")
        return self

    # the environment

    def runtime_parked(self) -> None:
        pass

    def runtime_answered(self, answer: Answer) -> None:
        pytest.fail("a streamed response is no answer at once")

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        pytest.fail("init is over")

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        assert resume == self.stream.resume

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        assert chunk, "an empty piece is none"
        assert not self.ended, "it is over"
        self.chunks.append(chunk)
        return self.wants_more()

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.ended.append((error_type, error_body))

    # the line

    def read_on(self, wanted: bool) -> None:
        assert self.reading != wanted, "said twice"
        self.reading = wanted

    def call_later(self, delay: float, callback: Callable[[], None]) -> Cancelled:
        moment = self.now + delay
        self.timers[moment] = callback
        return Cancelled(self.timers, moment)

    def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for moment in [moment for moment in self.timers if moment <= self.now + 1e-9]:
            self.timers.pop(moment)()


class Cancelled:
    """A timer of the played line."""

    def __init__(self, timers: dict[float, Callable[[], None]], moment: float) -> None:
        self._timers, self._moment = timers, moment

    def cancel(self) -> None:
        del self._timers[self._moment]


def test_pieces_are_passed_on_as_they_come() -> None:
    """None waits for the next; the runtime is answered when all is there."""
    played = Played().begun()
    for chunk in (b"a", b"bc"):
        played.stream.feed(chunk)
    assert (played.chunks, played.replies, played.ended) == ([b"a", b"bc"], [], [])
    played.stream.complete(None, None)
    assert (played.ended, played.replies) == ([(None, None)], [ACCEPTED_REPLY])
    assert played.session.state == "RuntimeResponseSentState"


def test_what_is_refused_is_dropped() -> None:
    """The runtime hears at once, and nobody else anything."""
    played = Played()
    played.stream.begin("another", None)
    played.stream.feed(b"x")
    played.stream.complete("Function.X", None)
    played.stream.cut()
    played.stream.resume()
    assert [reply.status for reply in played.replies] == [400]
    assert played.stream.is_over
    assert (played.chunks, played.ended) == ([], [])
    assert played.session.state == "Running"


def test_a_reader_that_wants_no_more_stops_the_line() -> None:
    """What has been read is held; when more is wanted it comes, and the line is read on when nothing is held."""
    played = Played().begun()
    played.wants_more = lambda: False
    for chunk in (b"a", b"b", b"c"):
        played.stream.feed(chunk)
    played.stream.complete(None, None)
    assert (played.chunks, played.reading, played.ended) == ([b"a"], False, [])
    played.stream.resume()
    assert (played.chunks, played.reading) == ([b"a", b"b"], False)
    played.wants_more = lambda: True
    played.stream.resume()
    assert (played.chunks, played.reading) == ([b"a", b"b", b"c"], True)
    assert (played.ended, played.replies) == ([(None, None)], [ACCEPTED_REPLY])


def test_the_line_is_not_read_while_nothing_is_wanted_even_if_nothing_is_held() -> None:
    """The next piece is not fetched before it is asked for."""
    played = Played().begun()
    played.wants_more = lambda: False
    played.stream.feed(b"a")
    assert not played.reading
    played.stream.resume()
    assert played.reading


def test_a_reader_may_ask_for_more_before_it_has_said_no() -> None:
    """It was quicker than its own answer: nothing is stuck."""
    played = Played().begun()

    def ask_at_once() -> bool:
        played.stream.resume()
        return False

    played.wants_more = ask_at_once
    played.stream.feed(b"a")
    played.stream.feed(b"b")
    assert (played.chunks, played.reading) == ([b"a", b"b"], True)


def test_a_reader_hears_one_piece_after_the_other() -> None:
    """Never a piece in the midst of another one, though it asks for more while it hears one."""
    played, depth, deepest = Played().begun(), 0, 0

    def ask_within() -> bool:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        played.stream.resume()
        depth -= 1
        return True

    played.wants_more = lambda: False
    for data in (b"a", b"b", b"c", b"d"):
        played.stream.feed(data)
    played.wants_more = ask_within
    played.stream.resume()
    assert (played.chunks, deepest) == ([b"a", b"b", b"c", b"d"], 1)


def test_the_bandwidth_is_kept() -> None:
    """A burst of 6 MiB goes at once, then 256 KiB every 125 ms; while there is something to send nothing is read."""
    played = Played(Bandwidth).begun()
    played.stream.feed(bytes(5 * MIB))
    played.stream.feed(bytes(2 * MIB))
    played.stream.complete(None, None)
    assert (sum(map(len, played.chunks)), played.reading, len(played.timers)) == (6 * MIB, False, 1)
    for portion in range(1, 5):
        assert played.ended == []
        played.pass_time(INTERVAL)
        assert sum(map(len, played.chunks)) == 6 * MIB + portion * 256 * 1024
    assert (played.ended, played.replies, played.reading, played.timers) == ([(None, None)], [ACCEPTED_REPLY], True, {})


def test_nothing_is_passed_on_while_nothing_may_go() -> None:
    """Not even an empty piece."""
    played = Played(Bandwidth).begun()
    played.stream.feed(bytes(6 * MIB))
    played.stream.feed(b"one more")
    assert (len(played.chunks), played.reading) == (1, False)
    played.pass_time(INTERVAL)
    assert (played.chunks[1:], played.reading) == ([b"one more"], True)


def test_more_bandwidth_is_of_no_use_to_a_reader_that_wants_nothing() -> None:
    """Both have to agree."""
    played = Played(Bandwidth).begun()
    played.wants_more = lambda: False
    played.stream.feed(bytes(7 * MIB))
    played.pass_time(INTERVAL)
    assert sum(map(len, played.chunks)) == 6 * MIB
    played.stream.resume()
    assert sum(map(len, played.chunks)) == 6 * MIB + 256 * 1024


def test_a_response_of_exactly_the_limit_passes() -> None:
    """Two hundred mebibytes, and not one byte more."""
    assert MAX_STREAM_BYTES == 209_715_200
    played, mebibyte = Played().begun(), bytes(MIB)
    for _ in range(200):
        played.stream.feed(mebibyte)
    played.stream.complete(None, None)
    assert sum(map(len, played.chunks)) == MAX_STREAM_BYTES
    assert (played.ended, played.replies) == ([(None, None)], [ACCEPTED_REPLY])


def test_a_longer_response_is_cut_at_the_limit() -> None:
    """The reader gets what is allowed and why there is no more; the runtime hears it at once and may go on."""
    played, chunk = Played().begun(), bytes(30 * MIB)
    for _ in range(8):
        played.stream.feed(chunk)
    assert sum(map(len, played.chunks)) == MAX_STREAM_BYTES
    assert (played.ended, played.replies) == ([("Function.ResponseSizeTooLarge", None)], [TOO_LARGE])
    played.stream.complete("Function.Late", None)
    assert len(played.ended) == len(played.replies) == 1
    assert played.session.next(lambda _event: None) is None


@pytest.mark.parametrize(
    ("error_type", "error_body", "heard"),
    [
        ("Function.Broken", "eyJhIjoxfQ==", ("Function.Broken", b'{"a":1}')),
        ("Error", "eyJhIjoxfQ==", ("Runtime.Unknown", b'{"a":1}')),
        ("Runtime.Panic", None, ("Runtime.Panic", None)),
        ("Runtime.Panic", "", ("Runtime.Panic", None)),
        (None, "eyJhIjoxfQ==", ("Runtime.Unknown", b'{"a":1}')),
        ("", "", (None, None)),
        ("Runtime.Panic", "no base64!", ("Runtime.Panic", b"no base64!")),
        ("Runtime.Panic", "für", ("Runtime.Panic", "für".encode())),
    ],
)
def test_trailers_say_that_the_function_failed_on_the_way(
    error_type: str | None, error_body: str | None, heard: tuple[str | None, bytes | None]
) -> None:
    """The type as it is filtered everywhere, the body decoded; for the runtime all is well."""
    played = Played().begun()
    played.stream.feed(b"half")
    played.stream.complete(error_type, error_body)
    assert (played.ended, played.replies) == ([heard], [ACCEPTED_REPLY])


@pytest.mark.parametrize("wanted", [True, False])
def test_a_response_that_is_cut_off_ends_at_once(wanted: bool) -> None:
    """What had come is passed on, wanted and within the bandwidth or not, for nothing is left to wait for."""
    played = Played(Bandwidth).begun()
    played.wants_more = lambda: wanted
    played.stream.feed(bytes(5 * MIB))
    played.stream.feed(bytes(5 * MIB))
    played.stream.cut()
    assert sum(map(len, played.chunks)) == 10 * MIB
    assert (played.ended, played.replies) == ([("Runtime.TruncatedResponse", None)], [TRUNCATED])
    played.stream.cut()
    played.stream.resume()
    assert (len(played.ended), played.timers) == (1, {})


def test_a_whole_response_is_not_cut_off_by_the_end_of_its_connection() -> None:
    """Only its reader was slow."""
    played = Played().begun()
    played.wants_more = lambda: False
    played.stream.feed(b"a")
    played.stream.feed(b"b")
    played.stream.complete("Function.Broken", None)
    played.stream.cut()
    assert (played.chunks, played.ended) == ([b"a", b"b"], [("Function.Broken", None)])


@pytest.mark.parametrize("by", ["reader", "bandwidth"])
def test_of_an_abandoned_response_nobody_hears_any_more(by: str) -> None:
    """Whatever held it: the environment may serve another event by then."""
    played = Played(Bandwidth if by == "bandwidth" else None).begun()
    if by == "reader":
        played.wants_more = lambda: False
    played.stream.feed(bytes(7 * MIB))
    played.stream.feed(b"rest")
    known = len(played.chunks)
    played.stream.abandon()
    played.stream.resume()
    played.pass_time(10)
    played.stream.feed(b"more")
    played.stream.complete(None, None)
    played.stream.cut()
    assert (len(played.chunks), played.ended, played.replies, played.timers) == (known, [], [], {})


@pytest.mark.parametrize("cut", [False, True])
def test_a_reader_may_end_the_environment_while_it_hears_a_piece(cut: bool) -> None:
    """Then nothing follows, not even the end."""
    played = Played().begun()

    def end_it() -> bool:
        played.stream.abandon()
        return True

    if cut:
        played.wants_more = lambda: False
        played.stream.feed(b"a")
        played.stream.feed(b"b")
        played.stream.feed(b"c")
        played.wants_more = end_it
        played.stream.cut()
    else:
        played.wants_more = lambda: False
        played.stream.feed(b"a")
        played.stream.feed(b"b")
        played.stream.complete(None, None)
        played.wants_more = end_it
        played.stream.resume()
    assert (played.chunks, played.ended, played.replies) == ([b"a", b"b"], [], [])


# -- on the wire ---------------------------------------------------------------------------------------------------


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@on_each_loop
async def test_a_streamed_response_on_the_wire() -> None:
    """The environment hears of its begin before there is a body, of each chunk when it is there, and of its end."""
    async with running() as (_, inside, client):
        await client.send(HEAD)
        await inside.until(lambda: inside.began)
        assert (inside.began, inside.chunks) == (["text/html"], [])
        await client.send(chunk(b"<p>"))
        await inside.until(lambda: inside.chunks == [b"<p>"])
        await client.send(chunk(b"hello"))
        await inside.until(lambda: inside.chunks == [b"<p>", b"hello"])
        assert inside.ended == []
        assert await client.ask(b"0\r\n\r\n") == ACCEPTED
        assert (inside.chunks, inside.ended, inside.answers) == ([b"<p>", b"hello"], [(None, None)], [])
        await client.send(NEXT)
        await inside.hand_out(event(request_id="second"))
        assert b"second" in await client.answer()


@on_each_loop
async def test_a_streamed_response_may_have_a_length() -> None:
    """The header decides, and not how the body is framed; nothing is a response as well."""
    for body in (b"all of it", b""):
        async with running() as (_, inside, client):
            mode = "Lambda-Runtime-Function-Response-Mode: streaming"
            assert await client.ask(post("response", body, mode)) == ACCEPTED
            assert (inside.began, b"".join(inside.chunks)) == (["application/octet-stream"], body)
            assert inside.ended == [(None, None)]


@on_each_loop
async def test_chunks_are_passed_on_to_who_asked_for_a_stream() -> None:
    """Whether or not the runtime says that it streams; for anybody else it is one answer."""
    chunks = post_chunked("response", b"one", b"two", headers=b"Content-Type: text/csv\r\n")
    async with running(wants_stream=True) as (_, inside, client):
        assert await client.ask(chunks) == ACCEPTED
        assert (inside.began, inside.chunks, inside.answers) == (["text/csv"], [b"one", b"two"], [])
        await client.send(NEXT)
        await inside.hand_out(event(request_id="second"))
        await client.answer()
        assert await client.ask(chunks.replace(ID.encode(), b"second")) == ACCEPTED
        assert (inside.chunks, inside.answers) == ([b"one", b"two"], [Answer(b"onetwo")])


@on_each_loop
async def test_what_has_a_length_is_one_answer_for_who_asked_for_a_stream() -> None:
    """It is there at once, and has the limit of every answer."""
    async with running(wants_stream=True) as (_, inside, client):
        assert await client.ask(post("response", b"all of it")) == ACCEPTED
        assert (inside.began, inside.answers) == ([], [Answer(b"all of it")])


@on_each_loop
async def test_trailers_tell_who_asked_for_a_stream() -> None:
    """As Go's client sends them, for a reader that broke off."""
    error = base64.b64encode(b'{"errorMessage":"no"}')
    trailers = b"Lambda-Runtime-Function-Error-Type: errorString\r\n"
    trailers += b"Lambda-Runtime-Function-Error-Body: " + error + b"\r\n"
    async with running(wants_stream=True) as (_, inside, client):
        given = post_chunked("response", b"half", headers=TRAILER, trailers=trailers)
        assert await client.ask(given) == ACCEPTED
        assert (inside.chunks, inside.ended) == ([b"half"], [("Runtime.Unknown", b'{"errorMessage":"no"}')])


@on_each_loop
async def test_an_error_in_chunks_is_no_stream() -> None:
    """Go's client sends all that it sends in chunks."""
    async with running(wants_stream=True) as (_, inside, client):
        assert await client.ask(post_chunked("error", b'{"errorMessage":"no"}')) == ACCEPTED
        assert [answer.payload for answer in inside.answers] == [b'{"errorMessage":"no"}']


@on_each_loop
async def test_trailers_of_a_streamed_response_on_the_wire() -> None:
    """As Node and Go send them when a function fails in the midst of its response; names in any case."""
    error = base64.b64encode(b'{"errorMessage":"no","errorType":"Error"}')
    trailers = b"lambda-runtime-function-error-type: Runtime.StreamError\r\n"
    trailers += b"Lambda-Runtime-Function-Error-Body: " + error + b"\r\n"
    async with running() as (_, inside, client):
        given = post_chunked("response", b"half", headers=MODE + TRAILER, trailers=trailers)
        assert await client.ask(given) == ACCEPTED
        assert inside.chunks == [b"half"]
        assert inside.ended == [("Runtime.StreamError", b'{"errorMessage":"no","errorType":"Error"}')]


@on_each_loop
async def test_trailers_of_a_buffered_response_say_nothing() -> None:
    """The agent looks at them only in streaming mode; Go's client announces them always."""
    async with running() as (_, inside, client):
        trailers = b"Lambda-Runtime-Function-Error-Type: Function.X\r\n"
        assert await client.ask(post_chunked("response", b"{}", headers=TRAILER, trailers=trailers)) == ACCEPTED
        assert inside.answers == [Answer(b"{}")]


@on_each_loop
async def test_a_header_is_no_trailer() -> None:
    """An error type in the head of a streamed response does not make it fail."""
    async with running() as (_, inside, client):
        head = MODE + b"Lambda-Runtime-Function-Error-Type: Function.X\r\n"
        assert await client.ask(post_chunked("response", b"{}", headers=head)) == ACCEPTED
        assert inside.ended == [(None, None)]


@on_each_loop
async def test_another_mode_ends_the_invocation() -> None:
    """400 for the runtime, its own error type for the client; then the next round. Whatever the client asked for."""
    for mode in ("Streaming", "STREAMING", "buffered", "streaming, streaming"):
        async with running(wants_stream=mode == "buffered") as (_, inside, client):
            given = post_chunked(
                "response", b"1", headers=f"Lambda-Runtime-Function-Response-Mode: {mode}\r\n".encode()
            )
            assert await client.ask(given) == wire(
                "400 Bad Request",
                b'{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}\n',
            )
            assert (inside.began, inside.answers[0].error_type) == ([], "Runtime.InvalidResponseModeHeader")
            await client.send(NEXT)
            await inside.hand_out(event(request_id="second"))
            await client.answer()


@on_each_loop
async def test_a_streamed_response_for_another_event_is_refused_before_its_body() -> None:
    """400 at once; what comes of its body is dropped, and the connection goes on."""
    async with running() as (_, inside, client):
        answer = await client.ask(HEAD.replace(ID.encode(), b"other-id"))
        assert answer == wire(
            "400 Bad Request", b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n'
        )
        await client.send(chunk(b"dropped") + b"0\r\n\r\n")
        assert await client.ask(post("response", b"1")) == ACCEPTED
        assert (inside.chunks, inside.answers) == ([], [Answer(b"1")])


@on_each_loop
async def test_an_error_after_the_first_byte_is_forbidden() -> None:
    """On another connection, while the response is streamed; the response then ends as it would have."""
    async with running() as (server, inside, client):
        await client.send(HEAD + chunk(b"a"))
        await inside.until(lambda: inside.chunks)
        async with connected(server) as other:
            assert await other.ask(post("error", b"{}")) == wire(
                "403 Forbidden",
                b'{"errorMessage":"State transition from InvocationResponse to InvocationErrorResponse failed '
                b'for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}\n',
            )
        assert await client.ask(b"0\r\n\r\n") == ACCEPTED
        assert (inside.answers, inside.ended) == ([], [(None, None)])


@on_each_loop
async def test_a_streamed_response_that_is_cut_off_is_told_so() -> None:
    """400 where the runtime still reads, and an end with its own error type: nobody waits for ever."""
    async with running() as (server, inside, client):
        await client.send(HEAD + chunk(b"a") + b"5\r\nhal")
        await inside.until(lambda: len(inside.chunks) == 2)
        client.writer.write_eof()
        assert await client.closed() == wire(
            "400 Bad Request",
            b'{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}\n',
        )
        assert (inside.chunks, inside.ended) == ([b"a", b"hal"], [("Runtime.TruncatedResponse", None)])
        async with connected(server) as again:
            await again.send(NEXT)
            await inside.hand_out(event(request_id="second"))


@on_each_loop
async def test_a_runtime_that_dies_in_the_midst_of_it_ends_it() -> None:
    """Its connection is reset and nothing can be answered; the reader hears of the end all the same."""
    async with running() as (_, inside, client):
        await client.send(HEAD + chunk(b"a"))
        await inside.until(lambda: inside.chunks)
        client.writer.transport.abort()
        await inside.until(lambda: inside.ended)
        assert inside.ended == [("Runtime.TruncatedResponse", None)]


@pytest.mark.parametrize("wanted", [True, False])
@on_each_loop
async def test_chunks_that_are_none_end_it(wanted: bool) -> None:
    """400, the connection is closed, and the response was cut short; also where its reader wanted no more."""
    async with running() as (_, inside, client):
        inside.wants_more = wanted
        await client.send(HEAD + chunk(b"a") + b"no size\r\n")
        assert (await client.closed()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        await inside.until(lambda: inside.ended)
        assert inside.ended == [("Runtime.TruncatedResponse", None)]


@on_each_loop
async def test_a_refused_response_that_is_cut_off_has_one_answer() -> None:
    """It was answered before its body came."""
    async with running() as (_, inside, client):
        await client.send(HEAD.replace(ID.encode(), b"other-id") + b"5\r\nhal")
        client.writer.write_eof()
        answer = await client.closed()
        assert (answer.count(b"HTTP/1.1"), inside.ended) == (1, [])


@on_each_loop
async def test_only_a_response_can_be_streamed() -> None:
    """The header means nothing on other paths, nor with another method."""
    mode = "Lambda-Runtime-Function-Response-Mode: streaming"
    async with running() as (_, inside, client):
        response = f"/2018-06-01/runtime/invocation/{ID}/response"
        for method, path in (("GET", response), ("POST", f"/elsewhere/{response[-45:]}"), ("POST", "/a/response")):
            answer = await client.ask(request(method, path, b"x", mode))
            assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert await client.ask(post("error", b"{}", mode)) == ACCEPTED
        assert (inside.began, inside.answers[0].payload) == ([], b"{}")


@on_each_loop
async def test_an_environment_that_ends_a_connection_hears_nothing_of_its_stream() -> None:
    """After a timeout it may already serve another event; a truncated response would be taken for that one's."""
    async with running() as (server, inside, client):
        await client.send(HEAD + chunk(b"a"))
        await inside.until(lambda: inside.chunks)
        server.unregister(ADDRESS)
        assert await client.closed() == b""
        assert inside.resume is not None
        inside.resume()
        assert inside.ended == []


@on_each_loop
async def test_a_slow_reader_slows_the_runtime_down() -> None:
    """The runtime cannot write on, for nobody reads; when more is wanted all arrives."""
    async with running() as (_, inside, client):
        inside.wants_more = False
        await client.send(HEAD)
        sending = asyncio.ensure_future(client.send(chunk(bytes(64 * MIB)) + b"0\r\n\r\n"))
        await inside.until(lambda: inside.chunks)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(inside.chunks) == 1
        assert not sending.done()
        inside.wants_more = True
        assert inside.resume is not None
        inside.resume()
        assert await client.answer() == ACCEPTED
        await sending
        assert sum(map(len, inside.chunks)) == 64 * MIB


@on_each_loop
async def test_a_runtime_that_closes_its_connection_after_the_response_is_let_go() -> None:
    """As custom runtimes are told to do."""
    async with running() as (_, inside, client):
        await client.send(post_chunked("response", b"a", headers=MODE + b"Connection: close\r\n"))
        assert await client.closed() == ACCEPTED
        assert inside.ended == [(None, None)]


@on_each_loop
async def test_a_refused_response_on_a_connection_that_is_to_be_closed() -> None:
    """The refusal comes first, the end of the connection with the end of the request."""
    async with running() as (_, inside, client):
        given = post_chunked("response", b"a", headers=MODE + b"Connection: close\r\n")
        answer = await client.ask(given.replace(ID.encode(), b"other-id"))
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert await client.closed() == b""
        assert inside.began == []


@on_each_loop
async def test_a_client_that_waits_for_100_continue_before_it_streams() -> None:
    """It hears "go on", and the stream has begun."""
    async with running() as (_, inside, client):
        await client.send(HEAD.replace(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n"))
        assert await client.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await inside.until(lambda: inside.began)
        assert await client.ask(chunk(b"a") + b"0\r\n\r\n") == ACCEPTED


def test_the_bandwidth_of_the_listener_holds_on_the_wire() -> None:
    """After a burst of 6 MiB the rest waits for its time, which is skipped here."""

    async def stream_eight_mebibytes() -> None:
        async with running(bandwidth=Bandwidth) as (_, inside, client):
            sending = asyncio.ensure_future(client.send(HEAD + chunk(bytes(8 * MIB)) + b"0\r\n\r\n"))
            await inside.until(lambda: sum(map(len, inside.chunks)) >= 6 * MIB)
            arrived = sum(map(len, inside.chunks))
            assert arrived < 8 * MIB
            answer = asyncio.ensure_future(client.answer())
            while not answer.done():
                skip_time(INTERVAL)
                await asyncio.sleep(0.001)
            assert await answer == ACCEPTED
            await sending
            assert sum(map(len, inside.chunks)) == 8 * MIB

    run(stream_eight_mebibytes())


def test_without_a_bandwidth_nothing_waits() -> None:
    """Eight mebibytes on the loop that the emulator uses; no time passes but that of the machine."""

    async def stream_eight_mebibytes() -> None:
        async with running() as (_, inside, client):
            assert await client.ask(HEAD + chunk(bytes(8 * MIB)) + b"0\r\n\r\n") == ACCEPTED
            assert sum(map(len, inside.chunks)) == 8 * MIB

    run(stream_eight_mebibytes(), uvloop.new_event_loop)
