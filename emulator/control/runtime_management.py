"""When a function gets a newer runtime.

DIFFERS: that is kept and shown, and has no effect: the runtime is the one that is installed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.resources import Resource, find_resource
from emulator.errors import InvalidParameterValueError

__all__ = ["OPERATIONS", "get_runtime_management_config", "put_runtime_management_config"]

_KEPT = "runtime_management"  # what a record keeps, by the numbers of versions
_MANUAL = "Manual"

_Json = dict[str, Any]


async def get_runtime_management_config(control: Control, request: _Json) -> _Json:
    """What was put for a version, or else what AWS begins with."""
    resource = find_resource(control, request)
    return _told(resource, _configs(resource).get(resource.version, {"UpdateRuntimeOn": "Auto"}))


async def put_runtime_management_config(control: Control, request: _Json) -> _Json:
    """Another config in the place of the one before."""
    resource = find_resource(control, request)
    arn = request.get("RuntimeVersionArn")
    if (arn is not None) != (request["UpdateRuntimeOn"] == _MANUAL):  # [D] that it is so; [I] the words
        raise InvalidParameterValueError(
            "RuntimeVersionArn is required where UpdateRuntimeOn is Manual, and only allowed there."
        )
    config = {"UpdateRuntimeOn": request["UpdateRuntimeOn"], "RuntimeVersionArn": arn}
    resource.record.other[_KEPT] = {**_configs(resource), resource.version: config}
    control.changed()
    return _told(resource, config)


def _configs(resource: Resource) -> dict[str, _Json]:
    configs: dict[str, _Json] = resource.record.other.get(_KEPT, {})
    return configs


def _told(resource: Resource, config: _Json) -> _Json:
    return {"FunctionArn": resource.arn, **config}


OPERATIONS: Mapping[str, Operation] = {
    "GetRuntimeManagementConfig": get_runtime_management_config,
    "PutRuntimeManagementConfig": put_runtime_management_config,
}
