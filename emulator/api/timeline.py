"""A stand-in for the timeline's routes, until those are here: the same contract, with as little as it takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from emulator.service import Service
from emulator.timeline import TimelineEvent

__all__ = ["timeline_routes"]

_BATCH = 0.05  # seconds
_HEARTBEAT = 15.0  # seconds


def timeline_routes(service: Service) -> APIRouter:
    """The routes below ``/_emulator/api/timeline``."""
    routes = APIRouter(prefix="/_emulator/api/timeline", tags=["timeline"])

    @routes.get("")
    async def events(since: int = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> dict[str, Any]:
        """What happened after number ``since``."""
        timeline = service.timeline
        found = [event._asdict() for event, _ in zip(timeline.since(since), range(limit), strict=False)]
        last = found[-1]["seq"] if found else since
        return {
            "events": found,
            "last": last,
            "more": last < timeline.last_seq,
            "dropped": timeline.dropped,
            "run": service.instance_id,
            "now": service.clock.now(),
        }

    @routes.get("/stream")
    async def stream(since: int = 0, last_event_id: Annotated[str, Header()] = "") -> StreamingResponse:
        """What happens, as it happens."""
        run, _, seq = last_event_id.partition(":")
        begin = int(seq) if run == service.instance_id and seq.isdigit() else since
        return StreamingResponse(_follow(service, begin), media_type="text/event-stream")

    return routes


async def _follow(service: Service, since: int) -> AsyncIterator[str]:
    news = asyncio.Event()

    def hear(_event: TimelineEvent) -> None:
        news.set()

    stop = service.timeline.listen(hear)
    try:
        yield ": hello\n\n"
        while True:
            news.clear()
            if found := [event._asdict() for event in service.timeline.since(since)]:
                since = found[-1]["seq"]
                yield f"id: {service.instance_id}:{since}\ndata: {json.dumps(found)}\n\n"
                await asyncio.sleep(_BATCH)
                continue
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await news.wait()
            except TimeoutError:
                yield ": still here\n\n"
    finally:
        stop()
