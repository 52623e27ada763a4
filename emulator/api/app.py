"""The HTTP application, and the server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from emulator.api.inspect import inspection_routes
from emulator.api.invoke import InvokeRoute
from emulator.api.stream import StreamRoute
from emulator.errors import AddressInUseError, DatabaseError, EmulatorError, RequestError
from emulator.service import Service
from emulator.version import VERSION

__all__ = ["ApiServer", "create_app"]


def create_app(service: Service) -> InvokeRoute:
    """Everything behind the emulator's port, as one ASGI application."""
    app = FastAPI(
        title="lambda-freezer",
        version=VERSION,
        openapi_url="/_emulator/api/openapi.json",
        docs_url="/_emulator/api/docs",
        redoc_url=None,
    )
    app.include_router(inspection_routes(service))
    app.add_exception_handler(EmulatorError, _answer_error)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_api_route(
        "/{path:path}",
        _not_implemented,
        methods=["GET", "POST", "PUT", "DELETE", "PATCH"],
        include_in_schema=False,
    )
    return InvokeRoute(service, StreamRoute(service, app))  # the one that has to be fast is asked first


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EmulatorError), "it is registered for these only"
    status = error.status if isinstance(error, RequestError) else 503 if isinstance(error, DatabaseError) else 500
    return JSONResponse({"error": error.message, "cure": error.cure}, status_code=status)


async def _refuse_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "it is registered for these only"
    # Without what was found, as the framework would have it: for a number like NaN JSON has no word.
    detail = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


async def _not_implemented(path: str, request: Request) -> JSONResponse:
    if not path.startswith("20"):
        return JSONResponse({"error": f"there is no /{path}", "cure": "See /_emulator/api/docs."}, status_code=404)
    return JSONResponse(
        {"Type": "User", "Message": f"{request.method} /{path} is not implemented by this emulator"},
        status_code=501,
        headers={"x-amzn-ErrorType": "NotImplementedException"},
    )


class _Server(uvicorn.Server):
    """Leaves signals alone: whoever runs the loop decides what Ctrl-C does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves an application. The socket is bound first, so that a port in use is a plain error at once."""

    def __init__(self, service: Service, *, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._listener: socket.socket | None = None
        config = uvicorn.Config(
            create_app(service),
            log_level="warning",
            access_log=False,
            http="httptools",
            ws="none",
            lifespan="off",
            server_header=False,
            timeout_keep_alive=3600,
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        assert self._listener is not None, "the server has an address once it was entered"
        host, port = self._listener.getsockname()[:2]
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"

    def bind(self) -> None:
        """Take the port.

        Raises:
            AddressInUseError: somebody else has it, or the address is not ours.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
            listener.listen(2048)  # two that are only bound do not get in each other's way, and then one cannot listen
        except OSError as error:
            listener.close()
            raise AddressInUseError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}",
                cure="Stop what runs there, or take another port: --port 3002 (0 takes any free one)."
                if error.errno in (errno.EADDRINUSE, errno.EACCES)
                else "host is an IPv4 address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them.",
            ) from error
        self._listener = listener

    async def __aenter__(self) -> Self:
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:  # it has no event to wait for; it takes a few rounds of the loop
            await asyncio.sleep(0)
            if self._task.done():
                await self._task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self.close()

    def close(self) -> None:
        """Give the port back, whether or not anybody was served on it."""
        if self._listener is not None:
            self._listener.close()
