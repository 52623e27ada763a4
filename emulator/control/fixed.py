"""Settings that are always the same here, and that deployment tools ask for: what they are, and no way to set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.resources import find_resource

__all__ = [
    "OPERATIONS",
    "get_function_code_signing_config",
    "get_function_recursion_config",
    "get_runtime_management_config",
]

_Json = dict[str, Any]


async def get_function_code_signing_config(control: Control, request: _Json) -> _Json:
    """Nobody signs code here. [X] AWS then leaves the ARN out, which its model does not know."""
    return {"FunctionName": control.find(request).name}


async def get_function_recursion_config(control: Control, request: _Json) -> _Json:
    """Events that go round and round are stopped, after so many functions as on AWS."""
    control.find(request)
    return {"RecursiveLoop": "Terminate"}


async def get_runtime_management_config(control: Control, request: _Json) -> _Json:
    """The runtime is the one that is installed, or that of the image; a change of it is told by nobody."""
    resource = find_resource(control, request)
    return {"UpdateRuntimeOn": "Auto", "FunctionArn": resource.arn}


OPERATIONS: Mapping[str, Operation] = {
    "GetFunctionCodeSigningConfig": get_function_code_signing_config,
    "GetFunctionRecursionConfig": get_function_recursion_config,
    "GetRuntimeManagementConfig": get_runtime_management_config,
}
