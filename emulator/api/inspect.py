"""The inspection API: what no cloud shows of its environments, and the handles to recycle them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from emulator.model import EnvironmentId
from emulator.service import RecycleAnswer, Service

__all__ = ["inspection_routes"]


def inspection_routes(service: Service) -> APIRouter:
    """The routes below ``/_emulator/api``; the shapes are the records of :mod:`emulator.model`."""
    routes = APIRouter(prefix="/_emulator/api", tags=["inspection"])

    @routes.get("/status")
    async def status() -> dict[str, Any]:
        """How this emulator runs, and how faithful it can be here."""
        return asdict(service.status())

    @routes.get("/environments")
    async def environments(function: str | None = None) -> dict[str, Any]:
        """Every execution environment, or those of one function."""
        await service.look_at_sessions()
        return {"environments": [asdict(view) for view in service.environments(function)]}

    @routes.get("/environments/{environment_id}")
    async def environment(environment_id: str) -> dict[str, Any]:
        """One execution environment, by its id or the beginning of it."""
        await service.look_at_sessions()
        return asdict(service.environment(environment_id))

    @routes.post("/environments/{environment_id}/recycle")
    async def recycle_environment(environment_id: str) -> RecycleAnswer:
        """End one environment: now, or when its running invocation is over."""
        return service.recycle_environment(environment_id)

    @routes.post("/functions/{name}/recycle")
    async def recycle_function(name: str) -> RecycleAnswer:
        """End all environments of a function."""
        return service.recycle_function(name)

    @routes.get("/connections")
    async def connections(environment: str | None = None) -> dict[str, Any]:
        """The sessions of the database, each joined to the environment that opened it."""
        wanted = EnvironmentId(service.environment(environment).id) if environment is not None else None
        sessions, summary = await service.connections(wanted)
        return {"connections": [asdict(session) for session in sessions], "summary": asdict(summary)}

    return routes
