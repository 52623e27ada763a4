"""The way of telemetry to one subscriber: collected, sent, tried again, and standing still while it is frozen.

On AWS the sender is inside the environment and is frozen with it. Here it is outside, so it has to stop by
itself: while paused it dials nothing, sends nothing, and none of its waits goes on. A batch that was on its way
waits for its answer until the environment runs again.

What is known of AWS: the limits of a batch, that it is tried again with a back-off and that records are dropped
for a slow subscriber, with a record that says so [D]. Times of the back-off and of an attempt are ours [I].
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from emulator.runtime_api.subscription import Buffering, Subscription, render_loss
from emulator.runtime_api.wire import FAILURES, ThawedTime, make_wire
from emulator.sandbox.base import Spawn

__all__ = ["KEPT_BATCHES", "Buffer", "Delivery"]

KEPT_BATCHES = 10
"""How many times ``maxBytes`` may wait: a burst is kept for a slow subscriber, and with AWS's largest setting one
subscriber holds some 10 MiB of the emulator's memory at most, whatever the function writes."""

_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0  # seconds between attempts, doubled with each


class Buffer:
    """Encoded records that wait for their turn: the oldest go first, and go lost first if there are too many."""

    def __init__(self, buffering: Buffering) -> None:
        self._buffering = buffering
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = [0, 0]

    def __len__(self) -> int:
        return len(self._records)

    @property
    def is_full(self) -> bool:
        """There is enough for a batch, or a loss to tell of: no reason to wait longer."""
        settings = self._buffering
        return len(self) >= settings.max_items or self._bytes >= settings.max_bytes or self._dropped[1] > 0

    def add(self, record: bytes) -> None:
        """The newest record stays in any case, however large it is."""
        self._records.append(record)
        self._bytes += len(record)
        while self._bytes > KEPT_BATCHES * self._buffering.max_bytes and len(self) > 1:
            lost = self._records.popleft()
            self._bytes -= len(lost)
            self.lose(len(lost), 1)

    def lose(self, lost_bytes: int, records: int) -> None:
        """Count what was dropped, here or before it came here."""
        self._dropped[0] += lost_bytes
        self._dropped[1] += records

    def take(self, tell_loss: Callable[[int, int], bytes]) -> list[bytes]:
        """A batch: what was dropped first, then the oldest records up to the limits, which the last may cross."""
        batch, size = list[bytes](), 0
        if self._dropped[1]:
            batch.append(tell_loss(*self._dropped))
            self._dropped = [0, 0]
        while self._records and len(batch) < self._buffering.max_items and size < self._buffering.max_bytes:
            record = self._records.popleft()
            batch.append(record)
            size += len(record)
        self._bytes -= size
        return batch


class Delivery:
    """Brings the records of one subscription to its listener, in order, each until the listener took it.

    A batch whose answer got lost comes twice; one that a TCP listener took and lost does not come again.

    Arguments:
        subscription: where to, and how much at once.
        address: the environment's own, an IPv4 address.
        spawn: where the sending runs; nothing is raised there.
        now: seconds since the epoch, for the record of a loss.
    """

    def __init__(
        self, subscription: Subscription, address: str, spawn: Spawn, *, now: Callable[[], float] = time.time
    ) -> None:
        self._subscription, self._now = subscription, now
        self._buffer = Buffer(subscription.buffering)
        self._time = ThawedTime()
        self._since = 0.0  # when the first record came after nothing was left
        self._wire = make_wire(subscription.destination, address, self._time)
        self._filled = asyncio.Event()  # there is something to send
        self._due = asyncio.Event()  # and it goes without waiting for more
        self._hurry = asyncio.Event()  # and without waiting after a failure
        self._flushing = False
        self._closed = False
        self._task = spawn(self._run())

    def publish(self, record: bytes) -> None:
        """Hand in one encoded record; it never waits, and is free while frozen."""
        if self._closed:
            return
        if not self._buffer:
            self._since = self._time.now()
        self._buffer.add(record)
        self._signal()

    def lose(self, lost_bytes: int, records: int) -> None:
        """Tell the subscriber of records that were lost before they came here."""
        self._buffer.lose(lost_bytes, records)
        self._signal()

    def pause(self) -> None:
        """The environment is frozen."""
        self._time.pause()

    def resume(self) -> None:
        """It runs again; what was due goes now."""
        self._time.resume()

    def flush(self) -> None:
        """What is there goes at once, and so does a batch that waits for its next attempt."""
        self._flushing = bool(self._buffer)
        self._hurry.set()
        self._signal()

    def close(self) -> None:
        """Nothing is sent any more; connections are closed."""
        self._closed = True
        self._wire.close()
        self._task.cancel()

    def _signal(self) -> None:
        is_due = self._flushing or self._buffer.is_full
        for event, is_so in ((self._filled, self._buffer or is_due), (self._due, is_due)):
            if is_so:
                event.set()
            else:
                event.clear()

    async def _run(self) -> None:
        try:
            while True:
                await self._filled.wait()
                waited = self._time.now() - self._since
                await self._time.wait(self._due, self._subscription.buffering.timeout - waited)
                await self._deliver(self._take())
        finally:
            self._wire.close()

    def _take(self) -> list[bytes]:
        batch = self._buffer.take(self._tell_loss)
        self._flushing = self._flushing and bool(self._buffer)
        self._signal()
        return batch

    def _tell_loss(self, lost_bytes: int, records: int) -> bytes:
        return render_loss(self._subscription.api, self._now(), lost_bytes, records)

    async def _deliver(self, batch: list[bytes]) -> None:
        delay = _FIRST_DELAY
        while True:
            await self._time.thawed()
            self._hurry.clear()
            try:
                await self._wire.send(batch)
                return
            except FAILURES:
                await self._time.wait(self._hurry, delay)
                delay = min(2 * delay, _LONGEST_DELAY)
