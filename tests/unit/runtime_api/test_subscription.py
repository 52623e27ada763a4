"""What a subscription may ask for, and in which shape it gets what happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.platform_events import LogEvent
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.subscription import (
    Api,
    Buffering,
    HttpDestination,
    Subscription,
    TcpDestination,
    parse_subscription,
    render,
    render_loss,
)

HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"}
NOON = 1719824094.1069


def body(**changes: Any) -> bytes:
    """A good one, with changes; ``...`` takes a member out."""
    good = {"schemaVersion": "2022-12-13", "types": ["platform"], "destination": HTTP}
    return json.dumps({name: value for name, value in {**good, **changes}.items() if value is not ...}).encode()


def accepted(given_body: bytes, api: Api = Api.TELEMETRY) -> Subscription:
    parsed = parse_subscription(api, given_body)
    assert isinstance(parsed, Subscription), parsed
    return parsed


def complaint(given_body: bytes, api: Api = Api.TELEMETRY) -> str:
    parsed = parse_subscription(api, given_body)
    assert isinstance(parsed, Reply), parsed
    assert parsed.status == 400
    answer = json.loads(parsed.body)
    assert list(answer) == ["errorType", "errorMessage"]
    assert answer["errorType"] == {Api.TELEMETRY: "ValidationError", Api.LOGS: "Logs.ValidationError"}[api]
    return str(answer["errorMessage"])


def test_the_example_of_the_documentation() -> None:
    """Everything that can be said is understood."""
    given_body = body(
        types=["platform", "function", "extension"],
        buffering={"maxItems": 1000, "maxBytes": 262_144, "timeoutMs": 100},
        destination={"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/lambda?x=1"},
    )
    assert accepted(given_body) == Subscription(
        Api.TELEMETRY,
        "2022-12-13",
        ("platform", "function", "extension"),
        HttpDestination("sandbox.localdomain:8080", 8080, "/lambda?x=1"),
        Buffering(1000, 262_144, 0.1),
    )


def test_what_is_left_out_has_defaults() -> None:
    """Buffering as AWS documents it, the path of the root, the older schema of the Logs API."""
    assert accepted(body(buffering={"maxItems": 2000})).buffering == Buffering(2000, 262_144, 1.0)
    assert accepted(body(buffering=None)).buffering == Buffering(10_000, 262_144, 1.0)
    assert accepted(body()).destination == HttpDestination("sandbox.localdomain:8080", 8080, "/")
    assert accepted(body(schemaVersion=...), Api.LOGS).schema == "2020-08-15"


@pytest.mark.parametrize("schema", ["2022-07-01", "2022-12-13", "2025-01-29"])
def test_schemas_of_telemetry(schema: str) -> None:
    """Each that AWS knows is accepted, and by its own API only."""
    assert accepted(body(schemaVersion=schema)).schema == schema
    assert "schemaVersion" in complaint(body(schemaVersion=schema), Api.LOGS)


@pytest.mark.parametrize("schema", ["2020-08-15", "2021-03-18"])
def test_schemas_of_the_logs_api(schema: str) -> None:
    """Each that AWS knows is accepted, and by its own API only."""
    assert accepted(body(schemaVersion=schema), Api.LOGS).schema == schema
    assert "schemaVersion" in complaint(body(schemaVersion=schema))


def test_a_tcp_destination_is_a_port() -> None:
    """Nothing else is needed for it."""
    assert accepted(body(destination={"protocol": "TCP", "port": 7000})).destination == TcpDestination(7000)


def test_the_logs_api_may_put() -> None:
    """Its destinations choose between POST and PUT; telemetry is always posted."""
    destination = {**HTTP, "method": "PUT"}
    for api, schema, method in ((Api.LOGS, "2020-08-15", "PUT"), (Api.TELEMETRY, "2022-07-01", "POST")):
        wanted = accepted(body(schemaVersion=schema, destination=destination), api).destination
        assert isinstance(wanted, HttpDestination)
        assert wanted.method == method


def test_types_named_twice_count_once() -> None:
    """The order in which they were named stays."""
    assert accepted(body(types=["function", "platform", "function"])).types == ("function", "platform")


def test_all_complaints_come_at_once() -> None:
    """Separated as in AWS's own example, and with its words for the two that it shows."""
    destination = {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}
    for api, schema in ((Api.TELEMETRY, "2022-07-01"), (Api.LOGS, "2021-03-18")):
        told = complaint(body(schemaVersion=schema, types=[], destination=destination), api)
        assert told == "types should not be empty; URI port is not provided"


def uri(value: Any) -> dict[str, Any]:
    return {"destination": {"protocol": "HTTP", "URI": value}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schemaVersion": ...}, "schemaVersion is not provided"),
        ({"schemaVersion": "2019"}, 'schemaVersion "2019" is not one of 2022-07-01, 2022-12-13, 2025-01-29'),
        ({"schemaVersion": [1]}, "schemaVersion [1] is not one of 2022-07-01, 2022-12-13, 2025-01-29"),
        ({"types": ...}, "types should not be empty"),
        ({"types": "platform"}, 'types is not an array but "platform"'),
        ({"types": ["platform", "x", [1]]}, 'types may hold platform, function, extension, not "x", [1]'),
        ({"destination": ...}, "destination is not provided"),
        ({"destination": "here"}, 'destination is not an object but "here"'),
        ({"destination": {"URI": HTTP["URI"]}}, "destination protocol is HTTP or TCP, not null"),
        ({"destination": {"protocol": "HTTP"}}, "destination URI is not provided"),
        (uri(5), "destination URI is not provided"),
        (uri("http://example.com:8080"), 'URI host is sandbox.localdomain, not "example.com:8080"'),
        (uri("http://me@sandbox:8080"), 'URI host is sandbox.localdomain, not "me@sandbox:8080"'),
        (uri("http://127.0.0.1:8080"), 'URI host is sandbox.localdomain, not "127.0.0.1:8080"'),
        (uri("https://sandbox:8080"), 'URI scheme is http, not "https"'),
        (uri("http://sandbox:9001"), "port 9001 is reserved by Lambda"),
        (uri("http://sandbox:0"), "port 0 is not between 1 and 65535"),
        (uri("http://sandbox:70000"), 'URI "http://sandbox:70000" cannot be read'),
        (uri("http://sandbox:8080/a b"), "URI holds characters that a URI may not hold"),
        (uri("http://sandbox:8080/\r\nX: y"), "URI holds characters that a URI may not hold"),
        ({"destination": {"protocol": "TCP"}}, "destination port is not provided"),
        ({"destination": {"protocol": "TCP", "port": "7000"}}, 'destination port is a whole number, not "7000"'),
        ({"destination": {"protocol": "TCP", "port": True}}, "destination port is a whole number, not true"),
        ({"destination": {"protocol": "TCP", "port": 9001}}, "port 9001 is reserved by Lambda"),
        ({"destination": {"protocol": "TCP", "port": 65_536}}, "port 65536 is not between 1 and 65535"),
        ({"buffering": 5}, "buffering is not an object but 5"),
        ({"buffering": {"maxItems": 999}}, "buffering maxItems is a whole number from 1000 to 10000, not 999"),
        ({"buffering": {"maxBytes": 1.5}}, "buffering maxBytes is a whole number from 262144 to 1048576, not 1.5"),
        ({"buffering": {"timeoutMs": 30_001}}, "buffering timeoutMs is a whole number from 25 to 30000, not 30001"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    """Each mistake is named with what was found and what is allowed."""
    assert complaint(body(**changes)) == told


@pytest.mark.parametrize("given_body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000], ids=repr)
def test_a_body_that_is_no_object_is_refused(given_body: bytes) -> None:
    """Whatever is sent, the answer is a 400."""
    assert complaint(given_body[:10] if given_body[:2] != b"[[" else given_body) == "the body is not a JSON object"


def test_the_logs_api_refuses_other_methods() -> None:
    """Only the two that it offers."""
    told = complaint(body(schemaVersion=..., destination={**HTTP, "method": "GET"}), Api.LOGS)
    assert told == 'destination method is POST or PUT, not "GET"'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
MEMBERS = st.sampled_from(["schemaVersion", "types", "destination", "buffering"])
INNER = st.sampled_from(["protocol", "URI", "port", "method", "maxItems", "maxBytes", "timeoutMs"])
VALUES = JSON | st.dictionaries(INNER, JSON | st.sampled_from(["HTTP", "TCP", HTTP["URI"]]), max_size=4)


@given(st.dictionaries(MEMBERS, VALUES), st.sampled_from(list(Api)))
def test_nothing_that_is_sent_fails_otherwise(request: dict[str, Any], api: Api) -> None:
    """Any JSON is accepted or answered with a 400 that says why."""
    parsed = parse_subscription(api, body(**request))
    if isinstance(parsed, Reply):
        assert complaint(body(**request), api)


# -- what a subscription gets --------------------------------------------------------------------------------

TELEMETRY = Subscription(
    Api.TELEMETRY, "2022-12-13", ("platform", "function", "extension"), TcpDestination(1), Buffering()
)
LOGS = Subscription(Api.LOGS, "2021-03-18", ("platform", "function", "extension"), TcpDestination(1), Buffering())
OLD_LOGS = Subscription(Api.LOGS, "2020-08-15", ("platform",), TcpDestination(1), Buffering())

START = {"requestId": "1", "version": "$LATEST", "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"}}
METRICS = {"durationMs": 1.5, "billedDurationMs": 2}
EXTENSION = {"name": "watcher", "state": "Ready", "events": ["INVOKE"], "errorType": "Extension.Crash"}
RECORDS: dict[str, Any] = {
    "platform.initStart": {"phase": "init"},
    "platform.initRuntimeDone": {"phase": "init"},
    "platform.initReport": {"phase": "init"},
    "platform.start": START,
    "platform.runtimeDone": {"requestId": "1", "status": "success", "metrics": METRICS, "spans": []},
    "platform.end": {"requestId": "1"},
    "platform.report": {"requestId": "1", "status": "success", "metrics": METRICS},
    "platform.fault": "RequestId: 1 Error: gone",
    "platform.extension": EXTENSION,
    "platform.telemetrySubscription": {"name": "watcher", "state": "Subscribed", "types": ["platform"]},
    "platform.logsSubscription": {"name": "watcher", "state": "Subscribed", "types": ["platform"]},
    "platform.logsDropped": {"droppedBytes": 1, "droppedRecords": 1, "reason": "because"},
}


def got(subscription: Subscription, kind: str, record: Any, *, json_records: bool = False) -> Any:
    rendered = render(subscription, LogEvent(NOON, kind, record), json_records=json_records)
    return None if rendered is None else json.loads(rendered)


def kinds(subscription: Subscription) -> set[str]:
    return {kind for kind, record in RECORDS.items() if got(subscription, kind, record) is not None}


def test_the_envelope() -> None:
    """Time to the millisecond in UTC, type, record, in this order and without blanks."""
    rendered = render(TELEMETRY, LogEvent(NOON, "platform.start", {"requestId": "ä"}))
    assert rendered == '{"time":"2024-07-01T08:54:54.107Z","type":"platform.start","record":{"requestId":"ä"}}'.encode()


def test_platform_events_of_telemetry() -> None:
    """All but the three that only the Logs API has, whole as they are."""
    only_logs = {"platform.end", "platform.fault", "platform.logsSubscription"}
    assert kinds(TELEMETRY) == RECORDS.keys() - only_logs
    assert all(got(TELEMETRY, kind, RECORDS[kind])["record"] == RECORDS[kind] for kind in RECORDS.keys() - only_logs)


def test_platform_events_of_the_logs_api() -> None:
    """None of those that came with telemetry, and runtimeDone with the newer schema only."""
    newer = {"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.telemetrySubscription"}
    assert kinds(LOGS) == RECORDS.keys() - newer
    assert kinds(OLD_LOGS) == RECORDS.keys() - newer - {"platform.runtimeDone"}


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("platform.start", {"requestId": "1", "version": "$LATEST"}),
        ("platform.end", {"requestId": "1"}),
        ("platform.report", {"requestId": "1", "metrics": METRICS}),
        ("platform.runtimeDone", {"requestId": "1", "status": "success"}),
        ("platform.fault", "RequestId: 1 Error: gone"),
        ("platform.extension", {"name": "watcher", "state": "Ready", "events": ["INVOKE"]}),
    ],
)
def test_records_of_the_logs_api(kind: str, record: Any) -> None:
    """They have the members that were known when it was made."""
    assert got(LOGS, kind, RECORDS[kind])["record"] == record


@pytest.mark.parametrize("stream", ["platform", "function", "extension"])
def test_only_what_was_asked_for_comes(stream: str) -> None:
    """Each stream goes to those who named it."""
    kind = {"platform": "platform.start"}.get(stream, stream)
    record = START if stream == "platform" else "a line"
    for types in (("platform",), ("function",), ("extension",), ("function", "platform")):
        wanted = Subscription(Api.TELEMETRY, "2022-07-01", types, TcpDestination(1), Buffering())
        assert (got(wanted, kind, record) is not None) == (stream in types)


@pytest.mark.parametrize("subscription", [TELEMETRY, LOGS], ids=lambda subscription: subscription.api)
def test_a_line_is_a_string_with_its_newline(subscription: Subscription) -> None:
    """As recorded of both APIs."""
    assert got(subscription, "function", 'say "hi"')["record"] == 'say "hi"\n'
    assert got(subscription, "extension", "")["record"] == "\n"


def test_lines_of_a_json_log_are_objects() -> None:
    """For telemetry since the second schema, if the function's log format is JSON, and if the line is an object."""
    line = '{"level":"INFO","at":1.0,"big":123456789012345678901234567890}'
    assert got(TELEMETRY, "function", line)["record"] == line + "\n"
    rendered = render(TELEMETRY, LogEvent(NOON, "extension", line), json_records=True)
    assert rendered is not None
    assert rendered.endswith(f'"record":{line}}}'.encode())
    old = Subscription(Api.TELEMETRY, "2022-07-01", ("function",), TcpDestination(1), Buffering())
    for subscription in (old, LOGS):
        assert got(subscription, "function", line, json_records=True)["record"] == line + "\n"


@pytest.mark.parametrize("line", ["plain", "5", '"x"', "[1]", "null", '{"a":NaN}', '{"a":', '{"a":' * 100_000])
def test_other_lines_of_a_json_log_are_strings(line: str) -> None:
    """What is no object, or is none that everybody can read, goes as it is."""
    assert got(TELEMETRY, "function", line, json_records=True)["record"] == line + "\n"


@given(st.text())
def test_any_line_arrives_as_it_was(line: str) -> None:
    """On one line of a TCP stream, whatever it holds."""
    rendered = render(TELEMETRY, LogEvent(NOON, "function", line), json_records=True)
    assert rendered is not None
    assert b"\n" not in rendered.replace(line.encode(), b"") if line.startswith("{") else b"\n" not in rendered
    record = json.loads(rendered)["record"]
    assert record == (json.loads(line) if isinstance(record, dict) else line + "\n")


@pytest.mark.parametrize("api", list(Api))
def test_the_record_of_a_loss(api: Api) -> None:
    """It says how much, and why in the words of its API."""
    told = json.loads(render_loss(api, NOON, 12_345, 123))
    assert told["type"] == "platform.logsDropped"
    assert told["record"].pop("reason").startswith({Api.TELEMETRY: "Some logs", Api.LOGS: "Consumer"}[api])
    assert told["record"] == {"droppedBytes": 12_345, "droppedRecords": 123}
