"""The one ordered record of everything that happened, on one clock.

Appending is all that the hot path does: no formatting, no I/O. The record is bounded; what falls out at
the old end is counted, never lost silently.

Events are not kept as objects. A ring of plain references takes a third of the memory, and nothing in it has to be
looked through by the collector; a :class:`TimelineEvent` is made when somebody reads one. Who reads has a place in
the ring and nothing else: nobody waits for a slow reader, and one who comes too late is told what was missed.
"""

from __future__ import annotations

import asyncio
import functools
import json
import marshal
import secrets
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from emulator.clock import Clock

__all__ = ["EVERYTHING", "Listener", "Page", "Timeline", "TimelineEvent", "Wanted"]

_WIDTH = 6  # references that are kept of an event, besides its moment
_SCAN = 2000  # events that a page looks at: a millisecond at most, for the loop has others to serve
_GATHER = 0.05  # seconds in which events gather for a follower
_PATIENCE = 15.0  # seconds after which a follower hears that there is nothing


class TimelineEvent(NamedTuple):
    """One thing that happened.

    ``seq`` counts from 1 without gaps; ``at`` is seconds since the epoch on the emulator's clock; ``kind``
    is a word with a full stop in it (``environment.frozen``); ``reason`` says why, in words for people.
    """

    seq: int
    at: float
    kind: str
    function: str | None
    environment: str | None
    request_id: str | None
    reason: str
    detail: Mapping[str, Any] | None


Listener = Callable[[TimelineEvent], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader wants; those that fit everything that is said.

    Attributes:
        function: its name.
        environment: its id, or the beginning of it.
        kinds: beginnings of kinds, such as ``session.`` or ``environment.frozen``; any of them.
        not_before: seconds since the epoch, on the emulator's clock.
    """

    function: str | None = None
    environment: str | None = None
    kinds: tuple[str, ...] = ()
    not_before: float | None = None

    def fits(self, kind: str, function: str | None, environment: str | None) -> bool:
        """All but the moment, which is known by an event's place."""
        if self.kinds and not kind.startswith(self.kinds):
            return False
        if self.function is not None and function != self.function:
            return False
        return self.environment is None or (environment is not None and environment.startswith(self.environment))

    def takes(self, event: TimelineEvent) -> bool:
        """Whether it is one of them."""
        if self.not_before is not None and event.at < self.not_before:
            return False
        return self.fits(event.kind, event.function, event.environment)


EVERYTHING = Wanted()


class Page(NamedTuple):
    """Some events that a reader gets at once.

    ``last`` is the number up to which it tells, which is where to go on; ``lost`` the first and the last number of
    what had fallen out before it could be read; ``more`` says that there is more to be read already.
    """

    events: list[TimelineEvent]
    last: int
    lost: tuple[int, int] | None
    more: bool


class Timeline:
    """The record itself.

    Arguments:
        limit: how many events are kept, at least one.

    Attributes:
        run: another word for every emulator that was ever started, for readers who come again.
    """

    def __init__(self, clock: Clock, limit: int = 100_000) -> None:
        self.run = secrets.token_hex(4)
        self.limit = limit
        self._clock = clock
        self._moments = array("d")
        self._fields: list[Any] = []
        self._seq = 0
        self._listeners: list[tuple[Listener, Callable[[str], bool]]] = []
        self._hearing: dict[str, tuple[Listener, ...]] = {}  # who listens to a kind, for kinds that came already
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = False

    def record(
        self,
        kind: str,
        reason: str = "",
        *,
        function: str | None = None,
        environment: str | None = None,
        request_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one event. What is in ``detail`` is what JSON has, and tuples."""
        packed = None if detail is None else _packed(detail)
        seq = self._seq
        if seq < self.limit:
            self._moments.append(self._clock.now())
            self._fields += (kind, reason, function, environment, request_id, packed)
        else:
            place = seq % self.limit
            self._moments[place] = self._clock.now()
            place *= _WIDTH
            self._fields[place : place + _WIDTH] = (kind, reason, function, environment, request_id, packed)
        self._seq = seq + 1
        if self._waiting:
            self._wake()
        hearing = self._hearing.get(kind)
        if hearing is None:
            hearing = self._hearing[kind] = tuple(each for each, wants in self._listeners if wants(kind))
        if hearing:
            event = self._event(self._seq)
            for listener in hearing:
                listener(event)

    @property
    def last_seq(self) -> int:
        return self._seq

    @property
    def dropped(self) -> int:
        """How many events have fallen out at the old end."""
        return max(0, self._seq - self.limit)

    @property
    def now(self) -> float:
        """The moment that an event would carry."""
        return self._clock.now()

    def since(self, seq: int = 0) -> Iterator[TimelineEvent]:
        """Every kept event after number ``seq``, oldest first, as it is now."""
        first, last = max(seq, self.dropped) + 1, self._seq
        if first > last:
            return iter(())
        begin, end = (first - 1) % self.limit, (last - 1) % self.limit + 1
        pieces = [(begin, end)] if begin < end else [(begin, self.limit), (0, end)]
        moments = [self._moments[a:b] for a, b in pieces]
        fields = [self._fields[a * _WIDTH : b * _WIDTH] for a, b in pieces]
        return _events(first, moments, fields)

    def read(self, since: int = 0, wanted: Wanted = EVERYTHING, *, most: int = 500) -> Page:
        """Some of the events after number ``since``; it takes about a millisecond at most.

        Arguments:
            wanted: only these.
            most: so many at once.
        """
        dropped, end = self.dropped, self._seq
        lost = (since + 1, dropped) if since < dropped else None
        number = max(0, since, dropped)
        if wanted.not_before is not None:
            number = max(number, self._before(wanted.not_before))
        stop = min(end, number + _SCAN)
        numbers = self._numbers(number, stop, wanted)
        number = numbers[most - 1] if len(numbers) >= most else max(number, stop)
        return Page([self._event(found) for found in numbers[:most]], min(number, end), lost, number < end)

    async def follow(
        self,
        since: int = 0,
        wanted: Wanted = EVERYTHING,
        *,
        most: int = 500,
        gather: float = _GATHER,
        patience: float = _PATIENCE,
    ) -> AsyncIterator[Page]:
        """What is there after number ``since`` and then what comes, until :meth:`end_followers`.

        Arguments:
            wanted, most: as for :meth:`read`.
            gather: seconds in which what comes is gathered into one page.
            patience: seconds after which a page without anything says that nothing came.
        """
        loop = asyncio.get_running_loop()
        told = loop.time()
        while True:
            page = self.read(since, wanted, most=most)
            since = page.last
            if page.events or page.lost or loop.time() - told >= patience:
                yield page
                told = loop.time()
            if page.more:
                await asyncio.sleep(0)
                continue
            if self._seq <= since:
                if self._ended:
                    return
                await self._news(patience - (loop.time() - told))
            if not self._ended:
                await asyncio.sleep(gather)

    def end_followers(self) -> None:
        """Whoever follows gets what there is, and then the end."""
        self._ended = True
        self._wake()

    def listen(self, listener: Listener, wants: Callable[[str], bool] | None = None) -> Callable[[], None]:
        """Call ``listener`` at once for every event from now on; the answer is a function that ends it.

        It is called in the middle of what happens, so it has to be quick; who has time follows instead.

        Arguments:
            wants: says of a kind whether it is wanted; it is asked once for each.
        """
        entry = (listener, wants or (lambda _kind: True))
        self._listeners.append(entry)
        self._hearing = {}

        def stop() -> None:
            self._listeners.remove(entry)
            self._hearing = {}

        return stop

    def _numbers(self, after: int, last: int, wanted: Wanted) -> list[int]:
        """Those of the wanted events after one number, up to another.

        Most readers want few of many: kinds are looked at in one sweep, and nothing is made of those that do not fit.
        """
        found: list[int] = []
        is_wanted = _kinds_like(wanted.kinds)
        while after < last:  # twice where the ring's end lies between
            begin = after % self.limit
            end = min(begin + last - after, self.limit)
            kinds = self._fields[begin * _WIDTH : end * _WIDTH : _WIDTH]
            found += [number for number, kind in enumerate(kinds, after + 1) if is_wanted[kind]]
            after += end - begin
        if wanted.function is None and wanted.environment is None:
            return found
        return [number for number in found if wanted.fits(*self._origin(number))]

    def _origin(self, number: int) -> tuple[str, str | None, str | None]:
        place = (number - 1) % self.limit * _WIDTH
        kind, _, function, environment = self._fields[place : place + 4]
        return kind, function, environment

    def _event(self, number: int) -> TimelineEvent:
        place = (number - 1) % self.limit
        kind, reason, function, environment, request_id, packed = self._fields[place * _WIDTH : (place + 1) * _WIDTH]
        detail = None if packed is None else marshal.loads(packed)  # noqa: S302 (it is our own, of this process)
        return TimelineEvent(number, self._moments[place], kind, function, environment, request_id, reason, detail)

    def _before(self, moment: float) -> int:
        """The number of the last kept event before a moment."""
        return bisect_left(
            range(1, self._seq + 1), moment, lo=self.dropped, key=lambda n: self._moments[(n - 1) % self.limit]
        )

    async def _news(self, patience: float) -> None:
        """Wait for an event, no longer than ``patience`` seconds."""
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(came)
        try:
            await asyncio.wait([came], timeout=max(0.0, patience))
        finally:
            if came in self._waiting:
                self._waiting.remove(came)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class _Kinds(dict[str, bool]):
    """Whether a kind begins like one of these, known once for each that comes: there are a few dozen."""

    def __init__(self, beginnings: tuple[str, ...]) -> None:
        self._beginnings = beginnings

    def __missing__(self, kind: str) -> bool:
        wanted = self[kind] = not self._beginnings or kind.startswith(self._beginnings)
        return wanted


@functools.lru_cache(64)
def _kinds_like(beginnings: tuple[str, ...]) -> _Kinds:
    return _Kinds(beginnings)


def _events(first: int, moments: list[array[float]], fields: list[list[Any]]) -> Iterator[TimelineEvent]:
    number = first
    for times, piece in zip(moments, fields, strict=True):
        for index, moment in enumerate(times):
            kind, reason, function, environment, request_id, packed = piece[index * _WIDTH : (index + 1) * _WIDTH]
            detail = None if packed is None else marshal.loads(packed)  # noqa: S302
            yield TimelineEvent(number, moment, kind, function, environment, request_id, reason, detail)
            number += 1


def _packed(detail: Mapping[str, Any]) -> bytes:
    """A mapping takes five times the memory of these bytes, and the collector looks through it again and again."""
    try:
        return marshal.dumps(detail)  # type: ignore[arg-type]  # another mapping than a dict is refused here
    except ValueError:  # words of an enumeration, which are no plain strings; or what only looks like JSON
        plain = {name: str(value) if isinstance(value, str) else value for name, value in detail.items()}
    try:
        return marshal.dumps(plain)
    except ValueError:
        return marshal.dumps(json.loads(json.dumps(plain, default=str)))
