"""One HTTP request on its way through a function: read as a request, invoked as an event, answered as a response.

What function URLs and routes have in common. The invocation is one like any other: log, timeline, queue of places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from emulator import text
from emulator.api.invoke import HttpAnswer, Message, Receive, Scope, Send, invocation_headers
from emulator.api.stream import ResponseQueue
from emulator.errors import RequestError, RequestTooLargeError
from emulator.http_events.prelude import has_prelude, is_complete, streamed_response
from emulator.http_events.request import HttpRequest
from emulator.http_events.response import HttpResponse
from emulator.invocation import Invocation
from emulator.model import MAX_PAYLOAD_BYTES, MAX_RESPONSE_BYTES
from emulator.service import Service

__all__ = [
    "BREAK_OFF",
    "HttpCall",
    "answer_of",
    "check_size",
    "host_of",
    "plain_answer",
    "request_of",
    "with_headers",
]

BREAK_OFF = "emulator.break_off"
"""Among a scope's extensions: closes the connection in the middle of a response, so that a part is not taken for it."""

_Headers = Iterable[tuple[str, str]]


def request_of(scope: Scope, raw_path: str, body: bytes) -> HttpRequest:
    """The request that a server describes in its scope.

    Arguments:
        raw_path: as the function is to see it.
    """
    client, server = scope.get("client"), scope.get("server")
    return HttpRequest(
        method=scope["method"],
        raw_path=raw_path,
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=body,
        source_ip=client[0] if client else "",
        port=(server[1] if server else None) or 80,
        protocol=f"HTTP/{scope.get('http_version', '1.1')}",
    )


def host_of(scope: Scope) -> str:
    """The name that the request is for, with its port."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")


class HttpCall:
    """One request for a function, not yet on its way.

    Arguments:
        make_event: the event, for the invocation that will carry it.
        added: headers of every answer to it.

    Raises:
        RequestError: there is no such function, or the event is too large.
    """

    def __init__(
        self,
        service: Service,
        function: str,
        qualifier: str | None,
        request: HttpRequest,
        make_event: Callable[[Invocation], dict[str, Any]],
        *,
        added: _Headers = (),
    ) -> None:
        self._service = service
        self._target = function if qualifier is None else service.target(function, qualifier)
        self._added = list(added)
        self.invocation = service.new_invocation(self._target, b"", qualifier=qualifier)
        if (trace := request.header("x-amzn-trace-id")) is not None and trace.startswith("Root="):
            self.invocation.trace_id = trace
        self.invocation.payload = text.to_json(make_event(self.invocation))
        check_size(len(self.invocation.payload))

    async def buffered(self, read: Callable[[bytes], HttpResponse | None]) -> HttpResponse | None:
        """The whole response; nothing where the function failed, or what it answered is no response.

        Arguments:
            read: makes a response of an answer that was not streamed.

        Raises:
            RequestError: it could not be served.
        """
        queue = self._submit(wants_stream=False)
        pieces: list[bytes] = []
        size = 0
        try:
            while (piece := await queue.get()) is not None:
                size += len(piece)
                if size <= MAX_RESPONSE_BYTES:  # [D] who does not stream gets no more than of any other function
                    pieces.append(piece)
        finally:
            queue.leave()
        if queue.error is not None or size > MAX_RESPONSE_BYTES:
            return None
        payload = b"".join(pieces)
        return streamed_response(payload, queue.content_type) if queue.streamed else read(payload)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Send the response as it comes. ``False``: there is none, and nothing was sent.

        Raises:
            RequestError: it could not be served; nothing was sent.
        """
        queue = self._submit(wants_stream=True)
        try:
            data = await _beginning(queue)
            if queue.error is not None and not (data and queue.streamed):
                return False
            # [R] What was not streamed goes out as it is, statusCode and all.
            head = streamed_response(data, queue.content_type)
            if head is None:
                return False
            headers = self._encoded(head.headers)
            await send({"type": "http.response.start", "status": head.status, "headers": headers})
            if await _pass_on(head.body, queue, send):
                await send({"type": "http.response.body", "body": b""})
            else:
                await _break_off(scope, receive)
            return True
        finally:
            queue.leave()

    def answer(self, response: HttpResponse) -> HttpAnswer:
        """A whole response, with what every answer to the invocation carries."""
        return HttpAnswer(response.status, self._encoded(response.headers), response.body)

    def _encoded(self, headers: _Headers) -> list[tuple[bytes, bytes]]:
        own = invocation_headers(self.invocation)
        return own + [(name.encode(), _encode(value)) for name, value in (*headers, *self._added)]

    def _submit(self, *, wants_stream: bool) -> ResponseQueue:
        queue = ResponseQueue(self.invocation, until_report=False, wants_stream=wants_stream)
        self._service.submit(self._target, self.invocation)
        return queue


def check_size(size: int) -> None:
    """[I] What counts is the event, in which a body that is no text is base64.

    Raises:
        RequestTooLargeError: it, or the body alone, has more bytes than a function takes.
    """
    if size > MAX_PAYLOAD_BYTES:
        raise RequestTooLargeError(
            f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes for the InvokeFunction operation",
            cure="The event counts, in which a body that is no text is base64 and a third longer.",
        )


def with_headers(answer: HttpAnswer, added: _Headers) -> HttpAnswer:
    """The same with more headers."""
    return answer._replace(headers=[*answer.headers, *((name.encode(), _encode(value)) for name, value in added)])


def answer_of(response: HttpResponse, *added: tuple[str, str]) -> HttpAnswer:
    """A response that no invocation stands behind."""
    headers = [*response.headers, *added, ("x-amzn-requestid", text.new_request_id())]
    return HttpAnswer(response.status, [(name.encode(), _encode(value)) for name, value in headers], response.body)


def plain_answer(status: int, body: bytes, *headers: tuple[str, str]) -> HttpResponse:
    """An answer of AWS's own, in JSON."""
    return HttpResponse(status, [("content-type", "application/json"), *headers], body)


async def _beginning(queue: ResponseQueue) -> bytes:
    """The first piece; of a stream that has a prelude, as much as has the whole of it."""
    data = await queue.get() or b""
    while has_prelude(queue.content_type) and not is_complete(data) and (piece := await queue.get()) is not None:
        data += piece
    return data


async def _pass_on(first: bytes, queue: ResponseQueue, send: Send) -> bool:
    """Whether it came to its end."""
    piece: bytes | None = first
    try:
        while piece is not None:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await queue.get()
    except RequestError:
        return False
    return queue.error is None


async def _break_off(scope: Scope, receive: Receive) -> None:
    scope["extensions"][BREAK_OFF]["close"]()
    message: Message = {}
    while message.get("type") != "http.disconnect":
        message = await receive()


def _encode(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode(errors="replace")
