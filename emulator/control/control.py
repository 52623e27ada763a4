"""What all operations of the control plane share: the service below, the registry, names, and the way to a record."""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from emulator import text
from emulator.clock import Clock
from emulator.control.code import CodeStore
from emulator.control.configuration import is_same, settings_of
from emulator.control.registry import Code, FunctionRecord, Registry, Version
from emulator.errors import FunctionNotFoundError
from emulator.function_names import FunctionName, parse_function_name
from emulator.model import LATEST, Function
from emulator.service import Service

__all__ = ["Control", "Operation"]

Operation = Callable[["Control", dict[str, Any]], Awaitable[dict[str, Any]]]
"""One operation: a parsed request, by the model's names, becomes an answer, by the model's names.

Raises:
    RequestError: as AWS would answer.
"""


class Control:
    """The control plane of one emulator.

    Functions that were deployed by other ways (the file, a program) are taken up as soon as somebody asks.

    Arguments:
        on_change: called when there is something to be saved.
        folder: where what clients send is kept, if not in the emulator's own, which goes with it.

    Attributes:
        turns: by the name of a function, whose turn it is to deploy it: one after the other.
    """

    def __init__(
        self, service: Service, *, on_change: Callable[[], None] = lambda: None, folder: Path | None = None
    ) -> None:
        self.service = service
        self._folder = folder
        self.changed = on_change
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._registry = Registry()
        self._deployed: dict[str, Function] = {}
        self._deploying: set[str] = set()

    @property
    def registry(self) -> Registry:
        """What there is, with what was deployed by other ways until now."""
        for function in self.service.functions:
            if self._deployed.get(function.name) is not function and function.name not in self._deploying:
                self._take_up(function)
        return self._registry

    def take_over(self, registry: Registry) -> None:
        """Know what another control plane has known; nothing of it runs yet but what was deployed by other ways."""
        self._registry = registry
        self._deployed.clear()

    @functools.cached_property
    def code(self) -> CodeStore:
        """Where the code is that clients send."""
        return CodeStore(self.folder / "code")

    @property
    def folder(self) -> Path:
        """Where what clients send is kept."""
        return self._folder if self._folder is not None else self.service.folder / "control"

    @property
    def clock(self) -> Clock:
        return self.service.clock

    @property
    def role(self) -> str:
        """What is shown as the role of functions that have none: it has a right form, and nobody has it."""
        return f"arn:aws:iam::{self.service.settings.emulator.account}:role/lambda-freezer"

    def deployed(self, name: str) -> Function | None:
        """What runs under this name."""
        return next((function for function in self.service.functions if function.name == name), None)

    async def deploy(self, function: Function) -> None:
        """Have a function run, or what it has become.

        Raises:
            EmulatorError: it cannot; what there was goes on.
        """
        self._deploying.add(function.name)
        try:
            await self.service.functions.add(function)
        finally:
            self._deploying.discard(function.name)
            if (deployed := self.deployed(function.name)) is not None:
                self._deployed[function.name] = deployed

    def remove(self, name: str) -> None:
        """The function is no more, neither here nor there."""
        del self._registry.functions[name]
        self._deployed.pop(name, None)
        self.service.functions.remove(name)
        self.changed()

    def _take_up(self, function: Function) -> None:
        name = function.name
        record, before = self._registry.functions.get(name), self._deployed.get(name)
        self._deployed[name] = function
        if record is not None and before is not None and is_same(before, function):
            return
        version = Version(
            LATEST,
            settings_of(function, self.role if record is None else record.latest.settings["Role"]),
            Code("image", "", image=function.image) if function.is_image else Code("folder", str(function.code)),
            text.new_request_id(),
            self.clock.now(),
        )
        if record is None:
            self._registry.functions[name] = FunctionRecord(name, version, other={"given": True})
        elif before is not None or not _is_as_before(record.latest, version):
            record.latest = version

    def arn(self, name: str, qualifier: str | None = None) -> str:
        """Of a function, with a qualifier only where one is given."""
        return self.service.arn(name, qualifier)

    def named(self, request: dict[str, Any]) -> FunctionName:
        """Name and qualifier of a request's ``FunctionName`` and ``Qualifier``, in any of the forms that AWS takes.

        Raises:
            RequestError: it has none of these forms, or is of another account or region, or two qualifiers differ.
        """
        emulator = self.service.settings.emulator
        return parse_function_name(request["FunctionName"], request.get("Qualifier"), emulator.region, emulator.account)

    def find(self, request: dict[str, Any]) -> FunctionRecord:
        """The function that a request names; whether it has the qualifier is not looked at.

        Raises:
            FunctionNotFoundError: there is none; the text names it as the request does.
            RequestError: as :meth:`named`.
        """
        name, qualifier = self.named(request)
        return self.record(name, qualifier)

    def record(self, name: str, qualifier: str | None = None) -> FunctionRecord:
        """A function by its plain name; the qualifier is only for the text.

        Raises:
            FunctionNotFoundError: there is none.
        """
        record = self.registry.functions.get(name)
        if record is None:
            raise FunctionNotFoundError(f"Function not found: {self.arn(name, qualifier)}")
        return record

    def find_version(self, request: dict[str, Any]) -> tuple[FunctionRecord, Version]:
        """The version that a request's qualifier stands for: itself, or an alias's first one; else ``$LATEST``.

        Raises:
            FunctionNotFoundError: there is no such function, version or alias.
        """
        name, qualifier = self.named(request)
        record = self.record(name, qualifier)
        alias = record.aliases.get(qualifier or LATEST)
        version = record.version(alias.version if alias is not None else qualifier)
        if version is None:
            raise FunctionNotFoundError(f"Function not found: {self.arn(name, qualifier)}")
        return record, version


def _is_as_before(kept: Version, deployed: Version) -> bool:
    """Whether a client would see the same, so that its revision can stay."""
    return (kept.settings, kept.code, kept.state, kept.update) == (
        deployed.settings,
        deployed.code,
        deployed.state,
        deployed.update,
    )
