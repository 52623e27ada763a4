"""The head of a streamed response: a JSON object with status, headers and cookies, eight NULs, then the body.

[C] Node's runtime client writes it so (``HttpResponseStream``), and names the content type below.
"""

from __future__ import annotations

from emulator.http_events.response import HttpResponse, parsed, shaped

__all__ = ["MAX_PRELUDE", "has_prelude", "is_complete", "split_prelude", "streamed_response"]

MAX_PRELUDE = 1 << 16  # bytes [I]; who sends more without the NULs has forgotten them
_TYPE = "application/vnd.awslambda.http-integration-response"
_END = bytes(8)
_DEFAULT_TYPE = "application/octet-stream"  # [C] of a stream that names none


def has_prelude(content_type: str) -> bool:
    """Whether the runtime says that its stream begins with one."""
    return content_type.partition(";")[0].strip().lower() == _TYPE


def is_complete(data: bytes) -> bool:
    """Whether this much of a stream has the whole prelude in it, or is too much for one."""
    return _END in data or len(data) > MAX_PRELUDE


def split_prelude(data: bytes) -> HttpResponse | None:
    """Status and headers, and as its body what of the response's body has come with them; nothing where it is none."""
    head, end, body = data.partition(_END)
    try:
        value = parsed(head) if end else None
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    response = shaped({**value, "body": None}, default_type=_DEFAULT_TYPE)
    return HttpResponse(response.status, response.headers, body) if response is not None else None


def streamed_response(data: bytes, content_type: str) -> HttpResponse | None:
    """A stream, or the begin of one, as a response: with its prelude, or a 200 of the type that the runtime names."""
    if has_prelude(content_type):
        return split_prelude(data)
    return HttpResponse(200, [("content-type", content_type)], data)
