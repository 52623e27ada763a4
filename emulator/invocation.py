"""One event on its way through the emulator, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from emulator.errors import RequestError
from emulator.model import Answer, EnvironmentId, Report, RequestId

__all__ = ["Invocation", "Outcome", "ResponseReader", "finish_detail"]


class ResponseReader(Protocol):
    """Who wants a streamed response as it comes.

    Of one that is not streamed, or that fails before its first byte, only ``on_answer`` hears.
    """

    def response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        """The first byte is on its way. ``resume`` is to be called when more is wanted after a ``False``."""
        ...

    def response_chunk(self, chunk: bytes) -> bool:
        """Some more of it; ``False``: no more now, :meth:`response_began` said how to go on."""
        ...

    def response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        """That was all; with an error where it broke off, or the runtime said so in its trailers."""
        ...


@dataclass(slots=True)
class Outcome:
    """What is known of an invocation so far. Exactly one of ``answer`` and ``failure`` comes, once."""

    answer: Answer | None = None
    failure: RequestError | None = None
    report: Report | None = None
    environment_id: EnvironmentId | None = None


@dataclass(slots=True)
class Invocation:
    """One event for one function.

    Attributes:
        function_arn: as the client named the function, with or without a qualifier.
        client_context: JSON, in one line; so is ``cognito_identity``, with its id and its pool's.
        asynchronous: an ``Event`` invocation: it waits for a free environment instead of being throttled.
        on_answer: called once, when the client can be answered.
        on_report: called once, when nothing of the invocation runs any more; never if it failed before.
        reader: gets a streamed response as it comes. Without one it is collected, and answered whole.
        wants_stream: the caller asked for a stream, which is more than to read one where there happens to be one.
    """

    request_id: RequestId
    payload: bytes
    function_arn: str
    trace_id: str
    client_context: str | None = None
    cognito_identity: str | None = None
    asynchronous: bool = False
    on_answer: Callable[[Outcome], None] | None = None
    on_report: Callable[[Outcome], None] | None = None
    reader: ResponseReader | None = None
    wants_stream: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    began: bool = False
    """A streamed response has begun: there will be one, whole or not."""
    _pieces: list[bytes] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        return self.outcome.answer is not None or self.outcome.failure is not None

    def begin(self, content_type: str, resume: Callable[[], None]) -> None:
        """The runtime streams its response."""
        if not self.answered:
            self.began = True
            if self.reader is not None:
                self.reader.response_began(content_type, resume)

    def chunk(self, chunk: bytes) -> bool:
        """Some more of it; ``False`` where the reader wants no more now."""
        if not self.began or self.answered:
            return True
        if self.reader is not None:
            return self.reader.response_chunk(chunk)
        self._pieces.append(chunk)
        return True

    def end(self, error_type: str | None = None, error_body: bytes | None = None) -> None:
        """The streamed response is over. [D] An error in its trailers leaves it a response, with an error to it."""
        payload = b"".join(self._pieces)
        self.answer(Answer(payload, "Unhandled" if error_type else None, error_type), error_body)

    def answer(self, answer: Answer, error_body: bytes | None = None) -> None:
        """The result is known; a second one (a timeout after the response) changes nothing."""
        if self.answered:
            return
        self.outcome.answer = answer
        if self.reader is not None and self.began:
            broken = answer.payload if answer.error_type and error_body is None else error_body
            self.reader.response_ended(answer.error_type, broken)
        self._pieces.clear()
        if self.on_answer is not None:
            self.on_answer(self.outcome)

    def fail(self, failure: RequestError) -> None:
        """There will be no result, for the emulator could not serve."""
        if not self.answered:
            self.outcome.failure = failure
            if self.on_answer is not None:
                self.on_answer(self.outcome)

    def finish(self, report: Report) -> None:
        self.outcome.report = report
        if self.on_report is not None:
            self.on_report(self.outcome)


def finish_detail(report: Report, answer: Answer | None, extensions_ms: float | None) -> dict[str, Any]:
    """What the timeline is told of an invocation that is over: ``error`` and ``extensions_ms`` where there are any.

    Arguments:
        extensions_ms: how long extensions went on when the runtime was done.
    """
    detail: dict[str, Any] = {"duration_ms": round(report.duration_ms, 3)}
    if report.cold_start:
        detail["cold"] = True
        if report.init_ms is not None:
            detail["init_ms"] = round(report.init_ms, 3)
    if report.status is not None or (answer is not None and answer.function_error is not None):
        detail["error"] = report.error_type or (answer.function_error if answer is not None else None) or report.status
        detail["status"] = report.status or "error"
    if extensions_ms is not None:
        detail["extensions_ms"] = round(extensions_ms, 3)
    return detail
