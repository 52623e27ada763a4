"""The door for Prometheus."""

from __future__ import annotations

import asyncio
import importlib

from fastapi import APIRouter, Response

from emulator.api.answers import REFUSED, Responses
from emulator.errors import DatabaseError
from emulator.service import Service

__all__ = ["metrics_routes"]

_TEXT: Responses = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def metrics_routes(service: Service) -> APIRouter:
    """``GET /_emulator/metrics``."""
    routes = APIRouter(tags=["metrics"])

    @routes.get("/_emulator/metrics", response_class=Response, responses=REFUSED | _TEXT)
    async def metrics() -> Response:
        """Everything that is counted, in Prometheus' text format."""
        # The library behind it takes 50 ms to import and 2 MB, and most emulators are never asked.
        await asyncio.to_thread(importlib.import_module, "emulator.api.exposition")
        from emulator.api.exposition import CONTENT_TYPE, write_metrics

        try:
            sessions = await service.database.connections()
        except DatabaseError:
            sessions = None
        return Response(write_metrics(service, sessions), headers={"Content-Type": CONTENT_TYPE})

    return routes
