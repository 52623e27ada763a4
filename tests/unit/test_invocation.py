"""An invocation has one end, whoever is late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from emulator.errors import ServiceError
from emulator.invocation import Invocation, Outcome, finish_detail
from emulator.model import Answer, EnvironmentId, Report, RequestId

REPORT = Report(RequestId("r"), EnvironmentId("e"), "s", True, 1.0, 1, 128, 36)


def watched() -> tuple[Invocation, list[str]]:
    heard: list[str] = []

    def answered(outcome: Outcome) -> None:
        heard.append("answer" if outcome.answer is not None else "failure")

    invocation = Invocation(RequestId("r"), b"{}", "arn", "Root=1")
    invocation.on_answer = answered
    invocation.on_report = lambda outcome: heard.append("report")
    return invocation, heard


def test_an_answer_is_told_once_and_stays() -> None:
    """A timeout after the response changes nothing for the client."""
    invocation, heard = watched()
    before = invocation.answered
    invocation.answer(Answer(b"1"))
    invocation.answer(Answer(b"2", "Unhandled", "Sandbox.Timedout"))
    assert (before, invocation.answered) == (False, True)
    assert invocation.outcome.answer == Answer(b"1")
    assert heard == ["answer"]


def test_a_failure_is_told_once_and_stays() -> None:
    """What could not be served is not answered later."""
    invocation, heard = watched()
    failure = ServiceError("no sandbox")
    invocation.fail(failure)
    invocation.answer(Answer(b"1"))
    invocation.fail(ServiceError("again"))
    assert invocation.outcome.failure is failure
    assert invocation.outcome.answer is None
    assert heard == ["failure"]


def test_a_failure_after_the_answer_is_not_told() -> None:
    """An environment that is ended after it answered has served."""
    invocation, heard = watched()
    invocation.answer(Answer(b"1"))
    invocation.fail(ServiceError("ended"))
    assert invocation.outcome.failure is None
    assert heard == ["answer"]


def test_the_report_comes_after_the_answer_with_both() -> None:
    """Who waits for the report sees the answer as well."""
    invocation, heard = watched()
    invocation.answer(Answer(b"1"))
    invocation.finish(REPORT)
    assert (invocation.outcome.answer, invocation.outcome.report) == (Answer(b"1"), REPORT)
    assert heard == ["answer", "report"]


def test_nobody_needs_to_listen() -> None:
    """An asynchronous invocation has no client."""
    invocation = Invocation(RequestId("r"), b"{}", "arn", "Root=1")
    invocation.answer(Answer(b"1"))
    invocation.finish(REPORT)
    assert invocation.answered


def test_two_invocations_share_nothing() -> None:
    """Each has an outcome of its own."""
    first, second = watched()[0], watched()[0]
    first.answer(Answer(b"1"))
    assert not second.answered


class Noting:
    """A reader who writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self.heard.append(content_type)

    def response_chunk(self, chunk: bytes) -> bool:
        self.heard.append(chunk)
        return False

    def response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.heard.append((error_type, error_body))


def test_a_stream_that_has_ended_is_over() -> None:
    """What its runtime still writes after a timeout is swallowed, and does not stop it."""
    invocation, heard = watched()
    reader = invocation.reader = Noting()
    invocation.begin("text/plain", lambda: None)
    assert not invocation.chunk(b"a piece")
    invocation.answer(Answer(b"too late", "Unhandled", "Sandbox.Timedout"))
    assert invocation.chunk(b"another")
    invocation.end()
    assert reader.heard == ["text/plain", b"a piece", ("Sandbox.Timedout", b"too late")]
    assert heard == ["answer"]


ANSWER, FAILED = Answer(b"1"), Answer(b"{}", "Unhandled", "ValueError")


@pytest.mark.parametrize(
    ("report", "answer", "extensions_ms", "detail"),
    [
        (replace(REPORT, cold_start=False), ANSWER, None, {"duration_ms": 1.0}),
        (replace(REPORT, init_ms=9.87654), ANSWER, None, {"duration_ms": 1.0, "cold": True, "init_ms": 9.877}),
        (REPORT, ANSWER, 0.5, {"duration_ms": 1.0, "cold": True, "extensions_ms": 0.5}),
        (
            replace(REPORT, cold_start=False, error_type="ValueError"),
            FAILED,
            None,
            {"duration_ms": 1.0, "error": "ValueError", "status": "error"},
        ),
        (
            replace(REPORT, cold_start=False),
            Answer(b"no JSON", "Unhandled"),
            None,
            {"duration_ms": 1.0, "error": "Unhandled", "status": "error"},
        ),
        (
            replace(REPORT, cold_start=False, status="timeout", error_type="Sandbox.Timedout"),
            ANSWER,
            None,
            {"duration_ms": 1.0, "error": "Sandbox.Timedout", "status": "timeout"},
        ),
        (replace(REPORT, cold_start=False, status="error"), None, None,
         {"duration_ms": 1.0, "error": "error", "status": "error"}),
    ],
)  # fmt: skip
def test_the_timeline_is_told_how_it_ended(
    report: Report, answer: Answer | None, extensions_ms: float | None, detail: dict[str, object]
) -> None:
    """Its length always; and only where there is one: the cold start, the error, what extensions took."""
    assert finish_detail(report, answer, extensions_ms) == detail
