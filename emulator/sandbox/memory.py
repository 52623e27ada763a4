"""How much memory processes ever held.

A control group counts what its members were the first to touch. The pages of an interpreter that was in memory
already are booked on somebody else, so a group alone tells less than the function uses. The kernel's high-water
mark of each process has them. The larger of both is what we report.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["peak_of_processes"]

_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_of_processes(pids: Iterable[int]) -> int:
    """The sum of the high-water marks of these processes, in bytes; those that are gone count nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if (match := _HIGH_WATER.search(Path(f"/proc/{pid}/status").read_text())) is not None:
                total += int(match[1]) * 1024
    return total
