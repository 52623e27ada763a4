"""The asynchronous events of one function: accepted, tried, and tried again, until there is something to tell of each.

An event keeps its request id through all attempts. What fails in the function is tried again after one minute and
after two [D]; what finds no place, or no sandbox, goes back and is tried after 1 s to 5 min [D] until it is too old.
All these times are on the emulator's clock.

DIFFERS: AWS's queue comes by again when its interval is over. Here a place that becomes free ends the wait at once,
and goes to events before it goes to new synchronous calls; and the function takes its events in their order.

The room is long because it is one subject: the way of an event, in the order in which it goes.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from emulator.clock import Clock, Timer
from emulator.destinations import Result, dead_letter, error_type, invocation_record
from emulator.errors import RequestError, ServiceError, ThrottledError
from emulator.event_settings import Asynchronous, Destination
from emulator.invocation import Invocation, Outcome
from emulator.model import Answer, EnvironmentId, RequestId
from emulator.pool import Pool
from emulator.spans import in_words
from emulator.state import EventJournal, KeptEvent
from emulator.text import is_qualified
from emulator.timeline import Timeline

__all__ = ["EventQueue", "EventState", "EventView", "Office"]

_RETRY_DELAYS = (60.0, 120.0)  # seconds after an error of the function [D]
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0  # seconds after a refusal, doubled with each [D]


class EventState(StrEnum):
    """Where an event is."""

    READY = "ready"  # it takes the next place that is free
    RUNNING = "running"
    WAITING = "waiting"  # until its next attempt


@dataclass(frozen=True, slots=True)
class EventView:
    """An event that is not done, as the inspection API shows it. Moments are seconds since the epoch.

    Attributes:
        attempts: how often the function has run for it, a running one not counted.
        next_attempt: when it is tried again; ``None`` while it runs, or waits for a place.
        reason: of its state, in words.
    """

    request_id: RequestId
    function: str
    state: EventState
    accepted_at: float
    attempts: int
    next_attempt: float | None
    reason: str
    payload: str


@dataclass(slots=True, eq=False)
class _Event:
    request_id: RequestId
    payload: bytes
    function_arn: str
    trace_id: str
    accepted: float
    accepted_wall: float
    hops: int
    state: EventState = EventState.READY
    reason: str = ""
    attempts: int = 0
    refusals: int = 0
    result: Result | None = None
    again: Timer | None = None


@dataclass(frozen=True, slots=True)
class Office:
    """What all queues share.

    Attributes:
        send: brings a record of a function's event to a destination, in its own time.
        changed: hears that an event has come to an end, or an attempt; with the environment that had it, if one had.
        said: what is said of the events that came by an ARN, where that is not what is said of their function.
        journal: where events are kept that are to outlive the emulator.
    """

    clock: Clock
    timeline: Timeline
    send: Callable[[str, RequestId, Destination, bytes, int], None]
    changed: Callable[[EnvironmentId | None], None]
    said: Callable[[str], Asynchronous | None] = lambda arn: None
    journal: EventJournal | None = None


class EventQueue:
    """The asynchronous events of one function."""

    def __init__(self, pool: Pool, office: Office, arn: str) -> None:
        self._pool, self._office, self._arn = pool, office, arn
        self._clock, self._timeline = office.clock, office.timeline
        self._events: dict[RequestId, _Event] = {}
        self._ready: deque[_Event] = deque()
        self._waiter = pool.share.waiter(self._use_place)
        self._refusals = 0  # in a row
        self._look_again: Timer | None = None
        self._trying = False
        self._closed, self._why = False, ""
        self.running = 0
        pool.backlog = self

    @property
    def events(self) -> list[EventView]:
        """All that are not done, in the order in which they were accepted."""
        return [self._view(event) for event in self._events.values()]

    @property
    def has_ready(self) -> bool:
        """Some wait for nothing but a place."""
        return bool(self._ready)

    @property
    def next_due(self) -> float | None:
        """When the next attempt is due, on the emulator's clock."""
        timers = [event.again for event in self._events.values()]
        return min((timer.when for timer in (*timers, self._look_again) if timer is not None), default=None)

    def accept(self, invocation: Invocation, hops: int = 0) -> None:
        """Take an event; from now on it is not lost.

        Raises:
            ServiceError: the emulator is stopping, or the event cannot be kept.
        """
        if self._closed:
            raise ServiceError("the emulator is stopping")
        event = _Event(
            invocation.request_id,
            invocation.payload,
            invocation.function_arn,
            invocation.trace_id,
            self._clock.monotonic(),
            self._clock.now(),
            hops,
        )
        if self._office.journal is not None:
            self._keep(self._office.journal, event)
        self._events[event.request_id] = event
        self._record("event.accepted", "an asynchronous invocation", event)
        self._make_ready(event)

    def take_up(self, kept: KeptEvent) -> None:
        """Go on with an event that an emulator before this one has accepted.

        Time has gone by for it. Where the clock says less than it did then, for time had been skipped, the event is
        as if accepted now, and waits for its next attempt no longer than it would have.
        """
        now = self._clock.now()
        event = _Event(
            kept.request_id,
            kept.payload,
            kept.function_arn,
            kept.trace_id,
            self._clock.monotonic() - max(0.0, now - kept.accepted),
            kept.accepted,
            kept.hops,
            attempts=kept.attempts,
            refusals=kept.refusals,
            result=Result(*kept.result) if kept.result is not None else None,
        )
        self._events[event.request_id] = event
        self._record("event.accepted", f"before this start; {event.attempts} attempts were made", event)
        delay = min(kept.due - now, kept.delay) if kept.due is not None else 0.0
        if delay > 0:
            self._wait(event, self._clock.monotonic() + delay, kept.reason)
        else:
            self._make_ready(event)

    def next_event(self, *, shared_place: bool) -> Invocation | None:
        """As :class:`emulator.pool.Backlog` says."""
        if not self._ready or (shared_place and not self._waiter.is_next):
            return None
        event = self._first_ready()
        if event is None:
            self._tidy()
            return None
        self._ready.popleft()
        event.state = EventState.RUNNING
        self.running += 1
        self._began(event)
        if shared_place:
            self._waiter.took_turn()
        self._tidy()
        return self._invocation(event)

    def go_first(self) -> None:
        """As :class:`emulator.pool.Backlog` says."""
        if self._ready:
            self._read()

    def settings_changed(self) -> None:
        """The function was deployed again: what was refused may be served now, or never."""
        self._read()

    def close(
        self, why: str = "the emulator stops", kind: str = "event.pending", *, lets_finish: bool = False
    ) -> list[EventView]:
        """Take no more and try no more; answers what is not done, and tells of each as an event of this kind.

        Arguments:
            lets_finish: what runs comes to its end, and is told of then; else nobody hears of that.
        """
        self._closed, self._why = True, why
        left = [view for view in self.events if not (lets_finish and view.state is EventState.RUNNING)]
        if self._office.journal is not None and kind != "event.pending":
            for request_id in self._events:
                self._office.journal.drop(request_id)
        for view in left:
            event = self._events.pop(view.request_id)
            self._record(kind, f"{why}: {view.reason}", event, detail=_detail(view))
            if event.again is not None:
                event.again.cancel()
        if self._look_again is not None:
            self._look_again.cancel()
        self._waiter.leave()
        self._ready.clear()
        return left

    # -- attempts ----------------------------------------------------------------------------------------

    def _make_ready(self, event: _Event) -> None:
        event.state, event.reason, event.again = EventState.READY, "waits for its turn", None
        if (condition := self._too_late(event)) is not None:
            self._give_up(event, condition)
            return
        self._ready.append(event)
        if not self._waiter.waits:
            self._read()
        elif self._look_again is None or self._deadline(event) < self._look_again.when:
            self._look_at(self._deadline(event))

    def _read(self) -> None:
        """Have those that are ready served, as far as that goes."""
        while self._ready and self._try():
            pass
        self._tidy()

    def _use_place(self) -> bool:
        if self._trying or self._closed:
            return False
        began = self._try()
        self._tidy()
        return began

    def _try(self) -> bool:
        """Have the first of those that are ready served; ``False`` where nothing more can be done now."""
        event = self._first_ready()
        if event is None:
            return False
        self._ready.popleft()
        event.state = EventState.RUNNING
        self.running += 1
        self._trying = True
        try:
            self._pool.submit(self._invocation(event))
        except ThrottledError as refusal:
            self.running -= 1
            self._ready.appendleft(event)
            self._throttled(event, refusal)
            return False
        finally:
            self._trying = False
        self._began(event)
        return True

    def _first_ready(self) -> _Event | None:
        """The one whose turn it is; those that cannot be served any more are given up."""
        while self._ready:
            event = self._ready[0]
            condition = self._too_late(event)
            if condition is None:
                return event
            self._ready.popleft()
            self._give_up(event, condition)
        return None

    def _too_late(self, event: _Event) -> str | None:
        if self._pool.share.reserved == 0:
            return "ZeroReservedConcurrency"  # [D] straight to whom it concerns
        return "EventAgeExceeded" if self._deadline(event) <= self._clock.monotonic() else None

    def _invocation(self, event: _Event) -> Invocation:
        return Invocation(
            event.request_id,
            event.payload,
            event.function_arn,
            event.trace_id,  # [D] a client context is for synchronous invocations only
            asynchronous=True,
            on_answer=functools.partial(self._answered, event),
            on_report=self._parked,
        )

    def _began(self, event: _Event) -> None:
        self._refusals = 0
        self._cancel_look()
        if event.state is EventState.RUNNING:  # or it has failed at once
            event.reason = f"attempt {event.attempts + 1} of {self._settings(event).retries + 1}"
            self._record("event.attempt", event.reason, event)

    def _throttled(self, event: _Event, refusal: ThrottledError) -> None:
        # [X] what the function said at an earlier attempt is forgotten
        event.result = Result(refusal.status, message=refusal.message)
        event.state, event.reason = EventState.READY, refusal.reason
        if self._look_again is not None:
            return  # it is known that nothing goes
        self._refusals += 1
        again = f"again in {in_words(self._look_later())}, or when a place is free"
        self._record("event.throttled", f"{refusal.reason}: {again}", event)

    def _look_later(self) -> float:
        delay = _back_off(max(1, self._refusals))
        self._look_at(min(self._clock.monotonic() + delay, self._deadline(self._ready[0])))
        return delay

    def _look_at(self, when: float) -> None:
        self._cancel_look()
        self._look_again = self._clock.call_at(when, self._look)

    def _cancel_look(self) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None

    def _look(self) -> None:
        self._look_again = None
        for event in tuple(self._ready):
            if (condition := self._too_late(event)) is not None:
                self._ready.remove(event)
                self._give_up(event, condition)
        self._read()

    def _tidy(self) -> None:
        """Whatever is ready now waits for a place."""
        if self._ready:
            self._waiter.wait()
            if self._look_again is None:
                self._look_later()
        else:
            self._waiter.leave()
            self._cancel_look()

    # -- what comes of them ------------------------------------------------------------------------------

    def _answered(self, event: _Event, outcome: Outcome) -> None:
        if outcome.answer is None:
            self._parked(outcome)  # there will be no report
        if self._closed and event.request_id not in self._events:
            return
        if outcome.answer is not None:
            self._function_answered(event, outcome.answer)
        elif outcome.failure is not None:
            self._system_failed(event, outcome.failure)

    def _parked(self, outcome: Outcome) -> None:
        self.running -= 1
        self._office.changed(outcome.environment_id)

    def _function_answered(self, event: _Event, answer: Answer) -> None:
        event.attempts += 1
        event.result = Result(200, answer.payload, answer.function_error)
        attempt = f"attempt {event.attempts} of {self._settings(event).retries + 1}"
        if answer.function_error is None:
            self._finish(event, "Success")
        elif event.attempts > self._settings(event).retries:
            self._give_up(event, "RetriesExhausted")
        else:
            due = self._clock.monotonic() + (delay := _RETRY_DELAYS[event.attempts - 1])
            if due >= self._deadline(event):  # [R] it is not kept until then
                self._give_up(event, "EventAgeExceeded")
            else:
                self._wait(event, due, f"{attempt} failed: {error_type(answer)}", delay)

    def _system_failed(self, event: _Event, failure: RequestError) -> None:
        event.result = Result(failure.status, message=failure.message)
        event.refusals += 1
        delay = _back_off(event.refusals)
        due = min(self._clock.monotonic() + delay, self._deadline(event))
        self._wait(event, due, f"not served: {failure.message}", delay)

    def _wait(self, event: _Event, due: float, reason: str, delay: float | None = None) -> None:
        if self._closed:  # nobody is there who could try again
            del self._events[event.request_id]
            self._record("event.dropped", f"{self._why}: {reason}", event, detail=_detail(self._view(event)))
            return
        if delay is not None:
            reason = f"{reason}; again in {in_words(delay)}"
        event.state, event.reason = EventState.WAITING, reason
        event.again = self._clock.call_at(due, functools.partial(self._make_ready, event))
        if self._office.journal is not None:
            self._note(self._office.journal, event, due - self._clock.monotonic())
        self._record("event.retry", reason, event)

    def _give_up(self, event: _Event, condition: str) -> None:
        if condition == "ZeroReservedConcurrency":
            event.result = None
        elif event.result is None:  # those before it were throttled, and it would have been
            event.result = Result(ThrottledError.status, message=ThrottledError("").message)
        self._finish(event, condition)

    def _finish(self, event: _Event, condition: str) -> None:
        del self._events[event.request_id]
        settings = self._settings(event)
        success = condition == "Success"
        named = (settings.on_success,) if success else (settings.on_failure, settings.dead_letter)
        told = "" if any(named) or success else "; nobody is told"
        detail = None if success else _detail(self._view(event))
        kind = "event.succeeded" if success else "event.failed"
        self._record(kind, f"{condition} after {event.attempts} attempts{told}", event, detail=detail)
        if (destination := settings.on_success if success else settings.on_failure) is not None:
            record = invocation_record(
                request_id=event.request_id,
                function_arn=event.function_arn if is_qualified(event.function_arn) else self._arn,
                condition=condition,
                count=1 if success else event.attempts,  # [X] after retries as well
                payload=event.payload,
                result=event.result,
                now=self._clock.now(),
                version=self._pool.function.version,
            )
            self._send(event, destination, record)
        if not success and settings.dead_letter is not None:
            letter = dead_letter(request_id=event.request_id, payload=event.payload, result=event.result)
            self._send(event, settings.dead_letter, letter)
        if self._office.journal is not None:  # not before what is told of it is kept
            self._office.journal.drop(event.request_id)
        self._office.changed(None)

    # -- kept --------------------------------------------------------------------------------------------

    def _keep(self, journal: EventJournal, event: _Event) -> None:
        kept = KeptEvent(
            event.request_id,
            self._pool.function.key,
            event.payload,
            event.function_arn,
            event.trace_id,
            event.accepted_wall,
            event.hops,
        )
        try:
            journal.keep(kept)
        except OSError as error:
            raise ServiceError(f"the event cannot be kept: {error.strerror or error}") from error

    def _note(self, journal: EventJournal, event: _Event, delay: float) -> None:
        result = event.result
        journal.change(
            event.request_id,
            attempts=event.attempts,
            refusals=event.refusals,
            due=self._clock.now() + delay,
            delay=delay,
            reason=event.reason,
            result=(result.status, result.payload, result.function_error, result.message) if result else None,
        )

    # -- inside ------------------------------------------------------------------------------------------

    def _settings(self, event: _Event) -> Asynchronous:
        return self._office.said(event.function_arn) or self._pool.function.asynchronous

    def _deadline(self, event: _Event) -> float:
        return event.accepted + self._settings(event).max_age

    def _send(self, event: _Event, destination: str, record: bytes) -> None:
        self._office.send(self._pool.function.name, event.request_id, Destination.of(destination), record, event.hops)

    def _view(self, event: _Event) -> EventView:
        due = event.again.when if event.state is EventState.WAITING and event.again is not None else None
        return EventView(
            event.request_id,
            self._pool.function.name,
            event.state,
            event.accepted_wall,
            event.attempts,
            due - self._clock.monotonic() + self._clock.now() if due is not None else None,
            event.reason,
            event.payload.decode("utf-8", "replace"),
        )

    def _record(self, kind: str, reason: str, event: _Event, *, detail: Mapping[str, Any] | None = None) -> None:
        self._timeline.record(
            kind, reason, function=self._pool.function.name, request_id=event.request_id, detail=detail
        )


def _back_off(refusals: int) -> float:
    return min(_FIRST_DELAY * 2.0 ** min(refusals - 1, 20), _LONGEST_DELAY)


def _detail(view: EventView) -> Mapping[str, Any]:
    return {"state": view.state, "attempts": view.attempts, "payload": view.payload}
