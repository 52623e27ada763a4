"""Code signing, which is not here: no function has a config, and deployment tools that ask for it are told so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation

__all__ = ["OPERATIONS", "delete_function_code_signing_config", "get_function_code_signing_config"]

_Json = dict[str, Any]


async def get_function_code_signing_config(control: Control, request: _Json) -> _Json:
    """Nobody signs code here. [X] AWS then leaves the ARN out, which its model does not know."""
    return {"FunctionName": control.find(request).name}


async def delete_function_code_signing_config(control: Control, request: _Json) -> _Json:
    """There is none to take away; [I] none that was not there is missed."""
    control.find(request)
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "DeleteFunctionCodeSigningConfig": delete_function_code_signing_config,
    "GetFunctionCodeSigningConfig": get_function_code_signing_config,
}
