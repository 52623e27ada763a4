"""Asynchronous events of all functions: their queues, and the way of what is told of them. None is lost without a word.

What is still pending when the emulator stops is listed, and kept where there is a journal; a record that cannot be
delivered is on the timeline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from emulator.clock import Clock
from emulator.destinations import Courier
from emulator.errors import EmulatorError, RequestError
from emulator.event_queue import EventQueue, EventView, Office
from emulator.event_settings import MAX_AGE, Asynchronous, Destination
from emulator.invocation import Invocation
from emulator.model import EnvironmentId, RequestId
from emulator.pool import Pool
from emulator.sandbox.base import Spawn
from emulator.state import EventJournal, KeptEvent, KeptRecord
from emulator.timeline import Timeline

__all__ = ["Events"]


class Events:
    """The queues of all functions, and the way of their records.

    Arguments:
        make: an invocation of a function, for a record that goes to one.
        base: relative files of destinations are below it.
        arn: of a function by its name, with a qualifier.
        at_rest: waits until an environment is frozen or gone.
        journal: where events are kept that are to outlive the emulator.
    """

    def __init__(
        self,
        clock: Clock,
        timeline: Timeline,
        spawn: Spawn,
        *,
        make: Callable[[str, bytes], Invocation],
        base: Path,
        arn: Callable[[str], str],
        at_rest: Callable[[EnvironmentId], Awaitable[None]],
        journal: EventJournal | None = None,
    ) -> None:
        self._clock, self._timeline, self._spawn, self._make, self._arn = clock, timeline, spawn, make, arn
        self._may_loop: set[str] = set()
        self._courier = Courier(base, self._invoke, self._may_loop.__contains__)
        self._queues: dict[str, EventQueue] = {}
        self._leaving: list[EventQueue] = []  # of functions that are no more, whose last events run
        self._journal = journal
        self._deliveries: set[asyncio.Task[None]] = set()
        self._at_rest = at_rest
        self._restless: set[EnvironmentId] = set()  # have served, and may not be frozen yet
        self._changed = asyncio.Event()
        self._said: dict[str, Asynchronous] = {}  # of events that come by the ARN of an alias
        self._office = Office(clock, timeline, self._send, self._something_changed, self._said.get, journal)

    def add(self, pool: Pool) -> None:
        """Take events for one more function; or look anew at those of one that was deployed again."""
        name = pool.function.key
        if name in self._queues:
            self._queues[name].settings_changed()
        else:
            self._queues[name] = EventQueue(pool, self._office, self._arn(name))

    def remove(self, key: str, why: str) -> None:
        """Drop what waits of a function, or of a version of it, that is no more; each event is told of.

        What runs comes to its end, and is not tried again.
        """
        self._may_loop.discard(key)
        if (queue := self._queues.pop(key, None)) is not None:
            queue.close(why, "event.dropped", lets_finish=True)
            self._leaving = [one for one in (*self._leaving, queue) if one.running]
            self._changed.set()

    def allow_loops(self, name: str, allowed: bool) -> None:
        """Whether a function takes records through however many functions they came."""
        (self._may_loop.add if allowed else self._may_loop.discard)(name)

    def set_alias(self, arn: str, settings: Asynchronous | None) -> None:
        """What becomes of events that come by the ARN of an alias; ``None``: what is said of the function."""
        if settings is None:
            self._said.pop(arn, None)
        else:
            self._said[arn] = settings

    def forget_aliases(self, arn: str) -> None:
        """The function of this ARN is no more, nor is any alias of it."""
        for alias in [one for one in self._said if one.startswith(f"{arn}:")]:
            del self._said[alias]

    def accept(self, name: str, invocation: Invocation) -> None:
        """Take an event; from now on it is not lost.

        Raises:
            ServiceError: the emulator is stopping, or the event cannot be kept.
        """
        self._queues[name].accept(invocation)

    def take_up_kept(self, require: Callable[[str], object]) -> int:
        """Go on with the events that an emulator before this one has accepted; answers how many there are.

        Those of functions that cannot serve now are kept for a later start, until AWS as well would have dropped them.

        Arguments:
            require: raises a ``RequestError`` for a function, or a version, that cannot serve.
        """
        assert self._journal is not None, "there is a journal, or there are none"
        taken_up = 0
        for kept in self._journal.pending:
            try:
                require(kept.key)
            except RequestError as error:
                self._leave(kept, error)
            else:
                self._queues[kept.key].take_up(kept)
                taken_up += 1
        return taken_up

    def _leave(self, kept: KeptEvent, error: RequestError) -> None:
        assert self._journal is not None, "it comes from there"
        told = f"an asynchronous event of {kept.key} {{}}, for {error.message}"
        is_old = self._clock.now() - kept.accepted > MAX_AGE
        if is_old:
            self._journal.drop(kept.request_id)
        self._timeline.record(
            "event.dropped" if is_old else "state.trouble",
            told.format("is dropped" if is_old else "is kept"),
            function=kept.key.partition(":")[0],
            request_id=kept.request_id,
            detail={"payload": kept.payload.decode("utf-8", "replace")},
        )

    def take_up_records(self) -> None:
        """Bring those to their destinations that an emulator before this one has not brought there."""
        if self._journal is not None:
            for number, kept in self._journal.records.items():
                self._begin_delivery(kept, number)

    def pending(self, name: str | None = None) -> list[EventView]:
        """What is not done, of one function or of all."""
        views = [view for queue in (*self._queues.values(), *self._leaving) for view in queue.events]
        return [view for view in views if name is None or view.function == name]

    @property
    def next_due(self) -> float | None:
        """When the next attempt is due, on the emulator's clock."""
        return min((due for queue in self._queues.values() if (due := queue.next_due) is not None), default=None)

    async def finished(self) -> None:
        """Wait until no attempt runs, every record is where it belongs, and the environments are at rest again."""
        await self._until(lambda: not self._is_busy)
        while self._restless:
            with contextlib.suppress(EmulatorError):  # somebody else keeps it busy
                await self._at_rest(self._restless.pop())

    async def drain(self, seconds: float) -> None:
        """Let what runs and what can be served now come to its end; ``seconds`` is how long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until(lambda: not self._is_busy and not any(q.has_ready for q in self._queues.values()))

    def close(self) -> list[EventView]:
        """Take no more and try no more; answers what is not done, which is on the timeline as well."""
        left = [view for queue in self._queues.values() for view in queue.close()]
        left += [view for queue in self._leaving for view in queue.close(kind="event.dropped")]
        for delivery in self._deliveries:
            delivery.cancel()
        return left

    @property
    def _is_busy(self) -> bool:
        return bool(self._deliveries) or any(queue.running for queue in (*self._queues.values(), *self._leaving))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _invoke(self, name: str, payload: bytes, hops: int) -> None:
        invocation = self._make(name, payload)
        self._queues[name].accept(invocation, hops + 1)

    def _something_changed(self, environment_id: EnvironmentId | None) -> None:
        if environment_id is not None:
            self._restless.add(environment_id)
        self._changed.set()

    def _send(self, name: str, request_id: RequestId, destination: Destination, record: bytes, hops: int) -> None:
        kept = KeptRecord(name, request_id, destination.given, record, hops)
        self._begin_delivery(kept, self._journal.keep_record(kept) if self._journal is not None else 0)

    def _begin_delivery(self, kept: KeptRecord, number: int) -> None:
        delivery = self._spawn(self._deliver(kept, number))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._delivered)

    def _delivered(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        self._changed.set()

    async def _deliver(self, kept: KeptRecord, number: int) -> None:
        where = f"to {kept.destination}"
        kind, reason, is_over = "event.undelivered", f"{where}: the emulator stops", False
        try:
            await self._courier.deliver(Destination.of(kept.destination), kept.record, kept.hops)
            kind, reason, is_over = "event.delivered", where, True
        except EmulatorError as error:
            reason, is_over = f"{where}: {error.message}", True
        finally:
            if is_over and self._journal is not None:
                self._journal.drop_record(number)
            told = {"record": kept.record.decode("utf-8", "replace")} if kind == "event.undelivered" else None
            self._timeline.record(kind, reason, function=kept.function, request_id=kept.request_id, detail=told)
