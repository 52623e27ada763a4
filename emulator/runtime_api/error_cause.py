"""Errors that come with their cause: what runtimes post for X-Ray, and what of it the client is to see."""

from __future__ import annotations

import json
from typing import Any

from emulator.runtime_api.reply import go_json, go_members

__all__ = ["ERROR_CAUSE", "without_cause"]

ERROR_CAUSE = "application/vnd.aws.lambda.error.cause+json"
_INVALID = b'"Invalid error body"'


def without_cause(body: bytes) -> bytes:
    """The error alone, as AWS's agent renders it anew: message and type always, the stack trace where there is one [C].

    A body that cannot be read becomes the JSON string ``Invalid error body``.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return _INVALID
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return _INVALID
    members = go_members(given)
    message, kind, trace = (members.get(name) for name in ("errormessage", "errortype", "stacktrace"))
    lines = [] if trace is None else trace
    if not (_is_text(message) and _is_text(kind) and isinstance(lines, list) and all(map(_is_text, lines))):
        return _INVALID
    error: dict[str, Any] = {"errorMessage": message or "", "errorType": kind or ""}
    if lines:
        error["stackTrace"] = [line or "" for line in lines]
    return go_json(error)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)
