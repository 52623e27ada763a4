"""One streamed response on its way from the runtime's connection to whoever reads it.

What arrives while the reader wants no more, or faster than the bandwidth allows, is held here, and the connection is
not read on: that is at most what one read has brought. No I/O of its own; the connection lends it what it needs.
"""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from emulator.model import MAX_STREAM_BYTES
from emulator.runtime_api.bandwidth import Bandwidth
from emulator.runtime_api.reply import ACCEPTED, TOO_LARGE, TRUNCATED, Reply
from emulator.runtime_api.runtime import RuntimeSession
from emulator.text import filter_error_type

__all__ = ["Line", "ResponseStream", "Timer"]


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None: ...


class Line(Protocol):
    """The connection that the response comes in on."""

    def read_on(self, wanted: bool) -> None:
        """Read on, or do not."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back in so many seconds."""
        ...

    def reply(self, reply: Reply) -> None:
        """Answer the runtime."""
        ...


@dataclass(frozen=True, slots=True)
class _End:
    reply: Reply
    error_type: str | None = None
    error_body: bytes | None = None


class ResponseStream:
    """A response of ``session``'s runtime; without a bandwidth it goes as fast as it comes."""

    def __init__(self, session: RuntimeSession, line: Line, bandwidth: Bandwidth | None) -> None:
        self._session = session
        self._line = line
        self._bandwidth = bandwidth
        self._held: deque[bytes] = deque()
        self._room = MAX_STREAM_BYTES
        self._end: _End | None = None
        self._over = False
        self._pumping = self._unwanted = self._paused = False
        self._timer: Timer | None = None

    @property
    def is_over(self) -> bool:
        """Its runtime has been answered; what comes now is dropped."""
        return self._over

    def begin(self, request_id: str, content_type: str | None) -> None:
        """The head of the request is there. A response that is not wanted is refused, and what follows is dropped."""
        refused = self._session.begin_response(request_id, content_type, self.resume)
        if refused is not None:
            self._over = True
            self._line.reply(refused)

    def feed(self, chunk: bytes) -> None:
        """Some more of it. Beyond the limit it is cut, and the runtime told so at once."""
        if self._over or self._end is not None:
            return
        self._held.append(chunk[: self._room])
        self._room -= len(chunk)
        if self._room < 0:
            # [C] The message names the limit of responses that are not streamed.
            self._end = _End(TOO_LARGE, "Function.ResponseSizeTooLarge")
        self._pump()

    def complete(self, error_type: str | None, error_body: str | None) -> None:
        """The request is whole. Its trailers may say that the function failed on the way, with a body in base64."""
        if self._over or self._end is not None:
            return
        self._end = _End(ACCEPTED)
        if error_type or error_body:
            self._end = _End(ACCEPTED, filter_error_type(error_type), _decoded(error_body))
        self._pump()

    def cut(self) -> None:
        """The connection ended. What has come is passed on at once, for nobody reads or waits on this line any more."""
        if self._over:
            return
        if self._end is None:
            self._end = _End(TRUNCATED, "Runtime.TruncatedResponse")
        while self._held:
            self._session.response_chunk(self._held.popleft())
        if not self._over:
            self._finish(self._end)

    def abandon(self) -> None:
        """The environment has ended this connection and wants to hear nothing more of it."""
        self._over = True
        self._held.clear()
        self._stop_timer()

    def resume(self) -> None:
        """The reader wants more."""
        self._unwanted = False
        self._pump()

    def _pump(self) -> None:
        if self._pumping or self._over:
            return
        self._pumping = True
        try:
            while self._held and not self._unwanted and self._timer is None:
                self._pass_on()
        finally:
            self._pumping = False
        if self.is_over:
            return  # who heard it has ended this
        if self._end is not None and not self._held:
            self._finish(self._end)
        else:
            self._read_on(not self._held and not self._unwanted)

    def _pass_on(self) -> None:
        chunk = self._held.popleft()
        granted = len(chunk)
        if self._bandwidth is not None:
            granted = self._bandwidth.take(len(chunk))
            if granted < len(chunk):
                self._held.appendleft(chunk[granted:])
                self._timer = self._line.call_later(self._bandwidth.wait, self._refilled)
        if granted:
            self._unwanted = True  # until it says otherwise, which it may do before it returns
            if self._session.response_chunk(chunk[:granted]):
                self._unwanted = False

    def _refilled(self) -> None:
        self._timer = None
        self._pump()

    def _finish(self, end: _End) -> None:
        self._over = True
        self._stop_timer()
        self._read_on(True)
        self._session.end_response(end.error_type, end.error_body)
        self._line.reply(end.reply)

    def _read_on(self, wanted: bool) -> None:
        if wanted is self._paused:
            self._paused = not wanted
            self._line.read_on(wanted)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _decoded(error_body: str | None) -> bytes | None:
    if not error_body:
        return None
    try:
        return b64decode(error_body, validate=True)
    except ValueError:
        return error_body.encode()
