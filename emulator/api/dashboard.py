"""The dashboard: its page and what belongs to it, and the burst, which no browser could make by itself."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from emulator import text
from emulator.api.answers import NO_SUCH, REFUSED, BurstAnswer, FunctionName
from emulator.errors import RequestError
from emulator.invocation import Outcome
from emulator.model import MAX_PAYLOAD_BYTES
from emulator.pages import content_type, files
from emulator.service import Service

__all__ = ["BurstWish", "dashboard_routes"]

# Nothing runs that is not a file of the package, and nothing is loaded from or sent to anywhere else.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def _sendable(value: Any) -> Any:
    """What a client of Invoke could send as well."""
    try:
        size = len(json.dumps(value, allow_nan=False))
    except ValueError:
        raise ValueError("NaN and Infinity are no JSON") from None
    if size > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes")
    return value


def _whole(value: Any) -> Any:
    """JSON does not tell 3.0 from 3; ``true`` is no number there, though."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class BurstWish(BaseModel):
    """How many invocations at once, a thousand at most, each with this payload."""

    model_config = ConfigDict(extra="forbid")
    count: Annotated[int, BeforeValidator(_whole)] = Field(ge=1, le=1000, strict=True)
    payload: Annotated[Any, AfterValidator(_sendable)] = Field(default_factory=dict)


def dashboard_routes(service: Service) -> APIRouter:
    """The page at ``/_emulator/``, and the way to it."""
    routes = APIRouter(tags=["dashboard"])

    @routes.get("/", include_in_schema=False)
    @routes.get("/_emulator", include_in_schema=False)
    async def way() -> Response:
        return RedirectResponse("/_emulator/", 307)

    @routes.get("/_emulator/", include_in_schema=False)
    async def page() -> Response:
        return _file("index.html")

    @routes.post("/_emulator/api/functions/{name}/burst", responses=REFUSED | NO_SUCH)
    async def burst(name: FunctionName, wish: BurstWish) -> BurstAnswer:
        """Invoke a function so many times at once, and wait for all. A browser has six connections at most."""
        payload = text.to_json(wish.payload)
        begin = time.monotonic()
        outcomes = await asyncio.gather(*(_invoke(service, name, payload) for _ in range(wish.count)))
        return _counted(time.monotonic() - begin, outcomes)

    for name in files():
        routes.add_api_route(f"/_emulator/{name}", functools.partial(_serve, name), include_in_schema=False)
    return routes


async def _serve(name: str) -> Response:
    return _file(name)


def _file(name: str) -> Response:
    return Response(files()[name], headers=_HEADERS, media_type=content_type(name))


async def _invoke(service: Service, name: str, payload: bytes) -> Outcome | RequestError:
    answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def answer(outcome: Outcome) -> None:
        if not answered.done():  # or nobody waits any more
            answered.set_result(outcome)

    invocation = service.new_invocation(name, payload)
    invocation.on_answer = answer
    try:
        service.submit(name, invocation)
    except RequestError as refusal:
        return refusal
    return await answered


def _counted(seconds: float, outcomes: Sequence[Outcome | RequestError]) -> BurstAnswer:
    refusals = [
        found for one in outcomes if (found := one if isinstance(one, RequestError) else one.failure) is not None
    ]
    answers = [one.answer for one in outcomes if not isinstance(one, RequestError) and one.answer is not None]
    failed = sum(answer.function_error is not None for answer in answers)
    return BurstAnswer(
        seconds=seconds,
        answered=len(answers) - failed,
        failed=failed,
        refused=len(refusals),
        first_refusal=refusals[0].message if refusals else None,
    )
