"""What an extension asks for when it registers, read as Go's decoder reads it."""

from __future__ import annotations

import json
from typing import Any

from emulator.runtime_api.reply import Reply, go_members, reply_error

__all__ = ["requested_events"]


def requested_events(body: bytes) -> list[str] | Reply:
    """The events of a registration, not checked yet, or why it is refused.

    [C] The refusal carries the words of Go's decoder; [I] where those tell of Go's own types, ours are shorter.
    """
    try:
        given = json.loads(body)
    except json.JSONDecodeError as error:
        return _refuse(_go_words(error))
    except (ValueError, RecursionError):
        return _refuse("invalid character in the request body")
    if given is None:
        return []
    if not isinstance(given, dict):
        return _refuse(f"json: cannot unmarshal {_go_kind(given)} into Go value")
    members = go_members(given)
    if members.get("configurationkeys"):
        return _refuse("configurationKeys are deprecated; use environment variables instead")
    events = members.get("events")
    if events is None:
        return []
    if not isinstance(events, list):
        return _refuse(f"json: cannot unmarshal {_go_kind(events)} into Go struct field .events of type []core.Event")
    for event in events:
        if event is not None and not isinstance(event, str):
            return _refuse(f"json: cannot unmarshal {_go_kind(event)} into Go struct field .events of type core.Event")
    return [event or "" for event in events]


def _refuse(message: str) -> Reply:
    return reply_error(403, "InvalidRequestFormat", message)


def _go_words(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if not rest or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    where = "after top-level value" if error.msg == "Extra data" else "looking for beginning of value"
    return f"invalid character '{rest[0]}' {where}"


def _go_kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
