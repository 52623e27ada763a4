"""One clock for everything that waits on the emulator's own time: policies, lifetimes, ages.

The clock is real time, times a speed, plus what was skipped by :meth:`Clock.fast_forward`. Deadlines of running code
(function timeouts, engine calls) are *not* kept by it: a process cannot be hurried.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "FakeClock", "SystemClock", "Timer"]


class Timer:
    """A callback that waits for its time; ``cancel()`` makes it never come."""

    __slots__ = ("callback", "cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self.callback = _nothing  # what it would have called need not be kept for hours


def _nothing() -> None:
    pass


class Clock(Protocol):
    """What the rest of the emulator may know about time. All figures are seconds."""

    @property
    def speed(self) -> float:
        """How many seconds of the clock go by in a real one."""
        ...

    def now(self) -> float:
        """Wall-clock time since the epoch."""
        ...

    def monotonic(self) -> float:
        """Time since some fixed moment; never goes back, jumps forward by what is skipped."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back when :meth:`monotonic` has reached ``when``."""
        ...

    def fast_forward(self, seconds: float) -> int:
        """Skip time: every timer due in between fires, in order; returns how many did."""
        ...


class _TimerClock:
    """The heap of timers that both clocks share."""

    speed = 1.0

    def __init__(self) -> None:
        self._skipped = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def _real(self) -> float:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self._real() + self._skipped

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._arm()
        return timer

    def fast_forward(self, seconds: float) -> int:
        if not seconds >= 0:
            raise ValueError(f"time goes forward only: {seconds} s")
        return self._pass_until(self.monotonic() + seconds)

    def _pass_until(self, target: float) -> int:
        fired = 0
        while self._timers and self._timers[0][0] <= target:
            when = self._timers[0][0]
            self._skipped = max(self._skipped, when - self._real())
            fired += self._fire_due(when)
        self._skipped = max(self._skipped, target - self._real())
        self._arm()
        return fired

    def _fire_due(self, now: float) -> int:
        fired = 0
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.callback()
                fired += 1
        return fired

    def _arm(self) -> None:
        """Be woken when the first timer is due."""


class SystemClock(_TimerClock):
    """Real time, or a multiple of it; timers fire on the running event loop.

    Arguments:
        speed: seconds of the clock in a real one, counted from now; 1 or more.
    """

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__()
        if not 1 <= speed < math.inf:
            raise ValueError(f"a clock runs at real speed or faster: {speed}")
        self.speed = speed
        self._began, self._began_wall = time.monotonic(), time.time()
        self._wake: asyncio.TimerHandle | None = None

    def now(self) -> float:
        real = time.time()
        if self.speed == 1:  # nearly always, and every event on the timeline asks
            return real + self._skipped
        return real + (real - self._began_wall) * (self.speed - 1) + self._skipped

    def _real(self) -> float:
        real = time.monotonic()
        return real + (real - self._began) * (self.speed - 1)

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        if self._timers:
            delay = max(0.0, self._timers[0][0] - self.monotonic()) / self.speed
            self._wake = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._fire_due(self.monotonic())
        self._arm()

    def close(self) -> None:
        """Forget every timer."""
        self._timers.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None


class FakeClock(_TimerClock):
    """Time that moves only when it is told to; starts at a fixed wall-clock moment."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        super().__init__()
        self._start = start

    def now(self) -> float:
        return self._start + self._skipped

    def monotonic(self) -> float:
        return self._skipped

    def advance_to(self, moment: float) -> int:
        """Skip time until :meth:`monotonic` reads exactly ``moment``, as :meth:`fast_forward` does.

        No sum is rounded on the way, so that many small steps come to the same as one.
        """
        if not moment >= self._skipped:
            raise ValueError(f"time goes forward only: from {self._skipped} s to {moment} s")
        return self._pass_until(moment)

    def _real(self) -> float:
        return 0.0
