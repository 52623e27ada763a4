"""The asynchronous events of one function: who is tried when, how often, and what is told of each."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emulator.concurrency import Concurrency
from emulator.errors import SandboxError, ServiceError, ThrottledError
from emulator.event_queue import EventQueue, EventState, Office
from emulator.event_settings import Asynchronous, Destination
from emulator.model import EnvironmentId, RequestId
from emulator.policies import PRESETS, Policy
from emulator.pool import Pool
from emulator.state import EventJournal, KeptEvent
from tests.support import in_loop, skip_time
from tests.unit.stage import PlayedRuntime, Stage, Watched

MINUTE = 60.0
HOUR = 3600.0


class Play:
    """A stage with queues on it, whose records go into a list."""

    def __init__(
        self,
        *,
        limit: int = 10,
        scaling: int = 1000,
        reserved: int | None = None,
        journal: EventJournal | None = None,
        **settings: Any,
    ) -> None:
        self.stage = Stage()
        self.clock = self.stage.clock
        self.account = Concurrency(limit, scaling=scaling)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.served: list[EnvironmentId] = []
        self.said: dict[str, Asynchronous] = {}
        self.office = Office(self.clock, self.stage.timeline, self._send, self._changed, self.said.get, journal)
        self.pool, self.queue = self.deploy("orders", reserved=reserved, **settings)

    def deploy(
        self, name: str, *, reserved: int | None = None, policy: Policy | None = None, **settings: Any
    ) -> tuple[Pool, EventQueue]:
        """One more function with a queue."""
        told = {"on_success": "file:success", "on_failure": "file:failure", "dead_letter": "file:dead"}
        function = dataclasses.replace(
            self.stage.function,
            name=name,
            reserved_concurrency=reserved,
            asynchronous=Asynchronous(**(told | settings)),
        )
        policy = policy if policy is not None else Policy("keep-warm")
        pool = Pool(function, self.stage.surroundings, policy, self.account)
        return pool, EventQueue(pool, self.office, f"arn:{name}:$LATEST")

    def send(self, payload: bytes = b"{}") -> RequestId:
        watched = self.stage.invocation(payload, asynchronous=True)
        self.queue.accept(watched.invocation)
        return watched.invocation.request_id

    def call(self) -> Watched:
        watched = self.stage.invocation()
        self.pool.submit(watched.invocation)
        return watched

    async def runtime(self) -> PlayedRuntime:
        """The newest one, with the event for which its environment was started."""
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime

    def states(self) -> list[str]:
        return [f"{view.request_id} {view.state}" for view in self.queue.events]

    def contexts(self, destination: str) -> list[tuple[str, int]]:
        """Condition and count of every record that went there."""
        found = [record["requestContext"] for name, record in self.sent if name == destination]
        return [(context["condition"], context["approximateInvokeCount"]) for context in found]

    def reasons(self, kind: str) -> list[str]:
        return [event.reason for event in self.stage.events() if event.kind == kind]

    def _changed(self, environment_id: EnvironmentId | None) -> None:
        if environment_id is not None:
            self.served.append(environment_id)

    def _send(self, name: str, request_id: RequestId, destination: Destination, record: bytes, hops: int) -> None:
        self.sent.append((destination.given, json.loads(record)))


def fail(runtime: PlayedRuntime) -> None:
    """Answer with an error of the function, and park."""
    runtime.report_error(b'{"errorMessage":"no","errorType":"Wrong"}', "Wrong")
    runtime.park()


# -- attempts --------------------------------------------------------------------------------------------------


@in_loop
async def test_an_event_is_served_and_told_of() -> None:
    """At once where there is a place; the record has what it brought and what came of it."""
    play = Play()
    request_id = play.send(b'{"id":1}')
    assert play.states() == [f"{request_id} running"]
    runtime = await play.runtime()
    assert runtime.events[0].payload == b'{"id":1}'
    runtime.serve(b'{"ok":true}')
    assert play.queue.events == []
    ((destination, record),) = play.sent
    assert destination == "file:success"
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:orders:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert (record["requestPayload"], record["responsePayload"]) == ({"id": 1}, {"ok": True})
    assert [event.kind for event in play.stage.events() if event.kind.startswith("event.")] == [
        "event.accepted",
        "event.attempt",
        "event.succeeded",
    ]


@in_loop
async def test_an_event_that_fails_is_tried_three_times() -> None:
    """After one minute and after two, with the same request id, and not a moment earlier."""
    play = Play()
    request_id = play.send()
    runtime = await play.runtime()
    for attempt, minutes in ((1, 1), (2, 2)):
        fail(runtime)
        assert play.states() == [f"{request_id} waiting"]
        assert play.reasons("event.retry")[-1] == f"attempt {attempt} of 3 failed: Wrong; again in {minutes} min"
        (view,) = play.queue.events
        assert view.attempts == attempt
        assert view.next_attempt == play.clock.now() + minutes * MINUTE
        play.clock.fast_forward(minutes * MINUTE - 0.001)
        assert len(runtime.events) == attempt
        play.clock.fast_forward(0.001)
        assert len(runtime.events) == attempt + 1
    fail(runtime)
    assert {event.request_id for event in runtime.events} == {request_id}
    assert play.reasons("event.attempt") == ["attempt 1 of 3", "attempt 2 of 3", "attempt 3 of 3"]
    assert play.contexts("file:failure") == [("RetriesExhausted", 3)]
    assert play.reasons("event.failed") == ["RetriesExhausted after 3 attempts"]
    assert [name for name, _ in play.sent] == ["file:failure", "file:dead"]
    assert play.queue.events == []


@in_loop
async def test_a_retry_that_works_is_a_success() -> None:
    """The one record is of that; and the count in it is 1, as others have measured."""
    play = Play()
    play.send()
    runtime = await play.runtime()
    fail(runtime)
    play.clock.fast_forward(MINUTE)
    runtime.serve()
    assert play.contexts("file:success") == [("Success", 1)]
    assert len(play.sent) == 1


@pytest.mark.parametrize("retries", [0, 1])
def test_fewer_retries_are_fewer_attempts(retries: int) -> None:
    """The count in the record is that of the attempts."""

    @in_loop
    async def play_it() -> None:
        play = Play(retries=retries)
        play.send()
        runtime = await play.runtime()
        fail(runtime)
        play.clock.fast_forward(HOUR)
        if retries:
            fail(runtime)
        assert play.contexts("file:failure") == [("RetriesExhausted", retries + 1)]

    play_it()


@in_loop
async def test_who_calls_by_an_alias_may_have_other_settings() -> None:
    """What is said of the ARN that was called, and of no other one; it may change while an event waits."""
    play = Play()
    play.said["arn:live"] = Asynchronous(retries=1, on_failure="file:live")
    watched = play.stage.invocation(b"{}", asynchronous=True)
    watched.invocation.function_arn = "arn:live"
    play.queue.accept(watched.invocation)
    runtime = await play.runtime()
    fail(runtime)
    play.said["arn:live"] = Asynchronous(retries=1, on_failure="file:other")
    play.clock.fast_forward(MINUTE)
    fail(runtime)
    assert [name for name, _ in play.sent] == ["file:other"]
    assert play.contexts("file:other") == [("RetriesExhausted", 2)]
    play.send()
    fail(runtime)
    assert play.states() == ["request-2 waiting"]


@in_loop
async def test_a_timeout_and_a_crash_are_errors_of_the_function() -> None:
    """They count as attempts, and bring what the client of a synchronous call would have got."""
    play = Play(retries=1)
    play.send()
    await play.runtime()
    skip_time(3.0)
    await play.stage.settle()
    assert play.reasons("event.retry") == ["attempt 1 of 2 failed: Sandbox.Timedout; again in 1 min"]
    play.clock.fast_forward(MINUTE)
    runtime = await play.runtime()
    runtime.die(1)
    await play.stage.settle()
    assert play.contexts("file:failure") == [("RetriesExhausted", 2)]
    assert play.sent[0][1]["responsePayload"]["errorType"] == "Runtime.ExitError"
    assert play.sent[1][1]["MessageAttributes"]["ErrorCode"]["StringValue"] == "200"


@in_loop
async def test_retries_come_in_the_order_in_which_they_are_due() -> None:
    """Also when a skip covers them all, and whatever failed first."""
    play = Play()
    runtimes = []
    for _ in range(3):
        play.send()
        runtimes.append(await play.runtime())
    for number in (2, 0, 1):
        fail(runtimes[number])
        play.clock.fast_forward(10.0)
    before = play.stage.timeline.last_seq
    play.clock.fast_forward(10 * MINUTE)
    attempts = [event for event in play.stage.timeline.since(before) if event.kind == "event.attempt"]
    assert [event.request_id for event in attempts] == ["request-3", "request-1", "request-2"]
    assert [event.at - attempts[0].at for event in attempts] == [0.0, 10.0, 20.0]


@in_loop
async def test_a_client_context_is_not_for_asynchronous_events() -> None:
    """Nor are the caller's callbacks: nobody waits."""
    play = Play()
    watched = play.stage.invocation(asynchronous=True)
    watched.invocation.client_context = '{"custom":{}}'
    play.queue.accept(watched.invocation)
    runtime = await play.runtime()
    runtime.serve()
    assert runtime.events[0].client_context is None
    assert watched.heard == []


# -- refusals --------------------------------------------------------------------------------------------------


@in_loop
async def test_events_wait_for_a_place_in_their_order() -> None:
    """The environment takes the next one without a freeze in between; only the first has been refused."""
    play = Play(limit=1)
    ids = [play.send() for _ in range(4)]
    assert play.states() == [f"{ids[0]} running", *(f"{request_id} ready" for request_id in ids[1:])]
    assert play.reasons("event.throttled") == [
        "ConcurrentInvocationLimitExceeded: again in 1 s, or when a place is free"
    ]
    runtime = await play.runtime()
    for _ in ids:
        runtime.serve()
    assert [event.request_id for event in runtime.events] == ids
    assert runtime.sandbox.freezer.calls == ["freeze"]
    assert play.contexts("file:success") == [("Success", 1)] * 4
    assert (play.account.in_use, play.queue.next_due) == (0, None)


@in_loop
async def test_who_is_refused_comes_again_after_longer_and_longer_intervals() -> None:
    """From one second up to five minutes."""
    play = Play(limit=1)
    play.call()
    play.send()
    waits = []
    for _ in range(11):
        assert play.queue.next_due is not None
        waits.append(play.queue.next_due - play.clock.monotonic())
        play.clock.fast_forward(waits[-1])
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]


@in_loop
async def test_the_intervals_begin_anew_when_something_got_through() -> None:
    """What held them up is over."""
    play = Play(limit=1)
    play.call()
    play.send()
    play.send()
    play.clock.fast_forward(100.0)
    (runtime) = await play.runtime()
    runtime.serve()
    assert play.queue.next_due == play.clock.monotonic() + 1.0


@in_loop
async def test_an_event_that_finds_no_place_until_it_is_too_old_is_given_up() -> None:
    """At its age and not before; the record says that it was refused, and that nothing ran."""
    play = Play(limit=1, max_age=3600)
    play.call()
    play.send()
    play.clock.fast_forward(100.0)
    play.send()
    play.clock.fast_forward(3600.0 - 100.1)
    assert play.contexts("file:failure") == []
    play.clock.fast_forward(0.1)
    assert play.contexts("file:failure") == [("EventAgeExceeded", 0)]
    assert play.sent[0][1]["responseContext"] == {"statusCode": 429}
    attributes = play.sent[1][1]["MessageAttributes"]
    assert (attributes["ErrorCode"]["StringValue"], attributes["ErrorMessage"]["StringValue"]) == (
        "429",
        "Rate Exceeded.",
    )
    play.clock.fast_forward(400.0)
    assert play.contexts("file:failure") == [("EventAgeExceeded", 0)] * 2
    assert play.queue.events == []


@in_loop
async def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    """The record of the last attempt goes out at once, as recorded."""
    play = Play(max_age=60)
    play.send()
    runtime = await play.runtime()
    fail(runtime)
    assert play.contexts("file:failure") == [("EventAgeExceeded", 1)]
    assert play.sent[0][1]["responseContext"]["functionError"] == "Unhandled"
    assert play.queue.events == []


@in_loop
async def test_an_event_that_is_running_is_never_too_old() -> None:
    """Its success is one, whenever it comes."""
    play = Play(max_age=60)
    play.send()
    runtime = await play.runtime()
    play.clock.fast_forward(HOUR)
    runtime.serve()
    assert play.contexts("file:success") == [("Success", 1)]


@in_loop
async def test_what_was_said_before_a_refusal_is_forgotten() -> None:
    """One attempt failed, and then there was no place until the end."""
    play = Play(limit=1, max_age=3600)
    play.send()
    runtime = await play.runtime()
    fail(runtime)
    play.call()
    play.clock.fast_forward(HOUR)
    assert play.contexts("file:failure") == [("EventAgeExceeded", 1)]
    assert play.sent[0][1]["responseContext"] == {"statusCode": 429}


@in_loop
async def test_a_switched_off_function_gets_no_event() -> None:
    """A synchronous call is refused, an event accepted, and at once told of: no attempt, no response."""
    play = Play(reserved=0)
    with pytest.raises(ThrottledError) as caught:
        play.call()
    assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    play.send(b'{"id":1}')
    assert play.queue.events == []
    assert play.contexts("file:failure") == [("ZeroReservedConcurrency", 0)]
    record, letter = (record for _, record in play.sent)
    assert "responseContext" not in record
    assert letter["Body"] == '{"id":1}'
    assert "ErrorCode" not in letter["MessageAttributes"]


@in_loop
async def test_switching_off_ends_what_waits_and_switching_on_serves_it() -> None:
    """What is reserved counts at the moment of the attempt."""
    play = Play(reserved=1, limit=1)
    play.send()
    play.send()
    play.send()
    runtime = await play.runtime()
    fail(runtime)  # the first waits for its retry, the second runs
    play.pool.update(dataclasses.replace(play.pool.function, reserved_concurrency=0), "switched off")
    play.queue.settings_changed()
    assert play.contexts("file:failure") == [("ZeroReservedConcurrency", 0)]
    play.clock.fast_forward(MINUTE)
    assert play.contexts("file:failure") == [("ZeroReservedConcurrency", 0), ("ZeroReservedConcurrency", 1)]
    runtime.serve()
    assert play.contexts("file:success") == [("Success", 1)]
    play.pool.update(dataclasses.replace(play.pool.function, reserved_concurrency=1), "switched on")
    play.queue.settings_changed()
    play.send()
    assert play.queue.running == 1


@in_loop
async def test_a_raised_limit_serves_what_waits() -> None:
    """At once, when the function is deployed again."""
    play = Play(reserved=1, limit=5)
    for _ in range(3):
        play.send()
    assert play.queue.running == 1
    play.pool.update(dataclasses.replace(play.pool.function, reserved_concurrency=3), "deployed again")
    play.queue.settings_changed()
    assert play.queue.running == 3


@in_loop
async def test_events_wait_for_the_right_to_start_environments() -> None:
    """So many in ten seconds; then they come by again until there are more."""
    play = Play(scaling=2)
    for _ in range(4):
        play.send()
    assert play.queue.running == 2
    assert play.reasons("event.throttled")[0].startswith("FunctionInvocationRateLimitExceeded")
    play.clock.fast_forward(4.9)
    assert play.queue.running == 2
    play.clock.fast_forward(20.0)
    assert play.queue.running == 4


@in_loop
async def test_what_has_no_sandbox_is_tried_again() -> None:
    """That is the system's failure and no attempt: after 1 s, 2 s, 4 s, until it is too old."""
    play = Play(max_age=60, retries=0)
    play.stage.provider.fail_start_with = SandboxError("no process left")
    play.send()
    for delay in ("1 s", "2 s", "4 s", "8 s", "16 s"):
        await play.stage.settle()
        assert play.reasons("event.retry")[-1].endswith(f"not served: no process left; again in {delay}")
        play.clock.fast_forward(float(delay[:-2]))
    await play.stage.settle()
    (view,) = play.queue.events
    assert (view.state, view.attempts) == (EventState.WAITING, 0)
    play.clock.fast_forward(28.9)
    assert play.contexts("file:failure") == []
    play.clock.fast_forward(0.1)
    assert play.contexts("file:failure") == [("EventAgeExceeded", 0)]
    assert play.sent[0][1]["responseContext"] == {"statusCode": 502}


@in_loop
async def test_an_environment_that_is_ended_under_an_event_loses_nothing() -> None:
    """The event is tried again, and the attempt that was cut off does not count."""
    play = Play(retries=0)
    play.send()
    await play.runtime()
    play.pool.environments[0].end("by somebody")
    await play.stage.settle()
    assert play.states() == ["request-1 waiting"]
    play.clock.fast_forward(1.0)
    runtime = await play.runtime()
    runtime.serve()
    assert play.contexts("file:success") == [("Success", 1)]


# -- fairness --------------------------------------------------------------------------------------------------


@in_loop
async def test_a_place_goes_round_among_the_queues() -> None:
    """A function with many events does not keep the place for itself, although its environment is at hand."""
    play = Play(limit=1)
    _, other = play.deploy("other")
    for _ in range(3):
        play.send()
    for _ in range(2):
        other.accept(play.stage.invocation(asynchronous=True).invocation)
    served = []
    runtimes: list[PlayedRuntime] = []
    for _ in range(5):
        (running,) = [queue for queue in (play.queue, other) if queue.running]
        served.append(running.events[0].function)
        if len(runtimes) < len(play.stage.provider.sandboxes):
            runtimes.append(await play.runtime())
        (busy,) = [runtime for runtime in runtimes if runtime.events]
        busy.respond()
        busy.events.clear()
        busy.park()
    # The first had its place before anybody waited; from then on it is the turn of whoever waits longest.
    assert served == ["orders", "orders", "other", "orders", "other"]


@in_loop
async def test_an_environment_goes_on_without_a_freeze_where_nobody_else_waits() -> None:
    """A function with places of its own takes no turn with others."""
    play = Play(limit=2, reserved=1)
    _, other = play.deploy("other")
    for queue in (play.queue, other):
        for _ in range(3):
            queue.accept(play.stage.invocation(asynchronous=True).invocation)
    await play.stage.settle()
    runtimes = [play.stage.runtime(0), play.stage.runtime(1)]
    for runtime in runtimes:
        runtime.park()
    await play.stage.settle()
    for _ in range(3):
        for runtime in runtimes:
            runtime.serve()
    assert [runtime.sandbox.freezer.calls for runtime in runtimes] == [["freeze"], ["freeze"]]
    assert len(play.contexts("file:success")) == 6


@in_loop
async def test_events_go_before_a_call_that_comes_later() -> None:
    """Whatever it is that they have waited for, and also if nobody has told them yet."""
    play = Play(scaling=1)
    play.send()
    waiting = play.send()
    for moment in (1.0, 2.0, 4.0):
        play.clock.fast_forward(moment)
    play.clock.fast_forward(3.5)  # by now one may be started; the queue will look in some seconds
    with pytest.raises(ThrottledError):
        play.call()
    assert f"{waiting} running" in play.states()


@in_loop
async def test_a_queued_event_does_not_keep_an_environment_past_its_policy() -> None:
    """``always-cold`` with a queue is still a cold start for each."""
    play = Play(limit=1)
    pool, queue = play.deploy("cold", policy=Policy("always-cold", PRESETS["always-cold"]))
    for _ in range(2):
        queue.accept(play.stage.invocation(asynchronous=True).invocation)
    for _ in range(2):
        runtime = await play.runtime()
        assert len(runtime.events) == 1
        runtime.serve()
        await play.stage.settle()
    assert (pool.environments, queue.events) == ([], [])


# -- what can be seen, and the end -------------------------------------------------------------------------------


@in_loop
async def test_what_is_not_done_can_be_seen() -> None:
    """Running, ready and waiting ones, in the order in which they were accepted."""
    play = Play(limit=1)
    play.send(b'{"n":1}')
    runtime = await play.runtime()
    fail(runtime)
    play.send(b'{"n":2}')
    play.send("✓\xff".encode("latin-1", "replace"))
    views = play.queue.events
    assert [(view.state, view.attempts) for view in views] == [("waiting", 1), ("running", 0), ("ready", 0)]
    assert views[0].accepted_at == play.clock.now()
    assert [view.payload for view in views] == ['{"n":1}', '{"n":2}', "?\ufffd"]
    assert [view.next_attempt is None for view in views] == [False, True, True]
    assert (play.queue.running, play.queue.has_ready) == (1, True)


@in_loop
async def test_a_failure_that_nobody_is_told_of_is_on_the_timeline_with_its_payload() -> None:
    """AWS drops it without a word; here it can be found."""
    play = Play(retries=0, on_failure=None, dead_letter=None, on_success=None)
    play.send(b'{"id":1}')
    runtime = await play.runtime()
    fail(runtime)
    play.send()
    runtime.serve()
    assert play.sent == []
    (event,) = [event for event in play.stage.events() if event.kind == "event.failed"]
    assert event.reason == "RetriesExhausted after 1 attempts; nobody is told"
    assert event.detail is not None
    assert event.detail["payload"] == '{"id":1}'


@in_loop
async def test_closing_lists_everything_that_is_not_done() -> None:
    """With its payload, on the timeline too; nothing is tried any more, and nothing accepted."""
    play = Play(limit=1)
    play.send(b'{"n":1}')
    runtime = await play.runtime()
    fail(runtime)
    for number in (2, 3):
        play.send(b'{"n":%d}' % number)
    left = play.queue.close()
    assert [(view.state, view.payload) for view in left] == [
        ("waiting", '{"n":1}'),
        ("running", '{"n":2}'),
        ("ready", '{"n":3}'),
    ]
    pending = [event for event in play.stage.events() if event.kind == "event.pending"]
    assert [event.request_id for event in pending] == ["request-1", "request-2", "request-3"]
    assert [event.detail["payload"] for event in pending if event.detail] == ['{"n":1}', '{"n":2}', '{"n":3}']
    with pytest.raises(ServiceError, match="stopping"):
        play.send()
    await play.pool.close("the emulator stops")
    play.clock.fast_forward(10 * HOUR)
    assert (play.sent, play.queue.events, play.queue.running) == ([], [], 0)
    assert play.account.in_use == 0
    assert not play.account.waiting


@in_loop
async def test_who_served_is_told_when_it_is_parked() -> None:
    """Not at the answer: whoever skips time waits for that."""
    play = Play()
    play.send()
    runtime = await play.runtime()
    runtime.respond()
    assert (play.queue.running, play.served) == (1, [])
    runtime.park()
    assert play.queue.running == 0
    assert play.served == [play.pool.environments[0].id]


# -- kept ------------------------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[EventJournal]:
    with closing(EventJournal(tmp_path / "events.jsonl")) as one:
        yield one


def again(tmp_path: Path) -> list[KeptEvent]:
    """What the next emulator finds, whatever becomes of this one."""
    path = tmp_path / "copy.jsonl"
    path.write_bytes((tmp_path / "events.jsonl").read_bytes())
    with closing(EventJournal(path)) as one:
        return one.pending


@in_loop
async def test_an_event_is_kept_from_its_acceptance_to_its_end(tmp_path: Path, journal: EventJournal) -> None:
    """With each attempt that has failed; one that runs is not counted, and is made again after a kill."""
    play = Play(journal=journal)
    request_id = play.send(b'{"id":1}')
    (kept,) = again(tmp_path)
    assert (kept.request_id, kept.key, kept.payload) == (request_id, "orders", b'{"id":1}')
    assert (kept.attempts, kept.due, kept.accepted) == (0, None, play.queue.events[0].accepted_at)
    runtime = await play.runtime()
    fail(runtime)
    (kept,) = again(tmp_path)
    assert kept.attempts == 1
    assert kept.delay == pytest.approx(MINUTE)
    assert kept.due == pytest.approx(play.queue.events[0].next_attempt)
    assert kept.result == (200, b'{"errorMessage":"no","errorType":"Wrong"}', "Unhandled", "")
    play.clock.fast_forward(MINUTE)
    runtime.serve()
    assert (play.queue.events, again(tmp_path)) == ([], [])


@in_loop
async def test_a_stop_keeps_and_a_deletion_does_not(tmp_path: Path, journal: EventJournal) -> None:
    """What waits when the emulator stops is there at the next start; of a deleted function nothing is."""
    play = Play(journal=journal)
    play.send()
    play.queue.close()
    assert len(again(tmp_path)) == 1
    play.pool, play.queue = play.deploy("other")
    play.send()
    play.queue.close("the function was deleted", "event.dropped")
    assert [kept.key for kept in again(tmp_path)] == ["orders"]


@in_loop
async def test_what_cannot_be_kept_is_not_accepted(journal: EventJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told so, and nothing runs."""
    play = Play(journal=journal)

    def refuse(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(ServiceError, match="the event cannot be kept: No space left on device"):
        play.send()
    assert play.queue.events == []


def kept_event(play: Play, **more: Any) -> KeptEvent:
    """One that failed once, half a minute before this start."""
    now = play.clock.now()
    event = KeptEvent(RequestId("kept"), "orders", b'{"id":1}', "arn:orders:live", "Root=1", now - MINUTE / 2)
    failed: dict[str, Any] = {"attempts": 1, "due": now + MINUTE / 2, "delay": MINUTE, "reason": "it failed"}
    return dataclasses.replace(event, **(failed | more))


@in_loop
async def test_an_event_goes_on_where_it_was() -> None:
    """Its next attempt is when it was to be, under the same id; the attempts before count."""
    play = Play(retries=1)
    play.queue.take_up(kept_event(play))
    (view,) = play.queue.events
    assert (view.request_id, view.state, view.attempts, view.reason) == ("kept", EventState.WAITING, 1, "it failed")
    assert view.next_attempt == pytest.approx(play.clock.now() + MINUTE / 2, abs=1)
    play.clock.fast_forward(MINUTE / 2)
    runtime = await play.runtime()
    assert (runtime.events[0].request_id, runtime.events[0].payload) == ("kept", b'{"id":1}')
    fail(runtime)
    assert play.contexts("file:failure") == [("RetriesExhausted", 2)]


@in_loop
async def test_what_was_due_meanwhile_is_tried_at_once() -> None:
    """So is what was running when the emulator was killed."""
    play = Play()
    now = play.clock.now()
    play.queue.take_up(kept_event(play, due=now - 1))
    play.queue.take_up(dataclasses.replace(kept_event(play, attempts=0, due=None), request_id=RequestId("ran")))
    assert play.states() == ["kept running", "ran running"]


@in_loop
async def test_an_event_grows_old_while_no_emulator_runs() -> None:
    """It is given up at once, with what its last attempt has come to."""
    play = Play()
    result = (200, b'{"no":1}', "Unhandled", "")
    play.queue.take_up(kept_event(play, accepted=play.clock.now() - 7 * HOUR, due=None, result=result))
    assert (play.queue.events, play.contexts("file:failure")) == ([], [("EventAgeExceeded", 1)])
    assert play.sent[0][1]["responsePayload"] == {"no": 1}


@in_loop
async def test_time_that_was_skipped_is_not_waited_for_again() -> None:
    """Where the clock of the emulator before was hours ahead, nothing waits longer than it would have there."""
    play = Play()
    now = play.clock.now()
    play.queue.take_up(kept_event(play, accepted=now + 5 * HOUR, due=now + 5 * HOUR + MINUTE))
    (view,) = play.queue.events
    assert view.next_attempt == pytest.approx(now + MINUTE, abs=1)
