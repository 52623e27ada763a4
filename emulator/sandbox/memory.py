"""How much memory processes ever held.

A control group counts what its members were the first to touch. The pages of an interpreter that was in memory
already are booked on somebody else, so a group alone tells less than the function uses. The kernel's high-water
mark of each process has them. The larger of both is what we report.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from emulator.sandbox.cgroup import Group

__all__ = ["MemoryMeter", "peak_of_processes"]

_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_of_processes(pids: Iterable[int]) -> int:
    """The sum of the high-water marks of these processes, in bytes; those that are gone count nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if (match := _HIGH_WATER.search(Path(f"/proc/{pid}/status").read_text())) is not None:
                total += int(match[1]) * 1024
    return total


class MemoryMeter:
    """The most that an environment's processes ever held; read once an invocation.

    The marks of single processes are read only when the group's own has moved: that is one figure from an open file,
    and the others cost ten times as much.
    """

    def __init__(self, process_ids: Callable[[], Iterable[int]]) -> None:
        self._process_ids = process_ids
        self._counted = 0
        self._peak = 0

    def read(self, group: Group | None) -> int:
        """In bytes; ``group`` where the environment has one."""
        counted = group.peak_memory() if group is not None else 0
        if not counted or counted != self._counted:
            self._counted = counted
            self._peak = max(self._peak, counted, peak_of_processes(self._process_ids()))
        return self._peak

    def forget(self) -> None:
        """Begin anew."""
        self._counted = self._peak = 0
