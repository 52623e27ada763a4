"""Long lists, in pieces. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from emulator.errors import InvalidParameterValueError

__all__ = ["page"]

T = TypeVar("T")


def page(
    items: Sequence[T], request: Mapping[str, Any], member: str, key: Callable[[T], str], *, size: int = 50
) -> dict[str, Any]:
    """One piece of a list, as an answer: ``member`` has the items, ``NextMarker`` says that there are more.

    A marker names the last item that was told; so what comes or goes between two pieces disturbs neither.

    Arguments:
        items: all of them, in an order that stays.
        request: its ``Marker`` and ``MaxItems`` say which piece.
        key: what tells an item from all others.
        size: how many there are at most in a piece [D].

    Raises:
        InvalidParameterValueError: the marker is none of ours.
    """
    after = _read(request["Marker"]) if request.get("Marker") else None
    keys = [key(item) for item in items]
    if after is None:
        begin = 0
    elif after[1] in keys:
        begin = keys.index(after[1]) + 1
    else:
        begin = min(after[0] - 1, len(items))  # it went away, and the next one has its place
    end = begin + min(request.get("MaxItems", size), size)
    answer: dict[str, Any] = {member: list(items[begin:end])}
    if end < len(items):
        answer["NextMarker"] = base64.b64encode(f"{end}:{keys[end - 1]}".encode()).decode()
    return answer


def _read(marker: str) -> tuple[int, str]:
    try:
        place, colon, name = base64.b64decode(marker, validate=True).decode().partition(":")
        if not colon or not place.isdecimal() or int(place) < 1:
            raise ValueError(marker)
        return int(place), name
    except (binascii.Error, ValueError):
        raise InvalidParameterValueError("The marker that was given is not valid.") from None
