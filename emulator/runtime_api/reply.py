"""Answers to calls of an environment's inside, in the words and the encoding of AWS's agent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from emulator.model import MAX_RESPONSE_BYTES

__all__ = [
    "ACCEPTED",
    "JSON",
    "NOT_FOUND",
    "TEXT",
    "TOO_LARGE",
    "TRUNCATED",
    "Reply",
    "go_json",
    "go_members",
    "render",
    "reply_error",
]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_ESCAPED = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a call.

    Without a ``Content-Type`` among its headers a body that is a JSON object is sent as JSON, another one as text.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def go_json(value: Any) -> bytes:
    """JSON as Go's encoder writes it: no blanks, and what HTML could mistake for markup is escaped [C]."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPED)
    return written.encode(errors="replace")  # half a surrogate pair is no character


def go_members(value: dict[str, Any]) -> dict[str, Any]:
    """The members of a JSON object by name in lower case, for Go's decoder does not look at the case of names [C]."""
    return {key.lower(): member for key, member in value.items()}


def reply_error(status: int, error_type: str, message: str) -> Reply:
    """A refusal: the message stands first, and a newline ends the body [C]."""
    return Reply(status, go_json({"errorMessage": message, "errorType": error_type}) + b"\n")


def render(reply: Reply) -> bytes:
    """The whole answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    if not any(name == "Content-Type" for name, _ in reply.headers):
        lines.append(f"Content-Type: {JSON if reply.body.startswith(b'{') else TEXT}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"Content-Length: {len(reply.body)}\r\n\r\n")
    return "\r\n".join(lines).encode() + reply.body


ACCEPTED = Reply(202, b'{"status":"OK"}\n')
NOT_FOUND = Reply(404, b"404 page not found\n")
TOO_LARGE = reply_error(
    413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
)
TRUNCATED = reply_error(400, "TruncatedHTTPRequest", "HTTP request detected as truncated")
