"""Skipping time step by step: what begins on the way, and takes real time, is let finish before the next step.

A plain jump would fire every timer at once: of an event that fails, only one retry could fall into a skip of ten
minutes, and it would run at the end of it. So the skip stops where something begins that runs in a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from emulator.clock import Clock

__all__ = ["Scheduled", "skip"]

_MARGIN = 1.0  # seconds before something begins: time goes on while everything else is brought up to it
_PATIENCE = 30.0  # seconds of real time that one skip waits in all; what takes longer is not waited for


class Scheduled(Protocol):
    """Something that begins work in sandboxes at its own times."""

    @property
    def next_due(self) -> float | None:
        """When it does so next, as a reading of the emulator's clock."""
        ...

    async def finished(self) -> None:
        """Wait until what it has begun is over."""
        ...


async def skip(
    clock: Clock,
    seconds: float,
    scheduled: Callable[[], Sequence[Scheduled]],
    arrive: Callable[[], Awaitable[None]],
    *,
    patience: float = _PATIENCE,
) -> int:
    """Skip time; returns how many timers fired.

    Arguments:
        seconds: how much, on the emulator's clock.
        scheduled: who has to be waited for on the way.
        arrive: brings everything else up to a moment, before what is due at it begins.
        patience: seconds of real time to wait in all.
    """
    target = clock.monotonic() + seconds
    loop = asyncio.get_running_loop()
    impatient = loop.time() + patience
    fired = 0

    def jump(moment: float) -> int:
        return clock.fast_forward(max(0.0, moment - clock.monotonic()))

    async def let_finish() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(impatient):
                for one in scheduled():
                    await one.finished()

    await let_finish()
    while loop.time() < impatient and (due := _next_due(scheduled(), target)) is not None:
        fired += jump(due - _MARGIN)
        await arrive()
        fired += jump(due)
        await let_finish()
    fired += jump(target)
    await arrive()
    return fired


def _next_due(scheduled: Sequence[Scheduled], target: float) -> float | None:
    due = min((one.next_due for one in scheduled if one.next_due is not None), default=None)
    return due if due is not None and due <= target else None
