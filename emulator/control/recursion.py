"""Whether a function may be part of a loop: events that go round through functions come to an end, or do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.registry import FunctionRecord

__all__ = ["OPERATIONS", "apply_recursion", "get_function_recursion_config", "put_function_recursion_config"]

_KEPT = "recursive_loop"  # what a record keeps
_TERMINATE = "Terminate"  # [D] without a config

_Json = dict[str, Any]


async def get_function_recursion_config(control: Control, request: _Json) -> _Json:
    """What was put, or else what AWS begins with."""
    return {"RecursiveLoop": control.find(request).other.get(_KEPT, _TERMINATE)}


async def put_function_recursion_config(control: Control, request: _Json) -> _Json:
    """``Allow``: the function takes an event through however many functions it came."""
    record = control.find(request)
    record.other[_KEPT] = request["RecursiveLoop"]
    apply_recursion(control, record)
    control.changed()
    return {"RecursiveLoop": request["RecursiveLoop"]}


def apply_recursion(control: Control, record: FunctionRecord) -> None:
    """Have it as a client has put it, if one has."""
    control.service.functions.allow_loops(record.name, record.other.get(_KEPT, _TERMINATE) == "Allow")


OPERATIONS: Mapping[str, Operation] = {
    "GetFunctionRecursionConfig": get_function_recursion_config,
    "PutFunctionRecursionConfig": put_function_recursion_config,
}
