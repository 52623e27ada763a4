"""Everything of the emulator's port that is not an invocation: the inspection API, and what is not there."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

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
    )
    app.include_router(inspection_routes(service))
    app.include_router(timeline_routes(service))
    app.include_router(metrics_routes(service))
    app.include_router(dashboard_routes(service))
    app.add_exception_handler(EmulatorError, _answer_error)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    door = ControlDoor(keeper.control, settled=keeper.settled) if keeper is not None else ControlDoor(Control(service))

    async def rest(path: str, request: Request) -> Response:
        if door.takes(f"/{path}"):
            return await door.answer(request)
        return JSONResponse({"error": f"there is no /{path}", "cure": "See /_emulator/api/docs."}, status_code=404)

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
    return JSONResponse({"error": error.message, "cure": error.cure}, status_code=status)


async def _refuse_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "it is registered for these only"
    # Without what was found, as the framework would have it: for a number like NaN JSON has no word.
    detail = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)
