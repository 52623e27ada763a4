"""What processes take: memory in their share of it, and processor time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from emulator.sandbox.freezer import descendants

__all__ = ["family", "name_of", "parent_of", "parse_pss", "pss", "pss_of_all"]


def parse_pss(text: str) -> int:
    """Bytes, from the content of ``smaps_rollup``: what is shared counts in parts, so that sums are true."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def pss(pid: int) -> int:
    """Of one process, in bytes; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        return parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 0


def pss_of_all(pids: Iterable[int]) -> int:
    return sum(pss(pid) for pid in pids)


def family(pid: int) -> list[int]:
    """A process and all that came of it."""
    return [pid, *descendants(pid)]


def name_of(pid: int) -> str:
    """What the kernel calls it; nothing for one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def parent_of(pid: int) -> int:
    """Whose child it is; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
