"""The control plane over a service that only remembers; what is asked goes through botocore's writer and reader."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.serialize import create_serializer

from emulator import text
from emulator.api.invoke import error_answer
from emulator.clock import FakeClock
from emulator.concurrency import Concurrency
from emulator.config import Settings
from emulator.control.control import Control
from emulator.control.operations import OPERATIONS
from emulator.control.protocol import Protocol
from emulator.control.registry import Alias, Code, FunctionRecord, Version
from emulator.control.service_model import load_service_model
from emulator.errors import EmulatorError, RequestError
from emulator.event_settings import Asynchronous
from emulator.invocation import Invocation
from emulator.model import Function, RequestId
from emulator.provisioned import ProvisionedView
from emulator.qualifiers import Routing
from emulator.service import Service
from emulator.urls import Urls
from tests.conformance.shapes import SERVICE, parse_answer

__all__ = ["ACCOUNT", "ARN", "Play", "refused"]

ACCOUNT, REGION = "123456789012", "us-east-1"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders"

_protocol = Protocol(load_service_model())
_serializer = create_serializer("rest-json", include_validation=False)


class _PlayedFunctions:
    """What operations ask of the deployed functions, without any pool."""

    def __init__(self) -> None:
        self.deployed: dict[str, Function] = {}
        self.views: dict[str, ProvisionedView] = {}
        self.wanted: dict[str, int] = {}
        self.asynchronous: dict[str, Asynchronous] = {}
        self.alias_asynchronous: dict[str, Asynchronous | None] = {}
        self.loops: set[str] = set()
        self.versions: dict[str, Function] = {}
        self.routings: dict[str, Routing] = {}
        self.held_back: dict[str, str] = {}
        self.refuses_with: EmulatorError | None = None

    def __iter__(self) -> Iterator[Function]:
        return iter(list(self.deployed.values()))

    async def add(self, function: Function) -> None:
        if self.refuses_with is not None:
            raise self.refuses_with
        self.deployed[function.name] = replace(function)
        self.held_back.pop(function.name, None)

    async def add_version(self, function: Function) -> None:
        if self.refuses_with is not None:
            raise self.refuses_with
        self.versions[function.key] = function
        self.held_back.pop(function.key, None)

    def remove(self, name: str) -> None:
        self.deployed.pop(name, None)
        self.held_back.pop(name, None)
        for key in [key for key, version in self.versions.items() if version.name == name]:
            del self.versions[key]

    def remove_version(self, name: str, version: str) -> None:
        self.versions.pop(f"{name}:{version}", None)

    def hold_back(self, key: str, state: str) -> None:
        self.held_back[key] = state

    async def until_unused(self, code: Path) -> None:
        """Nothing runs here."""

    def set_alias(self, name: str, alias: str, routing: Routing) -> None:
        self.routings[f"{name}:{alias}"] = routing

    def remove_alias(self, name: str, alias: str) -> None:
        self.routings.pop(f"{name}:{alias}", None)

    def named(self, key: str) -> Function:
        return self.deployed[key]

    def reserve(self, name: str, places: int | None) -> None:
        self.deployed[name] = replace(self.deployed[name], reserved_concurrency=places)

    def provision(self, key: str, number: int) -> None:
        self.wanted[key] = number

    def provisioned(self, key: str) -> ProvisionedView | None:
        return self.views.get(key)

    def allow_loops(self, name: str, allowed: bool) -> None:
        (self.loops.add if allowed else self.loops.discard)(name)

    def set_asynchronous(self, key: str, settings: Asynchronous) -> None:
        self.asynchronous[key] = settings

    def set_alias_asynchronous(self, name: str, alias: str, settings: Asynchronous | None) -> None:
        self.alias_asynchronous[f"{name}:{alias}"] = settings


class _PlayedService:
    """What operations ask of a service, without anything that runs."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.settings = Settings()
        self.clock = FakeClock()
        self.urls = Urls()
        self.functions = _PlayedFunctions()
        self.account = Concurrency(limit)
        self.submitted: list[tuple[str, Invocation]] = []
        self.spawned: list[Coroutine[Any, Any, None]] = []
        self.troubles: list[str] = []

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.spawned.append(coroutine)

    def arn(self, name: str, qualifier: str | None = None) -> str:
        return text.function_arn(REGION, ACCOUNT, name, qualifier)

    def concurrency(self) -> tuple[Concurrency, list[Any]]:
        self.account.reserved = sum(one.reserved_concurrency or 0 for one in self.functions)
        return self.account, []

    def take_up_events(self) -> int:
        return 0

    def tell_of_state(self, trouble: str) -> None:
        self.troubles.append(trouble)

    def target(self, name: str, qualifier: str | None) -> str:
        return name if qualifier is None else f"{name}:{qualifier}"

    def new_invocation(self, name: str, payload: bytes, *, qualifier: str | None = None) -> Invocation:
        return Invocation(RequestId("r"), payload, self.arn(name.partition(":")[0], qualifier), "Root=1")

    def submit(self, name: str, invocation: Invocation) -> None:
        self.submitted.append((name, invocation))


class Play:
    """A control plane with the functions ``orders`` (versions 1 and 2, alias ``live`` to 1) and ``other``.

    Arguments:
        folder: for what is kept in files.
        limit: the places of the account.
    """

    def __init__(self, folder: Path, *, limit: int = 1000) -> None:
        self.service = _PlayedService(folder, limit)
        self.changes = 0
        self.control = Control(cast(Service, self.service), on_change=self._changed)
        for name in ("orders", "other"):
            self.service.functions.deployed[name] = Function(name=name, code=folder)
            self.control.registry.functions[name] = FunctionRecord(name, _version("$LATEST"))
        self.record = self.control.registry.functions["orders"]
        self.record.versions = {number: _version(number) for number in ("1", "2")}
        self.record.aliases["live"] = Alias("live", "1", "revision-of-live")

    def settle(self) -> None:
        """What operations have begun comes to its end: until then nothing of it happens."""

        async def all_of_it() -> None:
            while self.service.spawned:
                await self.service.spawned.pop(0)

        asyncio.run(all_of_it())

    def _changed(self) -> None:
        self.changes += 1

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The answer as botocore reads it, compared with the model; an error is raised as it is.

        Raises:
            RequestError: what AWS would answer.
        """
        request = _serializer.serialize_to_request(arguments, SERVICE.operation_model(operation))
        prepare_request_dict(request, "http://127.0.0.1")
        path, _, query = request["url"].removeprefix("http://127.0.0.1").partition("?")
        match = _protocol.match(request["method"], path, query)
        assert match.operation.name == operation
        body = request["body"] if isinstance(request["body"], bytes) else request["body"].encode()
        headers = {key.lower(): str(value) for key, value in request["headers"].items()}
        try:
            parsed = _protocol.read(match, headers, body, len(body))
            answer = asyncio.run(cast(Coroutine[Any, Any, dict[str, Any]], OPERATIONS[operation](self.control, parsed)))
        except RequestError as error:
            answered = error_answer(error)
            told = {name.decode(): value.decode() for name, value in answered.headers}
            parse_answer(operation, answered.status, told, answered.body)
            raise
        status, body = _protocol.write(match.operation, answer)
        parsed = parse_answer(operation, status, {"content-type": "application/json"}, body)
        parsed.pop("ResponseMetadata")
        return parsed


def refused(play: Play, kind: type[RequestError], operation: str, **arguments: Any) -> str:
    """The message with which a request is refused."""
    with pytest.raises(kind) as caught:
        play.ask(operation, **arguments)
    return caught.value.message


def _version(number: str) -> Version:
    return Version(number, {}, Code("folder", "/nowhere"), f"revision-of-{number}", 1_700_000_000.0)
