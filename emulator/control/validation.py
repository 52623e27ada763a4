"""Whether a request keeps to the API's model, told in AWS's words. Pure.

All that is wrong is told at once, as AWS does. What a runtime is called is the one thing that AWS looks at elsewhere,
and answers with another error [R].
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.control.service_model import ServiceModel, Shape
from emulator.errors import InvalidParameterValueError, ValidationError

__all__ = ["check_request"]

_SEPARATORS = "\x20\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LATER = "runtime"  # the member whose value AWS looks at elsewhere


def check_request(model: ServiceModel, shape: Shape, request: Mapping[str, Any]) -> None:
    """Nothing, where it is as the model wants it.

    Arguments:
        shape: of the operation's input.
        request: by the model's names, of the types that the model has.

    Raises:
        ValidationError: it is not; the message tells everything that is wrong.
        InvalidParameterValueError: nothing is but the runtime.
    """
    if problems := list(_of_structure(model, shape, request, "")):
        noun = "error" if len(problems) == 1 else "errors"
        raise ValidationError(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")
    runtime = request.get("Runtime")
    if isinstance(runtime, str) and "Runtime" in shape.members:
        allowed = model.shape("Runtime").enum
        if runtime not in allowed:
            raise InvalidParameterValueError(
                f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
                f"[{', '.join(allowed)}] or be a valid ARN"
            )


def _of_structure(model: ServiceModel, shape: Shape, given: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        where = f"{path}{_wire_case(name)}"
        if (value := given.get(name)) is not None:
            yield from _of_value(model, model.shape(member.shape), value, where)
        elif name in shape.required:
            yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"


def _of_value(model: ServiceModel, shape: Shape, value: Any, where: str) -> Iterator[str]:
    for constraint in () if where == _LATER else _broken(shape, value):
        yield f"{_value(shape, value)} at '{where}' failed to satisfy constraint: {constraint}"
    match shape.kind:
        case "structure":
            yield from _of_structure(model, shape, value, f"{where}.")
        case "list":
            element = model.shape(shape.element)
            if element.kind == "structure":
                for number, item in enumerate(value, 1):
                    yield from _of_value(model, element, item or {}, f"{where}.{number}.member")
            elif any(item is None or any(_broken(element, item)) for item in value):
                yield _of_all(shape, value, where, "Member", element)
        case "map":
            key, element = model.shape(shape.key), model.shape(shape.element)
            if any(any(_broken(key, item)) for item in value):
                yield _of_all(shape, value, where, "Map keys", key)
            if any(item is None or any(_broken(element, item)) for item in value.values()):
                yield _of_all(shape, value, where, "Map value", element)


def _of_all(shape: Shape, value: Any, where: str, whose: str, element: Shape) -> str:
    """[R] Of a list's members AWS says which constraints they have, not which one is broken."""
    told = ", ".join([*(constraint for constraint, _ in _constraints(element)), "Member must not be null"])
    found = f"{_value(shape, value)} at '{where}'"
    return f"{found} failed to satisfy constraint: {whose} must satisfy constraint: [{told}]"


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    return (constraint for constraint, holds in _constraints(shape) if not holds(value))


def _constraints(shape: Shape) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    """What AWS says of each, in its order, and how to tell."""
    if shape.kind in ("integer", "long", "double"):
        yield from _limits("value", shape, lambda value: value)
    elif shape.kind in ("string", "blob", "list", "map"):
        yield from _limits("length", shape, len)
    if shape.pattern is not None:
        pattern = _compiled(shape.pattern)
        yield (
            f"Member must satisfy regular expression pattern: {shape.pattern}",
            lambda value: bool(pattern.fullmatch(value)),
        )
    if shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]", shape.enum.__contains__


def _limits(what: str, shape: Shape, measured: Callable[[Any], float]) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    low, high = shape.low, shape.high
    if shape.kind == "double":  # [R] 1.0
        low, high = (None if limit is None else float(limit) for limit in (low, high))
    if high is not None:
        yield f"Member must have {what} less than or equal to {high}", lambda value: measured(value) <= high
    if low is not None:
        yield f"Member must have {what} greater than or equal to {low}", lambda value: measured(value) >= low


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in Java's words; ``\\p{L}`` and its like, of tags, are all that Python says otherwise."""
    if r"\p{" not in pattern:
        return re.compile(pattern, re.ASCII)
    return re.compile(pattern.replace(r"\p{L}", r"\w").replace(r"\p{N}", "").replace(r"\p{Z}", _SEPARATORS))


def _value(shape: Shape, value: Any) -> str:
    return "Value" if shape.sensitive or shape.kind == "blob" else f"Value '{_as_java(value)}'"


def _as_java(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case dict():
            return f"{{{', '.join(f'{key}={_as_java(item)}' for key, item in value.items())}}}"
        case list():
            return f"[{', '.join(map(_as_java, value))}]"
    return str(value)


def _wire_case(name: str) -> str:
    """[R] ``FunctionName`` is told as ``functionName``, ``S3Key`` as ``s3Key``, ``KMSKeyArn`` as ``kMSKeyArn``."""
    return name[:1].lower() + name[1:]
