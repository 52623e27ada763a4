"""The inspection API: what no cloud shows of its environments, and the handles to recycle them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from emulator import text
from emulator.api.answers import (
    MOST,
    NO_DATABASE,
    NO_SUCH,
    REFUSED,
    ConcurrencyAnswer,
    Connections,
    EnvironmentName,
    Environments,
    FastForwardReport,
    FunctionAnswer,
    FunctionName,
    Functions,
    Killed,
    Queue,
    Responses,
    UrlAnswer,
)
from emulator.chronicle.lines import to_line
from emulator.config import PolicySettings
from emulator.environments import RecycleAnswer
from emulator.errors import ConfigurationError, InvalidParameterValueError
from emulator.log_files import LogPiece
from emulator.model import EnvironmentId, EnvironmentView, Function, Reclaim
from emulator.rulebook import PolicyView
from emulator.service import Service
from emulator.skipping import FastForwardAnswer
from emulator.status import Status

__all__ = ["FastForwardWish", "RecycleWish", "inspection_routes"]


class RecycleWish(BaseModel):
    """How environments are to end; without it as their policy says."""

    model_config = ConfigDict(extra="forbid")
    reclaim: Reclaim | None = None


class FastForwardWish(BaseModel):
    """How much time to skip: ten years at once at most, and in all not beyond the year 9998."""

    model_config = ConfigDict(extra="forbid")
    seconds: float = Field(ge=0, le=10 * 365 * 86_400, strict=True)


def inspection_routes(service: Service) -> APIRouter:
    """The routes below ``/_emulator/api``; the shapes are the records of :mod:`emulator.model`."""
    routes = APIRouter(prefix="/_emulator/api", tags=["inspection"], responses=REFUSED)

    @routes.get("/status")
    async def status() -> Status:
        """How this emulator runs, and how faithful it can be here."""
        return service.status()

    @routes.get("/functions")
    async def functions() -> Functions:
        """The functions, with the URLs and the routes under which each answers HTTP requests."""
        return Functions(functions=[_function(service, function) for function in service.functions])

    @routes.get("/environments", responses=NO_SUCH)
    async def environments(function: str | None = None) -> Environments:
        """Every execution environment, or those of one function."""
        await service.database.look()
        return Environments(environments=service.environments.views(function))

    @routes.get("/environments/{environment_id}", responses=NO_SUCH)
    async def environment(environment_id: EnvironmentName) -> EnvironmentView:
        """One execution environment, by its id or the beginning of it."""
        await service.database.look()
        return service.environments.view(environment_id)

    @routes.post("/environments/{environment_id}/recycle", responses=NO_SUCH)
    async def recycle_environment(environment_id: EnvironmentName, wish: RecycleWish | None = None) -> RecycleAnswer:
        """End one environment: now, or when its running invocation is over."""
        return service.environments.recycle(environment_id, wish.reclaim if wish is not None else None)

    @routes.post("/functions/{name}/recycle", responses=NO_SUCH)
    async def recycle_function(name: FunctionName, wish: RecycleWish | None = None) -> RecycleAnswer:
        """End all environments of a function."""
        return service.environments.recycle_all(name, wish.reclaim if wish is not None else None)

    @routes.get("/functions/{name}/logs", response_class=StreamingResponse, responses=NO_SUCH | _LOGS)
    async def logs(
        name: FunctionName,
        environment: str | None = None,
        tail: Annotated[int | None, Query(ge=0, le=MOST)] = None,
        follow: bool = False,
        form: Annotated[Literal["text", "json"], Query(alias="format")] = "text",
    ) -> StreamingResponse:
        """What a function's environments have written, in the order in which it came; as lines, or as NDJSON."""
        media_type, render = _LOG_FORMATS[form]
        batches = service.environments.logs(name, environment, tail=tail, follow=follow)
        return StreamingResponse(_rendered(batches, render), media_type=media_type)

    @routes.get("/policy")
    async def policy() -> PolicyView:
        """The policy of all functions that say nothing else."""
        return service.policy()

    @routes.put("/policy")
    async def set_policy(wish: PolicySettings) -> PolicyView:
        """Another policy for all functions, from now on; the body takes the place of the whole table."""
        return _set_policy(service, wish)

    @routes.get("/functions/{name}/policy", responses=NO_SUCH)
    async def policy_of_function(name: FunctionName) -> PolicyView:
        """The policy of a function, and what of it is its own."""
        return service.policy(name)

    @routes.put("/functions/{name}/policy", responses=NO_SUCH)
    async def set_policy_of_function(name: FunctionName, wish: PolicySettings) -> PolicyView:
        """What is different for this function, from now on; with nothing in it, nothing is."""
        return _set_policy(service, wish, name)

    @routes.get("/connections", responses=NO_SUCH | NO_DATABASE)
    async def connections(environment: str | None = None) -> Connections:
        """The sessions of the database, each joined to the environment that opened it."""
        wanted = EnvironmentId(service.environments.view(environment).id) if environment is not None else None
        sessions, summary = await service.database.connections(wanted)
        return Connections(connections=list(sessions), summary=summary)

    @routes.get("/queue", responses=NO_SUCH)
    async def queue(function: str | None = None) -> Queue:
        """The asynchronous events that were accepted and are not done, of one function or of all."""
        return Queue(events=service.queue(function))

    @routes.get("/concurrency")
    async def concurrency() -> ConcurrencyAnswer:
        """The places of the account, and what of them each function has, reserves, and has initialised ahead."""
        account, functions = service.concurrency()
        return ConcurrencyAnswer(
            limit=account.limit, unreserved=account.unreserved, in_use=account.in_use, functions=functions
        )

    @routes.post("/zombies/kill", responses=NO_DATABASE)
    async def kill_zombies() -> Killed:
        """Have the server end every session whose environment is gone."""
        return Killed(killed=await service.database.kill_zombies())

    @routes.post("/fast-forward", response_model=FastForwardReport, response_class=JSONResponse)
    async def fast_forward(wish: FastForwardWish) -> Response:
        """Skip time on the emulator's clock."""
        return Response(_report(await service.fast_forward(wish.seconds)), media_type="application/json")

    return routes


def _function(service: Service, function: Function) -> FunctionAnswer:
    urls = [
        UrlAnswer(
            qualifier=config.qualifier,
            address=service.urls.address(config),
            path_address=service.urls.path_address(config),
            auth=config.auth,
            invoke_mode=config.invoke_mode,
        )
        for config in service.urls.of(function.name)
    ]
    return FunctionAnswer(
        name=function.name,
        runtime=function.runtime,
        handler=function.handler,
        memory=function.memory,
        timeout=function.timeout,
        urls=urls,
        routes=[route.key for route in service.routes if route.function == function.name],
    )


def _report(answer: FastForwardAnswer) -> bytes:
    """By hand, for there may be a hundred thousand events in it."""
    told = text.to_json({"seconds": answer.seconds, "now": answer.now, "timers": answer.timers})
    return told[:-1] + b',"caused":[' + b",".join([to_line(event) for event in answer.caused]) + b"]}"


def _plain(pieces: Sequence[LogPiece]) -> bytes:
    return b"".join([piece.lines for piece in pieces])


def _ndjson(pieces: Sequence[LogPiece]) -> bytes:
    entries = []
    for piece in pieces:
        known = {"time": text.iso_time(piece.time), "environment": piece.environment, "stream": piece.stream}
        lines = piece.lines.decode("utf-8", "replace").removesuffix("\n").split("\n")
        entries += [json.dumps({**known, "line": line}) + "\n" for line in lines]
    return "".join(entries).encode()


_LOGS: Responses = {
    200: {
        "description": "Lines as they were written, or one JSON object for each",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}
_LOG_FORMATS: dict[str, tuple[str, Callable[[Sequence[LogPiece]], bytes]]] = {
    "text": ("text/plain; charset=utf-8", _plain),
    "json": ("application/x-ndjson", _ndjson),
}


async def _rendered(
    batches: AsyncIterator[list[LogPiece]], render: Callable[[Sequence[LogPiece]], bytes]
) -> AsyncIterator[bytes]:
    async for pieces in batches:
        yield render(pieces)


def _set_policy(service: Service, wish: PolicySettings, name: str | None = None) -> PolicyView:
    try:
        return service.set_policy(wish.model_dump(exclude_unset=True), name)
    except ConfigurationError as error:
        raise InvalidParameterValueError(error.message, cure=error.cure) from error
