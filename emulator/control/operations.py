"""All operations that work here, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.control.control import Operation

__all__ = ["OPERATIONS", "SERVED_ELSEWHERE"]

OPERATIONS: Mapping[str, Operation] = {}
"""By the names of the model."""

SERVED_ELSEWHERE = frozenset({"Invoke", "InvokeWithResponseStream"})
"""Work as well, by doors of their own."""
