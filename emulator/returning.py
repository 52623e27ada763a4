"""Events that wait a moment for an environment that has answered, and whose runtime has not asked for more yet.

A client has its answer before the runtime has made its next call, and one that is quick, or on this machine, sends its
next event in between. [D] Events one after the other are served by one environment; on AWS the way of an answer to its
client takes longer than that of a runtime back to its agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emulator.invocation import Invocation

__all__ = ["Returning"]

_PATIENCE = 0.25  # seconds: a runtime takes a millisecond, a shell script twenty, a new container about this


class Returning:
    """The events, first come, first served.

    Arguments:
        serve_otherwise: gets an event that nobody came back for.
    """

    def __init__(self, serve_otherwise: Callable[[Invocation], None]) -> None:
        self._serve_otherwise = serve_otherwise
        self._waiting: dict[int, tuple[Invocation, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, invocation: Invocation) -> None:
        """Wait with it for :meth:`take`, for a quarter of a second of real time."""
        key = id(invocation)
        timer = asyncio.get_running_loop().call_later(_PATIENCE, self._is_late, key)
        self._waiting[key] = invocation, timer

    def take(self) -> Invocation:
        """The one that came first; it waits no more."""
        invocation, timer = self._waiting.pop(next(iter(self._waiting)))
        timer.cancel()
        return invocation

    def serve_all_but(self, count: int) -> None:
        """So many environments are still on their way back: nobody else has anything to wait for."""
        while len(self._waiting) > count:
            self._serve_otherwise(self.take())

    def _is_late(self, key: int) -> None:
        invocation, _ = self._waiting.pop(key)
        self._serve_otherwise(invocation)
