"""Whose socket is that: from the two ends of a TCP connection to the process that holds it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["holder_of_socket", "inode_of_connection"]


def inode_of_connection(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The kernel's number for the socket with these two ends, as its holder sees them; IPv4."""
    needle = f"{_hex(local)} {_hex(remote)} "
    try:
        table = Path("/proc/net/tcp").read_text()
    except OSError:
        return None
    position = table.find(needle)
    if position < 0:
        return None
    # After the two ends: state, queues, timer, retransmissions, user, timeout, inode.
    return int(table[position + len(needle) :].split(None, 7)[6]) or None


def holder_of_socket(inode: int, pids: Iterable[int]) -> int | None:
    """Which of these processes has the socket open."""
    wanted = f"socket:[{inode}]"
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return pid
    return None


def _hex(end: tuple[str, int]) -> str:
    """As the kernel prints it: the address in this machine's byte order."""
    packed = ipaddress.IPv4Address(end[0]).packed
    return f"{int.from_bytes(packed, 'little'):08X}:{end[1]:04X}"
