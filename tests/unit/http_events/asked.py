"""Requests as clients send them, and what an event says beside them."""

from __future__ import annotations

from typing import Any

from emulator.http_events.request import EventContext, HttpRequest

__all__ = ["context", "request"]

NOW = 1_772_000_000.25  # 25 February 2026, 06:13:20


def request(method: str = "GET", target: str = "/", body: bytes = b"", **headers: str) -> HttpRequest:
    """A request; an underscore in a header's name is a hyphen."""
    path, _, query = target.partition("?")
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return HttpRequest(method, path, query, named, body, "203.0.113.7", 3001)


def context(**changed: Any) -> EventContext:
    """Of a function URL that anybody may call."""
    values: dict[str, Any] = {
        "account": "anonymous",
        "api_id": "abc",
        "domain": "abc.lambda-url.localhost",
        "request_id": "c2ebafd0-93fa-4042-af9d-a30e9019293d",
        "now": NOW,
        "trace_id": "Root=1-6a9746e0-1f360dc5748286e234bbf832;Parent=1f360dc574828600;Sampled=0",
    }
    return EventContext(**values | changed)
