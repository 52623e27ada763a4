"""AWS's own description of Lambda's API, as botocore brings it: operations, and the shapes of what they take and give.

The description is a large file of a large package, so it is read when the first control request comes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

__all__ = ["Member", "OperationModel", "ServiceModel", "Shape", "load_service_model"]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure.

    Attributes:
        shape: the name of what it holds.
        wire_name: how it is called where it travels.
        location: ``uri``, ``querystring``, ``header`` or ``statusCode``; ``None`` in the body.
    """

    shape: str
    wire_name: str
    location: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be.

    Attributes:
        kind: ``structure``, ``list``, ``map``, ``string``, ``integer``, ``long``, ``double``, ``boolean``, ``blob`` or
            ``timestamp``.
        members: of a structure.
        required: which of them have to be there.
        payload: the member of a structure that is the whole body.
        element: the shape of a list's elements, or of a map's values.
        key: the shape of a map's keys.
        low: the least value or length; ``high`` likewise.
        sensitive: its value is not repeated in messages.
    """

    name: str
    kind: str
    members: Mapping[str, Member] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    payload: str | None = None
    element: str = ""
    key: str = ""
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    low: float | None = None
    high: float | None = None
    sensitive: bool = False

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any]) -> Shape:
        """From its description."""
        members = {
            member: Member(told["shape"], told.get("locationName", member), told.get("location"))
            for member, told in raw.get("members", {}).items()
        }
        return cls(
            name,
            raw["type"],
            members,
            tuple(raw.get("required", ())),
            raw.get("payload"),
            (raw.get("member") or raw.get("value") or {}).get("shape", ""),
            raw.get("key", {}).get("shape", ""),
            tuple(raw.get("enum", ())),
            raw.get("pattern"),
            raw.get("min"),
            raw.get("max"),
            raw.get("sensitive", False),
        )


@dataclass(frozen=True, slots=True)
class OperationModel:
    """One operation.

    Attributes:
        path: the template's parts between slashes; ``None`` for a label.
        labels: the names of the labels, in their order.
        query: what has to stand in the query for it to be this operation.
        status: of an answer without an error.
        takes, gives: the names of its input and output; ``None`` for nothing.
    """

    name: str
    method: str
    template: str
    path: tuple[str | None, ...]
    labels: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    status: int
    takes: str | None
    gives: str | None

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any]) -> OperationModel:
        """From its description."""
        http = raw["http"]
        path, _, query = http["requestUri"].partition("?")
        parts = [part for part in path.split("/") if part]
        return cls(
            name,
            http["method"],
            path,
            tuple(None if part.startswith("{") else part for part in parts),
            tuple(part.strip("{}") for part in parts if part.startswith("{")),
            tuple(parse_qsl(query)),
            http.get("responseCode", 200),
            raw.get("input", {}).get("shape"),
            raw.get("output", {}).get("shape"),
        )


class ServiceModel:
    """All operations and shapes.

    Arguments:
        raw: the description, as it stands in botocore's file.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._shapes: Mapping[str, Any] = raw["shapes"]
        self.operations = {name: OperationModel.of(name, told) for name, told in raw["operations"].items()}
        self._made: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        """The shape of that name."""
        if (made := self._made.get(name)) is None:
            made = self._made[name] = Shape.of(name, self._shapes[name])
        return made

    def __iter__(self) -> Iterator[OperationModel]:
        return iter(self.operations.values())


@functools.cache
def load_service_model() -> ServiceModel:
    """Read it, once; that takes a fifth of a second."""
    from botocore.loaders import Loader

    return ServiceModel(cast("Mapping[str, Any]", Loader().load_service_model("lambda", "service-2")))
