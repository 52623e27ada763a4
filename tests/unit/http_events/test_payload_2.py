"""Payload format 2.0, compared with events that functions behind URLs have logged."""

from __future__ import annotations

import pytest

from emulator.http_events.payload_2 import event_2, response_2
from tests.unit.http_events.asked import context, request


def test_an_event_as_recorded() -> None:
    """Member by member, in the order of the recording; what has nothing to say is absent."""
    asked = request(
        "POST",
        "/sentiment",
        b'{"text": "fine"}',
        content_length="16",
        host="abc.lambda-url.localhost",
        content_type="application/json",
        accept="*/*",
        user_agent="curl/8.5.0",
    )
    event = event_2(asked, context())
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/sentiment",
        "rawQueryString": "",
        "headers": {
            "content-length": "16",
            "host": "abc.lambda-url.localhost",
            "content-type": "application/json",
            "accept": "*/*",
            "user-agent": "curl/8.5.0",
            "x-amzn-trace-id": "Root=1-6a9746e0-1f360dc5748286e234bbf832",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "3001",
            "x-forwarded-proto": "http",
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abc",
            "domainName": "abc.lambda-url.localhost",
            "domainPrefix": "abc",
            "http": {
                "method": "POST",
                "path": "/sentiment",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "c2ebafd0-93fa-4042-af9d-a30e9019293d",
            "routeKey": "$default",
            "stage": "$default",
            "time": "25/Feb/2026:06:13:20 +0000",
            "timeEpoch": 1_772_000_000_250,
        },
        "body": '{"text": "fine"}',
        "isBase64Encoded": False,
    }
    assert list(event)[:4] == ["version", "routeKey", "rawPath", "rawQueryString"]


def test_what_comes_several_times_is_joined_by_commas() -> None:
    """Headers and parameters of the query; cookies are a list, and no header any more."""
    asked = request("GET", "/a%20b?x=1&x=%2F2&y", cookie="a=1; b=2")
    asked = type(asked)(
        "GET", asked.raw_path, asked.query, [*asked.headers, ("cookie", "c=3"), ("x-a", "1"), ("x-a", "2")], b"", "", 80
    )
    event = event_2(asked, context())
    assert event["cookies"] == ["a=1", "b=2", "c=3"]
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-a"] == "1,2"
    assert event["queryStringParameters"] == {"x": "1,/2", "y": ""}
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b", "x=1&x=%2F2&y")


def test_a_path_that_is_quoted_wrongly_stays_as_it_came() -> None:
    """[R] Nobody unquotes it on the way to a URL's function."""
    assert event_2(request("GET", "/pa2%Fth/1"), context())["rawPath"] == "/pa2%Fth/1"


def test_an_event_of_an_http_api() -> None:
    """Parameters of the path, the route's key, and the path unquoted."""
    event = event_2(
        request("GET", "/orders/7%2B"), context(route_key="GET /orders/{id}", parameters={"id": "7+"}), raw=False
    )
    assert (event["routeKey"], event["requestContext"]["routeKey"]) == ("GET /orders/{id}", "GET /orders/{id}")
    assert (event["pathParameters"], event["rawPath"]) == ({"id": "7+"}, "/orders/7+")


def test_who_has_signed_stands_in_the_context() -> None:
    """Beside an authentication that there is none of, as documented."""
    found = event_2(request(), context(iam={"accessKey": "AKID"}))["requestContext"]
    assert (found["authorizer"], found["authentication"]) == ({"iam": {"accessKey": "AKID"}}, None)


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b'{"hello": "world"}', b'{"hello":"world"}'),
        (b'["hello", 3, true]', b'["hello",3,true]'),
        (b'"hello"', b"hello"),
        (b"3", b"3"),
        (b"3.1", b"3.1"),
        (b"true", b"true"),
        (b"null", b"null"),
        (b'{"body": "x", "headers": {}}', b'{"body":"x","headers":{}}'),
    ],
)
def test_an_answer_without_a_status_is_a_body(payload: bytes, body: bytes) -> None:
    """[R] JSON without blanks, a string without quotes, and the type is JSON whatever it is."""
    response = response_2(payload)
    assert response is not None
    assert (response.status, response.body) == (200, body)
    assert response.headers == [("content-type", "application/json")]


@pytest.mark.parametrize("payload", [b"", b"<p>", b"\xff", b"[" * 100_000, b'{"statusCode": 99}'])
def test_what_is_no_response(payload: bytes) -> None:
    """No JSON, or nothing that HTTP has a form for."""
    assert response_2(payload) is None
