"""What all operations of the control plane share: the service below, the registry, names, and the way to a record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from emulator.clock import Clock
from emulator.control.registry import FunctionRecord, Registry, Version
from emulator.errors import FunctionNotFoundError
from emulator.function_names import FunctionName, parse_function_name
from emulator.model import LATEST
from emulator.service import Service

__all__ = ["Control", "Operation"]

Operation = Callable[["Control", dict[str, Any]], Awaitable[dict[str, Any]]]
"""One operation: a parsed request, by the model's names, becomes an answer, by the model's names.

Raises:
    RequestError: as AWS would answer.
"""


class Control:
    """The control plane of one emulator.

    Arguments:
        on_change: called when there is something to be saved.
    """

    def __init__(self, service: Service, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.service = service
        self.registry = Registry()
        self.changed = on_change

    @property
    def folder(self) -> Path:
        """Where what clients send is kept."""
        return self.service.folder / "control"

    @property
    def clock(self) -> Clock:
        return self.service.clock

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
