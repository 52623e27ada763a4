"""All operations that work here, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.control import (
    account,
    aliases,
    code_signing,
    concurrency,
    event_configs,
    function_urls,
    functions,
    invoke_async,
    layers,
    permissions,
    recursion,
    runtime_management,
    tags,
    versions,
)
from emulator.control.control import Operation

__all__ = ["OPERATIONS", "SERVED_ELSEWHERE"]

OPERATIONS: Mapping[str, Operation] = {
    **account.OPERATIONS,
    **aliases.OPERATIONS,
    **code_signing.OPERATIONS,
    **concurrency.OPERATIONS,
    **event_configs.OPERATIONS,
    **function_urls.OPERATIONS,
    **functions.OPERATIONS,
    **invoke_async.OPERATIONS,
    **layers.OPERATIONS,
    **permissions.OPERATIONS,
    **recursion.OPERATIONS,
    **runtime_management.OPERATIONS,
    **tags.OPERATIONS,
    **versions.OPERATIONS,
}
"""By the names of the model."""

SERVED_ELSEWHERE = frozenset({"Invoke", "InvokeWithResponseStream"})
"""Work as well, by doors of their own."""
