"""Where calls lead that are not the runtime's: to extensions, telemetry and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emulator.runtime_api.metadata import serve_metadata
from emulator.runtime_api.reply import NOT_FOUND, TOO_LARGE, Reply
from emulator.runtime_api.sessions import Sessions

__all__ = ["Request", "serve_other"]

_NEXT = b"/2020-01-01/extension/event/next"
_METADATA = b"/2026-01-15/metadata/execution-environment"

_PONG = Reply(200, b"pong")


class Request(Protocol):
    """A request as far as it matters here."""

    @property
    def body(self) -> bytes | None:
        """``None`` where it is larger than a response may be; nothing else takes as much."""
        ...

    def header(self, name: bytes) -> str | None:
        """A header by its name in lower case."""
        ...


def serve_other(
    method: bytes, url: bytes, request: Request, sessions: Sessions, *, zone: str, send: Callable[[Reply], None]
) -> Reply | None:
    """The answer, or ``None`` for an extension that waits: it gets its event through ``send``."""
    identifier = request.header(b"lambda-extension-identifier")
    extensions = sessions.extensions
    if method == b"GET" and url == _NEXT:
        return extensions.next(identifier, send)
    if url == _METADATA:
        return serve_metadata(method, request.header(b"authorization"), token=sessions.metadata_token, zone=zone)
    if (body := request.body) is None:
        return TOO_LARGE
    match method, url:
        case b"POST", b"/2020-01-01/extension/register":
            features = request.header(b"lambda-extension-accept-feature")
            return extensions.register(request.header(b"lambda-extension-name"), body, features)
        case b"POST", b"/2020-01-01/extension/init/error":
            return extensions.init_error(identifier, request.header(b"lambda-extension-function-error-type"), body)
        case b"POST", b"/2020-01-01/extension/exit/error":
            return extensions.exit_error(identifier, request.header(b"lambda-extension-function-error-type"), body)
        case b"PUT", b"/2022-07-01/telemetry":
            return sessions.telemetry.subscribe("telemetry", identifier, body)
        case b"PUT", b"/2020-08-15/logs":
            return sessions.telemetry.subscribe("logs", identifier, body)
        case b"GET", b"/2018-06-01/ping":
            return _PONG
    return NOT_FOUND
