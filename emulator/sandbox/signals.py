"""Asking processes to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable

__all__ = ["terminate"]


async def terminate(pids: Iterable[int], patience: float) -> bool:
    """SIGTERM to each, and wait for their ends; whether all ended within ``patience`` seconds."""
    watched: set[int] = set()
    try:
        for pid in pids:
            # One that may not be signalled gets no chance to end itself; it is killed with the rest.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                descriptor = os.pidfd_open(pid)
                watched.add(descriptor)
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        return await asyncio.to_thread(_wait_for_all, watched, patience)
    finally:
        for descriptor in watched:
            os.close(descriptor)


def _wait_for_all(descriptors: Iterable[int], patience: float) -> bool:
    """A descriptor of a process can be read once the process has ended."""
    deadline = time.monotonic() + patience
    waiting = set(descriptors)
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            waiting.discard(descriptor)
    return not waiting
