"""One environment's network as a whole: the relay to its database and the cut of all the rest.

Freezing the processes waits for nothing. The relay is silent from the same moment; the cut comes after a span of
quiet, so that the last acknowledgements get out as they do on AWS, where a machine is not stopped in mid-packet
either. The order at the thaw is network first, then processes: a packet that finds no network is lost for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emulator.database.relay import Relay
from emulator.errors import SandboxError
from emulator.model import Reclaim
from emulator.sandbox.network import Cut

__all__ = ["Connectivity", "OnReady"]

OnReady = Callable[[SandboxError | None], None]


class Connectivity:
    """Silences an environment's network and gives it back.

    Arguments:
        relay: the environment's way to the declared database, if there is one.
        quiet: seconds from the freeze to the cut.
        on_trouble: is told of a cut that failed; the environment goes on, less silent than it should be.
    """

    def __init__(self, cut: Cut, relay: Relay | None, *, quiet: float, on_trouble: Callable[[str], None]) -> None:
        self._cut, self._relay, self._quiet, self._on_trouble = cut, relay, quiet, on_trouble
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()  # whether the last switch has taken effect
        self._settled.set()
        self._returning: list[OnReady] | None = None  # who waits for the network that is on its way back
        self.is_cut = False
        """Whether it is off, or was asked to go off."""

    def freeze(self) -> None:
        """The processes have stopped, or are about to."""
        if self._relay is not None:
            self._relay.freeze()
        self._timer = asyncio.get_running_loop().call_later(self._quiet, self._cut_now)

    def thaw(self, ready: OnReady) -> None:
        """Give the network back; ``ready`` is called when the processes may go on."""
        self._stop_timer()
        if self._returning is not None:
            self._returning.append(ready)
        elif self.is_cut:
            self.is_cut = False
            self._returning = [ready]
            self._cut.on(self._is_back)
        else:
            self._ready(ready, None)

    async def reclaim(self, how: Reclaim) -> None:
        """The environment ends: after ``silent`` nothing of it is heard any more, whatever is done to it."""
        self._stop_timer()
        await self._settled.wait()
        if how is Reclaim.SILENT:
            if not self.is_cut:
                await self._switch(self._cut.off)
                self.is_cut = True
        elif self.is_cut:
            self.is_cut = False
            await self._switch(self._cut.on)
        elif self._returning is not None:
            back = asyncio.Event()
            self._returning.append(lambda _error: back.set())
            await back.wait()
        if self._relay is not None:
            self._relay.reclaim(how)

    def _cut_now(self) -> None:
        self._timer = None
        self.is_cut = True
        self._settled.clear()
        self._cut.off(self._was_cut)

    def _was_cut(self, error: SandboxError | None) -> None:
        self._settled.set()
        if error is not None:
            self.is_cut = False
            self._on_trouble(f"its network could not be cut: {error.message}")

    def _is_back(self, error: SandboxError | None) -> None:
        waiting, self._returning = self._returning or [], None
        for ready in waiting:
            self._ready(ready, error)

    def _ready(self, ready: OnReady, error: SandboxError | None) -> None:
        if self._relay is not None:
            self._relay.thaw()
        ready(error)

    async def _switch(self, switch: Callable[[OnReady], None]) -> None:
        done: asyncio.Future[SandboxError | None] = asyncio.get_running_loop().create_future()
        switch(lambda error: done.set_result(error) if not done.done() else None)
        error = await done
        if error is not None:
            self._on_trouble(f"its network could not be switched: {error.message}")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
