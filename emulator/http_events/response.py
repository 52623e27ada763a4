"""What a function answers, as an HTTP response: an object with ``statusCode``, or anything at all.

[D] urls-invocation; [R] LocalStack's recordings of function URLs against AWS, November 2025.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator import text

__all__ = ["HttpResponse", "inferred", "parsed", "shaped"]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What says how the message is framed, and when it was sent, is the server's.
_FRAMING = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})
_BODILESS = frozenset({204, 304})
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers with their names in lower case, and the body, without its length."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = b""


def parsed(payload: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def inferred(value: Any) -> HttpResponse:
    """[R] An answer without ``statusCode`` is a body of JSON; a string goes out without quotes."""
    body = value.encode(errors="replace") if isinstance(value, str) else text.to_json(value)
    return HttpResponse(200, [("content-type", _JSON)], body)


def shaped(value: Mapping[str, Any], *, default_type: str = _JSON) -> HttpResponse | None:
    """An object with ``statusCode``, ``headers``, ``multiValueHeaders``, ``cookies``, ``body`` and ``isBase64Encoded``.

    Arguments:
        default_type: the content type, where the headers name none.

    Returns:
        The response; nothing where a member is not what it has to be.
    """
    status = _status(value.get("statusCode", 200))
    headers = _headers(value)
    body = _body(value.get("body"), is_base64=value.get("isBase64Encoded") is True)
    if status is None or headers is None or body is None:
        return None
    if all(name != "content-type" for name, _ in headers):
        headers.insert(0, ("content-type", default_type))
    return HttpResponse(status, headers, b"" if status in _BODILESS else body)


def _status(value: Any) -> int | None:
    """[R] A string of digits will do. [I] What is none that a response may have is an error of the function."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) < 4 else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599 else None


def _headers(value: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    single, several, cookies = (value.get(key) for key in ("headers", "multiValueHeaders", "cookies"))
    if not isinstance(single or {}, dict) or not isinstance(several or {}, dict):
        return None
    if not isinstance(cookies or [], list):
        return None
    pairs = [(name, one) for name, many in (several or {}).items() for one in _several(many)]
    told = {name.lower() for name, _ in pairs}
    pairs += [(name, one) for name, one in (single or {}).items() if name.lower() not in told]
    pairs += [("set-cookie", one) for one in cookies or []]
    headers = []
    for name, one in pairs:
        if one is None:
            continue
        written = _written(one)
        if written is None or not _NAME.fullmatch(name):
            return None
        if name.lower() not in _FRAMING:
            headers.append((name.lower(), written))
    return headers


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _written(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value.strip() if isinstance(value, str) and not _CONTROL.search(value) else None


def _body(value: Any, *, is_base64: bool) -> bytes | None:
    if value is None:
        return b""
    if not isinstance(value, str):
        return text.to_json(value)  # [X] LocalStack has seen that AWS sends an object as JSON
    if not is_base64:
        return value.encode(errors="replace")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
