"""The conversation with one runtime: what each call is answered in each state."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.model import Answer, RequestId
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.runtime import InvocationEvent, RuntimeSession, State

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
OTHER = "00000000-0000-4000-8000-000000000000"

# From the fact sheet, byte for byte: Go's encoder ends a body with a newline.
OK = Reply(202, b'{"status":"OK"}\n')
INVALID_ID = Reply(400, b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n')
TOO_LARGE = Reply(
    413,
    b'{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}\n',
)
INVALID_MODE = Reply(
    400, b'{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}\n'
)


def forbidden(source: str, target: str) -> Reply:
    return Reply(
        403,
        f'{{"errorMessage":"State transition from {source} to {target} failed for runtime. '
        'Error: State transition is not allowed","errorType":"InvalidStateTransition"}\n'.encode(),
    )


def event(request_id: str = ID, payload: bytes = b'{"k":"v"}') -> InvocationEvent:
    return InvocationEvent(
        RequestId(request_id),
        payload,
        1542409706888,
        "arn:aws:lambda:us-east-1:123456789012:function:fn",
        "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
    )


class Heard:
    """What the environment heard of its runtime."""

    def __init__(self) -> None:
        self.parked = 0
        self.answers: list[Answer] = []
        self.init_failures: list[tuple[bytes, str]] = []
        self.stream: list[object] = []
        self.resume: Callable[[], None] | None = None

    def runtime_parked(self) -> None:
        self.parked += 1

    def runtime_answered(self, answer: Answer) -> None:
        self.answers.append(answer)

    def runtime_response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self.stream.append(content_type)
        self.resume = resume

    def runtime_response_chunk(self, chunk: bytes) -> bool:
        self.stream.append(chunk)
        return len(chunk) < 10

    def runtime_response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.stream.append((error_type, error_body))

    def runtime_failed_init(self, body: bytes, error_type: str) -> None:
        self.init_failures.append((body, error_type))


class Talk:
    """A session, what was heard of it, and what a connection of the runtime received."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.session = RuntimeSession(self.heard)
        self.received: list[str] = []

    def send(self, given: InvocationEvent) -> None:
        self.received.append(given.request_id)

    def running(self) -> Talk:
        assert self.session.next(self.send) is None
        assert self.session.hand_out(event())
        return self


def test_the_first_next_parks_the_runtime() -> None:
    """It is not answered, and the environment hears that init is over."""
    talk = Talk()
    assert talk.session.next(talk.send) is None
    assert talk.heard.parked == 1
    assert talk.received == []
    assert talk.session.state == "Ready"


def test_an_event_answers_the_parked_call() -> None:
    """Once, and on that connection."""
    talk = Talk().running()
    assert talk.received == [ID]
    assert talk.session.state == "Running"


@pytest.mark.parametrize("state", ["Started", "Running", "RuntimeResponseSentState", "InitError"])
def test_no_event_goes_to_a_runtime_that_is_not_ready(state: str) -> None:
    """It could be lost, or be a second one at the same time."""
    talk = Talk()
    if state == "InitError":
        talk.session.init_error(b"{}", None)
    elif state != "Started":
        talk.running()
        if state != "Running":
            talk.session.response(ID, b"1")
    assert talk.session.state == state
    assert not talk.session.hand_out(event(OTHER))
    assert OTHER not in talk.received
    assert talk.session.state == state


def test_next_while_an_event_is_running_renders_the_same_event_again() -> None:
    """Without an error, and without the environment taking it for parked."""
    talk = Talk().running()
    assert talk.session.next(talk.send) is None
    assert talk.received == [ID, ID]
    assert talk.heard.parked == 1
    assert talk.session.response(ID, b"1") == OK


def test_a_response_is_accepted_and_passed_on_untouched() -> None:
    """Any bytes; the environment hears of them before the runtime is parked again."""
    talk = Talk().running()
    assert talk.session.response(ID, b"\x00 any \xff") == OK
    assert talk.heard.answers == [Answer(b"\x00 any \xff")]
    assert talk.heard.parked == 1
    assert talk.session.state == "RuntimeResponseSentState"


def test_next_after_a_response_parks_again() -> None:
    """One round is over; the next event is taken."""
    talk = Talk().running()
    talk.session.response(ID, b"1")
    assert talk.session.next(talk.send) is None
    assert talk.heard.parked == 2
    assert talk.session.hand_out(event(OTHER))
    assert talk.received == [ID, OTHER]


def test_a_second_response_is_forbidden_with_the_agents_words() -> None:
    """Before ``next`` the id is still the current one: 403 and not 400; the first answer stays."""
    talk = Talk().running()
    talk.session.response(ID, b"1")
    assert talk.session.response(ID, b"2") == forbidden("RuntimeResponseSentState", "InvocationResponse")
    assert talk.session.error(ID, b"2", None) == forbidden("RuntimeResponseSentState", "InvocationErrorResponse")
    assert talk.heard.answers == [Answer(b"1")]


def test_an_error_is_accepted_with_its_body_untouched() -> None:
    """The client gets what the runtime wrote, marked ``Unhandled``; the type is for us."""
    body = b'{"errorMessage":"Handler fails","errorType":"Exception","requestId":"x","stackTrace":[]}'
    talk = Talk().running()
    assert talk.session.error(ID, body, "Runtime.HandlerNotFound") == OK
    assert talk.heard.answers == [Answer(body, "Unhandled", "Runtime.HandlerNotFound")]
    assert talk.session.response(ID, b"1") == forbidden("RuntimeResponseSentState", "InvocationResponse")


def test_an_error_type_of_another_form_becomes_unknown() -> None:
    """What Python sends for an exception of the handler is not in the agent's pattern."""
    talk = Talk().running()
    talk.session.error(ID, b"{}", "Exception")
    assert talk.heard.answers == [Answer(b"{}", "Unhandled", "Runtime.Unknown")]


@pytest.mark.parametrize(
    ("error_type", "body"),
    [
        ("Runtime.Panic", b'{"errorMessage":"Unknown application error occurred","errorType":"Runtime.Panic"}'),
        (None, b'{"errorMessage":"Unknown application error occurred"}'),
    ],
)
def test_an_error_without_a_body_gets_one(error_type: str | None, body: bytes) -> None:
    """With the type only if it is known."""
    talk = Talk().running()
    assert talk.session.error(ID, b"", error_type) == OK
    assert talk.heard.answers[0].payload == body


@pytest.mark.parametrize("request_id", [OTHER, "", ID.upper(), ID + " "])
def test_a_wrong_id_is_refused_and_changes_nothing(request_id: str) -> None:
    """Neither for a response nor for an error; the right one is accepted afterwards."""
    talk = Talk().running()
    assert talk.session.response(request_id, b"1") == INVALID_ID
    assert talk.session.error(request_id, b"1", None) == INVALID_ID
    assert talk.heard.answers == []
    assert talk.session.response(ID, b"1") == OK


def test_the_id_of_the_last_round_is_a_wrong_one() -> None:
    """After ``next`` there is no current invocation, and then there is another."""
    talk = Talk().running()
    talk.session.response(ID, b"1")
    talk.session.next(talk.send)
    assert talk.session.response(ID, b"2") == INVALID_ID
    talk.session.hand_out(event(OTHER))
    assert talk.session.response(ID, b"2") == INVALID_ID


def test_without_any_event_every_id_is_a_wrong_one() -> None:
    """Before the first ``next`` as well."""
    talk = Talk()
    assert talk.session.response(ID, b"1") == INVALID_ID
    assert talk.session.error(ID, b"1", None) == INVALID_ID


def test_init_error_is_accepted_before_the_first_next() -> None:
    """The body is what the client is to get; after it the runtime may only leave."""
    talk = Talk()
    assert talk.session.init_error(b'{"errorMessage":"no"}', "Runtime.ImportModuleError") == OK
    assert talk.heard.init_failures == [(b'{"errorMessage":"no"}', "Runtime.ImportModuleError")]
    assert talk.session.next(talk.send) == forbidden("InitError", "Ready")
    assert talk.session.init_error(b"{}", None) == forbidden("InitError", "InitError")
    assert talk.heard.parked == 0
    assert len(talk.heard.init_failures) == 1


@pytest.mark.parametrize("rounds", ["parked", "running", "answered"])
def test_init_error_after_the_first_next_is_forbidden(rounds: str) -> None:
    """Init was over then, and stays so."""
    talk, source = Talk(), "Ready"
    talk.session.next(talk.send)
    if rounds != "parked":
        talk.session.hand_out(event())
        source = "Running"
    if rounds == "answered":
        talk.session.response(ID, b"1")
        source = "RuntimeResponseSentState"
    assert talk.session.init_error(b"{}", None) == forbidden(source, "InitError")
    assert talk.heard.init_failures == []


def test_a_response_that_is_too_large_completes_the_invocation_with_an_error() -> None:
    """The runtime is told 413, the client the recorded error, and the next event can come."""
    talk = Talk().running()
    assert talk.session.response(ID, None) == TOO_LARGE
    assert talk.heard.answers == [
        Answer(
            b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
            b'"errorType":"Function.ResponseSizeTooLarge"}',
            "Unhandled",
            "Function.ResponseSizeTooLarge",
        )
    ]
    assert talk.session.next(talk.send) is None
    assert talk.session.hand_out(event(OTHER))


def test_an_error_that_is_too_large_is_treated_like_a_response() -> None:
    """The limit holds for both ways of answering."""
    talk = Talk().running()
    assert talk.session.error(ID, None, "Function.Big") == TOO_LARGE
    assert talk.heard.answers[0].error_type == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize("mode", [None, ""])
def test_a_response_without_a_mode_is_taken_whole(mode: str | None) -> None:
    """No header, and an empty one."""
    talk = Talk().running()
    assert talk.session.response(ID, b"1", mode) == OK


@pytest.mark.parametrize("mode", ["Streaming", "buffered", "x"])
def test_another_response_mode_ends_the_invocation(mode: str) -> None:
    """400 for the runtime, and an error with its own type for the client."""
    talk = Talk().running()
    assert talk.session.response(ID, b"1", mode) == INVALID_MODE
    assert talk.heard.answers[0].error_type == "Runtime.InvalidResponseModeHeader"
    assert talk.heard.answers[0].function_error == "Unhandled"
    assert talk.session.state == "RuntimeResponseSentState"
    assert talk.session.next(talk.send) is None


def nothing() -> None:
    pass


def test_a_streamed_response_is_told_piece_by_piece() -> None:
    """How it begins, each piece, and how it ends; the environment says whether it wants more."""
    talk = Talk().running()
    assert talk.session.begin_response(ID, "text/html", nothing) is None
    assert talk.session.state == "InvocationResponse"
    assert talk.session.response_chunk(b"<p>")
    assert not talk.session.response_chunk(b"0123456789")
    talk.session.end_response(None, None)
    assert talk.heard.stream == ["text/html", b"<p>", b"0123456789", (None, None)]
    assert talk.heard.resume is nothing
    assert talk.heard.answers == []
    assert talk.session.state == "RuntimeResponseSentState"
    assert talk.session.next(talk.send) is None


@pytest.mark.parametrize("content_type", [None, ""])
def test_a_streamed_response_without_a_content_type_is_bytes(content_type: str | None) -> None:
    """As Node's runtime says it by itself."""
    talk = Talk().running()
    talk.session.begin_response(ID, content_type, nothing)
    assert talk.heard.stream == ["application/octet-stream"]


def test_nothing_else_is_allowed_while_a_response_is_streamed() -> None:
    """No second response, no error, no next event: 403 with the agent's word for the state, and the stream goes on."""
    talk = Talk().running()
    talk.session.begin_response(ID, None, nothing)
    state = "InvocationResponse"
    assert talk.session.response(ID, b"1") == forbidden(state, "InvocationResponse")
    assert talk.session.begin_response(ID, None, nothing) == forbidden(state, "InvocationResponse")
    assert talk.session.error(ID, b"{}", None) == forbidden(state, "InvocationErrorResponse")
    assert talk.session.next(talk.send) == forbidden(state, "Ready")
    assert talk.session.init_error(b"{}", None) == forbidden(state, "InitError")
    assert talk.session.response(OTHER, b"1") == INVALID_ID
    assert not talk.session.hand_out(event(OTHER))
    assert talk.heard.stream == ["application/octet-stream"]
    assert talk.heard.parked == 1


def test_a_streamed_response_that_is_not_wanted_is_refused() -> None:
    """For another id, and a second time: nobody hears that anything began."""
    talk = Talk().running()
    assert talk.session.begin_response(OTHER, None, nothing) == INVALID_ID
    talk.session.response(ID, b"1")
    refused = forbidden("RuntimeResponseSentState", "InvocationResponse")
    assert talk.session.begin_response(ID, None, nothing) == refused
    assert talk.heard.stream == []


CAUSE = "application/vnd.aws.lambda.error.cause+json"


def test_an_error_with_its_cause_reaches_the_client_without_it() -> None:
    """Rendered anew: message and type first, the stack trace behind; the cause was for tracing."""
    body = {"errorCause": {"exceptions": []}, "stackTrace": ["a", "b"], "errorType": "E", "errorMessage": "m"}
    talk = Talk().running()
    assert talk.session.error(ID, json.dumps(body).encode(), "Runtime.Panic", CAUSE) == OK
    payload = b'{"errorMessage":"m","errorType":"E","stackTrace":["a","b"]}'
    assert talk.heard.answers == [Answer(payload, "Unhandled", "Runtime.Panic")]


@pytest.mark.parametrize("body", [b"", b"no JSON"])
def test_an_error_with_a_cause_that_cannot_be_read_says_so(body: bytes) -> None:
    """The client gets a JSON string; the runtime hears nothing of it."""
    talk = Talk().running()
    assert talk.session.error(ID, body, "Runtime.Panic", CAUSE) == OK
    assert talk.heard.answers == [Answer(b'"Invalid error body"', "Unhandled", "Runtime.Panic")]


def test_an_error_of_another_content_type_is_not_looked_into() -> None:
    """Only that very content type speaks of a cause."""
    for kind in (None, "application/json", CAUSE + "; charset=utf-8"):
        talk = Talk().running()
        assert talk.session.error(ID, b"as it is", "Runtime.Panic", kind) == OK
        assert talk.heard.answers[0].payload == b"as it is"


def test_a_second_parked_call_replaces_the_first() -> None:
    """A runtime that gave its connection up gets the event on the new one, once, and parks only once."""
    talk, old = Talk(), list[str]()
    talk.session.next(lambda given: old.append(given.request_id))
    talk.session.next(talk.send)
    talk.session.hand_out(event())
    assert (old, talk.received) == ([], [ID])
    assert talk.heard.parked == 1


def test_a_lost_connection_that_is_not_the_parked_one_loses_nothing() -> None:
    """The end of the old connection must not take the new one's place away."""
    talk = Talk()

    def old(given: InvocationEvent) -> None:
        pytest.fail("this connection is gone")

    talk.session.next(old)
    talk.session.next(talk.send)
    talk.session.unpark(old)
    assert talk.session.hand_out(event())
    assert talk.received == [ID]


def test_an_event_that_found_no_connection_waits_for_the_next_call() -> None:
    """A runtime that lost its parked connection and calls again is not left without its event."""
    talk = Talk()
    talk.session.next(talk.send)
    talk.session.unpark(talk.send)
    assert not talk.session.hand_out(event())
    assert talk.session.next(talk.send) is None
    assert talk.received == [ID]
    assert talk.session.response(ID, b"1") == OK


def test_the_answer_to_next_is_as_recorded() -> None:
    """Status line, the headers every runtime reads, and the length of the event."""
    assert event().head() == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/json\r\n"
        b"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
        b"Lambda-Runtime-Deadline-Ms: 1542409706888\r\n"
        b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:fn\r\n"
        b"Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n"
        b"Content-Length: 9\r\n"
        b"\r\n"
    )


def test_headers_without_a_value_are_left_out_and_others_are_there() -> None:
    """Client context and identity arrive as JSON, only where the client gave them."""
    given = InvocationEvent(RequestId(ID), b"{}", 1, "arn", "Root=1", '{"custom":{}}', '{"cognitoIdentityId":"i"}')
    assert b'\r\nLambda-Runtime-Client-Context: {"custom":{}}\r\n' in given.head()
    assert b'\r\nLambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"i"}\r\n' in given.head()
    assert b"Client-Context" not in event().head()
    assert b"Cognito" not in event().head()


class AnyOrderOfCalls(RuleBasedStateMachine):
    """A runtime that does whatever it likes, against a second, simpler account of what has to come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk()
        self.state = "Started"
        self.current: str | None = None
        self.connected = False
        self.numbers = 0
        self.rounds = 0
        self.expected_answers = 0
        self.expected_stream: list[object] = []
        self.streams = 0

    @rule()
    def next(self) -> None:
        reply = self.talk.session.next(self.talk.send)
        if self.state in ("InitError", "InvocationResponse"):
            assert reply == forbidden(self.state, "Ready")
            return
        assert reply is None
        if self.state == "Running":
            assert self.talk.received[-1] == self.current
            return
        if self.state != "Ready":
            self.rounds += 1
        self.state, self.current, self.connected = "Ready", None, True

    @rule()
    def hand_out(self) -> None:
        self.numbers += 1
        sent, known = self.talk.session.hand_out(event(f"id-{self.numbers}")), len(self.talk.received)
        assert sent == (self.state == "Ready" and self.connected)
        if self.state == "Ready":
            self.state, self.current = "Running", f"id-{self.numbers}"
            assert not sent or self.talk.received[known - 1] == self.current
            self.connected = False

    @precondition(lambda self: self.state == "Ready")
    @rule()
    def lose_the_connection(self) -> None:
        self.talk.session.unpark(self.talk.send)
        self.connected = False

    @rule(right=st.booleans(), error=st.booleans(), body=st.sampled_from([b"1", b"", None]))
    def answer(self, right: bool, error: bool, body: bytes | None) -> None:
        request_id = self.current if right and self.current is not None else "another"
        session = self.talk.session
        reply = session.error(request_id, body, None) if error else session.response(request_id, body)
        if request_id != self.current:
            assert reply == INVALID_ID
        elif self.state != "Running":
            target = "InvocationErrorResponse" if error else "InvocationResponse"
            assert reply == forbidden(self.state, target)
        else:
            assert reply == (TOO_LARGE if body is None else OK)
            self.state = "RuntimeResponseSentState"
            self.expected_answers += 1

    @rule(right=st.booleans())
    def begin_a_stream(self, right: bool) -> None:
        request_id = self.current if right and self.current is not None else "another"
        reply = self.talk.session.begin_response(request_id, None, nothing)
        if request_id != self.current:
            assert reply == INVALID_ID
        elif self.state != "Running":
            assert reply == forbidden(self.state, "InvocationResponse")
        else:
            assert reply is None
            self.state = "InvocationResponse"
            self.expected_stream.append("application/octet-stream")

    @precondition(lambda self: self.state == "InvocationResponse")
    @rule(chunk=st.binary(min_size=1, max_size=20))
    def stream(self, chunk: bytes) -> None:
        assert self.talk.session.response_chunk(chunk) == (len(chunk) < 10)
        self.expected_stream.append(chunk)

    @precondition(lambda self: self.state == "InvocationResponse")
    @rule(error_type=st.sampled_from([None, "Runtime.TruncatedResponse"]))
    def end_the_stream(self, error_type: str | None) -> None:
        self.talk.session.end_response(error_type, None)
        self.expected_stream.append((error_type, None))
        self.state = "RuntimeResponseSentState"
        self.streams += 1

    @rule()
    def init_error(self) -> None:
        reply = self.talk.session.init_error(b"{}", None)
        if self.state == "Started":
            assert reply == OK
            self.state = "InitError"
        else:
            assert reply == forbidden(self.state, "InitError")

    @invariant()
    def both_accounts_agree(self) -> None:
        heard = self.talk.heard
        assert self.talk.session.state is State(self.state)
        assert heard.parked == self.rounds
        assert len(heard.answers) == self.expected_answers
        assert len(heard.init_failures) == (self.state == "InitError")
        assert heard.stream == self.expected_stream
        assert heard.parked >= len(heard.answers) + self.streams >= heard.parked - 1


TestAnyOrderOfCalls = AnyOrderOfCalls.TestCase
