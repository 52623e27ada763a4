"""The HTTP application, and the server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emulator import text
from emulator.api.front import Front
from emulator.api.guard import Guard
from emulator.api.http_call import BREAK_OFF
from emulator.api.invoke import InvokeRoute, Receive, Scope, Send, send_answer
from emulator.api.stream import StreamRoute
from emulator.api.urls import UrlDoor
from emulator.errors import AddressInUseError
from emulator.service import Service

if TYPE_CHECKING:
    from emulator.control.keeping import Keeper

__all__ = ["ApiServer"]

_STATUS = "/_emulator/api/status"

_Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Late:
    """The general application, made when somebody first asks for it, or when there is time for it.

    Importing its framework takes longer than all else that a start does, and invocations do without it.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.keeper: Keeper | None = None
        self._made: asyncio.Future[_Application] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_made and scope["path"] == _STATUS and scope["method"] == "GET":
            # Whoever waits until the emulator is there asks for this again and again: it is there now.
            body = text.to_json(asdict(self._service.status()))
            await send_answer(send, 200, [(b"content-type", b"application/json")], body)
            return
        application = await self.make()
        await application(scope, receive, send)

    @property
    def _is_made(self) -> bool:
        return self._made is not None and self._made.done()

    def make(self) -> asyncio.Future[_Application]:
        """Begin to make it, once."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._import_and_make))
        return self._made

    def _import_and_make(self) -> _Application:
        from emulator.api.general import create_general_app

        return create_general_app(self._service, self.keeper)


class _Protocol(HttpToolsProtocol):
    """Lets an application close the connection in the middle of a response."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {BREAK_OFF: {"close": self.transport.close}}


class _Server(uvicorn.Server):
    """Leaves signals alone: whoever runs the loop decides what Ctrl-C does. It looks up when it is to end, and else for
    the date in its answers only, which changes once a second and not ten times.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_to_end = asyncio.Event()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._is_to_end.wait()

    def end(self) -> None:
        self.should_exit = True
        self._is_to_end.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves an application. The socket is bound first, so that a port in use is a plain error at once."""

    def __init__(self, service: Service, *, host: str, port: int) -> None:
        self._service, self._host, self._port = service, host, port
        self._listener: socket.socket | None = None
        self._general = _Late(service)
        route = InvokeRoute(service, StreamRoute(service, self._general))  # the one that has to be fast is asked first

        def front(**made: Any) -> Front:
            general = functools.partial(_Protocol, **made)
            return Front(route, made["server_state"], general, service.doorstep.watch)

        config = uvicorn.Config(
            UrlDoor(service, Guard(route)),
            log_level="warning",
            access_log=False,
            http=front,  # type: ignore[arg-type]
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

    def prepare(self) -> None:
        """There is time now to make ready for what is not an invocation; else the first to ask waits for it."""
        self._general.make()

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
        self._service.urls.port = listener.getsockname()[1]

    async def __aenter__(self) -> Self:
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        if (state := self._service.state) is not None:
            from emulator.control.keeping import Keeper

            self._general.keeper = await Keeper.restored(self._service, state)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:  # it has no event to wait for; it takes a few rounds of the loop
            await asyncio.sleep(0)
            if self._task.done():
                await self._task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.end()
        if self._task is not None:
            await self._task
        if self._general.keeper is not None:
            await self._general.keeper.settled()
        self.close()

    def close(self) -> None:
        """Give the port back; to be called as well where it was bound and never served. Idempotent."""
        if self._listener is not None:
            self._listener.close()
