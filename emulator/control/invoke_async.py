"""The old ``InvokeAsync`` (2014), which AWS still has: an event without anything said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator import text
from emulator.control.control import Control, Operation
from emulator.errors import InvalidRequestContentError

__all__ = ["OPERATIONS", "invoke_async"]


async def invoke_async(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Take an event, as ``Invoke`` with the type ``Event`` does."""
    name, qualifier = control.named(request)
    payload = request["InvokeArgs"] or b"{}"
    if not text.is_json(payload):
        raise InvalidRequestContentError(text.not_json(payload))
    target = control.service.target(name, qualifier)
    invocation = control.service.new_invocation(target, payload, qualifier=qualifier)
    invocation.asynchronous = True
    control.service.submit(target, invocation)
    return {"Status": 202}


OPERATIONS: Mapping[str, Operation] = {"InvokeAsync": invoke_async}
