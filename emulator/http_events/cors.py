"""Which pages may call a URL or an API, in the headers of the CORS protocol.

[X] What AWS answers: github.com, "AWS Lambda Function URL with CORS explained by example", recorded in August 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

from emulator.http_events.request import HttpRequest
from emulator.urls import Cors

__all__ = ["cors_headers", "is_preflight", "preflight_headers"]

_Headers = list[tuple[str, str]]


def is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks if it may ask."""
    named = {name for name, _ in request.headers}
    return request.method == "OPTIONS" and {"origin", "access-control-request-method"} <= named


def preflight_headers(cors: Cors, request: HttpRequest) -> _Headers:
    """Of the answer to a preflight; for an origin that may not ask, none that would allow it anything."""
    headers = cors_headers(cors, request)
    if all(name != "access-control-allow-origin" for name, _ in headers):
        return headers
    headers = [(name, value) for name, value in headers if name != "access-control-expose-headers"]
    wanted_headers = request.header("access-control-request-headers")
    if allowed := _listed([name.lower() for name in cors.allow_headers], wanted_headers):
        headers.append(("access-control-allow-headers", allowed))
    if allowed := _listed(cors.allow_methods, request.header("access-control-request-method")):
        headers.append(("access-control-allow-methods", allowed))
    if cors.max_age is not None:
        headers.append(("access-control-max-age", str(cors.max_age)))
    return headers


def cors_headers(cors: Cors, request: HttpRequest) -> _Headers:
    """What is added to every other response; the function's own stay beside them [D]."""
    origin = request.header("origin")
    headers: _Headers = [("vary", "Origin")]
    if origin is None or not _is_allowed(cors, origin):
        return headers
    headers.append(("access-control-allow-origin", origin))  # [X] also where every origin may
    if cors.allow_credentials:
        headers.append(("access-control-allow-credentials", "true"))
    if cors.expose_headers:
        headers.append(("access-control-expose-headers", ",".join(cors.expose_headers)))
    return headers


def _is_allowed(cors: Cors, origin: str) -> bool:
    origin = origin.lower()
    return any(
        origin.startswith(allowed[:-1]) if allowed.endswith("*") else origin == allowed
        for allowed in map(str.lower, cors.allow_origins)
    )


def _listed(allowed: Sequence[str], wanted: str | None) -> str:
    # [I] "*" is told as what was asked for: with credentials a browser takes it by its letter.
    return wanted or "" if "*" in allowed else ",".join(allowed)
