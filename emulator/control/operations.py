"""All operations that work here, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.control import (
    account,
    aliases,
    concurrency,
    event_configs,
    fixed,
    function_urls,
    functions,
    invoke_async,
    layers,
    permissions,
    tags,
    versions,
)
from emulator.control.control import Operation

__all__ = ["OPERATIONS", "SERVED_ELSEWHERE"]

OPERATIONS: Mapping[str, Operation] = {
    **account.OPERATIONS,
    **aliases.OPERATIONS,
    **concurrency.OPERATIONS,
    **event_configs.OPERATIONS,
    **fixed.OPERATIONS,
    **function_urls.OPERATIONS,
    **functions.OPERATIONS,
    **invoke_async.OPERATIONS,
    **layers.OPERATIONS,
    **permissions.OPERATIONS,
    **tags.OPERATIONS,
    **versions.OPERATIONS,
}
"""By the names of the model."""

SERVED_ELSEWHERE = frozenset({"Invoke", "InvokeWithResponseStream"})
"""Work as well, by doors of their own."""
