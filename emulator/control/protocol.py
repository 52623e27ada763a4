"""Requests and answers of the API, read and written as its model says: AWS's ``rest-json``. No I/O.

DIFFERS: AWS answers what matches no operation with the name of the exception alone [I]; here a message says what was
asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote

import pydantic_core

from emulator import text
from emulator.control.service_model import Member, OperationModel, ServiceModel, Shape
from emulator.control.validation import check_request
from emulator.errors import (
    InvalidRequestContentError,
    RequestTooLargeError,
    SerializationError,
    UnknownOperationError,
    UnsupportedMediaTypeError,
)

__all__ = ["MAX_CODE_BODY_BYTES", "Match", "Protocol", "body_limit"]

MAX_CODE_BODY_BYTES = 70_167_211
"""[R] "Request must be smaller than 70167211 bytes for the CreateFunction operation": code in base64, and the rest."""

_MAX_BODY_BYTES = 6_291_456  # [I] what no code is in may be as large as an invocation
_WITH_CODE = frozenset({"CreateFunction", "UpdateFunctionCode", "PublishLayerVersion"})
_STATUSES = {"DeleteFunction": 204}  # [R] the wire's, not the model's
_INTEGERS = {"integer": 2**31, "long": 2**63}
_NOUNS = {"string": "a String", "integer": "an Integer", "long": "a Long", "double": "a Double", "boolean": "a Boolean"}


def body_limit(operation: str) -> int:
    """How many bytes a request's body may have."""
    return MAX_CODE_BODY_BYTES if operation in _WITH_CODE else _MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Match:
    """A request's operation, what stands in its path, and its query."""

    operation: OperationModel
    labels: Mapping[str, str]
    query: tuple[tuple[str, str], ...]


class Protocol:
    """The API's way of talking.

    Arguments:
        model: what its operations and shapes are.
    """

    def __init__(self, model: ServiceModel) -> None:
        self.model = model
        self._routes: dict[tuple[str, int], list[OperationModel]] = {}
        for operation in model:
            self._routes.setdefault((operation.method, len(operation.path)), []).append(operation)
        for routes in self._routes.values():
            routes.sort(key=lambda operation: (operation.labels != (), -len(operation.query)))

    def match(self, method: str, path: str, query: str) -> Match:
        """The operation that a request is for.

        Arguments:
            path: still quoted, for an ARN in it may hold a slash.

        Raises:
            UnknownOperationError: there is none.
        """
        parts = path.removeprefix("/").split("/")
        if len(parts) > 1 and parts[-1] == "":
            parts.pop()  # older clients end the path of a collection with a slash
        asked = tuple(parse_qsl(query, keep_blank_values=True))
        for operation in self._routes.get((method, len(parts)), ()):
            pairs = list(zip(operation.path, parts, strict=True))
            if all(part in (None, found) for part, found in pairs) and set(operation.query) <= set(asked):
                found = (unquote(found, errors="replace") for part, found in pairs if part is None)
                return Match(operation, dict(zip(operation.labels, found, strict=True)), asked)
        raise UnknownOperationError(f"There is no operation {method} {path}")

    def read(self, match: Match, headers: Mapping[str, str], body: bytes, size: int) -> dict[str, Any]:
        """A request by the names of the model, checked against it; members that are ``null`` or not known are left out.

        Arguments:
            headers: by their names in lower case.
            body: empty where it was larger than :func:`body_limit` allows.
            size: of the whole body, in bytes.

        Raises:
            RequestError: it is too large, no JSON, of other types than the model has, or not valid.
        """
        operation = match.operation
        if size > (limit := body_limit(operation.name)):
            raise RequestTooLargeError(f"Request must be smaller than {limit} bytes for the {operation.name} operation")
        if operation.takes is None:
            return {}
        shape = self.model.shape(operation.takes)
        request: dict[str, Any] = {}
        if shape.payload is not None:
            request[shape.payload] = body
        elif any(member.location is None for member in shape.members.values()):
            _check_content_type(headers.get("content-type", ""), body)
            request |= self._of_json(shape, _parse(body))
        for name, member in shape.members.items():
            if (value := self._outside_body(match, headers, member)) is not None:
                request[name] = value
        check_request(self.model, shape, request)
        return request

    def write(self, operation: OperationModel, answer: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body of an answer.

        Raises:
            TypeError: the answer is not of the model: an error of whoever made it.
        """
        status = _STATUSES.get(operation.name, operation.status)
        shape = self.model.shape(operation.gives) if operation.gives is not None else None
        body = self._to_json(shape, answer) if shape is not None else dict(answer)
        if shape is None and body:
            raise TypeError(f"{operation.name} answers nothing, and was given {sorted(body)}")
        return status, b"" if status == HTTPStatus.NO_CONTENT else text.to_json(body)

    # -- reading -----------------------------------------------------------------------------------------

    def _outside_body(self, match: Match, headers: Mapping[str, str], member: Member) -> Any:
        shape = self.model.shape(member.shape)
        match member.location:
            case "uri":
                return _from_text(shape, match.labels[member.wire_name])
            case "header":
                given = headers.get(member.wire_name.lower())
                return _from_text(shape, given) if given is not None else None
            case "querystring":
                values = [value for key, value in match.query if key == member.wire_name]
                if shape.kind == "list":
                    element = self.model.shape(shape.element)
                    return [_from_text(element, value) for value in values] or None
                return _from_text(shape, values[-1]) if values else None
        return None

    def _of_json(self, shape: Shape, value: Any) -> Any:
        """A value of the body, with all below it."""
        match shape.kind:
            case "structure":
                return {
                    name: self._of_json(self.model.shape(member.shape), inner)
                    for name, member in shape.members.items()
                    if member.location is None and (inner := _object(value).get(member.wire_name)) is not None
                }
            case "list":
                if not isinstance(value, list):
                    raise SerializationError("Expected list or null")  # [I]
                element = self.model.shape(shape.element)
                return [None if item is None else self._of_json(element, item) for item in value]
            case "map":
                element = self.model.shape(shape.element)
                return {
                    key: None if item is None else self._of_json(element, item) for key, item in _object(value).items()
                }
        return _scalar(shape, value)

    # -- writing -----------------------------------------------------------------------------------------

    def _to_json(self, shape: Shape, value: Any) -> Any:
        match shape.kind:
            case "structure":
                if unknown := sorted(value.keys() - shape.members.keys()):
                    raise TypeError(f"{shape.name} has no {', '.join(unknown)}")
                return {
                    member.wire_name: self._to_json(self.model.shape(member.shape), value[name])
                    for name, member in shape.members.items()
                    if member.location is None and value.get(name) is not None
                }
            case "list":
                element = self.model.shape(shape.element)
                return [self._to_json(element, item) for item in value]
            case "map":
                element = self.model.shape(shape.element)
                return {key: self._to_json(element, item) for key, item in value.items()}
            case "blob":
                return base64.b64encode(value).decode()
        return value  # a timestamp is in seconds since the epoch already


def _check_content_type(given: str, body: bytes) -> None:
    kind = given.partition(";")[0].strip().lower()
    if body and kind and "json" not in kind and kind != "application/octet-stream":
        raise UnsupportedMediaTypeError(f"Unsupported content type: {kind}. The body of this request is JSON.")


def _parse(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise InvalidRequestContentError(f"Could not parse request body into json: {error}") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SerializationError("Expected map or null")  # [I]
    return value


def _scalar(shape: Shape, value: Any) -> Any:
    """A value that has nothing below it, as Python has it.

    Raises:
        SerializationError: it is of another type than the model says.
    """
    kind = shape.kind
    if isinstance(value, dict):
        raise SerializationError("Start of structure or map found where not expected.")  # [X]
    if isinstance(value, list):
        raise SerializationError("Start of list found where not expected")  # [X]
    if kind in ("string", "blob"):
        if not isinstance(value, str):
            _refuse(shape, value)
        return value if kind == "string" else _blob(value)
    if kind == "boolean":
        if not isinstance(value, bool):
            _refuse(shape, value)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _INTEGERS.get(kind, 1e308):
        _refuse(shape, value)
    return int(value) if kind in _INTEGERS else value


def _refuse(shape: Shape, value: Any) -> NoReturn:
    """[X] as PHP's and TypeScript's users report it."""
    found = f"{value}_VALUE".upper() if isinstance(value, bool) else "STRING_VALUE"
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = "NUMBER_VALUE"
    raise SerializationError(f"{found} can not be converted to {_NOUNS.get(shape.kind, 'a Blob')}")


def _blob(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise SerializationError("STRING_VALUE can not be converted to a Blob") from None


def _from_text(shape: Shape, value: str) -> Any:
    """A value from path, query or header."""
    match shape.kind:
        case "string" | "blob":
            return value
        case "boolean":
            if value.lower() not in ("true", "false"):
                _refuse(shape, value)
            return value.lower() == "true"
        case "integer" | "long":
            if not (value.removeprefix("-").isdecimal() and value.isascii() and len(value) < 20):
                _refuse(shape, value)
            return _scalar(shape, int(value))
    raise AssertionError(f"nothing of this kind travels outside of bodies: {shape.name}")
