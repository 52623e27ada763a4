"""An HTTP request for a function, and what of it every format of events says alike."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

__all__ = ["EventContext", "HttpRequest", "gateway_time"]

_HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# [X] What comes as text. Everything else is base64: a form as well, and what names no type.
_TEXT = re.compile(r"text/.*|application/(.*\+)?(json|xml)|application/(javascript|x-javascript|ecmascript)")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a client has sent.

    Arguments:
        raw_path: as it came, still quoted.
        query: as it came, without the question mark.
        headers: by their names in lower case, in their order; one that came twice is there twice.
        source_ip: of the client; empty where that is not known.
    """

    method: str
    raw_path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str
    port: int
    protocol: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """Unquoted."""
        return unquote(self.raw_path)

    def header(self, name: str) -> str | None:
        """The first of that name."""
        return next((value for known, value in self.headers if known == name), None)

    def pairs(self) -> list[tuple[str, str]]:
        """The query, unquoted, in its order."""
        return parse_qsl(self.query, keep_blank_values=True)

    def forwarded(self, trace_id: str) -> list[tuple[str, str]]:
        """The headers as a function gets them: those of the connection taken out, those of AWS's front put in [R].

        DIFFERS: [R] AWS adds ``x-amzn-tls-version`` and ``x-amzn-tls-cipher-suite``. Here there is no TLS, and
        ``x-forwarded-proto`` says so.

        Arguments:
            trace_id: of the invocation; its root goes in.
        """
        own = {"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}
        kept = [(name, value) for name, value in self.headers if name not in _HOP_BY_HOP | own]
        if self.body and self.header("content-length") is None:
            kept.append(("content-length", str(len(self.body))))
        ways = [value for name, value in self.headers if name == "x-forwarded-for"]
        return [
            *kept,
            ("x-amzn-trace-id", trace_id.partition(";")[0]),
            ("x-forwarded-for", ", ".join(filter(None, [*ways, self.source_ip]))),
            ("x-forwarded-port", str(self.port)),
            ("x-forwarded-proto", "http"),
        ]

    def body_of_event(self, *, typed: bool = True) -> tuple[str | None, bool]:
        """The body as an event has it, and whether that is base64.

        Arguments:
            typed: text is what has a type for text; else everything that can be read as UTF-8.
        """
        if not self.body:
            return None, False
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if not typed or _TEXT.fullmatch(kind):
            try:
                return self.body.decode(), False
            except UnicodeDecodeError:
                pass
        return base64.b64encode(self.body).decode(), True


@dataclass(frozen=True, slots=True, kw_only=True)
class EventContext:
    """What an event says beside the request.

    Arguments:
        account: the number of the account, or ``anonymous``.
        api_id: of the URL, or of the API.
        domain: the host name, without a port.
        now: seconds since the epoch.
        trace_id: of the invocation, as its header has it.
        route_key: such as ``GET /orders/{id}``.
        resource: the template of the path.
        parameters: what of the path stands for which name of the template.
        iam: who has signed the request.
    """

    account: str
    api_id: str
    domain: str
    request_id: str
    now: float
    trace_id: str
    route_key: str = "$default"
    resource: str = "/"
    stage: str = "$default"
    parameters: dict[str, str] | None = None
    iam: dict[str, Any] | None = None

    @property
    def prefix(self) -> str:
        """The first part of the host name; of an address, which has none, the API's name."""
        first = self.domain.partition(".")[0]
        return self.api_id if not first or first.isdigit() else first


def gateway_time(now: float) -> str:
    """``12/Mar/2020:19:03:58 +0000``; without a locale's own names for months."""
    moment = time.gmtime(now)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.tm_mon - 1]
    return time.strftime(f"%d/{month}/%Y:%H:%M:%S +0000", moment)
