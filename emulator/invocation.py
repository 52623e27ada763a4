"""One event on its way through the emulator, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.errors import RequestError
from emulator.model import Answer, EnvironmentId, Report, RequestId

__all__ = ["Invocation", "Outcome"]


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
        asynchronous: an ``Event`` invocation: it waits for a free environment instead of being throttled.
        on_answer: called once, when the client can be answered.
        on_report: called once, when nothing of the invocation runs any more; never if it failed before.
    """

    request_id: RequestId
    payload: bytes
    function_arn: str
    trace_id: str
    client_context: str | None = None
    asynchronous: bool = False
    on_answer: Callable[[Outcome], None] | None = None
    on_report: Callable[[Outcome], None] | None = None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def answered(self) -> bool:
        return self.outcome.answer is not None or self.outcome.failure is not None

    def answer(self, answer: Answer) -> None:
        """The result is known; a second one (a timeout after the response) changes nothing."""
        if not self.answered:
            self.outcome.answer = answer
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
