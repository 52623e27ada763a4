"""Turns at starting, so that a crowd of cold starts does not make each of them as slow as all together.

On AWS every environment has a machine of its own. Here they share one: a thousand that start at once would all be
ready after half a minute, and all of them would have had more than the ten seconds that an init may take. In turns,
each takes its own time, and the last one is ready when it would have been anyway.

Only who uses the CPU keeps a turn. An init that waits for something, perhaps for another environment, does not hold
others up for long.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

__all__ = ["Turn", "Turns"]

_AT_ONCE = max(8, 4 * (os.cpu_count() or 1))
_LOOK_EVERY = 0.1  # seconds


class Turn:
    """One environment's; to be given back when it has started, or has come to nothing."""

    def __init__(self, free: asyncio.Semaphore, is_busy: Callable[[], bool]) -> None:
        self._free, self._is_busy = free, is_busy
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def give_back(self) -> None:
        """Let the next one begin. A second call changes nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._free.release()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        if self._is_busy():
            self._wait()
        else:
            self.give_back()


class Turns:
    """As many as may start at the same time.

    Arguments:
        at_once: how many.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def take(self, is_busy: Callable[[], bool]) -> Turn:
        """Wait for a turn; first come, first served. It is lost as soon as ``is_busy`` is found to be false."""
        await self._free.acquire()
        return Turn(self._free, is_busy)
