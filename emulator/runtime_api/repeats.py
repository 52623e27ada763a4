"""The two requests of an invocation, recognised by having been read before.

A runtime sends the same bytes for ``GET /next`` each time, and for a response the same head but for the request id and
the length. So what the parser has understood once is understood again without it, and what differs by a single byte
is the parser's again: nothing is guessed here.
"""

from __future__ import annotations

import re

__all__ = ["Repeats"]

_RESPONSE = re.compile(rb"POST /2018-06-01/runtime/invocation/([!-.0-~]+)/response HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: ?([0-9]{1,9})\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_REMEMBERED = 8  # heads; a client has one


class Repeats:
    """What one connection has sent before."""

    def __init__(self) -> None:
        self._next = b""
        self._heads: set[bytes] = set()

    def learn_next(self, request: bytes) -> None:
        """This was a whole ``GET /next`` on a connection that goes on, and nothing else."""
        self._next = request

    def learn_response(self, request: bytes) -> None:
        """This was a whole ``POST .../response``, not streamed, on a connection that goes on, and nothing else."""
        if (found := _split(request)) is not None and len(self._heads) < _REMEMBERED:
            self._heads.add(found[1])

    def is_next(self, data: bytes) -> bool:
        """Exactly that again."""
        return data == self._next

    def response(self, data: bytes) -> tuple[str, bytes] | None:
        """Request id and body, if this is such a request again, whole."""
        if not self._heads or (found := _split(data)) is None:
            return None
        request_id, head, length, body_at = found
        if head not in self._heads or len(data) - body_at != length:
            return None
        return request_id.decode(), data[body_at:]


def _split(data: bytes) -> tuple[bytes, bytes, int, int] | None:
    """Request id, head without it and without the value of the length, the length, and where the body begins."""
    if (line := _RESPONSE.match(data)) is None:
        return None
    end = data.find(_HEAD_END, line.end() - 2) + 2  # a head of no lines at all ends with the first one
    length = _LENGTH.search(data, line.end() - 2, end)
    if length is None:
        return None
    return line[1], data[line.end() : length.start(1)] + data[length.end(1) : end], int(length[1]), end + 2
