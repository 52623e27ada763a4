"""What an extension asks of the Telemetry API or the Logs API, and in which shape it gets what happens.

Pure functions over the body of ``PUT /2022-07-01/telemetry`` and ``PUT /2020-08-15/logs``. Complaints are
collected and told all at once, as AWS does it; their words are ours but where a comment says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from emulator import text
from emulator.platform_events import LogEvent, logs_dropped
from emulator.runtime_api.reply import Reply

__all__ = [
    "Api",
    "Buffering",
    "HttpDestination",
    "Subscription",
    "TcpDestination",
    "parse_subscription",
    "refuse",
    "render",
    "render_loss",
]

_RESERVED_PORT = 9001  # [D] taken by Lambda
_HOSTS = ("sandbox.localdomain", "sandbox")  # [C] both names lead into the environment
_STREAMS = ("platform", "function", "extension")
_JSON_LINES_SINCE = "2022-12-13"
_RUNTIME_DONE_SINCE = "2021-03-18"


class Api(StrEnum):
    """The two APIs that offer the same events."""

    TELEMETRY = "telemetry"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class HttpDestination:
    """A listener that gets arrays of records. ``host`` is the Host header, ``target`` path and query."""

    host: str
    port: int
    target: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class TcpDestination:
    """A listener that gets one record a line."""

    port: int


@dataclass(frozen=True, slots=True)
class Buffering:
    """How much is collected before it is sent: records, bytes, and seconds since the first."""

    max_items: int = 10_000
    max_bytes: int = 262_144
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One extension's wish. ``types`` are ``platform``, ``function`` and ``extension``, each at most once."""

    api: Api
    schema: str
    types: tuple[str, ...]
    destination: HttpDestination | TcpDestination
    buffering: Buffering = Buffering()


# [D] telemetry-api-reference, runtimes-logs-api. The first is the default where there is one.
_SCHEMAS: Mapping[Api, Sequence[str]] = {
    Api.TELEMETRY: ("2022-07-01", "2022-12-13", "2025-01-29"),
    Api.LOGS: ("2020-08-15", "2021-03-18"),
}
_ERROR_TYPES = {Api.TELEMETRY: "ValidationError", Api.LOGS: "Logs.ValidationError"}
# [D] telemetry-api: least and most of each.
_BUFFERING = {"maxItems": (1_000, 10_000), "maxBytes": (262_144, 1_048_576), "timeoutMs": (25, 30_000)}


def parse_subscription(api: Api, body: bytes) -> Subscription | Reply:
    """What the body asks for, or the 400 that names everything that is wrong with it [D]."""
    request, complaints = _parse_json(body), list[str]()
    if not isinstance(request, dict):
        return refuse(api, "the body is not a JSON object")
    schema = _schema(api, request, complaints)
    types = _types(request, complaints)
    destination = _destination(api, request, complaints)
    buffering = _buffering(request, complaints)
    if complaints or destination is None:
        return refuse(api, *complaints)
    return Subscription(api, schema, types, destination, buffering)


def refuse(api: Api, *complaints: str) -> Reply:
    """The 400 of a subscription that cannot be."""
    return Reply(400, text.error_body(_ERROR_TYPES[api], "; ".join(complaints)))


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the latter for what is nested without end
        return None


def _schema(api: Api, request: Mapping[str, Any], complaints: list[str]) -> str:
    known = _SCHEMAS[api]
    schema = request.get("schemaVersion", known[0] if api is Api.LOGS else None)
    if schema is None:
        complaints.append("schemaVersion is not provided")
    elif schema not in known:
        complaints.append(f"schemaVersion {_shown(schema)} is not one of {', '.join(known)}")
    return str(schema)


def _types(request: Mapping[str, Any], complaints: list[str]) -> tuple[str, ...]:
    types = request.get("types")
    if types is None or types == []:
        complaints.append("types should not be empty")  # [D] AWS's words
    elif not isinstance(types, list):
        complaints.append(f"types is not an array but {_shown(types)}")
    else:
        wrong = [_shown(entry) for entry in types if entry not in _STREAMS]
        if not wrong:
            return tuple(dict.fromkeys(types))
        complaints.append(f"types may hold {', '.join(_STREAMS)}, not {', '.join(wrong)}")
    return ()


def _destination(
    api: Api, request: Mapping[str, Any], complaints: list[str]
) -> HttpDestination | TcpDestination | None:
    destination = request.get("destination")
    if destination is None:
        complaints.append("destination is not provided")
    elif not isinstance(destination, dict):
        complaints.append(f"destination is not an object but {_shown(destination)}")
    else:
        match destination.get("protocol"):
            case "HTTP":
                return _http(api, destination, complaints)
            case "TCP":
                return _tcp(destination, complaints)
            case other:
                complaints.append(f"destination protocol is HTTP or TCP, not {_shown(other)}")
    return None


def _http(api: Api, destination: Mapping[str, Any], complaints: list[str]) -> HttpDestination | None:
    uri, before = destination.get("URI"), len(complaints)
    if not isinstance(uri, str) or not uri:
        complaints.append("destination URI is not provided")
        return None
    if not uri.isascii() or not uri.isprintable() or " " in uri:
        complaints.append("URI holds characters that a URI may not hold")
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        complaints.append(f"URI {_shown(uri)} cannot be read")
        return None
    if parts.scheme != "http":
        complaints.append(f"URI scheme is http, not {_shown(parts.scheme)}")
    if parts.hostname not in _HOSTS or parts.username is not None:
        complaints.append(f"URI host is {_HOSTS[0]}, not {_shown(parts.netloc)}")
    if port is None:
        complaints.append("URI port is not provided")  # [D] AWS's words
    else:
        _check_port(port, complaints)
    method = destination.get("method", "POST")
    if api is Api.LOGS and method not in ("POST", "PUT"):  # [D] the Logs API leaves the choice
        complaints.append(f"destination method is POST or PUT, not {_shown(method)}")
    if port is None or len(complaints) > before:
        return None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return HttpDestination(parts.netloc, port, target, method if api is Api.LOGS else "POST")


def _tcp(destination: Mapping[str, Any], complaints: list[str]) -> TcpDestination | None:
    port = destination.get("port")
    if port is None:
        complaints.append("destination port is not provided")
    elif not _is_whole(port):
        complaints.append(f"destination port is a whole number, not {_shown(port)}")
    else:
        _check_port(port, complaints)
        return TcpDestination(port)
    return None


def _check_port(port: int, complaints: list[str]) -> None:
    if port == _RESERVED_PORT:
        complaints.append(f"port {_RESERVED_PORT} is reserved by Lambda")
    elif not 1 <= port <= 65_535:
        complaints.append(f"port {port} is not between 1 and 65535")


def _buffering(request: Mapping[str, Any], complaints: list[str]) -> Buffering:
    given = request.get("buffering")
    if given is None:
        return Buffering()
    if not isinstance(given, dict):
        complaints.append(f"buffering is not an object but {_shown(given)}")
        return Buffering()
    before = len(complaints)
    for name, (least, most) in _BUFFERING.items():
        value = given.get(name, least)
        if not _is_whole(value) or not least <= value <= most:
            complaints.append(f"buffering {name} is a whole number from {least} to {most}, not {_shown(value)}")
    if len(complaints) > before:
        return Buffering()
    defaults = Buffering()
    return Buffering(
        given.get("maxItems", defaults.max_items),
        given.get("maxBytes", defaults.max_bytes),
        given.get("timeoutMs", defaults.timeout * 1000) / 1000,
    )


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    shown = json.dumps(value)  # as the sender wrote it, and never longer than one wants to read
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


# -- what a subscription gets --------------------------------------------------------------------------------

# [D] runtimes-logs-api: its events, and the members that their records have there; all of them where none is named.
_LOGS_EVENTS: Mapping[str, Sequence[str]] = {
    "platform.start": ("requestId", "version"),
    "platform.end": ("requestId",),
    "platform.report": ("requestId", "metrics"),
    "platform.runtimeDone": ("requestId", "status"),
    "platform.fault": (),
    "platform.extension": ("name", "state", "events"),
    "platform.logsSubscription": (),
    "platform.logsDropped": (),
}
# [C] for telemetry, [D] runtimes-logs-api.
_LOSS_REASONS = {
    Api.TELEMETRY: "Some logs were dropped because the downstream consumer is slower than the logs production rate",
    Api.LOGS: "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
}
_NOT_IN_TELEMETRY = frozenset({"platform.end", "platform.fault", "platform.logsSubscription"})


def render(subscription: Subscription, event: LogEvent, *, json_records: bool = False) -> bytes | None:
    """The event as JSON in its envelope, or ``None`` where this subscription does not get it.

    Arguments:
        subscription: its API and schema decide which platform events it gets, and with which members.
        event: what happened; the record of a line comes without a newline and goes with one [R].
        json_records: the function's log format is JSON, so newer schemas get its lines as objects [D].
    """
    stream = event.type.partition(".")[0]
    if stream not in subscription.types:
        return None
    if stream != "platform":
        return _envelope(event, _line(subscription, event.record, json_records=json_records))
    if subscription.api is Api.TELEMETRY:
        return None if event.type in _NOT_IN_TELEMETRY else _envelope(event, text.to_json(event.record))
    if event.type not in _LOGS_EVENTS:
        return None
    if event.type == "platform.runtimeDone" and subscription.schema < _RUNTIME_DONE_SINCE:
        return None
    record, members = event.record, _LOGS_EVENTS[event.type]
    if members:
        record = {member: record[member] for member in members if member in record}
    return _envelope(event, text.to_json(record))


def render_loss(api: Api, at: float, lost_bytes: int, records: int) -> bytes:
    """The record that tells a subscriber what it will not get; ``at`` is seconds since the epoch.

    It goes to those as well who did not ask for platform events: nothing else would tell them.
    """
    event = logs_dropped(lost_bytes, records, _LOSS_REASONS[api])
    return _envelope(LogEvent(at, event.type, event.record), text.to_json(event.record))


def _line(subscription: Subscription, line: str, *, json_records: bool) -> bytes:
    # A line that is an object already goes as it is: decoding and encoding again could change its numbers.
    if json_records and subscription.api is Api.TELEMETRY and subscription.schema >= _JSON_LINES_SINCE:
        try:
            if isinstance(json.loads(line, parse_constant=_no_constant), dict):
                return line.encode()
        except (ValueError, RecursionError):
            pass
    return text.to_json(line + "\n")


def _no_constant(name: str) -> None:
    raise ValueError(name)  # Python reads NaN and Infinity; those who get the record might not


def _envelope(event: LogEvent, record: bytes) -> bytes:
    return b'{"time":"%b","type":"%b","record":%b}' % (text.iso_time(event.time).encode(), event.type.encode(), record)
