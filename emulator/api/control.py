"""The door of the control plane: every path of AWS's API that no invocation has taken."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from emulator import text
from emulator.api.invoke import error_answer
from emulator.control.control import Control, Operation
from emulator.control.operations import OPERATIONS
from emulator.control.protocol import Match, Protocol, body_limit
from emulator.control.service_model import load_service_model
from emulator.errors import (
    ConfigurationError,
    EmulatorError,
    InvalidParameterValueError,
    InvalidRequestContentError,
    NotImplementedHereError,
)

__all__ = ["ControlDoor"]

_PATHS = re.compile(r"/20\d\d-\d\d-\d\d/.*")
_IN_A_THREAD = 2**20  # bytes from which on a body is read beside the loop


class ControlDoor:
    """Answers control requests.

    Arguments:
        control: what the operations work on.
        operations: those that there are, by the model's names.
        settled: waits until what an operation has changed is kept; it is waited for before its answer.
    """

    def __init__(
        self,
        control: Control,
        operations: Mapping[str, Operation] = OPERATIONS,
        *,
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._control = control
        self._operations = operations
        self._settled = settled
        self._protocol: asyncio.Future[Protocol] | None = None

    @staticmethod
    def takes(path: str) -> bool:
        """Whether a path is one of AWS's: it begins with a date."""
        return _PATHS.fullmatch(path) is not None

    async def answer(self, request: Request) -> Response:
        """Serve one request, whatever is wrong with it."""
        try:
            status, body = await self._serve(request)
        except EmulatorError as error:
            status, headers, body = error_answer(_as_aws_would(error))
            return Response(body, status, {name.decode(): value.decode() for name, value in headers})
        headers_of_success = {"x-amzn-requestid": text.new_request_id()}
        if body:
            headers_of_success["content-type"] = "application/json"
        return Response(body, status, headers_of_success)

    async def _serve(self, request: Request) -> tuple[int, bytes]:
        protocol = await self._load()
        scope = request.scope
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        match = protocol.match(request.method, path, scope["query_string"].decode("latin-1"))
        name = match.operation.name
        body, size = await _read_body(request, body_limit(name))
        if (operation := self._operations.get(name)) is None:
            raise NotImplementedHereError(
                f"{name} is not implemented by this emulator", cure="docs/control.md lists what is."
            )
        headers = {key.lower(): value for key, value in request.headers.items()}
        parsed = await _parse(protocol, match, headers, body, size)
        answer = await operation(self._control, parsed)
        if self._settled is not None:
            await self._settled()
        return protocol.write(match.operation, answer)

    def _load(self) -> asyncio.Future[Protocol]:
        """Begin to read the API's model, once: the first request waits for it, and invocations do not."""
        if self._protocol is None:
            self._protocol = asyncio.ensure_future(asyncio.to_thread(lambda: Protocol(load_service_model())))
        return asyncio.shield(self._protocol)


async def _parse(
    protocol: Protocol, match: Match, headers: Mapping[str, str], body: bytes, size: int
) -> dict[str, object]:
    if len(body) < _IN_A_THREAD:
        return protocol.read(match, headers, body, size)
    return await asyncio.to_thread(protocol.read, match, headers, body, size)


def _as_aws_would(error: EmulatorError) -> EmulatorError:
    """What cannot be deployed is a wrong parameter."""
    if isinstance(error, ConfigurationError):
        return InvalidParameterValueError(str(error).replace("\n", " "))
    return error


async def _read_body(request: Request, limit: int) -> tuple[bytes, int]:
    """The body and its size; of one that is too large only the size, but to its end: its sender has to hear of it."""
    body, size = bytearray(), 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size <= limit:
                body += piece
            else:
                body.clear()
    except ClientDisconnect:
        raise InvalidRequestContentError("The request ended before its body did") from None
    return bytes(body), size
