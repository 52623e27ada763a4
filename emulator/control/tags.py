"""``TagResource``, ``UntagResource``, ``ListTags``. Functions have tags; nothing else here does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator import text
from emulator.control.control import Control, Operation
from emulator.control.registry import FunctionRecord
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError

__all__ = [
    "MAX_TAGS",
    "OPERATIONS",
    "check_number_of_tags",
    "list_tags",
    "tag_resource",
    "untag_resource",
]

MAX_TAGS = 50
"""Of one function [R]."""


async def tag_resource(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """More tags, or other values [R]."""
    record = _find(control, request)
    if not request["Tags"]:
        raise InvalidParameterValueError("An error occurred and the request cannot be processed.")
    tags = record.tags | request["Tags"]
    check_number_of_tags(tags)
    _set(control, record, tags)
    return {}


async def untag_resource(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Fewer tags; one that is not there is no error [R]."""
    record = _find(control, request)
    _set(control, record, {key: value for key, value in record.tags.items() if key not in request["TagKeys"]})
    return {}


async def list_tags(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """All tags."""
    return {"Tags": dict(_find(control, request).tags)}


def check_number_of_tags(tags: Mapping[str, str]) -> None:
    """See that a function may have so many [R].

    Raises:
        InvalidParameterValueError: they are too many.
    """
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValueError("Number of tags exceeds resource tag limit.")


def _find(control: Control, request: dict[str, Any]) -> FunctionRecord:
    arn = request["Resource"]
    if ":function:" not in arn:
        raise FunctionNotFoundError(f"The resource you requested does not exist: {arn}")
    named = {"FunctionName": arn}
    if control.named(named).qualifier is not None:
        raise InvalidParameterValueError(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return control.find(named)


def _set(control: Control, record: FunctionRecord, tags: dict[str, str]) -> None:
    if tags != record.tags:
        record.tags = tags
        record.latest.revision = text.new_request_id()  # [R]
        control.changed()


OPERATIONS: Mapping[str, Operation] = {
    "ListTags": list_tags,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
