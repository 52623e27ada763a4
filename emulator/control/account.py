"""``GetAccountSettings``: what the account may have, and what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.code import MAX_ZIPPED_BYTES
from emulator.control.control import Control, Operation
from emulator.control.layers import total_size
from emulator.layers import MAX_UNZIPPED_BYTES

__all__ = ["MAX_CODE_BYTES", "OPERATIONS", "get_account_settings"]

MAX_CODE_BYTES = 80_530_636_800
"""[D] 75 GB for all functions and layers."""


async def get_account_settings(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Limits and use. Of a folder that is used where it is the size is not counted."""
    concurrency, _ = control.service.concurrency()
    records = control.registry.functions.values()
    versions = [version for record in records for version in (record.latest, *record.versions.values())]
    return {
        "AccountLimit": {
            "TotalCodeSize": MAX_CODE_BYTES,
            "CodeSizeUnzipped": MAX_UNZIPPED_BYTES,
            "CodeSizeZipped": MAX_ZIPPED_BYTES,
            "ConcurrentExecutions": concurrency.limit,
            "UnreservedConcurrentExecutions": concurrency.unreserved,
        },
        "AccountUsage": {
            "TotalCodeSize": sum(version.code.size for version in versions) + total_size(control.registry.layers),
            "FunctionCount": len(records),
        },
    }


OPERATIONS: Mapping[str, Operation] = {"GetAccountSettings": get_account_settings}
