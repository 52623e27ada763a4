"""The inspection API: what no cloud shows of its environments, and the handles to recycle them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from emulator import text
from emulator.config import PolicySettings
from emulator.errors import ConfigurationError, InvalidParameterValueError
from emulator.log_files import LogPiece
from emulator.model import EnvironmentId, Function, Reclaim
from emulator.service import RecycleAnswer, Service

__all__ = ["FastForwardWish", "RecycleWish", "inspection_routes"]


class RecycleWish(BaseModel):
    """How environments are to end; without it as their policy says."""

    model_config = ConfigDict(extra="forbid")
    reclaim: Reclaim | None = None


class FastForwardWish(BaseModel):
    """How much time to skip, in seconds."""

    model_config = ConfigDict(extra="forbid")
    seconds: float = Field(ge=0, le=10 * 365 * 86_400)


def inspection_routes(service: Service) -> APIRouter:
    """The routes below ``/_emulator/api``; the shapes are the records of :mod:`emulator.model`."""
    routes = APIRouter(prefix="/_emulator/api", tags=["inspection"])

    @routes.get("/status")
    async def status() -> dict[str, Any]:
        """How this emulator runs, and how faithful it can be here."""
        return asdict(service.status())

    @routes.get("/functions")
    async def functions() -> dict[str, Any]:
        """The functions, with the URLs and the routes under which each answers HTTP requests."""
        return {"functions": [_function(service, function) for function in service.functions]}

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
    async def recycle_environment(environment_id: str, wish: RecycleWish | None = None) -> RecycleAnswer:
        """End one environment: now, or when its running invocation is over."""
        return service.recycle_environment(environment_id, wish.reclaim if wish is not None else None)

    @routes.post("/functions/{name}/recycle")
    async def recycle_function(name: str, wish: RecycleWish | None = None) -> RecycleAnswer:
        """End all environments of a function."""
        return service.recycle_function(name, wish.reclaim if wish is not None else None)

    @routes.get("/functions/{name}/logs", response_class=StreamingResponse)
    async def logs(
        name: str,
        environment: str | None = None,
        tail: Annotated[int | None, Query(ge=0)] = None,
        follow: bool = False,
        form: Annotated[Literal["text", "json"], Query(alias="format")] = "text",
    ) -> StreamingResponse:
        """What a function's environments have written, in the order in which it came; as lines, or as NDJSON."""
        media_type, render = _LOG_FORMATS[form]
        batches = service.logs(name, environment, tail=tail, follow=follow)
        return StreamingResponse(_rendered(batches, render), media_type=media_type)

    @routes.get("/policy")
    async def policy() -> dict[str, Any]:
        """The policy of all functions that say nothing else."""
        return asdict(service.policy())

    @routes.put("/policy")
    async def set_policy(wish: PolicySettings) -> dict[str, Any]:
        """Another policy for all functions, from now on; the body takes the place of the whole table."""
        return _set_policy(service, wish)

    @routes.get("/functions/{name}/policy")
    async def policy_of_function(name: str) -> dict[str, Any]:
        """The policy of a function, and what of it is its own."""
        return asdict(service.policy(name))

    @routes.put("/functions/{name}/policy")
    async def set_policy_of_function(name: str, wish: PolicySettings) -> dict[str, Any]:
        """What is different for this function, from now on; with nothing in it, nothing is."""
        return _set_policy(service, wish, name)

    @routes.get("/connections")
    async def connections(environment: str | None = None) -> dict[str, Any]:
        """The sessions of the database, each joined to the environment that opened it."""
        wanted = EnvironmentId(service.environment(environment).id) if environment is not None else None
        sessions, summary = await service.connections(wanted)
        return {"connections": [asdict(session) for session in sessions], "summary": asdict(summary)}

    @routes.get("/queue")
    async def queue(function: str | None = None) -> dict[str, Any]:
        """The asynchronous events that were accepted and are not done, of one function or of all."""
        return {"events": [asdict(event) for event in service.queue(function)]}

    @routes.get("/concurrency")
    async def concurrency() -> dict[str, Any]:
        """The places of the account, and what of them each function has, reserves, and has initialised ahead."""
        account, functions = service.concurrency()
        return {
            "limit": account.limit,
            "unreserved": account.unreserved,
            "in_use": account.in_use,
            "functions": [asdict(function) for function in functions],
        }

    @routes.post("/zombies/kill")
    async def kill_zombies() -> dict[str, Any]:
        """Have the server end every session whose environment is gone."""
        return {"killed": [asdict(session) for session in await service.kill_zombies()]}

    @routes.post("/fast-forward")
    async def fast_forward(wish: FastForwardWish) -> dict[str, Any]:
        """Skip time on the emulator's clock."""
        answer = await service.fast_forward(wish.seconds)
        caused = [event._asdict() for event in answer.caused]
        return {"seconds": answer.seconds, "now": answer.now, "timers": answer.timers, "caused": caused}

    return routes


def _function(service: Service, function: Function) -> dict[str, Any]:
    urls = [
        {
            "qualifier": config.qualifier,
            "address": service.urls.address(config),
            "path_address": service.urls.path_address(config),
            "auth": config.auth,
            "invoke_mode": config.invoke_mode,
        }
        for config in service.urls.of(function.name)
    ]
    return {
        "name": function.name,
        "runtime": function.runtime,
        "handler": function.handler,
        "memory": function.memory,
        "timeout": function.timeout,
        "urls": urls,
        "routes": [route.key for route in service.routes if route.function == function.name],
    }


def _plain(pieces: Sequence[LogPiece]) -> bytes:
    return b"".join([piece.lines for piece in pieces])


def _ndjson(pieces: Sequence[LogPiece]) -> bytes:
    entries = []
    for piece in pieces:
        known = {"time": text.iso_time(piece.time), "environment": piece.environment, "stream": piece.stream}
        lines = piece.lines.decode("utf-8", "replace").removesuffix("\n").split("\n")
        entries += [json.dumps({**known, "line": line}) + "\n" for line in lines]
    return "".join(entries).encode()


_LOG_FORMATS: dict[str, tuple[str, Callable[[Sequence[LogPiece]], bytes]]] = {
    "text": ("text/plain; charset=utf-8", _plain),
    "json": ("application/x-ndjson", _ndjson),
}


async def _rendered(
    batches: AsyncIterator[list[LogPiece]], render: Callable[[Sequence[LogPiece]], bytes]
) -> AsyncIterator[bytes]:
    async for pieces in batches:
        yield render(pieces)


def _set_policy(service: Service, wish: PolicySettings, name: str | None = None) -> dict[str, Any]:
    try:
        return asdict(service.set_policy(wish.model_dump(exclude_unset=True), name))
    except ConfigurationError as error:
        raise InvalidParameterValueError(error.message, cure=error.cure) from error
