"""Asynchronous events of all functions together: where records go, what is waited for, and what a stop leaves."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emulator.asynchronous import Events
from emulator.concurrency import Concurrency
from emulator.errors import EmulatorError, FunctionNotFoundError
from emulator.event_settings import MAX_AGE, Asynchronous
from emulator.invocation import Invocation
from emulator.model import EnvironmentId, RequestId
from emulator.policies import Policy
from emulator.pool import Pool
from emulator.state import EventJournal, KeptEvent
from tests.support import in_loop
from tests.unit.runtime_api.listeners import HttpListener, arrival
from tests.unit.stage import PlayedRuntime, Stage


class Play:
    """Functions ``a`` and ``b`` on a stage, with all that belongs to their events."""

    def __init__(self, base: Path, journal: EventJournal | None = None, **settings: Any) -> None:
        self.stage = Stage()
        self.account = Concurrency(10)
        self.rested: list[EnvironmentId] = []
        self.events = Events(
            self.stage.clock,
            self.stage.timeline,
            self.stage.surroundings.spawn,
            make=self._make,
            base=base,
            arn=lambda name: f"arn:{name}:$LATEST",
            at_rest=self._at_rest,
            journal=journal,
        )
        self.pools: dict[str, Pool] = {}
        self.deploy("a", **settings)
        self.deploy("b")

    def deploy(self, name: str, **settings: Any) -> None:
        function = dataclasses.replace(self.stage.function, name=name, asynchronous=Asynchronous(**settings))
        if name in self.pools:
            self.pools[name].update(function, "deployed again")
        else:
            self.pools[name] = Pool(function, self.stage.surroundings, Policy("keep-warm"), self.account)
        self.events.add(self.pools[name])

    def send(self, name: str = "a", payload: bytes = b"{}") -> None:
        self.events.accept(name, self._make(name, payload))

    async def runtime(self) -> PlayedRuntime:
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime

    async def serve_all(self) -> None:
        """Every function does its duty until nothing is left to do."""
        runtimes: list[PlayedRuntime] = []
        while self.events.pending():
            await self.stage.settle()
            for number in range(len(runtimes), len(self.stage.provider.sandboxes)):
                runtimes.append(self.stage.runtime(number))
                runtimes[-1].park()
            await self.stage.settle()
            for runtime in runtimes:
                if runtime.events:
                    runtime.respond()
                    runtime.events.clear()
                    runtime.park()
            await self.stage.settle()

    def reasons(self, kind: str) -> list[str]:
        return [event.reason for event in self.stage.events() if event.kind == kind]

    def _make(self, name: str, payload: bytes) -> Invocation:
        if name not in self.pools:
            raise FunctionNotFoundError("Function not found: nobody")
        return self.stage.invocation(payload, asynchronous=True).invocation

    async def _at_rest(self, environment_id: EnvironmentId) -> None:
        self.rested.append(environment_id)
        raise EmulatorError("it is busy again")


@in_loop
async def test_a_function_gets_the_record_of_another(tmp_path: Path) -> None:
    """As an asynchronous event with a request id of its own."""
    play = Play(tmp_path, on_success="function:b")
    play.send(payload=b'{"id":1}')
    (await play.runtime()).serve(b'"done"')
    runtime = await play.runtime()
    record = json.loads(runtime.events[0].payload)
    assert (record["requestPayload"], record["responsePayload"]) == ({"id": 1}, "done")
    assert record["requestContext"]["requestId"] == "request-1"
    assert runtime.events[0].request_id == "request-2"
    runtime.serve()
    await play.events.finished()
    assert play.reasons("event.delivered") == ["to function:b"]
    assert play.events.pending() == []


@in_loop
async def test_two_functions_that_feed_each_other_come_to_an_end(tmp_path: Path) -> None:
    """The record that would go on is kept on the timeline."""
    play = Play(tmp_path, on_success="function:b")
    play.deploy("b", on_success="function:a")
    play.send()
    await play.serve_all()
    assert len(play.reasons("event.delivered")) == 16
    assert play.reasons("event.undelivered")[0].endswith("it came through 16 functions already: this is a loop")
    assert play.events.pending() == []


@in_loop
async def test_a_record_that_does_not_arrive_is_kept_on_the_timeline(tmp_path: Path) -> None:
    """With what it says, and why it could not be delivered."""
    play = Play(tmp_path, retries=0, on_failure="function:nobody", dead_letter="file:no/folder")
    play.send(payload=b'{"id":1}')
    (await play.runtime()).die(1)
    await play.events.finished()
    events = [event for event in play.stage.events() if event.kind == "event.undelivered"]
    assert [event.reason.partition(": ")[0] for event in events] == ["to function:nobody", "to file:no/folder"]
    assert "Function not found" in events[0].reason
    assert all(event.detail is not None and '"id' in event.detail["record"] for event in events)


@in_loop
async def test_finished_waits_for_records_and_for_environments(tmp_path: Path) -> None:
    """Until an answer of the address has come; a busy environment is not waited for."""
    listener = HttpListener()
    async with listener.listen():
        listener.gate.clear()
        play = Play(tmp_path, on_success=f"http://127.0.0.1:{listener.port}/")
        play.send()
        runtime = await play.runtime()
        waiting = asyncio.ensure_future(play.events.finished())
        runtime.respond(b"1")
        runtime.park()
        await arrival(lambda: listener.requests, "the record")
        assert not waiting.done()
        listener.gate.set()
        await arrival(waiting.done, "the end of the wait")
    assert play.rested == [play.pools["a"].environments[0].id]
    await play.events.finished()
    assert len(play.rested) == 1


@in_loop
async def test_a_stop_lets_finish_what_runs_and_what_can_run(tmp_path: Path) -> None:
    """Not for longer than it says, and what waits for its time is not waited for."""
    play = Play(tmp_path, on_success="file:done")
    play.deploy("a", on_success="file:done", retries=1)
    play.account.limit = 1
    play.send(payload=b"1")
    play.send(payload=b"2")
    runtime = await play.runtime()
    draining = asyncio.ensure_future(play.events.drain(60))
    runtime.serve()
    await play.stage.settle()
    assert not draining.done()
    runtime.serve()
    await draining
    assert len((tmp_path / "done").read_text().splitlines()) == 2
    play.send(payload=b"3")
    runtime.report_error(b"{}", "Wrong")
    runtime.park()
    await play.events.drain(60)
    play.send(payload=b"4")
    await play.events.drain(0.01)
    left = play.events.close()
    assert [(view.state, view.payload) for view in left] == [("waiting", "3"), ("running", "4")]
    assert play.events.pending() == []


@in_loop
async def test_a_stop_keeps_what_was_still_on_its_way(tmp_path: Path) -> None:
    """A record whose delivery is cut off is on the timeline."""
    listener = HttpListener()
    async with listener.listen():
        listener.gate.clear()
        play = Play(tmp_path, on_success=f"http://127.0.0.1:{listener.port}/")
        play.send()
        (await play.runtime()).serve()
        await arrival(lambda: listener.requests, "the record")
        assert play.events.close() == []
        await play.stage.settle()
    (event,) = [event for event in play.stage.events() if event.kind == "event.undelivered"]
    assert event.reason.endswith("the emulator stops")
    assert event.detail is not None


@in_loop
async def test_what_is_pending_of_one_function_or_of_all(tmp_path: Path) -> None:
    """And when something is due next."""
    play = Play(tmp_path)
    assert play.events.next_due is None
    play.send("a")
    play.send("b")
    assert [view.function for view in play.events.pending()] == ["a", "b"]
    assert [view.function for view in play.events.pending("b")] == ["b"]
    (await play.runtime()).report_error(b"{}", "Wrong")
    assert play.events.next_due == 60.0


@pytest.mark.parametrize("deployed_again", [False, True])
def test_settings_of_a_new_deployment_hold_for_what_waits(tmp_path: Path, deployed_again: bool) -> None:
    """Retries, age and destinations are those of the moment."""

    @in_loop
    async def play_it() -> None:
        play = Play(tmp_path, retries=2)
        play.send()
        runtime = await play.runtime()
        runtime.report_error(b"{}", "Wrong")
        if deployed_again:
            play.deploy("a", retries=1, on_failure="file:failed")
        runtime.park()
        await play.stage.settle()
        play.stage.clock.fast_forward(60.0)
        fresh = await play.runtime()
        if not fresh.events:
            fresh = runtime
        fresh.report_error(b"{}", "Wrong")
        await play.stage.settle()
        assert (tmp_path / "failed").exists() is deployed_again

    play_it()


@in_loop
async def test_what_waits_of_a_deleted_function_is_dropped_and_told(tmp_path: Path) -> None:
    """With its payload; what runs comes to its end; others are not touched, and that name can come again."""
    play = Play(tmp_path)
    play.pools["a"].share.reserve(1)
    play.send(payload=b'{"n":1}')
    runtime = await play.runtime()
    play.send(payload=b'{"n":2}')
    play.send("b")
    play.events.remove("a", "the function was deleted")
    assert [view.payload for view in play.events.pending("a")] == ['{"n":1}']
    runtime.serve()
    await play.stage.settle()
    told = [event for event in play.stage.events() if event.kind in ("event.dropped", "event.succeeded")]
    assert [(event.kind, event.function) for event in told] == [("event.dropped", "a"), ("event.succeeded", "a")]
    assert told[0].reason.startswith("the function was deleted: ")
    assert told[0].detail is not None
    assert told[0].detail["payload"] == '{"n":2}'
    assert [view.function for view in play.events.pending()] == ["b"]
    assert play.events.pending("a") == []
    play.events.remove("nobody", "why ever")


@in_loop
async def test_what_fails_after_its_function_was_deleted_is_dropped(tmp_path: Path) -> None:
    """There is nobody who could try again; until then it is waited for, and a stop tells of it."""
    play = Play(tmp_path)
    play.send(payload=b'{"n":1}')
    runtime = await play.runtime()
    play.events.remove("a", "the function was deleted")
    finished = asyncio.ensure_future(play.events.finished())
    await play.stage.settle()
    assert not finished.done()
    runtime.report_error(b'{"errorType":"Wrong"}', "Wrong")
    runtime.park()
    await finished
    (dropped,) = [event for event in play.stage.events() if event.kind == "event.dropped"]
    assert dropped.reason == "the function was deleted: attempt 1 of 3 failed: Wrong"
    play.send("b")
    (await play.runtime()).park()
    play.events.remove("b", "the function was deleted")
    assert [view.function for view in play.events.close()] == ["b"]
    assert [event.reason for event in play.stage.events() if event.kind == "event.dropped"][1].startswith(
        "the emulator stops: "
    )


@in_loop
async def test_a_record_that_was_under_way_is_brought_by_the_next_emulator(tmp_path: Path) -> None:
    """After a stop and after a kill; one that has arrived, or cannot arrive, is not brought again."""
    path = tmp_path / "events.jsonl"
    listener = HttpListener()
    async with listener.listen():
        listener.gate.clear()
        with closing(EventJournal(path)) as journal:
            play = Play(tmp_path, journal, on_success=f"http://127.0.0.1:{listener.port}/")
            play.send()
            (await play.runtime()).serve()
            await arrival(lambda: listener.requests, "the record")
            assert journal.pending == []
            killed = path.read_bytes()
            play.events.close()
            await play.stage.settle()
            assert path.read_bytes() == killed
        listener.gate.set()
        with closing(EventJournal(path)) as journal:
            play = Play(tmp_path, journal)
            play.events.take_up_records()
            await play.events.finished()
            assert len(listener.requests) == 2
            assert journal.records == {}
    with closing(EventJournal(path)) as journal:
        assert journal.records == {}


@in_loop
async def test_a_version_has_a_queue_of_its_own(tmp_path: Path) -> None:
    """Its events are its function's to whoever asks, and its records have the ARN that was invoked, and its number."""
    play = Play(tmp_path)
    function = dataclasses.replace(
        play.stage.function, name="a", version="3", asynchronous=Asynchronous(on_success="function:b")
    )
    pool = Pool(function, play.stage.surroundings, Policy("keep-warm"), play.account, share=play.pools["a"].share)
    play.events.add(pool)
    invocation = play.stage.invocation(b"{}", asynchronous=True).invocation
    invocation.function_arn = "arn:aws:lambda:us-east-1:123456789012:function:a:live"
    play.events.accept("a:3", invocation)
    assert [view.function for view in play.events.pending("a")] == ["a"]
    (await play.runtime()).serve(b"1")
    record = json.loads((await play.runtime()).events[0].payload)
    assert record["requestContext"]["functionArn"] == invocation.function_arn
    assert record["responseContext"]["executedVersion"] == "3"


@in_loop
async def test_events_of_an_emulator_before_are_taken_up_where_somebody_serves_them(tmp_path: Path) -> None:
    """The others are kept for a later start, until AWS as well would have dropped them; each is told of."""
    with contextlib.closing(EventJournal(tmp_path / "events.jsonl")) as journal:
        play = Play(tmp_path, journal)
        now = play.stage.clock.now()
        for number, (key, accepted) in enumerate((("a", now), ("gone", now), ("gone:1", now - MAX_AGE - 1))):
            journal.keep(KeptEvent(RequestId(f"r-{number}"), key, b"{}", f"arn:{key}", "Root=1", accepted))

        def require(key: str) -> None:
            if key not in play.pools:
                raise FunctionNotFoundError(f"Function not found: {key}")

        assert play.events.take_up_kept(require) == 1
        assert [view.function for view in play.events.pending()] == ["a"]
        assert [event.request_id for event in journal.pending] == ["r-0", "r-1"]
        (kept,), (dropped,) = play.reasons("state.trouble"), play.reasons("event.dropped")
        assert kept == "an asynchronous event of gone is kept, for Function not found: gone"
        assert dropped == "an asynchronous event of gone:1 is dropped, for Function not found: gone:1"
        play.events.close()
        await play.pools["a"].close("the test is over")


@in_loop
async def test_what_is_said_of_an_alias_is_forgotten_with_its_function(tmp_path: Path) -> None:
    """And of no other one, whose name only begins alike."""
    play = Play(tmp_path, retries=1)
    for arn in ("arn:a:live", "arn:ab:live"):
        play.events.set_alias(arn, Asynchronous(retries=0))
    play.events.forget_aliases("arn:a")
    for arn, left in (("arn:a:live", 1), ("arn:ab:live", 1)):
        invocation = dataclasses.replace(play._make("a", b"{}"), function_arn=arn)
        play.events.accept("a", invocation)
        (await play.runtime()).report_error(b"{}", "Function.Failed")
        play.stage.runtime().park()
        await play.stage.settle()
        assert len(play.events.pending()) == left
    play.events.close()
