"""The conversation with extensions: what each call is answered in each state, byte for byte."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.model import Function, RequestId
from emulator.runtime_api.extension_states import TABLE, ExtensionCall, ExtensionState
from emulator.runtime_api.extensions import Extension, ExtensionsSession
from emulator.runtime_api.reply import ACCEPTED, Reply
from emulator.runtime_api.runtime import InvocationEvent

BOTH = b'{"events":["INVOKE","SHUTDOWN"]}'
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def refusal(error_type: str, message: str) -> Reply:
    body = f'{{"errorMessage":"{message}","errorType":"{error_type}"}}\n'
    return Reply(403, body.encode())


def forbidden(source: str, target: str, named: str) -> Reply:
    return refusal(
        "Extension.InvalidExtensionState",
        f"State transition from {source} to {target} failed for extension {named}. "
        "Error: State transition is not allowed",
    )


def event(request_id: str = "request-1", trace_id: str = "Root=1-2-3;Parent=4;Sampled=0") -> InvocationEvent:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"
    return InvocationEvent(RequestId(request_id), b'{"secret":1}', 1542409706888, arn, trace_id)


class Talk:
    """A session, what was heard of it, and what each extension received."""

    def __init__(self, *external: str, handler: str = "app.handler", account: str = "123456789012") -> None:
        function = Function(name="fn", code=Path(), handler=handler)
        self.session = ExtensionsSession(self, function, external=external, account=account)
        self.registered: list[str] = []
        self.parked: list[str] = []
        self.failed: list[tuple[str, str, str, bytes]] = []
        self.received: list[Reply] = []

    def extension_registered(self, extension: Extension) -> None:
        self.registered.append(extension.name)

    def extension_parked(self, extension: Extension) -> None:
        self.parked.append(extension.name)

    def extension_failed(self, extension: Extension, error_type: str, body: bytes) -> None:
        self.failed.append((extension.name, extension.state, error_type, body))

    def send(self, reply: Reply) -> None:
        self.received.append(reply)

    def register(self, name: str, body: bytes = b"{}", features: str | None = None) -> str:
        """Register, and give the identifier."""
        reply = self.session.register(name, body, features)
        assert reply.status == 200, reply.body
        return dict(reply.headers)["Lambda-Extension-Identifier"]

    def ready(self, name: str, body: bytes = BOTH) -> str:
        """Register and park."""
        identifier = self.register(name, body)
        assert self.session.next(identifier, self.send) is None
        return identifier

    def state(self, name: str) -> str:
        return next(extension.state for extension in self.session.known if extension.name == name)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(reply.body) for reply in self.received]


# -- registration ------------------------------------------------------------------------------------------------


def test_registration_is_answered_as_recorded() -> None:
    """The identifier in a header, the function in the body, a newline behind it."""
    talk = Talk("my-ext")
    reply = talk.session.register("my-ext", BOTH, None)
    (extension,) = talk.session.known
    assert reply == Reply(
        200,
        b'{"functionName":"fn","functionVersion":"$LATEST","handler":"app.handler"}\n',
        (("Content-Type", "application/json"), ("Lambda-Extension-Identifier", extension.identifier)),
    )
    assert str(uuid.UUID(extension.identifier)) == extension.identifier
    assert extension == Extension(
        "my-ext", extension.identifier, True, ("INVOKE", "SHUTDOWN"), ExtensionState.REGISTERED
    )
    assert talk.registered == ["my-ext"]


@pytest.mark.parametrize("features", ["accountId", "some_other,accountId,", " accountId "])
def test_who_accepts_the_account_is_told_it(features: str) -> None:
    """As the last member; features that nobody knows do not matter."""
    reply = Talk().session.register("a", b"{}", features)
    assert reply.body == (
        b'{"functionName":"fn","functionVersion":"$LATEST","handler":"app.handler","accountId":"123456789012"}\n'
    )


@pytest.mark.parametrize(("features", "account"), [(None, "1"), ("accountid", "1"), ("other,", "1"), ("accountId", "")])
def test_who_does_not_is_not(features: str | None, account: str) -> None:
    """Nor is an empty account told."""
    assert b"accountId" not in Talk(account=account).session.register("a", b"{}", features).body


def test_the_body_is_escaped_as_gos_encoder_does() -> None:
    """A handler may hold what HTML would take for markup."""
    assert b'"handler":"a\\u003cb\\u003e.c\\u0026d"' in Talk(handler="a<b>.c&d").session.register("a", b"{}", None).body


def test_a_name_from_the_folder_is_external_and_any_other_internal() -> None:
    """The full name of the file counts."""
    talk = Talk("ext.sh")
    talk.register("ext.sh")
    talk.register("ext")
    assert [(extension.name, extension.external) for extension in talk.session.known] == [
        ("ext.sh", True),
        ("ext", False),
    ]


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"events":[]}', b'{"events":null}', b'{"other":1}'])
def test_an_extension_may_want_no_events(body: bytes) -> None:
    """Whatever way it says so."""
    talk = Talk()
    talk.register("a", body)
    assert talk.session.known[0].events == ()


def test_events_are_kept_once_and_in_the_order_given() -> None:
    """Member names may be in any case, as for Go's decoder."""
    talk = Talk("a")
    talk.register("a", b'{"Events":["SHUTDOWN","INVOKE","SHUTDOWN"]}')
    assert talk.session.known[0].events == ("SHUTDOWN", "INVOKE")


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_is_needed(name: str | None) -> None:
    """The header is missing, or empty."""
    reply = Talk().session.register(name, b"{}", None)
    assert reply == refusal("Extension.InvalidExtensionName", "Empty extension name")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"events":', "unexpected end of JSON input"),
        (b'{"events":["INVOKE', "unexpected end of JSON input"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"\xff\xfe\xfd", "invalid character in the request body"),
        (b"[" * 100_000, "invalid character in the request body"),
        (b"[]", "json: cannot unmarshal array into Go value"),
        (b'"INVOKE"', "json: cannot unmarshal string into Go value"),
        (b'{"events":"INVOKE"}', "json: cannot unmarshal string into Go struct field .events of type []core.Event"),
        (b'{"events":true}', "json: cannot unmarshal bool into Go struct field .events of type []core.Event"),
        (b'{"events":{}}', "json: cannot unmarshal object into Go struct field .events of type []core.Event"),
        (b'{"events":[1]}', "json: cannot unmarshal number into Go struct field .events of type core.Event"),
        (
            b'{"events":[],"configurationKeys":["a"]}',
            "configurationKeys are deprecated; use environment variables instead",
        ),
    ],
)
def test_a_body_that_is_none_is_refused_in_gos_words(body: bytes, message: str) -> None:
    """And registers nobody."""
    talk = Talk("a")
    assert talk.session.register("a", body, None) == refusal("InvalidRequestFormat", message)
    assert talk.session.known == ()
    talk.register("a")


@pytest.mark.parametrize(
    ("events", "external", "message"),
    [
        ('["OTHER"]', True, "OTHER: ErrorInvalidEventType"),
        ('["INVOKE","invoke"]', True, "invoke: ErrorInvalidEventType"),
        ('["INVOKE",null]', False, ": ErrorInvalidEventType"),
        ('["OTHER"]', False, "OTHER: ErrorInvalidEventType"),
        ('["INVOKE","SHUTDOWN"]', False, "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"),
    ],
)
def test_events_are_checked(events: str, external: bool, message: str) -> None:
    """Two there are, and one of them is for external ones only; asking again properly is allowed."""
    talk = Talk("a") if external else Talk()
    for _ in range(2):
        reply = talk.session.register("a", f'{{"events":{events}}}'.encode(), None)
        assert reply == refusal("Extension.InvalidEventType", message)
    assert talk.session.known == ()
    talk.register("a", b'{"events":["INVOKE"]}')


def test_registering_twice_is_refused() -> None:
    """In other words for an external one than for an internal one; neither changes what was there."""
    talk = Talk("ext")
    talk.register("ext", BOTH)
    talk.register("int", b'{"events":["INVOKE"]}')
    assert talk.session.register("ext", b"{}", None) == forbidden("Registered", "Registered", "ext")
    assert talk.session.register("int", b"{}", None) == refusal(
        "Extension.InvalidExtensionState", "Extension with this name already registered"
    )
    assert [extension.events for extension in talk.session.known] == [("INVOKE", "SHUTDOWN"), ("INVOKE",)]
    assert talk.registered == ["ext", "int"]


def test_after_init_nobody_may_register() -> None:
    """403, and the extensions that are there stay."""
    talk = Talk()
    talk.register("a")
    talk.session.close_registration()
    reply = talk.session.register("b", b"{}", None)
    assert reply == refusal("Extension.RegistrationClosed", "Extension registration closed already")
    assert len(talk.session.known) == 1


def test_ten_there_may_be_and_no_more() -> None:
    """External and internal together, the external ones counted from the start."""
    talk = Talk(*(f"ext-{number}" for number in range(6)))
    for number in range(4):
        talk.register(f"int-{number}")
    too_many = refusal("Extension.TooManyExtensions", "Extension limit (10) reached")
    assert talk.session.register("int-4", b"{}", None) == too_many
    talk.register("ext-5")


def test_an_eleventh_program_is_refused() -> None:
    """It is in the folder, but not among the ten that count; init does not wait for it."""
    names = [f"ext-{number:02}" for number in range(11)]
    talk = Talk(*names)
    too_many = refusal("Extension.TooManyExtensions", "Extension limit (10) reached")
    assert talk.session.register("ext-10", BOTH, None) == too_many
    for name in names[:10]:
        assert not talk.session.all_registered
        talk.register(name)
    assert talk.session.all_registered


# -- who calls ---------------------------------------------------------------------------------------------------


def ask(talk: Talk, call: str, identifier: str | None, error_type: str | None = "Extension.X") -> Reply | None:
    match call:
        case "next":
            return talk.session.next(identifier, talk.send)
        case "init/error":
            return talk.session.init_error(identifier, error_type, b"{}")
        case _:
            return talk.session.exit_error(identifier, error_type, b"{}")


@pytest.mark.parametrize("call", ["next", "init/error", "exit/error"])
@pytest.mark.parametrize("identifier", [None, ""])
def test_a_call_without_an_identifier_is_refused(call: str, identifier: str | None) -> None:
    """Every call but registration needs the header."""
    assert ask(Talk(), call, identifier) == refusal(
        "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"
    )


@pytest.mark.parametrize("call", ["next", "init/error", "exit/error"])
def test_an_identifier_is_a_uuid(call: str) -> None:
    """Anything else is not even looked up."""
    assert ask(Talk(), call, "my-ext") == refusal(
        "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"
    )


def test_an_unknown_identifier_is_refused() -> None:
    """In words that are not the same for every call."""
    talk = Talk("ext")
    kind = "Extension.UnknownExtensionIdentifier"
    assert ask(talk, "next", UNKNOWN) == refusal(kind, f"Unknown extension {UNKNOWN}")
    assert talk.session.find(UNKNOWN) == refusal(kind, f"Unknown extension {UNKNOWN}")
    for call in ("init/error", "exit/error"):
        assert ask(talk, call, UNKNOWN) == refusal(kind, "Unknown Lambda-Extension-Identifier")


def test_the_same_identifier_may_be_written_differently() -> None:
    """As a UUID in capitals, without hyphens or with its urn."""
    talk = Talk()
    identifier = talk.register("a")
    for written in (identifier.upper(), identifier.replace("-", ""), f"urn:uuid:{identifier}"):
        found = talk.session.find(written)
        assert isinstance(found, Extension)
        assert found.name == "a"


# -- next and events -----------------------------------------------------------------------------------------------


def test_next_parks_an_extension() -> None:
    """It is not answered, and the environment hears of it."""
    talk = Talk("a")
    identifier = talk.register("a", BOTH)
    assert not talk.session.all_parked
    assert talk.session.next(identifier, talk.send) is None
    assert (talk.parked, talk.received, talk.state("a")) == (["a"], [], "Ready")
    assert talk.session.all_parked


def test_the_invoke_event_is_as_recorded() -> None:
    """Everything but the payload; the event has an identifier of its own for each that gets it, and no newline."""
    talk = Talk("a")
    talk.ready("a")
    talk.ready("b", b'{"events":["INVOKE"]}')
    talk.session.invoke(event())
    first, second = talk.received
    assert first.status == 200
    assert (
        first.body
        == second.body
        == (
            b'{"eventType":"INVOKE","deadlineMs":1542409706888,"requestId":"request-1",'
            b'"invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:fn",'
            b'"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=4;Sampled=0"}}'
        )
    )
    numbers = [dict(reply.headers)["Lambda-Extension-Event-Identifier"] for reply in talk.received]
    assert len({uuid.UUID(number) for number in numbers}) == 2
    assert dict(first.headers)["Content-Type"] == "application/json"
    assert talk.state("a") == talk.state("b") == "Running"
    assert not talk.session.all_parked


def test_an_invocation_without_a_trace_has_no_tracing() -> None:
    """The member is left out and not empty."""
    talk = Talk()
    talk.ready("a", b'{"events":["INVOKE"]}')
    talk.session.invoke(event(trace_id=""))
    assert "tracing" not in talk.bodies[0]


def test_who_does_not_want_invocations_hears_of_none() -> None:
    """And waits on: nobody waits for it."""
    talk = Talk("a")
    talk.ready("a", b'{"events":["SHUTDOWN"]}')
    talk.ready("none", b"{}")
    talk.session.invoke(event())
    assert talk.received == []
    assert talk.session.all_parked


def test_next_after_an_event_parks_again() -> None:
    """The environment hears of each round."""
    talk = Talk()
    identifier = talk.ready("a", b'{"events":["INVOKE"]}')
    for number in range(3):
        talk.session.invoke(event(f"request-{number}"))
        assert not talk.session.all_parked
        assert talk.session.next(identifier, talk.send) is None
    assert [body["requestId"] for body in talk.bodies] == ["request-0", "request-1", "request-2"]
    assert talk.parked == ["a"] * 4


def test_a_second_call_while_one_is_parked_is_refused() -> None:
    """With the identifier in its words; the first one still waits."""
    talk = Talk()
    identifier = talk.ready("a", b'{"events":["INVOKE"]}')
    assert talk.session.next(identifier, talk.send) == forbidden("Ready", "Ready", identifier)
    talk.session.invoke(event())
    assert len(talk.received) == 1
    assert talk.parked == ["a"]


def test_an_extension_that_lost_its_connection_may_call_again() -> None:
    """It was parked all the time, so nobody hears of it again, and it misses nothing."""
    talk, lost = Talk(), list[Reply]()
    identifier = talk.register("a", b'{"events":["INVOKE"]}')
    talk.session.next(identifier, lost.append)
    talk.session.unpark(lost.append)
    assert talk.session.all_parked
    assert talk.session.next(identifier, talk.send) is None
    talk.session.invoke(event())
    assert (len(lost), len(talk.received), talk.parked) == (0, 1, ["a"])


def test_an_event_that_found_no_connection_waits_for_the_next_call() -> None:
    """It is at work from that moment on, and gets the event as the answer to its call, once."""
    talk = Talk()
    identifier = talk.ready("a", b'{"events":["INVOKE"]}')
    talk.session.unpark(talk.send)
    talk.session.invoke(event())
    assert talk.state("a") == "Running"
    reply = talk.session.next(identifier, talk.send)
    assert reply is not None
    assert json.loads(reply.body)["requestId"] == "request-1"
    assert (talk.state("a"), talk.received, talk.parked) == ("Running", [], ["a"])
    assert talk.session.next(identifier, talk.send) is None
    assert talk.parked == ["a", "a"]


def test_the_end_of_another_connection_unparks_nobody() -> None:
    """Each waits on its own."""
    talk = Talk()
    talk.ready("a", b'{"events":["INVOKE"]}')
    talk.session.unpark(lambda _reply: None)
    talk.session.invoke(event())
    assert len(talk.received) == 1


def test_a_program_that_has_not_registered_may_not_call() -> None:
    """Nobody knows its identifier but the session; the table refuses it all the same."""
    assert ExtensionCall.NEXT not in TABLE[ExtensionState.STARTED]


# -- shutdown ------------------------------------------------------------------------------------------------------


def test_the_shutdown_event_is_as_recorded() -> None:
    """No identifier of its own, and a content type that Go's server guessed; the names of who hears of it come back."""
    talk = Talk("a", "b", "c")
    talk.ready("a")
    talk.ready("b", b'{"events":["INVOKE"]}')
    talk.ready("int", b'{"events":["INVOKE"]}')
    assert talk.session.shut_down("spindown", 1542409708888) == ["a"]
    assert talk.received == [
        Reply(
            200,
            b'{"eventType":"SHUTDOWN","deadlineMs":1542409708888,"shutdownReason":"spindown"}',
            (("Content-Type", "text/plain; charset=utf-8"),),
        )
    ]
    assert talk.state("a") == "Running"


@pytest.mark.parametrize("at_work", [True, False])
def test_shutdown_reaches_an_extension_that_is_not_waiting_at_its_next_call(at_work: bool) -> None:
    """Be it at work on an event, or still setting itself up; nobody takes it for parked any more."""
    talk = Talk("a")
    identifier = talk.ready("a") if at_work else talk.register("a", BOTH)
    if at_work:
        talk.session.invoke(event())
    heard = len(talk.parked)
    assert talk.session.shut_down("timeout", 1) == ["a"]
    reply = talk.session.next(identifier, talk.send)
    assert reply is not None
    assert json.loads(reply.body) == {"eventType": "SHUTDOWN", "deadlineMs": 1, "shutdownReason": "timeout"}
    assert len(talk.parked) == heard
    assert talk.session.next(identifier, talk.send) is None


def test_shutdown_takes_the_place_of_an_event_that_was_not_fetched() -> None:
    """What was to be done is not to be done any more."""
    talk = Talk("a")
    identifier = talk.ready("a")
    talk.session.unpark(talk.send)
    talk.session.invoke(event())
    talk.session.shut_down("failure", 1)
    reply = talk.session.next(identifier, talk.send)
    assert reply is not None
    assert json.loads(reply.body)["eventType"] == "SHUTDOWN"
    assert talk.session.next(identifier, talk.send) is None


def test_who_has_given_up_or_is_gone_is_not_told_to_end() -> None:
    """Nobody would come for the event."""
    talk = Talk("failed", "gone", "never")
    identifier = talk.ready("failed")
    talk.session.exit_error(identifier, "Extension.X", b"")
    talk.ready("gone")
    talk.session.exited("gone")
    assert talk.session.shut_down("spindown", 1) == []
    assert talk.received == []


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["init/error", "exit/error"])
@pytest.mark.parametrize("error_type", [None, ""])
def test_an_error_needs_its_type(call: str, error_type: str | None) -> None:
    """That is looked at before it is known who calls."""
    talk = Talk()
    missing = refusal("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
    assert ask(talk, call, talk.register("a"), error_type) == missing
    assert ask(talk, call, UNKNOWN, error_type) == missing
    assert talk.state("a") == "Registered"
    assert talk.failed == []


@pytest.mark.parametrize(("call", "state"), [("init/error", "InitError"), ("exit/error", "ExitError")])
def test_an_error_is_accepted_and_told_once(call: str, state: str) -> None:
    """Type and body as they were sent; saying it again is accepted and changes nothing."""
    talk = Talk()
    identifier = talk.register("a")
    error = talk.session.init_error if call == "init/error" else talk.session.exit_error
    assert error(identifier, "Extension.NoConfig", b'{"errorMessage":"no"}') == ACCEPTED
    assert error(identifier, "Extension.Other", b"") == ACCEPTED
    assert talk.failed == [("a", state, "Extension.NoConfig", b'{"errorMessage":"no"}')]
    assert not talk.session.all_parked
    assert ask(talk, "next", identifier) == forbidden(state, "Ready", identifier)


def test_an_init_error_after_init_is_refused() -> None:
    """In the words of the agent; an exit error is accepted then, waiting or at work."""
    talk = Talk()
    waiting, working = talk.ready("a", b'{"events":["INVOKE"]}'), talk.ready("b", b'{"events":["INVOKE"]}')
    assert ask(talk, "init/error", waiting) == forbidden("Ready", "InitError", waiting)
    talk.session.exit_error(waiting, "Extension.X", b"")
    talk.session.invoke(event())
    assert ask(talk, "init/error", working) == forbidden("Running", "InitError", working)
    assert ask(talk, "exit/error", working) == ACCEPTED
    assert [name for name, *_ in talk.failed] == ["a", "b"]
    assert len(talk.received) == 1


def test_one_kind_of_error_does_not_follow_the_other() -> None:
    """The agent then names a state that it does not mean."""
    talk = Talk()
    first, second = talk.register("a"), talk.register("b")
    ask(talk, "init/error", first)
    assert ask(talk, "exit/error", first) == forbidden("InitError", "Exited", first)
    ask(talk, "exit/error", second)
    assert ask(talk, "init/error", second) == forbidden("ExitError", "InitError", second)
    assert len(talk.failed) == 2


# -- what the environment asks -------------------------------------------------------------------------------------


def test_without_extensions_nobody_is_waited_for() -> None:
    """An environment without any is always ready as far as they are concerned."""
    session = Talk().session
    assert session.all_registered
    assert session.all_parked
    assert session.known == ()
    session.invoke(event())
    assert session.shut_down("spindown", 1) == []


def test_registration_waits_for_every_external_one() -> None:
    """An internal one does not count for it."""
    talk = Talk("a", "b")
    talk.register("int")
    assert not talk.session.all_registered
    talk.register("a")
    assert not talk.session.all_registered
    talk.register("b")
    assert talk.session.all_registered


def test_a_process_that_is_gone_counts_no_more() -> None:
    """Neither for registration nor for parking; a name that nobody has is nobody."""
    talk = Talk("a", "b")
    identifier = talk.register("a", BOTH)
    talk.session.exited("a")
    talk.session.exited("b")
    talk.session.exited("b")
    talk.session.exited("c")
    assert talk.session.all_registered
    assert talk.session.all_parked
    assert talk.state("a") == "Exited"
    assert ask(talk, "next", identifier) == forbidden("Exited", "Ready", identifier)
    assert talk.session.register("b", b"{}", None) == forbidden("Exited", "Registered", "b")


def test_the_events_of_a_process_that_is_gone_go_with_it() -> None:
    """Nothing is sent on its connection."""
    talk = Talk("a")
    talk.ready("a")
    talk.session.exited("a")
    talk.session.invoke(event())
    assert talk.received == []
    assert talk.state("a") == "Exited"


# -- the table -----------------------------------------------------------------------------------------------------


def test_the_table_is_awss() -> None:
    """Every pair of state and call, written down once more."""
    assert {str(state): {str(call): str(target) for call, target in row.items()} for state, row in TABLE.items()} == {
        "Started": {"register": "Registered", "exit": "Exited"},
        "Registered": {
            "next": "Ready",
            "init-error": "InitError",
            "exit-error": "ExitError",
            "exit": "Exited",
        },
        "Ready": {"event": "Running", "exit-error": "ExitError", "exit": "Exited"},
        "Running": {"next": "Ready", "exit-error": "ExitError", "exit": "Exited"},
        "InitError": {"init-error": "InitError", "exit": "Exited"},
        "ExitError": {"exit-error": "ExitError", "exit": "Exited"},
        "Exited": {"exit": "Exited"},
    }
    assert set(TABLE) == set(ExtensionState)


class AnyOrderOfCalls(RuleBasedStateMachine):
    """Extensions that do whatever they like, against a second account of what has to come of it."""

    NAMES = ("ext-a", "ext-b", "int-a", "int-b")

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk("ext-a", "ext-b")
        self.states: dict[str, str] = {"ext-a": "Started", "ext-b": "Started"}
        self.events: dict[str, tuple[str, ...]] = {}
        self.identifiers: dict[str, str] = {}
        self.waiting: dict[str, list[Reply]] = {}
        """What was received on the connection on which each one waits."""
        self.answered: list[list[Reply]] = []
        """What was received on the connections that were answered."""
        self.owed: dict[str, tuple[str, object]] = {}
        """What the next call of each one has to bring; a newer event takes the place of an older one."""
        self.parks = 0
        self.failures = 0
        self.closed = False
        self.numbers = 0

    def can(self, name: str, call: ExtensionCall) -> str | None:
        return TABLE[ExtensionState(self.states[name])].get(call) if name in self.states else None

    @rule(name=st.sampled_from(NAMES), events=st.sampled_from([(), ("INVOKE",), ("SHUTDOWN",), ("INVOKE", "SHUTDOWN")]))
    def register(self, name: str, events: tuple[str, ...]) -> None:
        reply = self.talk.session.register(name, json.dumps({"events": events}).encode(), None)
        external = name.startswith("ext")
        allowed = self.states[name] == "Started" if external else not self.closed and name not in self.states
        if allowed and (external or "SHUTDOWN" not in events):
            assert reply.status == 200
            self.states[name], self.events[name] = "Registered", events
            self.identifiers[name] = dict(reply.headers)["Lambda-Extension-Identifier"]
        else:
            assert reply.status == 403

    @rule(name=st.sampled_from(NAMES))
    def next(self, name: str) -> None:
        received = list[Reply]()
        reply = self.talk.session.next(self.identifiers.get(name, UNKNOWN), received.append)
        again = self.states.get(name) == "Ready" and name not in self.waiting
        if not again and self.can(name, ExtensionCall.NEXT) is None:
            assert reply is not None
            assert reply.status == 403
            return
        if name in self.owed:
            assert reply is not None
            member, value = self.owed.pop(name)
            assert json.loads(reply.body)[member] == value
            self.states[name] = "Running"
            return
        assert reply is None
        self.waiting[name] = received
        self.parks += not again
        self.states[name] = "Ready"

    @rule(name=st.sampled_from(NAMES))
    def lose_the_connection(self, name: str) -> None:
        if name in self.waiting:
            self.talk.session.unpark(self.waiting.pop(name).append)

    @rule(name=st.sampled_from(NAMES), in_init=st.booleans(), typed=st.booleans())
    def fail(self, name: str, in_init: bool, typed: bool) -> None:
        call = ExtensionCall.INIT_ERROR if in_init else ExtensionCall.EXIT_ERROR
        error = self.talk.session.init_error if in_init else self.talk.session.exit_error
        reply = error(self.identifiers.get(name, UNKNOWN), "Extension.X" if typed else None, b"")
        target = self.can(name, call)
        if name not in self.identifiers or target is None or not typed:
            assert reply.status == 403
            return
        assert reply == ACCEPTED
        self.failures += self.states[name] != target
        self.states[name] = target
        self.forget(name)

    @rule(name=st.sampled_from(NAMES))
    def exit(self, name: str) -> None:
        self.talk.session.exited(name)
        if name in self.states:
            self.states[name] = "Exited"
            self.forget(name)

    @rule()
    def close_registration(self) -> None:
        self.talk.session.close_registration()
        self.closed = True

    @rule()
    def invoke(self) -> None:
        self.numbers += 1
        self.talk.session.invoke(event(f"request-{self.numbers}"))
        for name, events in self.events.items():
            if "INVOKE" in events:
                self.hand_out(name, "requestId", f"request-{self.numbers}")

    @rule()
    def shut_down(self) -> None:
        self.numbers += 1
        told = self.talk.session.shut_down("spindown", self.numbers)
        wanted = [name for name, events in self.events.items() if "SHUTDOWN" in events and self.listens(name)]
        assert told == wanted
        for name in wanted:
            self.hand_out(name, "deadlineMs", self.numbers)

    def listens(self, name: str) -> bool:
        return self.states[name] in ("Registered", "Ready", "Running")

    def hand_out(self, name: str, member: str, value: object) -> None:
        if not self.listens(name):
            return
        received = self.waiting.pop(name, None)
        if received is not None:
            assert [json.loads(reply.body)[member] for reply in received] == [value]
            self.answered.append(received)
        else:
            self.owed[name] = (member, value)
        if self.states[name] == "Ready":
            self.states[name] = "Running"

    def forget(self, name: str) -> None:
        self.waiting.pop(name, None)
        self.owed.pop(name, None)

    @invariant()
    def both_accounts_agree(self) -> None:
        session = self.talk.session
        registered = {extension.name: str(extension.state) for extension in session.known}
        assert registered == {name: self.states[name] for name in self.events}
        assert [extension.name for extension in session.known] == list(self.events) == self.talk.registered
        assert session.all_registered == ("Started" not in self.states.values())
        assert session.all_parked == all(self.states[name] in ("Ready", "Exited") for name in self.events)
        assert len(self.talk.parked) == self.parks
        assert len(self.talk.failed) == self.failures

    @invariant()
    def no_connection_is_answered_twice(self) -> None:
        assert all(received == [] for received in self.waiting.values())
        assert all(len(received) == 1 for received in self.answered)


TestAnyOrderOfCalls = AnyOrderOfCalls.TestCase
