"""Skipping time step by step: what begins on the way, and takes real time, is let finish before the next step.

A plain jump would fire every timer at once: of an event that fails, only one retry could fall into a skip of ten
minutes, and it would run at the end of it. So the skip stops where something begins that runs in a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emulator.clock import Clock
from emulator.database.database import Database
from emulator.errors import InvalidParameterValueError
from emulator.schedules import Schedules
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["FastForwardAnswer", "Scheduled", "fast_forward", "skip"]

_LAST_MOMENT = 253_370_764_800.0  # 9999-01-01: calendars end with that year
_MOST_SCHEDULED = 50_000  # events of schedules that one skip brings: half a minute's work
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


@dataclass(frozen=True, slots=True)
class FastForwardAnswer:
    """What skipping time has caused. ``now`` is seconds since the epoch, on the emulator's clock."""

    seconds: float
    now: float
    timers: int
    caused: tuple[TimelineEvent, ...]


async def fast_forward(
    seconds: float,
    *,
    clock: Clock,
    timeline: Timeline,
    database: Database,
    schedules: Schedules,
    others: Callable[[], Sequence[Scheduled]],
) -> FastForwardAnswer:
    """Skip time for everything that waits on the emulator's clock, and let the database's part in it happen.

    What the server would have closed in that time, because a session slept for ``wait_timeout`` or its client
    answered no keepalive, is closed, and a frozen client finds out when it speaks again. Attempts of asynchronous
    events that fall into that time run at theirs, and are waited for.

    Arguments:
        others: who else begins work at their own times.

    Raises:
        InvalidParameterValueError: time goes forward only, and not beyond the year 9998; or more is scheduled in
            that time than can be waited for.
    """
    if not 0 <= seconds < float("inf"):
        raise InvalidParameterValueError(f"time goes forward, by a number of seconds: {seconds}")
    target = clock.now() + seconds
    if target > _LAST_MOMENT:
        raise InvalidParameterValueError("the emulator's clock ends with the year 9998", cure="Skip less.")
    if schedules.more_than(_MOST_SCHEDULED, until=target):
        raise InvalidParameterValueError(
            f"more than {_MOST_SCHEDULED:,} events are scheduled in that time", cure="Skip less at once."
        )
    await database.look()  # what the server has done by now is not caused by this
    before = timeline.last_seq
    timers = await skip(clock, seconds, lambda: [schedules, *others()], database.age_sessions)
    caused = [event for event in timeline.since(before) if event.reason]
    return FastForwardAnswer(seconds, clock.now(), timers, tuple(caused))


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
