"""AWS's Invoke operation as a plain ASGI route, and what it shares with its streaming sister.

It stands ahead of FastAPI in the same application: routing and models of a framework would cost more than all
else that an invocation costs here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote

from emulator import text
from emulator.errors import (
    EmulatorError,
    InvalidParameterValueError,
    InvalidRequestContentError,
    RequestError,
    RequestTooLargeError,
    ServiceError,
    ValidationError,
)
from emulator.function_names import parse_function_name
from emulator.invocation import Invocation, Outcome
from emulator.model import MAX_EVENT_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, Report
from emulator.service import Service

__all__ = [
    "Headers",
    "HttpAnswer",
    "InvokeRequest",
    "InvokeRoute",
    "Message",
    "Receive",
    "Route",
    "Scope",
    "Send",
    "error_answer",
    "executed_version",
    "invocation_headers",
    "log_tail",
    "read_body",
    "send_answer",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_VERSION = text.VERSION.encode()
_LOG_TYPES = ("None", "Tail")
_TAIL_BYTES = 4096
_MAX_CLIENT_CONTEXT = 3583
# DIFFERS: on AWS the identity is that of the caller's credentials, which nobody looks at here. [C] By these names AWS's
# own agent hears of it.
_COGNITO = {b"cognito-identity-id": "cognitoIdentityId", b"cognito-identity-pool-id": "cognitoIdentityPoolId"}
_OF_OTHERS = {b"x-amz-tenant-id": "tenant isolation", b"x-amz-durable-execution-name": "durable execution"}
_SELDOM = frozenset({b"x-amz-client-context", *_COGNITO, *_OF_OTHERS})
_TOO_LARGE = "Request must be smaller than {} bytes for the InvokeFunction operation"


class HttpAnswer(NamedTuple):
    """An answer in one piece, without its length."""

    status: int
    headers: Headers
    body: bytes


class InvokeRequest(NamedTuple):
    """What a client asks for; ``invocation`` is not yet on its way.

    ``name`` is what serves it: a function's name, or ``name:version``.
    """

    name: str
    kind: str
    with_logs: bool
    invocation: Invocation


class Route:
    """One way to invoke; every request that is for something else goes on to ``inner``.

    Attributes:
        path: the operation's path; its first group is the name of the function.
        kinds: the invocation types that it takes.
    """

    path: ClassVar[re.Pattern[str]]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, service: Service, inner: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._service = service
        self._inner = inner

    async def answer(self, request: InvokeRequest, send: Send) -> None:
        """Serve it. A ``RequestError`` that is raised before anything was sent is told to the client."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._inner(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or scope["path"].encode()
        match = self.path.fullmatch(raw_path.decode("latin-1").partition("?")[0])
        if match is None:
            await self._inner(scope, receive, send)
            return
        try:
            payload, size = await read_body(receive)
            query = scope["query_string"].decode("latin-1")
            await self.answer(self.read(match[1], query, dict(scope["headers"]), payload, size), send)
        except EmulatorError as error:
            await send_answer(send, *error_answer(error))

    def read(self, name: str, query: str, headers: Mapping[bytes, bytes], payload: bytes, size: int) -> InvokeRequest:
        """What a client asks for, checked in AWS's order.

        Arguments:
            name: as it stands in the path, still quoted.
            headers: by their names in lower case.
            payload: the body; empty where it was larger than any may be.
            size: of the whole body, in bytes.

        Raises:
            RequestError: AWS would not take it.
        """
        kind = headers.get(b"x-amz-invocation-type", b"RequestResponse").decode("latin-1")
        limit = MAX_EVENT_PAYLOAD_BYTES if kind == "Event" else MAX_PAYLOAD_BYTES
        if size > limit:
            raise RequestTooLargeError(_TOO_LARGE.format(limit))
        if kind not in self.kinds:
            raise _no_choice("invocationType", kind, self.kinds)
        log_type = headers.get(b"x-amz-log-type", b"None").decode("latin-1")
        if log_type not in _LOG_TYPES:
            raise _no_choice("logType", log_type, _LOG_TYPES)
        asked = parse_qs(query).get("Qualifier", [None])[0] if query else None
        emulator = self._service.settings.emulator
        plain = unquote(name) if "%" in name else name
        name, qualifier = parse_function_name(plain, asked, emulator.region, emulator.account)
        if qualifier is not None:
            name = self._service.target(name, qualifier)
        invocation = self._service.new_invocation(name, payload or b"{}", qualifier=qualifier)
        _check_json(invocation.payload)
        if not _SELDOM.isdisjoint(headers):
            _read_seldom(invocation, headers)
        if (trace := headers.get(b"x-amzn-trace-id")) is not None:
            invocation.trace_id = trace.decode("latin-1")
        return InvokeRequest(name, kind, log_type == "Tail", invocation)


class InvokeRoute(Route):
    """``Invoke``: the answer comes in one piece."""

    path = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
    kinds = ("RequestResponse", "Event", "DryRun")

    async def answer(self, request: InvokeRequest, send: Send) -> None:
        """Serve it, or accept it, or only look at it."""
        arrived: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()

        def arrive(answer: HttpAnswer) -> None:
            # A client that has gone away has cancelled the future; the environment must not feel that.
            if not arrived.done():
                arrived.set_result(answer)

        self.serve(request, arrive)
        await send_answer(send, *await arrived)

    def serve(self, request: InvokeRequest, done: Callable[[HttpAnswer], None]) -> None:
        """Serve it, or accept it, or only look at it; ``done`` gets the answer, once, now or later.

        Raises:
            RequestError: it cannot be served; ``done`` hears nothing.
        """
        invocation = request.invocation
        if request.kind == "RequestResponse":
            # With logs it is not before the REPORT line is written, for that belongs to the tail.
            invocation.on_answer = functools.partial(_tell, request, done, failures_only=request.with_logs)
            if request.with_logs:
                invocation.on_report = functools.partial(_tell, request, done)
            self._service.submit(request.name, invocation)
            return
        if request.kind == "Event":
            invocation.asynchronous = True
            self._service.submit(request.name, invocation)
        done(HttpAnswer(204 if request.kind == "DryRun" else 202, invocation_headers(invocation), b""))


def _tell(
    request: InvokeRequest, done: Callable[[HttpAnswer], None], outcome: Outcome, *, failures_only: bool = False
) -> None:
    if outcome.failure is not None:
        done(error_answer(outcome.failure))
    elif not failures_only:
        done(_answer(request, outcome))


def _answer(request: InvokeRequest, outcome: Outcome) -> HttpAnswer:
    answer = outcome.answer
    assert answer is not None, "an invocation is answered or has failed"
    headers = invocation_headers(request.invocation)
    headers.append((b"content-type", b"application/json"))
    headers.append((b"x-amz-executed-version", executed_version(request)))
    if answer.function_error is not None:
        headers.append((b"x-amz-function-error", answer.function_error.encode()))
    if request.with_logs and outcome.report is not None:
        headers.append((b"x-amz-log-result", log_tail(outcome.report)))
    return HttpAnswer(200, headers, answer.payload)


def executed_version(request: InvokeRequest) -> bytes:
    """The version that serves it."""
    return request.name.rpartition(":")[2].encode() if ":" in request.name else _VERSION


def error_answer(error: EmulatorError) -> HttpAnswer:
    """What a client is told of it; what is not its own fault is a ``ServiceException``."""
    if not isinstance(error, RequestError):
        error = ServiceError(error.message, cure=error.cure)
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-errortype", error.code.encode()),
        (b"x-amzn-requestid", text.new_request_id().encode()),
    ]
    return HttpAnswer(error.status, headers, text.to_json(error.body()))


def log_tail(report: Report) -> bytes:
    """The last 4 KB of the log, in base64."""
    return base64.b64encode(report.logs[-_TAIL_BYTES:])


def invocation_headers(invocation: Invocation) -> Headers:
    """What every answer to an invocation carries."""
    root = invocation.trace_id.partition(";")[0].removeprefix("Root=")
    return [
        (b"x-amzn-requestid", invocation.request_id.encode()),
        (b"x-amzn-trace-id", f"root={root};sampled=0".encode("latin-1", "replace")),
    ]


async def read_body(receive: Receive) -> tuple[bytes, int]:
    """The body and its size. One that is too large is read to its end as well: the client would not see the answer."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequestContentError("The request ended before its body did")
        piece = message.get("body", b"")
        size += len(piece)
        if size <= MAX_PAYLOAD_BYTES:
            pieces.append(piece)
        else:
            pieces.clear()
        if not message.get("more_body"):
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), size


def _no_choice(member: str, value: str, allowed: tuple[str, ...]) -> ValidationError:
    return ValidationError(
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{', '.join(allowed)}]"
    )


def _check_json(payload: bytes) -> None:
    if not text.is_json(payload):
        raise InvalidRequestContentError(text.not_json(payload))


def _read_seldom(invocation: Invocation, headers: Mapping[bytes, bytes]) -> None:
    """What few clients send."""
    for name, what in _OF_OTHERS.items():
        if name in headers:  # [D] of a tenant id that is not expected; [I] the words
            raise InvalidParameterValueError(
                f"The invoked function does not have {what}. Remove {name.decode()} from the request."
            )
    if (context := headers.get(b"x-amz-client-context")) is not None:
        invocation.client_context = _client_context(context.decode("latin-1"))
    if identity := {key: headers[name].decode("latin-1") for name, key in _COGNITO.items() if name in headers}:
        invocation.cognito_identity = text.to_json(identity).decode()


def _client_context(header: str) -> str:
    if len(header) > _MAX_CLIENT_CONTEXT:
        raise InvalidParameterValueError(f"Client context must be no larger than {_MAX_CLIENT_CONTEXT} bytes.")
    try:
        decoded = base64.b64decode(header, validate=True).decode()
        json.loads(decoded)
    except (binascii.Error, ValueError):
        raise InvalidRequestContentError("Client context must be a valid Base64-encoded JSON object.") from None
    # It travels on in a header, where a line break would end it.
    return decoded.replace("\r", " ").replace("\n", " ")


async def send_answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """An answer in one piece."""
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
