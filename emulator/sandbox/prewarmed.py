"""Prewarmed sandboxes: started, frozen, and nobody's yet, for each image in use.

AWS keeps such a pool. One is taken when an environment is made, and another comes in its place, in the background:
one at a time, and not while the one that was taken has its init, which has more need of the processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from emulator.errors import EmulatorError
from emulator.sandbox.vessel import Vessel

__all__ = ["Prewarmed"]


class Prewarmed:
    """The pool; entering it starts what fills it, leaving it removes what is in it.

    Arguments:
        size: how many for each image; with 0 there are none.
        make: a vessel that has not started, with a name for it.
    """

    def __init__(self, size: int, make: Callable[[str], Vessel]) -> None:
        self.size = size
        self.impossible = ""
        """Why there cannot be any here, in one clause; empty when there can."""
        self._make = make
        self._ready: dict[str, deque[Vessel]] = {}
        self._numbers = itertools.count(1)
        self._unsettled: set[Vessel] = set()
        self._dead: list[Vessel] = []
        self._troubles: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._filling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self.size:
            self._filling = asyncio.create_task(self._fill(), name="prewarmed")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._filling is not None:
            self._filling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._filling
        vessels = [*self._dead, *(vessel for ready in self._ready.values() for vessel in ready)]
        self._ready.clear()
        await asyncio.gather(*(vessel.remove() for vessel in vessels))

    @property
    def notes(self) -> Sequence[str]:
        """How many there are; or why there are none."""
        if not self.size:
            return ()
        if self.impossible:
            return (f"No prewarmed sandboxes: {self.impossible}. Environments start from nothing.",)
        return (
            *(
                f"{len(ready)} of {self.size} prewarmed sandboxes wait for {image}."
                for image, ready in self._ready.items()
            ),
            *(f"A prewarmed sandbox for {image} is missing: {reason}." for image, reason in self._troubles.items()),
        )

    def want(self, image: str) -> None:
        """Keep some for this image from now on."""
        if self.size and not self.impossible:
            self._ready.setdefault(image, deque())
            self._try_again(image)

    def take(self, image: str) -> Vessel | None:
        """The one that has waited longest, if there is one; :meth:`settled` is to be told of it."""
        if image not in self._ready:
            return None
        self._try_again(image)
        if not self._ready[image]:
            return None
        vessel = self._ready[image].popleft()
        self._unsettled.add(vessel)
        return vessel

    def unfit(self, image: str, reason: str) -> None:
        """One could not become what it was taken for: there are no more of them."""
        self._dead += self._ready.pop(image, ())
        self._troubles[image] = reason

    def settled(self, vessel: Vessel) -> None:
        """Its init is over, or it has ended: another may be started."""
        self._unsettled.discard(vessel)
        self._wake.set()

    async def _fill(self) -> None:
        while True:
            self._wake.clear()
            while self._dead:
                await self._remove(self._dead.pop())
            if (image := self._short_of()) is not None:
                await self._start(image)
            else:
                await self._wake.wait()

    def _try_again(self, image: str) -> None:
        self._troubles.pop(image, None)
        self._wake.set()

    def _short_of(self) -> str | None:
        if self._unsettled:
            return None
        return next(
            (image for image, ready in self._ready.items() if len(ready) < self.size and image not in self._troubles),
            None,
        )

    async def _start(self, image: str) -> None:
        vessel = self._make(f"prewarmed-{next(self._numbers)}")
        try:
            await vessel.start_anonymous(image, lambda _code: self._ended(image, vessel))
        except (OSError, EmulatorError) as error:
            self._troubles[image] = error.message if isinstance(error, EmulatorError) else str(error)
            await self._remove(vessel)
        except BaseException:
            await self._remove(vessel)
            raise
        else:
            if image in self._ready:
                self._ready[image].append(vessel)
            else:
                self._dead.append(vessel)

    def _ended(self, image: str, vessel: Vessel) -> None:
        """Somebody has killed it. No other is started before one is wanted, or that could go on for ever."""
        ready = self._ready.get(image, deque())
        if vessel in ready:  # or it has not even started, which is told there
            ready.remove(vessel)
            self._dead.append(vessel)
            self._troubles[image] = "one has ended that nobody had used"
            self._wake.set()

    async def _remove(self, vessel: Vessel) -> None:
        with contextlib.suppress(EmulatorError):
            await vessel.remove()
