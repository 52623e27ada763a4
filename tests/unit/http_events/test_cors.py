"""What pages are told of CORS."""

from __future__ import annotations

import pytest

from emulator.http_events.cors import cors_headers, is_preflight, preflight_headers
from emulator.http_events.request import HttpRequest
from emulator.urls import Cors
from tests.unit.http_events.asked import request

PAGE = "https://localhost:8080"


def preflight(origin: str = PAGE, method: str = "GET", headers: str = "authorization") -> HttpRequest:
    return request(
        "OPTIONS",
        origin=origin,
        access_control_request_method=method,
        access_control_request_headers=headers,
    )


def test_a_preflight_as_recorded() -> None:
    """Everything that is set, whatever was asked for."""
    cors = Cors(
        allow_origins=(PAGE,),
        allow_headers=("Authorization", "content-type", "x-books-authorization"),
        allow_methods=("GET", "POST"),
        allow_credentials=True,
        expose_headers=("x-a",),
        max_age=60,
    )
    assert preflight_headers(cors, preflight()) == [
        ("vary", "Origin"),
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "authorization,content-type,x-books-authorization"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-max-age", "60"),
    ]
    assert cors_headers(cors, request(origin=PAGE)) == [
        ("vary", "Origin"),
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-a"),
    ]


def test_everything_is_told_as_what_was_asked_for() -> None:
    """A star would not do for a page that sends cookies."""
    cors = Cors(allow_origins=("*",), allow_headers=("*",), allow_methods=("*",))
    told = dict(preflight_headers(cors, preflight(method="PUT")))
    assert told["access-control-allow-origin"] == PAGE
    assert told["access-control-allow-methods"] == "PUT"
    assert told["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize("allowed", [(), ("https://other.example",), ("http://*",), ("https://localhost",)])
def test_others_are_allowed_nothing(allowed: tuple[str, ...]) -> None:
    """Neither at the preflight nor afterwards."""
    cors = Cors(allow_origins=allowed, allow_methods=("*",), allow_headers=("*",), allow_credentials=True)
    assert preflight_headers(cors, preflight()) == [("vary", "Origin")]
    assert cors_headers(cors, request(origin=PAGE)) == [("vary", "Origin")]
    assert cors_headers(cors, request()) == [("vary", "Origin")]


@pytest.mark.parametrize("allowed", ["*", "https://*", PAGE, PAGE.upper()])
def test_who_is_allowed(allowed: str) -> None:
    """By name, by scheme, or everybody."""
    assert ("access-control-allow-origin", PAGE) in cors_headers(Cors(allow_origins=(allowed,)), request(origin=PAGE))


def test_what_is_a_preflight() -> None:
    """An OPTIONS of a page that says what it wants to send; any other one is the function's."""
    assert is_preflight(preflight())
    assert not is_preflight(request("OPTIONS", origin=PAGE))
    assert not is_preflight(request("GET", origin=PAGE, access_control_request_method="GET"))
