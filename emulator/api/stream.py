"""AWS's InvokeWithResponseStream operation: the response as it comes, in the messages of an event stream.

What of it is known, and how: [D] the API's model and its documentation; [R] recorded against the service in
September 2026 (github.com/radkawar/stackd, testdata/aws/lambda/streaming.json), where both disagree with the first.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emulator import text
from emulator.api.event_stream import CONTENT_TYPE, invoke_complete, payload_chunk
from emulator.api.invoke import (
    InvokeRequest,
    Route,
    Send,
    executed_version,
    invocation_headers,
    log_tail,
    send_answer,
)
from emulator.errors import RequestError
from emulator.invocation import Invocation, Outcome
from emulator.model import Report

__all__ = ["ResponseError", "ResponseQueue", "StreamRoute"]

_HOLD_AT = 1 << 20  # bytes that wait for a slow reader before the runtime has to wait too
_GO_ON_AT = _HOLD_AT // 2
# [I] The encoding would allow 16 MiB and botocore takes 24. But of what a runtime writes in pieces of 64 KiB, AWS
# makes messages of 25 KB on average [R], as an agent does that copies through a buffer of 32 KiB.
_CHUNK_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class ResponseError:
    """Why a response is none, or not whole: its type, and what the runtime or the platform says of it."""

    code: str
    details: bytes

    @classmethod
    def of(cls, error_type: str | None, details: bytes | None) -> ResponseError:
        """[I] Where the runtime names none, or none that AWS's agent lets pass, the word is the one for all errors."""
        is_known = error_type is not None and not error_type.endswith(".Unknown")
        return cls(str(error_type) if is_known else "Unhandled", details or b"")


class ResponseQueue:
    """A response between the runtime that makes it and one reader, who may be slow, or go away.

    It is to be made before the invocation is on its way, and read on the same loop. A response that is not streamed
    is one piece. A slow reader makes the runtime wait, as on AWS; one that has gone never does.

    Arguments:
        until_report: the response ends only when nothing of the invocation runs any more; there is a report then.
        wants_stream: its reader asked for a stream, and not only for what there is.

    Attributes:
        streamed: the runtime streams it.
        content_type: what the runtime says that it streams; complete, as the other attributes, with the end.
        error: the function failed. Of what it streamed before, every piece is read first.
        report: of the whole invocation, where it was waited for.
    """

    def __init__(self, invocation: Invocation, *, until_report: bool, wants_stream: bool = True) -> None:
        self.streamed = False
        self.content_type = "application/json"  # [R] of what is not streamed
        self.error: ResponseError | None = None
        self.report: Report | None = None
        self._until_report = until_report
        self._failure: RequestError | None = None
        self._over = False
        self._gone = False
        self._held = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._news = asyncio.Event()
        self._resume: Callable[[], None] = lambda: None
        invocation.reader = self
        invocation.wants_stream = wants_stream
        invocation.on_answer = self._answered
        if until_report:
            invocation.on_report = self._reported

    # -- the reader's side -------------------------------------------------------------------------------

    async def get(self) -> bytes | None:
        """The next piece, never an empty one; ``None`` at the end.

        Raises:
            RequestError: it could not be served, or not to the end.
        """
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._waiting <= _GO_ON_AT:
            self._go_on()
        return piece

    def leave(self) -> None:
        """Nobody reads any more. What still comes is swallowed, so that the function does not notice."""
        self._gone = True
        self._pieces.clear()
        self._waiting = 0
        self._go_on()

    # -- the runtime's side ------------------------------------------------------------------------------

    def response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        """As in :class:`emulator.invocation.ResponseReader`, like the next two."""
        self.streamed = True
        self.content_type = content_type
        self._resume = resume

    def response_chunk(self, chunk: bytes) -> bool:
        """It is kept in any case; ``False`` when enough waits for the reader."""
        if chunk and not self._gone:
            self._pieces.append(chunk)
            self._waiting += len(chunk)
            self._held = self._held or self._waiting > _HOLD_AT
            self._news.set()
        return not self._held

    def response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        """Nobody is held up any more, whatever still waits for the reader."""
        self._held = False
        if error_type is not None:
            self.error = ResponseError.of(error_type, error_body)

    def _answered(self, outcome: Outcome) -> None:
        answer = outcome.answer
        self._failure = outcome.failure
        if answer is not None and not self.streamed:
            if answer.function_error is None:
                self.response_chunk(answer.payload)
            else:
                self.error = ResponseError.of(answer.error_type, answer.payload)
        self._held = False
        self._over = self._failure is not None or not self._until_report
        self._news.set()

    def _reported(self, outcome: Outcome) -> None:
        self.report = outcome.report
        self._over = True
        self._news.set()

    def _go_on(self) -> None:
        if self._held:
            self._held = False
            self._resume()


class StreamRoute(Route):
    """``InvokeWithResponseStream``: the answer comes in pieces, and says at its end how it went.

    The pieces are the bytes that the runtime streams. A prelude for HTTP (a JSON object and eight NULs) is among them
    as it came: [X] Kong's plugin for Lambda (github.com/Kong/kong, plugins/aws-lambda) takes it out itself.
    """

    path = re.compile(r"/2021-11-15/functions/([^/]+)/response-streaming-invocations/?")
    kinds = ("RequestResponse", "DryRun")

    async def answer(self, request: InvokeRequest, send: Send) -> None:
        """Serve it, or only look at it. Before its first piece a failure is an ordinary error."""
        if request.kind == "DryRun":
            # DIFFERS: [R] AWS runs the function, whatever the invocation type. [D] A dry run runs nothing.
            await send_answer(send, 204, invocation_headers(request.invocation), b"")
            return
        response = ResponseQueue(request.invocation, until_report=request.with_logs)
        self._service.submit(request.name, request.invocation)
        try:
            piece = await response.get()
            await self._begin(request, response, send)
            await self._go_on(piece, response, send)
        finally:
            response.leave()

    async def _begin(self, request: InvokeRequest, response: ResponseQueue, send: Send) -> None:
        headers = invocation_headers(request.invocation)
        headers.append((b"content-type", CONTENT_TYPE))
        headers.append((b"x-amz-executed-version", executed_version(request)))
        headers.append((b"x-amzn-remapped-content-type", response.content_type.encode("latin-1", "replace")))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _go_on(self, piece: bytes | None, response: ResponseQueue, send: Send) -> None:
        error = None
        try:
            while piece is not None:
                await _send_piece(send, piece)
                piece = await response.get()
            error = response.error
            if error is not None and not response.streamed:
                await _send_piece(send, error.details)  # [R]
        except RequestError as failure:
            error = ResponseError(failure.code, str(failure).encode())
        body = text.to_json(_completion(error, response.report))
        await send({"type": "http.response.body", "body": invoke_complete(body)})


async def _send_piece(send: Send, piece: bytes) -> None:
    for part in _parts(piece):
        await send({"type": "http.response.body", "body": payload_chunk(part), "more_body": True})


def _parts(piece: bytes) -> Iterator[bytes]:
    for begin in range(0, len(piece), _CHUNK_BYTES):
        yield piece[begin : begin + _CHUNK_BYTES]


def _completion(error: ResponseError | None, report: Report | None) -> dict[str, str]:
    """What ``InvokeComplete`` says; members that have nothing to say are absent [R]."""
    members: dict[str, str] = {}
    if error is not None:
        # DIFFERS: [R] AWS leaves both out, for errors in trailers, timeouts and errors of what is not streamed alike:
        # a client there cannot tell a part from the whole. [D] They are there to tell.
        members["ErrorCode"] = error.code
        members["ErrorDetails"] = error.details.decode("utf-8", "replace")
    if report is not None:
        members["LogResult"] = log_tail(report).decode()
    return members
