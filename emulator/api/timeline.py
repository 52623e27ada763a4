"""The timeline over HTTP: in one piece, and as server-sent events that survive a reconnect.

What is sent is read from the timeline a page at a time, when the reader has taken the page before. So a slow reader
slows nobody and takes no memory; one that is too slow is told what it has missed.

[D] The stream's format: "Server-sent events" of the HTML standard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, StreamingResponse

from emulator import text
from emulator.api.answers import MOST, REFUSED, Responses, TimelineAnswer
from emulator.chronicle.lines import to_line
from emulator.service import Service
from emulator.timeline import Timeline, Wanted

__all__ = ["Filters", "place_of", "timeline_routes"]

_MOST = 200  # events in one piece: half a millisecond of the loop's time
_STREAM: Responses = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
_NO_CACHE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Filters:
    """Which events are wanted, as a query says it; ``kind`` may come again for more."""

    def __init__(
        self,
        function: str | None = None,
        environment: str | None = None,
        kind: Annotated[tuple[str, ...], Query()] = (),
        age: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    ) -> None:
        self._said = (function, environment, kind)
        self._age = age

    def wanted(self, now: float) -> Wanted:
        """The same, at this moment of the emulator's clock."""
        return Wanted(*self._said, now - self._age if self._age is not None else None)


def timeline_routes(service: Service) -> APIRouter:
    """The routes below ``/_emulator/api/timeline``."""
    routes = APIRouter(prefix="/_emulator/api/timeline", tags=["timeline"], responses=REFUSED)
    timeline = service.timeline

    @routes.get("", response_model=TimelineAnswer, response_class=JSONResponse)
    async def events(
        filters: Annotated[Filters, Depends()],
        since: Annotated[int, Query(ge=0, le=MOST)] = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> StreamingResponse:
        """Events after number ``since``, oldest first, at most ``limit``; ``last`` is where to go on."""
        return StreamingResponse(
            _answer(timeline, since, filters.wanted(timeline.now), limit), media_type="application/json"
        )

    @routes.get("/stream", response_class=StreamingResponse, responses=_STREAM)
    async def stream(
        filters: Annotated[Filters, Depends()],
        since: Annotated[int, Query(ge=0, le=MOST)] = 0,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """What is there after number ``since`` or after ``Last-Event-ID``, and then what comes."""
        begin = place_of(last_event_id, timeline.run) if last_event_id else since
        events = _stream(timeline, begin, filters.wanted(timeline.now))
        return StreamingResponse(events, media_type="text/event-stream", headers=_NO_CACHE)

    return routes


def place_of(last_event_id: str, run: str) -> int:
    """The number after which a reader wants to go on; the beginning, where it has read of another run."""
    its_run, _, number = last_event_id.partition(":")
    return int(number) if its_run == run and number.isascii() and number.isdigit() and len(number) < 19 else 0


async def _answer(timeline: Timeline, since: int, wanted: Wanted, limit: int) -> AsyncIterator[bytes]:
    yield b'{"events":['
    count, separator, dropped = 0, b"", timeline.dropped
    while True:
        page = timeline.read(since, wanted, most=min(_MOST, limit - count))
        since = page.last
        if page.events:
            yield separator + b",".join([to_line(event) for event in page.events])
            separator = b","
            count += len(page.events)
        if count >= limit or not page.more:
            break
        await asyncio.sleep(0)
    told = {"last": since, "more": page.more, "dropped": dropped, "run": timeline.run, "now": timeline.now}
    yield b"]," + text.to_json(told)[1:]


async def _stream(timeline: Timeline, since: int, wanted: Wanted) -> AsyncIterator[bytes]:
    yield b": the timeline of a lambda-freezer\n\n"  # so that a reader knows at once that it is connected
    async for page in timeline.follow(since, wanted, most=_MOST):
        if page.lost is not None:
            told = text.to_json({"from": page.lost[0], "to": page.lost[1]})
            yield b"event: lost\ndata: " + told + b"\n\n"
        if page.events:
            place = f"id: {timeline.run}:{page.events[-1].seq}\ndata: [".encode()
            yield place + b",".join([to_line(event) for event in page.events]) + b"]\n\n"
        elif page.lost is None:
            yield b":\n\n"
