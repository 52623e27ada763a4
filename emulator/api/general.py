"""Everything of the emulator's port that is not an invocation: the inspection API, and what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from emulator import text
from emulator.api.control import ControlDoor
from emulator.api.dashboard import dashboard_routes
from emulator.api.inspect import inspection_routes
from emulator.api.metrics import metrics_routes
from emulator.api.timeline import timeline_routes
from emulator.control.control import Control
from emulator.control.keeping import Keeper
from emulator.errors import DatabaseError, EmulatorError, RequestError
from emulator.service import Service
from emulator.version import VERSION

__all__ = ["create_general_app"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")  # that a route may take


class _Answer(JSONResponse):
    """What UTF-8 cannot say is a question mark in it: paths and functions' own words may have half a surrogate pair."""

    def render(self, content: Any) -> bytes:
        return text.to_json(content)


def create_general_app(service: Service, keeper: Keeper | None = None) -> FastAPI:
    """The application; FastAPI and its models take a quarter of a second to import, so this room is entered late.

    Arguments:
        keeper: of the control plane, where its state outlives the emulator.
    """
    app = FastAPI(
        title="lambda-freezer",
        version=VERSION,
        openapi_url="/_emulator/api/openapi.json",
        docs_url="/_emulator/api/docs",
        redoc_url=None,
        default_response_class=_Answer,
    )
    app.include_router(inspection_routes(service))
    app.include_router(timeline_routes(service))
    app.include_router(metrics_routes(service))
    app.include_router(dashboard_routes(service))
    app.add_exception_handler(EmulatorError, _answer_error)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _refuse)
    app.router.routes.append(Route("/_emulator/{path:path}", _NotThere(list(app.routes)), include_in_schema=False))
    door = ControlDoor(keeper.control, settled=keeper.settled) if keeper is not None else ControlDoor(Control(service))

    async def rest(path: str, request: Request) -> Response:
        if door.takes(f"/{path}"):
            return await door.answer(request)
        return _refusal(404, f"there is no /{path}", "See /_emulator/api/docs.")

    app.add_api_route(
        "/{path:path}",
        rest,
        methods=["GET", "POST", "PUT", "DELETE", "PATCH"],
        include_in_schema=False,
    )
    return app


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EmulatorError), "it is registered for these only"
    status = error.status if isinstance(error, RequestError) else 503 if isinstance(error, DatabaseError) else 500
    return _refusal(status, error.message, error.cure)


async def _refuse_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "it is registered for these only"
    # Without what was found, as the framework would have it: for a number like NaN JSON has no word.
    detail = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return _Answer({"detail": detail}, status_code=422)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses before a route sees it: a body that it cannot parse."""
    assert isinstance(error, HTTPException), "it is registered for these only"
    cure = "Send JSON, as /_emulator/api/docs shows it." if error.status_code == 400 else "See /_emulator/api/docs."
    answer = _refusal(error.status_code, error.detail, cure)
    answer.headers.update(error.headers or {})
    return answer


class _NotThere:
    """Answers whatever else comes below ``/_emulator/``: there is nothing of that name, or not by that method.

    Arguments:
        known: the routes that there are.
    """

    def __init__(self, known: Sequence[BaseRoute]) -> None:
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if allowed := ", ".join(each for each in _METHODS if self._takes({**scope, "method": each})):
            answer = _refusal(405, f"{path} takes no {method}", f"It takes {allowed}.")
            answer.headers["Allow"] = allowed
        else:
            answer = _refusal(404, f"there is no {path}", "See /_emulator/api/docs.")
        await answer(scope, receive, send)

    def _takes(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._known)


def _refusal(status: int, error: str, cure: str) -> JSONResponse:
    return _Answer({"error": error, "cure": cure}, status_code=status)
