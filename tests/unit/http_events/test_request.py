"""What every format of events says of a request alike."""

from __future__ import annotations

import pytest

from emulator.http_events.request import HttpRequest, gateway_time
from tests.unit.http_events.asked import NOW, context, request


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/html; charset=utf-8",
        "application/json",
        "Application/JSON",
        "application/vnd.api+json",
        "application/xml",
        "application/javascript",
    ],
)
def test_text_stays_text(kind: str) -> None:
    """By its type, whatever its parameters."""
    assert request("POST", body="grüße".encode(), content_type=kind).body_of_event() == ("grüße", False)


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_everything_else_is_base64(kind: str) -> None:
    """Forms as well, as on AWS, whatever is in them."""
    assert request("POST", body=b"a=1", content_type=kind).body_of_event() == ("YT0x", True)


def test_a_body_without_a_type_or_without_its_encoding_is_base64() -> None:
    """Nothing says that it is text, or it is none."""
    assert request("POST", body=b"a=1").body_of_event() == ("YT0x", True)
    assert request("POST", body=b"\xff", content_type="text/plain").body_of_event() == ("/w==", True)


def test_where_types_do_not_count_only_what_is_no_text_is_base64() -> None:
    """A REST API does not look at the type."""
    assert request("POST", body=b"a=1").body_of_event(typed=False) == ("a=1", False)
    assert request("POST", body=b"\xff").body_of_event(typed=False) == ("/w==", True)


def test_no_body_is_none() -> None:
    """Not an empty one."""
    assert request("POST", content_type="application/json").body_of_event() == (None, False)


def test_headers_of_the_connection_stay_behind_and_those_of_the_front_come() -> None:
    """A chunked body has a length again; who stood in the way before is named before the client."""
    asked = request(
        "POST",
        body=b"abc",
        connection="close",
        transfer_encoding="chunked",
        x_forwarded_for="198.51.100.1",
        accept="*/*",
    )
    assert asked.forwarded("Root=1-5bef-77;Parent=1;Sampled=0") == [
        ("accept", "*/*"),
        ("content-length", "3"),
        ("x-amzn-trace-id", "Root=1-5bef-77"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.7"),
        ("x-forwarded-port", "3001"),
        ("x-forwarded-proto", "http"),
    ]


def test_the_first_of_a_header_and_the_pairs_of_a_query() -> None:
    """A key without a value has an empty one."""
    asked = HttpRequest("GET", "/a%2Fb", "x=1&x=%202&flag", [("a", "1"), ("a", "2")], b"", "", 80)
    assert (asked.header("a"), asked.header("b"), asked.path) == ("1", None, "/a/b")
    assert asked.pairs() == [("x", "1"), ("x", " 2"), ("flag", "")]


def test_the_time_as_gateways_write_it() -> None:
    """Always in UTC, and its months in English."""
    assert gateway_time(NOW) == "25/Feb/2026:06:13:20 +0000"


@pytest.mark.parametrize(
    ("domain", "prefix"), [("abc.lambda-url.localhost", "abc"), ("localhost", "localhost"), ("127.0.0.1", "local")]
)
def test_the_prefix_of_a_name(domain: str, prefix: str) -> None:
    """An address has none."""
    assert context(domain=domain, api_id="local").prefix == prefix
