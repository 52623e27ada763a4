"""The Runtime API as one environment's runtime sees it: which call is allowed when, and what it is answered.

The session is a state machine without I/O. The server hands it requests and writes its answers; the
environment hears what matters through :class:`RuntimeEvents` and hands events out with
:meth:`RuntimeSession.hand_out`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

from emulator import text
from emulator.model import Answer, RequestId
from emulator.runtime_api.error_cause import ERROR_CAUSE, without_cause
from emulator.runtime_api.reply import ACCEPTED, TOO_LARGE, Reply, reply_error

__all__ = ["InvocationEvent", "RuntimeEvents", "RuntimeSession", "State"]


class State(StrEnum):
    """The runtime's states, under the names that appear in AWS's error messages [C]."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDING = "InvocationResponse"  # it streams
    RESPONSE_SENT = "RuntimeResponseSentState"


class InvocationEvent(NamedTuple):
    """One event as it is handed to the runtime.

    Attributes:
        deadline_ms: milliseconds since the epoch.
        wants_stream: its caller asked for a stream. The runtime is not told.
    """

    request_id: RequestId
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str
    client_context: str | None = None
    cognito_identity: str | None = None
    wants_stream: bool = False

    def head(self) -> bytes:
        """The head of the answer to ``GET /next``; headers without a value are left out [C]."""
        optional = ""
        if self.client_context:
            optional += f"Lambda-Runtime-Client-Context: {self.client_context}\r\n"
        if self.cognito_identity:
            optional += f"Lambda-Runtime-Cognito-Identity: {self.cognito_identity}\r\n"
        return (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {self.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {self.deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self.function_arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {self.trace_id}\r\n"
            f"{optional}Content-Length: {len(self.payload)}\r\n\r\n"
        ).encode()


# Looking a member up costs Python 3.11 more than all else that a call does to a session.
_STARTED, _INIT_ERROR, _READY = State.STARTED, State.INIT_ERROR, State.READY
_RUNNING, _RESPONDING, _RESPONSE_SENT = State.RUNNING, State.RESPONDING, State.RESPONSE_SENT

_INVALID_REQUEST_ID = reply_error(400, "InvalidRequestID", "Invalid request ID")
_INVALID_MODE = reply_error(400, "InvalidFunctionResponseMode", "Invalid function response mode")


def _forbidden(state: str, target: str) -> Reply:
    return reply_error(
        403,
        "InvalidStateTransition",
        f"State transition from {state} to {target} failed for runtime. Error: State transition is not allowed",
    )


class RuntimeEvents(Protocol):
    """What an environment wants to hear of its runtime."""

    def runtime_parked(self) -> None:
        """The runtime waits for its next event."""
        ...

    def runtime_answered(self, answer: Answer) -> None:
        """The running invocation has its result."""
        ...

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        """The running invocation has a result that comes in pieces; ``resume`` asks for more after a ``False``."""
        ...

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        """Some more of it; ``False`` where no more is wanted now."""
        ...

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        """That was all of it; with an error where it broke off, or the runtime said so in its trailers."""
        ...

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        """The function's module-level code failed; the body is what the client is to get."""
        ...


class RuntimeSession:
    """The conversation with one runtime process."""

    def __init__(self, events: RuntimeEvents) -> None:
        self._events = events
        self.state = _STARTED
        self._current: InvocationEvent | None = None
        self._parked: Callable[[InvocationEvent], None] | None = None

    def next(self, send: Callable[[InvocationEvent], None]) -> Reply | None:
        """``GET /runtime/invocation/next``: parked until there is an event, however long that takes."""
        state = self.state
        if state is _RESPONSE_SENT or state is _STARTED:
            self.state = _READY
            self._current = None
            self._parked = send
            self._events.runtime_parked()
            return None
        if state is _READY:
            self._parked = send  # the runtime gave its first connection up
            return None
        if state is _RUNNING and self._current is not None:
            # [C] An impatient runtime gets the same event again.
            send(self._current)
            return None
        return _forbidden(state, _READY)

    def hand_out(self, event: InvocationEvent) -> bool:
        """Answer the parked call; ``False`` when the runtime is not there. If it calls again, it gets the event."""
        if self.state is not _READY:
            return False
        send, self._parked = self._parked, None
        self.state = _RUNNING
        self._current = event
        if send is None:
            return False
        send(event)
        return True

    def unpark(self, send: Callable[[InvocationEvent], None]) -> None:
        """The connection of a parked call is gone."""
        if self._parked == send:
            self._parked = None

    def response(self, request_id: str, body: bytes | None, mode: str | None = None) -> Reply:
        """``POST .../response``, whole; a body of ``None`` was larger than allowed.

        Trailers say nothing here: [C] the agent looks at them only where the response is streamed.
        """
        if (refused := self._check_turn(request_id, _RESPONDING)) is not None:
            return refused
        if mode:
            self._finish(
                text.error_body("Runtime.InvalidResponseModeHeader", "Invalid function response mode"),
                "Runtime.InvalidResponseModeHeader",
            )
            return _INVALID_MODE
        if body is None:
            self._finish(text.response_too_large_body(), "Function.ResponseSizeTooLarge")
            return TOO_LARGE
        self.state = _RESPONSE_SENT
        self._events.runtime_answered(Answer(body))
        return ACCEPTED

    @property
    def wants_stream(self) -> bool:
        """Who asked for what the runtime works on reads the response as it comes."""
        return self._current is not None and self._current.wants_stream

    def begin_response(self, request_id: str, content_type: str | None, resume: Callable[[], None]) -> Reply | None:
        """``POST .../response`` that is streamed, as soon as its head is there; a reply where it is refused."""
        if (refused := self._check_turn(request_id, _RESPONDING)) is not None:
            return refused
        self.state = _RESPONDING
        self._events.runtime_response_began(content_type or "application/octet-stream", resume)
        return None

    def response_chunk(self, chunk: bytes) -> bool:
        """Some more of it; ``False`` where no more is wanted now."""
        return self._events.runtime_response_chunk(chunk)

    def end_response(self, error_type: str | None, error_body: bytes | None) -> None:
        """It is over, for better or worse."""
        self.state = _RESPONSE_SENT
        self._events.runtime_response_ended(error_type, error_body)

    def error(
        self, request_id: str, body: bytes | None, error_type: str | None, content_type: str | None = None
    ) -> Reply:
        """``POST .../error``: an error that the function or its runtime reports itself."""
        if (refused := self._check_turn(request_id, "InvocationErrorResponse")) is not None:
            return refused
        if body is None:
            self._finish(text.response_too_large_body(), "Function.ResponseSizeTooLarge")
            return TOO_LARGE
        payload = without_cause(body) if content_type == ERROR_CAUSE else body or _unknown_error(error_type)
        self._finish(payload, text.filter_error_type(error_type))
        return ACCEPTED

    def init_error(self, body: bytes | None, error_type: str | None) -> Reply:
        """``POST /runtime/init/error``: only before the first ``next``."""
        if self.state is not _STARTED:
            return _forbidden(self.state, _INIT_ERROR)
        self.state = _INIT_ERROR
        self._events.runtime_failed_init(body or _unknown_error(error_type), text.filter_error_type(error_type))
        return ACCEPTED

    def _check_turn(self, request_id: str, target: str) -> Reply | None:
        if self._current is None or self._current.request_id != request_id:
            return _INVALID_REQUEST_ID
        if self.state is not _RUNNING:
            return _forbidden(self.state, target)
        return None

    def _finish(self, payload: bytes, error_type: str) -> None:
        self.state = _RESPONSE_SENT
        # [R] "Unhandled" for everything, reported properly or not.
        self._events.runtime_answered(Answer(payload, "Unhandled", error_type))


def _unknown_error(error_type: str | None) -> bytes:
    body = {"errorMessage": "Unknown application error occurred"}
    if error_type:
        body["errorType"] = error_type
    return text.to_json(body)
