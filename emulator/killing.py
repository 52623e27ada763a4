"""Ends a runtime in the middle of an invocation: not at some moment, but at what it says to its database.

Moments do not repeat, a function's conversation does. So the middle is a number of pieces that its clients have sent
to the server since the event was handed out; the last of them still arrives.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from emulator.database.relays import Relays
from emulator.environment import Environment
from emulator.lifecycle import State
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["Killing", "Middle"]


@dataclass(frozen=True, slots=True)
class Middle:
    """Where in an invocation its runtime is ended.

    Attributes:
        pieces: after so many pieces from its clients to the server; a statement of most drivers is one. ``None``:
            never, they are only counted.
        patience: seconds that may go by without any of them; then it is ended all the same.
    """

    pieces: int | None = 1
    patience: float = 0.25


class Killing:
    """Follows one invocation of an environment, from before it is handed out until :meth:`close`."""

    def __init__(self, environment: Environment, relays: Relays | None, timeline: Timeline, middle: Middle) -> None:
        self._environment = environment
        self._middle = middle
        self._timer: asyncio.TimerHandle | None = None
        self._stop_listening = timeline.listen(self._happened)
        self._relay = relays.of(environment.id) if relays is not None else None
        if self._relay is not None:
            self._relay.on_passed_up = self._passed_up
        self.pieces = 0
        """How many have gone up since the event was handed out."""
        self.killed = False
        if environment.state is State.INVOKING:
            self._begin()

    def close(self) -> None:
        """It is over."""
        self._stop_listening()
        if self._relay is not None:
            self._relay.on_passed_up = None
        if self._timer is not None:
            self._timer.cancel()

    def _happened(self, event: TimelineEvent) -> None:
        if event.environment == self._environment.id and event.kind == f"environment.{State.INVOKING}":
            self._begin()

    def _begin(self) -> None:
        if self._middle.pieces is not None:
            # Not at once, however short the patience: the event is handed out after this was told.
            self._timer = asyncio.get_running_loop().call_later(self._middle.patience, self._wait_is_over)

    def _wait_is_over(self) -> None:
        if self.pieces == 0:
            self._kill()

    def _passed_up(self) -> None:
        if self._environment.state is not State.INVOKING:
            return  # module-level code
        self.pieces += 1
        if self.pieces == self._middle.pieces:
            self._kill()

    def _kill(self) -> None:
        if self._environment.state is State.INVOKING and not self.killed:
            self.killed = True
            self._environment.kill_runtime()
