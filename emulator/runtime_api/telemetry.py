"""The Telemetry API and the Logs API of one environment: who may subscribe, and who gets what happens."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emulator.platform_events import LogEvent
from emulator.runtime_api.delivery import KEPT_BATCHES, Delivery
from emulator.runtime_api.extensions import ExtensionsSession
from emulator.runtime_api.reply import Reply, reply_error
from emulator.runtime_api.subscription import (
    Api,
    Buffering,
    Subscription,
    parse_subscription,
    refuse,
    render,
)
from emulator.sandbox.base import Spawn

__all__ = ["TelemetrySession"]

_ACCEPTED = Reply(200, b'"OK"')  # [D] a JSON string, quotes and all
# [R] opentelemetry-lambda#1452 for the first, [C] for the second.
_CLOSED = {
    Api.TELEMETRY: reply_error(403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already"),
    Api.LOGS: reply_error(403, "Logs.SubscriptionClosed", "Logs API subscription is closed already"),
}
# [D] telemetry-api says that the other API is refused; with what is not known.
_OTHER_API = {
    Api.TELEMETRY: refuse(
        Api.TELEMETRY, "the extension is subscribed to the Logs API already; it can use one of the two"
    ),
    Api.LOGS: refuse(Api.LOGS, "the extension is subscribed to the Telemetry API already; it can use one of the two"),
}
_BACKLOG_BYTES = KEPT_BATCHES * Buffering().max_bytes  # as much as a subscriber with the defaults could take
_ABOUT_A_RECORD = 300  # bytes of a platform event, near enough for a limit


class _Backlog:
    """What happened so far in this init, for those who subscribe later; the oldest goes if it is too much."""

    def __init__(self) -> None:
        self.events: deque[LogEvent] = deque()
        self.lost: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))  # bytes and records of a stream
        self._bytes = 0

    def add(self, event: LogEvent) -> None:
        self.events.append(event)
        self._bytes += _size(event)
        while self._bytes > _BACKLOG_BYTES and len(self.events) > 1:
            oldest = self.events.popleft()
            size, stream = _size(oldest), oldest.type.partition(".")[0]
            self._bytes -= size
            lost_bytes, records = self.lost[stream]
            self.lost[stream] = (lost_bytes + size, records + 1)


def _size(event: LogEvent) -> int:
    return len(event.record) if isinstance(event.record, str) else _ABOUT_A_RECORD


@dataclass(frozen=True, slots=True)
class _Subscriber:
    subscription: Subscription
    delivery: Delivery


class TelemetrySession:
    """The subscriptions of one generation of an environment's extensions.

    Arguments:
        extensions: tells who calls.
        address: the environment's own address as reached from here; listeners are dialled there.
        spawn: where deliveries run.
        on_subscribed: told of every accepted subscription: name of the extension, types, ``telemetry`` or ``logs``.
        json_records: the function's log format is JSON.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        extensions: ExtensionsSession,
        *,
        address: str,
        spawn: Spawn,
        on_subscribed: Callable[[str, Sequence[str], str], None],
        json_records: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._extensions = extensions
        self._address, self._spawn = address, spawn
        self._on_subscribed = on_subscribed
        self._json_records, self._now = json_records, now
        self._subscribers: dict[str, _Subscriber] = {}
        self._backlog: _Backlog | None = _Backlog()  # None once nobody can subscribe any more
        self._paused = False
        self._closed = False

    def subscribe(self, api: str, identifier: str | None, body: bytes) -> Reply:
        """``PUT /2022-07-01/telemetry`` (``telemetry``) and ``PUT /2020-08-15/logs`` (``logs``).

        A new subscriber gets what happened before first. A second wish of the same extension takes the place of
        the first and begins anew; the same wish again changes nothing [D].
        """
        extension = self._extensions.find(identifier)
        if isinstance(extension, Reply):
            return extension
        wanted = Api(api)
        if self._backlog is None:
            return _CLOSED[wanted]
        subscription = parse_subscription(wanted, body)
        if isinstance(subscription, Reply):
            return subscription
        before = self._subscribers.get(extension.identifier)
        if before is not None and before.subscription.api is not wanted:
            return _OTHER_API[wanted]
        if before is None or before.subscription != subscription:
            if before is not None:
                before.delivery.close()
            self._subscribers[extension.identifier] = self._begin(subscription, self._backlog)
        self._on_subscribed(extension.name, subscription.types, wanted.value)
        return _ACCEPTED

    @property
    def is_wanted(self) -> bool:
        """Somebody has subscribed."""
        return bool(self._subscribers)

    def close_subscription(self) -> None:
        """Init is over: nobody can subscribe any more, and nothing is kept for those who might."""
        self._backlog = None

    def publish(self, event: LogEvent) -> None:
        """Hand an event to everybody who wants it; while one can subscribe, it is also kept for those to come."""
        if self._closed:
            return
        if self._backlog is not None:
            self._backlog.add(event)
        for subscriber in self._subscribers.values():
            self._offer(subscriber, event)

    def pause(self) -> None:
        """The environment is frozen: nothing is sent, no wait goes on."""
        self._paused = True
        for subscriber in self._subscribers.values():
            subscriber.delivery.pause()

    def resume(self) -> None:
        """It runs again."""
        self._paused = False
        for subscriber in self._subscribers.values():
            subscriber.delivery.resume()

    def flush(self) -> None:
        """What is collected goes at once."""
        for subscriber in self._subscribers.values():
            subscriber.delivery.flush()

    def close(self) -> None:
        """The environment, or this generation of its processes, is gone: nothing is sent any more."""
        self._closed = True
        self._backlog = None
        for subscriber in self._subscribers.values():
            subscriber.delivery.close()

    def _begin(self, subscription: Subscription, backlog: _Backlog) -> _Subscriber:
        delivery = Delivery(subscription, self._address, self._spawn, now=self._now)
        if self._paused:
            delivery.pause()
        subscriber = _Subscriber(subscription, delivery)
        for stream in subscription.types:
            delivery.lose(*backlog.lost[stream])
        for event in backlog.events:
            self._offer(subscriber, event)
        return subscriber

    def _offer(self, subscriber: _Subscriber, event: LogEvent) -> None:
        record = render(subscriber.subscription, event, json_records=self._json_records)
        if record is not None:
            subscriber.delivery.publish(record)
