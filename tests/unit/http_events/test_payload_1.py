"""Payload format 1.0, as REST APIs have it."""

from __future__ import annotations

import pytest

from emulator.http_events.payload_1 import event_1, response_1
from tests.unit.http_events.asked import context, request


def test_an_event_as_documented() -> None:
    """Every member is there, those with nothing to say as null."""
    event = event_1(
        request("GET", "/orders/7", host="localhost:3001", user_agent="curl/8.5.0"),
        context(
            account="123456789012",
            api_id="local",
            domain="localhost",
            resource="/orders/{id}",
            parameters={"id": "7"},
            stage="Prod",
        ),
    )
    headers = {
        "Host": "localhost:3001",
        "User-Agent": "curl/8.5.0",
        "X-Amzn-Trace-Id": "Root=1-6a9746e0-1f360dc5748286e234bbf832",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "3001",
        "X-Forwarded-Proto": "http",
    }
    gateway = event.pop("requestContext")
    assert event == {
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"id": "7"},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }
    identity = gateway.pop("identity")
    assert (identity["sourceIp"], identity["userAgent"], identity["caller"]) == ("203.0.113.7", "curl/8.5.0", None)
    assert gateway == {
        "accountId": "123456789012",
        "apiId": "local",
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "extendedRequestId": "c2ebafd0-93fa-4042-af9d-a30e9019293d",
        "httpMethod": "GET",
        "path": "/Prod/orders/7",
        "protocol": "HTTP/1.1",
        "requestId": "c2ebafd0-93fa-4042-af9d-a30e9019293d",
        "requestTime": "25/Feb/2026:06:13:20 +0000",
        "requestTimeEpoch": 1_772_000_000_250,
        "resourceId": "local",
        "resourcePath": "/orders/{id}",
        "stage": "Prod",
    }


def test_the_last_of_several_values_and_all_of_them() -> None:
    """The plain mapping has one, the other has all; without a stage the path has none."""
    event = event_1(request("GET", "/?x=1&x=2"), context())
    assert event["queryStringParameters"] == {"x": "2"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["requestContext"]["path"] == "/"


def test_a_response_with_several_values_of_a_header() -> None:
    """They go before a single one of the same name."""
    response = response_1(
        b'{"headers": {"X-A": "0", "x-b": 3}, "multiValueHeaders": {"x-a": ["1", "2"]}, "body": "ok"}'
    )
    assert response is not None
    assert (response.status, response.body) == (200, b"ok")
    assert response.headers == [
        ("content-type", "application/json"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
    ]


@pytest.mark.parametrize("payload", [b"hello", b'"hello"', b"null", b'{"hello": "world"}', b'{"body": {"a": 1}}'])
def test_nothing_is_inferred(payload: bytes) -> None:
    """What is no response of this form is an error of the function."""
    assert response_1(payload) is None
