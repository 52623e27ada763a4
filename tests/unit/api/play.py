"""The doors for invocations over one pool on a stage, and a client that asks."""

from __future__ import annotations

import asyncio
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from emulator import text
from emulator.api.invoke import InvokeRoute, Message, Receive, Route, Scope, Send
from emulator.api.urls import UrlDoor
from emulator.asynchronous import Events
from emulator.concurrency import Concurrency
from emulator.doorstep import Doorstep
from emulator.errors import FunctionNotFoundError
from emulator.http_events.routes import Routes
from emulator.invocation import Invocation
from emulator.model import EnvironmentId, RequestId
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.service import Service
from emulator.urls import Urls
from tests.unit.stage import PlayedRuntime, Stage

__all__ = ["REGION", "Answered", "Play"]

REGION = "us-east-1"
_PATHS = {
    "InvokeRoute": "/2015-03-31/functions/{}/invocations",
    "StreamRoute": "/2021-11-15/functions/{}/response-streaming-invocations",
}


@dataclass
class Answered:
    """What the client got, so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Play:
    """A route over one pool on a stage; behind it an application that only says that it was reached."""

    def __init__(self, *, limit: int = 10, route: type[Route] | type[UrlDoor] = InvokeRoute) -> None:
        self.stage = Stage()
        self.concurrency = Concurrency(limit)
        self.pool = Pool(self.stage.function, self.stage.surroundings, Policy("keep-warm"), self.concurrency)
        self.events = Events(
            self.stage.clock,
            self.stage.timeline,
            self.stage.surroundings.spawn,
            make=self.new_invocation,
            base=Path(),
            arn=lambda name: self.arn(name, "$LATEST"),
            at_rest=self._at_rest,
        )
        self.events.add(self.pool)
        self.settings = types.SimpleNamespace(emulator=types.SimpleNamespace(region=REGION, account="123456789012"))
        self.urls, self.routes = Urls(), Routes()
        self.clock = self.stage.clock
        self.doorstep = Doorstep()
        self.state = None
        self.route = route(cast(Service, self), self._inner)
        self.reached: list[Scope] = []
        self.invocations: list[Invocation] = []
        self.answered = Answered()
        self.client_reads = asyncio.Event()
        self.client_reads.set()

    # What the route needs of a service.

    def arn(self, name: str, qualifier: str | None = None) -> str:
        return text.function_arn(REGION, "123456789012", name, qualifier)

    aliases: tuple[str, ...] = ()
    """Names that lead to what is deployed."""

    def target(self, name: str, qualifier: str | None) -> str:
        if qualifier not in (None, "$LATEST", *self.aliases):
            raise FunctionNotFoundError(f"Function not found: {self.arn(name, qualifier)}")
        return name

    def new_invocation(self, name: str, payload: bytes, *, qualifier: str | None = None) -> Invocation:
        if name != "orders":
            raise FunctionNotFoundError(f"Function not found: {self.arn(name, '$LATEST')}")
        return Invocation(
            RequestId(text.new_request_id()), payload, self.arn(name, qualifier), "Root=1-5bef-77;Sampled=0"
        )

    def submit(self, name: str, invocation: Invocation) -> None:
        self.invocations.append(invocation)
        if invocation.asynchronous:
            self.events.accept(name, invocation)
        else:
            self.pool.submit(invocation)

    async def _at_rest(self, environment_id: EnvironmentId) -> None:
        raise AssertionError("nobody skips time here")

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)

    # What a client does.

    def ask(
        self,
        name: str = "orders",
        *pieces: bytes,
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> asyncio.Task[Answered]:
        """Begin a request; the task ends with what the client got, and ``answered`` shows it as it comes."""
        path = _PATHS[type(self.route).__name__].format(quote(name, safe="$"))
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in (headers or {}).items()],
        }
        return asyncio.get_running_loop().create_task(self._asked(scope, list(pieces) or [b"{}"]))

    def http(
        self,
        method: str = "GET",
        target: str = "/",
        *pieces: bytes,
        host: str = "127.0.0.1:3001",
        headers: dict[str, str] | None = None,
    ) -> asyncio.Task[Answered]:
        """Begin a request of any kind; as :meth:`ask`."""
        path, _, query = target.partition("?")
        named = {"host": host} | (headers or {})
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in named.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 3001),
        }
        return asyncio.get_running_loop().create_task(self._asked(scope, list(pieces) or [b""]))

    async def _asked(self, scope: Scope, pieces: list[bytes]) -> Answered:
        answered = self.answered = Answered()

        async def receive() -> Message:
            if not pieces:
                await asyncio.get_running_loop().create_future()  # nothing more comes from this client
            body = pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            await self.client_reads.wait()
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = {key.decode(): value.decode() for key, value in message["headers"]}
            else:
                answered.body += message["body"]

        await self.route(scope, receive, send)
        return answered

    async def runtime(self) -> PlayedRuntime:
        """The runtime of the environment that was just started, with its event."""
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime

    async def refused(self, name: str = "orders", *pieces: bytes, **asked: Any) -> Answered:
        """A request that is answered without any environment."""
        async with asyncio.timeout(30):
            answered = await self.ask(name, *pieces, **asked)
        assert self.stage.provider.sandboxes == []
        assert answered.headers["content-length"] == str(len(answered.body))
        return answered
