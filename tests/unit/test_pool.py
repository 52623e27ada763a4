"""One function's environments: who serves, how many may run, and when each goes."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import SandboxError, ServiceError, ThrottledError
from emulator.invocation import Outcome
from emulator.policies import (
    PRESETS,
    AfterError,
    Chance,
    HalfOfIdle,
    Histogram,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
    Reusable,
    Selection,
)
from emulator.policies.memory import IdleMemory
from emulator.pool import Pool
from emulator.sandbox.base import FakeSandbox
from tests.support import in_loop, run, skip_time
from tests.unit.stage import Broken, Line, PlayedRuntime, SlowReset, Stage, Watched

KEEP_WARM = Policy("keep-warm")


class Play:
    """A stage with one pool on it."""

    def __init__(
        self,
        policy: Policy = KEEP_WARM,
        *,
        limit: int = 10,
        sandbox_class: type[FakeSandbox] = FakeSandbox,
        seed: int = 0,
        **surroundings: Any,
    ) -> None:
        self.stage = Stage(sandbox_class=sandbox_class, seed=seed)
        self.concurrency = Concurrency(limit)
        self.memory = IdleMemory()
        around = dataclasses.replace(self.stage.surroundings, **surroundings)
        self.pool = Pool(self.stage.function, around, policy, self.concurrency, self.memory)
        self.line = Line(self.pool)

    @property
    def states(self) -> list[str]:
        return [str(environment.state) for environment in self.pool.environments]

    def submit(self, *, asynchronous: bool = False) -> Watched:
        watched = self.stage.invocation(asynchronous=asynchronous)
        (self.line if asynchronous else self.pool).submit(watched.invocation)
        return watched

    @property
    def endings(self) -> list[str]:
        """Why environments have gone, in order."""
        return [event.reason for event in self.stage.events() if event.kind == "environment.shutting-down"]

    async def skip(self, seconds: float) -> None:
        self.stage.clock.fast_forward(seconds)
        await self.stage.settle()

    async def cold(self) -> tuple[PlayedRuntime, Watched]:
        """An event for which a new environment is started, and which that one now serves."""
        known = len(self.stage.provider.sandboxes)
        watched = self.submit()
        assert len(self.stage.provider.sandboxes) == known + 1, "an idle environment was there already"
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime, watched

    async def warm(self, count: int = 1) -> list[PlayedRuntime]:
        """So many environments that have served once, frozen in this order."""
        started = [await self.cold() for _ in range(count)]
        for runtime, _ in started:
            runtime.serve()
        return [runtime for runtime, _ in started]


# -- who serves ------------------------------------------------------------------------------------------------


@in_loop
async def test_an_event_without_an_idle_environment_starts_one() -> None:
    """Two at once are served by two, one after the other by one."""
    play = Play()
    first, _ = await play.cold()
    second, _ = await play.cold()
    assert play.states == ["invoking", "invoking"]
    first.serve()
    second.serve()
    assert play.states == ["frozen", "frozen"]
    watched = play.submit()
    second.serve(b"again")
    assert watched.outcome.answer is not None
    assert len(play.pool.environments) == 2


@in_loop
async def test_the_environment_used_last_serves_next() -> None:
    """Whatever the order in which they were started."""
    play = Play()
    first, second, third = await play.warm(3)
    for runtime in (third, third, third):
        play.submit()
        assert len(first.events) == len(second.events) == 1
        runtime.serve()
    play.submit()
    play.submit()
    assert [len(runtime.events) for runtime in (first, second, third)] == [1, 2, 5]


@in_loop
async def test_a_policy_may_choose_another_environment() -> None:
    """The pool asks, and takes what it is told."""

    play = Play(Policy("test", selection=Selection.LEAST_RECENT))
    first, second = await play.warm(2)
    play.submit()
    assert [len(runtime.events) for runtime in (first, second)] == [2, 1]
    assert play.stage.reason("policy.selected") == "idle longest of 2"


@in_loop
async def test_a_choice_of_one_is_none() -> None:
    """Nothing is asked and nothing is written down: that is the way of nearly every invocation."""
    play = Play()
    (runtime,) = await play.warm()
    play.submit()
    assert len(runtime.events) == 2
    assert "policy.selected" not in play.stage.kinds()


@in_loop
async def test_environments_are_listed_oldest_first() -> None:
    """Idle, serving and starting ones together."""
    play = Play()
    for _ in range(3):
        await play.cold()
        play.stage.clock.fast_forward(1.0)
    ids = [sandbox.spec.environment_id for sandbox in play.stage.provider.sandboxes]
    play.stage.runtime(1).park()
    assert [environment.id for environment in play.pool.environments] == ids


@in_loop
async def test_a_dead_environment_is_not_chosen() -> None:
    """Not even in the moment between its death and its removal."""
    play = Play()
    (runtime,) = await play.warm()
    runtime.die(signal=9)
    watched = play.submit()
    await play.stage.settle()
    assert watched.heard == []
    assert len(runtime.events) == 1
    assert play.states == ["init"]


# -- who has answered, and is not parked yet ---------------------------------------------------------------------


@in_loop
async def test_events_one_after_the_other_are_served_by_one_environment() -> None:
    """Also when the client is quicker with its next event than the runtime with its next call; one place is enough."""
    play = Play(limit=1)
    runtime, _ = await play.cold()
    for number in range(3):
        runtime.respond(b"%d" % number)
        watched = play.submit()
        assert watched.heard == []
        runtime.park()
        assert len(runtime.events) == number + 2
    assert len(play.stage.provider.sandboxes) == play.concurrency.in_use == 1
    runtime.serve(b"the last")
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == b"the last"
    assert play.states == ["frozen"]


@in_loop
async def test_who_returns_is_waited_for_by_one_event_only() -> None:
    """The second event has nothing to wait for, and nor has one while nobody has answered."""
    play = Play()
    runtime, _ = await play.cold()
    runtime.respond()
    play.submit()
    play.submit()
    assert len(play.stage.provider.sandboxes) == 2
    runtime.park()
    assert len(runtime.events) == 2
    play.submit()
    assert len(play.stage.provider.sandboxes) == 3


@in_loop
async def test_whoever_does_not_return_is_not_waited_for_any_longer() -> None:
    """After a quarter of a second another environment serves; or the client is told that there is no place for one."""
    for limit in (2, 1):
        play = Play(limit=limit)
        runtime, _ = await play.cold()
        runtime.respond()
        watched = play.submit()
        skip_time(0.26)
        await play.stage.settle()
        assert len(play.stage.provider.sandboxes) == limit
        assert isinstance(watched.outcome.failure, ThrottledError) == (limit == 1)
        runtime.park()
        assert play.states[0] == "frozen"


@in_loop
async def test_who_ends_or_is_recycled_on_the_way_back_is_not_waited_for() -> None:
    """Another environment serves at once: no time passes in here."""
    for way in ("ends", "recycled", "its last"):
        play = Play(Policy("test", (MaxInvocations(1),)) if way == "its last" else KEEP_WARM)
        runtime, _ = await play.cold()
        runtime.respond()
        play.submit()
        assert len(play.stage.provider.sandboxes) == 1
        if way == "ends":
            play.pool.environments[0].end("its sandbox failed")
        elif way == "recycled":
            play.pool.recycle("by hand")
        else:
            runtime.park()
        await play.stage.settle()
        assert len(play.stage.provider.sandboxes) == 2, way
        await play.pool.close("over")


@in_loop
async def test_nobody_waits_for_an_environment_of_a_pool_that_closes() -> None:
    """The client hears of it."""
    play = Play()
    runtime, _ = await play.cold()
    runtime.respond()
    watched = play.submit()
    await play.pool.close("over")
    assert isinstance(watched.outcome.failure, ServiceError)
    assert len(play.stage.provider.sandboxes) == 1


# -- how many --------------------------------------------------------------------------------------------------


@in_loop
async def test_one_event_more_than_the_limit_is_throttled() -> None:
    """With AWS's reason, and without starting anything; a slot that becomes free can be used."""
    play = Play(limit=2)
    first, _ = await play.cold()
    await play.cold()
    with pytest.raises(ThrottledError) as caught:
        play.submit()
    assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
    assert len(play.stage.provider.sandboxes) == 2
    first.serve()
    play.submit()
    assert play.concurrency.in_use == 2


@in_loop
async def test_a_limit_of_nothing_throttles_everything() -> None:
    """Zero is a limit like any other."""
    play = Play(limit=0)
    with pytest.raises(ThrottledError):
        play.submit()


@in_loop
async def test_idle_environments_do_not_count() -> None:
    """Only what serves takes a slot, from the cold start until it is parked again."""
    play = Play(limit=2)
    first, second = await play.warm(2)
    assert play.concurrency.in_use == 0
    play.submit()
    assert play.concurrency.in_use == 1
    second.respond()
    assert play.concurrency.in_use == 1
    second.park()
    assert play.concurrency.in_use == 0
    assert len(first.events) == 1


@in_loop
async def test_functions_share_the_limit() -> None:
    """It is the account's, not the function's."""
    play = Play(limit=1)
    other = Pool(play.stage.function, play.stage.surroundings, KEEP_WARM, play.concurrency)
    runtime, _ = await play.cold()
    with pytest.raises(ThrottledError):
        other.submit(play.stage.invocation().invocation)
    runtime.serve()
    other.submit(play.stage.invocation().invocation)
    assert len(other.environments) == 1


@in_loop
async def test_asynchronous_events_wait_for_a_slot_in_their_order() -> None:
    """The environment takes the next one at ``next``, without a freeze in between."""
    play = Play(limit=1)
    runtime, _ = await play.cold()
    waiting = [play.submit(asynchronous=True) for _ in range(3)]
    assert len(play.line) == 3
    runtime.serve()
    runtime.serve()
    assert len(play.line) == 1
    assert [event.request_id for event in runtime.events[1:]] == [w.invocation.request_id for w in waiting[:2]]
    assert runtime.sandbox.freezer.calls == []
    assert play.concurrency.in_use == 1
    runtime.serve()
    runtime.serve()
    assert [watched.heard for watched in waiting] == [["answer", "report"]] * 3
    assert runtime.sandbox.freezer.calls == ["freeze"]
    assert play.concurrency.in_use == 0


@in_loop
async def test_a_queued_event_is_served_when_the_one_before_it_dies() -> None:
    """It gets the environment with the slot as soon as that is reset, without a freeze in between."""
    play = Play(limit=1)
    runtime, _ = await play.cold()
    watched = play.submit(asynchronous=True)
    runtime.die(1)
    await play.stage.settle()
    fresh = play.stage.runtime()
    assert fresh.sandbox is runtime.sandbox
    fresh.park()
    await play.stage.settle()
    fresh.serve()
    assert watched.heard == ["answer", "report"]
    assert runtime.sandbox.freezer.calls == ["freeze"]
    assert play.concurrency.in_use == 0


@in_loop
async def test_an_end_finds_the_init_that_a_queued_event_has_begun() -> None:
    """One piece of work has ended by beginning the next, and it is the next that the end has to stop."""
    play = Play(limit=1)
    runtime, _ = await play.cold()
    watched = play.submit(asynchronous=True)
    runtime.die(1)
    await play.stage.settle()
    assert play.states == ["init"]
    async with asyncio.timeout(30):
        await play.pool.close("the emulator stops")
    assert watched.heard == ["failure"]
    assert play.stage.working == 0


@in_loop
async def test_a_second_event_during_a_reset_goes_to_another_environment() -> None:
    """What is reset serves nobody and holds its slot; afterwards it is frozen like any other."""
    play = Play(limit=2, sandbox_class=SlowReset)
    runtime, _ = await play.cold()
    runtime.die(1)
    await play.stage.settle()
    assert play.states == ["resetting"]
    assert play.concurrency.in_use == 1
    other, watched = await play.cold()
    with pytest.raises(ThrottledError):
        play.submit()
    slow = runtime.sandbox
    assert isinstance(slow, SlowReset)
    slow.gate.set()
    await play.stage.settle()
    assert sorted(play.states) == ["frozen", "invoking"]
    assert play.concurrency.in_use == 1
    other.serve()
    assert watched.heard == ["answer", "report"]


@in_loop
async def test_what_was_reset_serves_the_next_event() -> None:
    """The same environment, thawed and with its init inside the invocation; no cold start."""
    play = Play()
    runtime, _ = await play.cold()
    runtime.die(1)
    await play.stage.settle()
    assert play.states == ["frozen"]
    watched = play.submit()
    await play.stage.settle()
    assert play.states == ["init"]
    fresh = play.stage.runtime()
    fresh.park()
    await play.stage.settle()
    fresh.serve(b"1")
    assert watched.outcome.report is not None
    assert not watched.outcome.report.cold_start
    assert len(play.stage.provider.sandboxes) == 1
    assert (runtime.sandbox.resets, runtime.sandbox.runtime_starts) == (1, 1)


@in_loop
async def test_a_queued_event_does_not_keep_an_environment_past_its_policy() -> None:
    """``always-cold`` with a queue is still a cold start for each."""
    play = Play(Policy("always-cold", PRESETS["always-cold"]), limit=1)
    runtime, _ = await play.cold()
    watched = play.submit(asynchronous=True)
    runtime.serve()
    await play.stage.settle()
    assert len(runtime.events) == 1
    fresh = play.stage.runtime()
    fresh.park()
    await play.stage.settle()
    fresh.serve()
    assert watched.heard == ["answer", "report"]
    assert watched.outcome.report is not None
    assert watched.outcome.report.cold_start


@in_loop
async def test_free_slots_go_round_among_the_functions_that_wait() -> None:
    """No queue starves another: two with two events each are served in turn."""
    play = Play(Policy("always-cold", PRESETS["always-cold"]), limit=1)
    lines = [Line(Pool(play.stage.function, play.stage.surroundings, play.pool.policy, play.concurrency)) for _ in "ab"]
    runtime, _ = await play.cold()
    for line in (lines[0], lines[0], lines[1], lines[1]):
        line.submit(play.stage.invocation(asynchronous=True).invocation)
    left = []
    for _ in range(4):
        runtime.serve()
        await play.stage.settle()
        runtime = play.stage.runtime()
        runtime.park()
        await play.stage.settle()
        left.append(tuple(map(len, lines)))
    assert left in ([(1, 2), (1, 1), (0, 1), (0, 0)], [(2, 1), (1, 1), (1, 0), (0, 0)])


# ... and what becomes of the environment: after a failure it is reset and stays.
WAYS_TO_FAIL = {
    "crash": ["frozen"],
    "timeout": ["frozen"],
    "crash in init": ["frozen"],
    "error in init": ["frozen"],
    "timeout of init": ["frozen"],
    "no sandbox": [],
    "no reset": [],
    "no second runtime": [],
    "recycled": [],
}


@pytest.mark.parametrize(("way", "left"), WAYS_TO_FAIL.items())
def test_whatever_becomes_of_an_event_its_slot_is_given_back(way: str, left: list[str]) -> None:
    """Once: the count is zero afterwards, and one more event can be served."""

    @in_loop
    async def play_it() -> None:
        play = Play(limit=1, sandbox_class=Broken if way in ("no reset", "no second runtime") else FakeSandbox)
        if way == "no sandbox":
            play.stage.provider.fail_start_with = SandboxError("none")
        watched = play.submit()
        await play.stage.settle()
        if way == "no second runtime":
            sandbox = play.stage.provider.sandboxes[-1]
            assert isinstance(sandbox, Broken)
            sandbox.fail_runtime_with = SandboxError("no process left")
        if way != "no sandbox":
            await fail(play)
        await play.stage.settle()
        assert len(watched.heard) >= 1
        assert play.concurrency.in_use == 0
        assert play.states == left
        play.stage.provider.fail_start_with = None
        last = play.submit()
        await play.stage.settle()
        runtime = play.stage.runtime()
        runtime.park()
        await play.stage.settle()
        runtime.serve()
        assert last.heard == ["answer", "report"]
        assert play.concurrency.in_use == 0

    async def fail(play: Play) -> None:
        runtime = play.stage.runtime()
        if way in ("crash", "timeout", "recycled", "no reset"):
            runtime.park()
            await play.stage.settle()
        match way:
            case "crash":
                runtime.die(1)
            case "crash in init":
                runtime.die(1)
                await play.stage.settle()
                runtime.die(1)
            case "timeout":
                skip_time(3.0)
            case "timeout of init":
                skip_time(10.0)
                await play.stage.settle()
                skip_time(3.0)
            case "error in init":
                runtime.session.init_error(b"{}", None)
                await play.stage.settle()
                play.stage.runtime().session.init_error(b"{}", None)
            case "no reset":
                assert isinstance(runtime.sandbox, Broken)
                runtime.sandbox.fail_reset_with = SandboxError("they do not end")
                runtime.die(1)
            case "no second runtime":
                runtime.die(1)
            case "recycled":
                play.pool.recycle("by hand")
                runtime.serve()

    play_it()


# -- when each goes --------------------------------------------------------------------------------------------


@in_loop
async def test_an_idle_environment_is_recycled_when_its_time_is_over() -> None:
    """Not a moment before, with the policy's words as the reason."""
    play = Play(Policy("aws", PRESETS["aws"]))
    await play.warm()
    play.stage.clock.fast_forward(419.0)
    await play.stage.settle()
    assert play.states == ["frozen"]
    play.stage.clock.fast_forward(1.0)
    await play.stage.settle()
    assert play.states == []
    assert play.stage.reason("environment.shutting-down") == "idle 7 min >= 7 min"


@in_loop
async def test_use_puts_the_end_off() -> None:
    """An environment that is used every five minutes lives on until it is too old."""
    play = Play(Policy("aws", PRESETS["aws"]))
    (runtime,) = await play.warm()
    for _ in range(23):
        play.stage.clock.fast_forward(300.0)
        await play.stage.settle()
        play.submit()
        runtime.serve()
    await play.stage.settle()
    assert play.states == ["frozen"]
    play.stage.clock.fast_forward(300.0)
    await play.stage.settle()
    assert play.states == []
    assert play.stage.reason("environment.shutting-down") == "age 2 h >= 2 h"


@in_loop
async def test_an_environment_whose_time_ends_while_it_serves_goes_afterwards() -> None:
    """The invocation is finished first, and it is not put to rest on the way out."""
    play = Play(Policy("test", (MaxLifetime(60.0),)))
    runtime, watched = await play.cold()
    play.stage.clock.fast_forward(61.0)
    await play.stage.settle()
    assert play.states == ["invoking"]
    runtime.serve()
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]
    assert play.states == []
    assert "environment.freezing" not in play.stage.kinds()


@in_loop
async def test_a_skip_of_many_hours_ends_everything_that_would_have_ended() -> None:
    """In one call, each with its own reason."""
    play = Play(Policy("test", (IdleTimeout(60.0), MaxInvocations(2))))
    await play.warm(3)
    play.stage.clock.fast_forward(9 * 3600.0)
    await play.stage.settle()
    assert play.states == []
    assert [e.reason for e in play.stage.events() if e.kind == "environment.shutting-down"] == [
        "idle 1 min >= 1 min"
    ] * 3


@in_loop
async def test_an_environment_that_served_its_share_is_recycled_at_once() -> None:
    """Counting rules need no timer."""
    play = Play(Policy("test", (MaxInvocations(2),)))
    (runtime,) = await play.warm()
    assert play.states == ["frozen"]
    play.submit()
    runtime.serve()
    await play.stage.settle()
    assert play.states == []
    assert play.stage.reason("environment.shutting-down") == "2 invocations >= 2"


@in_loop
async def test_recycling_ends_idle_ones_now_and_serving_ones_later() -> None:
    """The answer says which is which, and no running invocation is disturbed."""
    play = Play()
    busy, watched = await play.cold()
    await play.warm()
    now, later = play.pool.recycle("recycled by hand")
    assert [environment.state for environment in now] == ["shutting-down"]
    assert [environment.state for environment in later] == ["invoking"]
    await play.stage.settle()
    assert now[0].gone.is_set()
    busy.serve()
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]
    assert later[0].gone.is_set()
    assert {e.reason for e in play.stage.events() if e.kind == "environment.shutting-down"} == {"recycled by hand"}


@in_loop
async def test_one_environment_can_be_recycled_and_the_others_stay() -> None:
    """Now when it is idle, else when it is parked again."""
    play = Play()
    busy, _ = await play.cold()
    await play.warm(2)
    first, second, serving = sorted(play.pool.environments, key=lambda environment: environment.state)
    assert play.pool.recycle_one(first, "by hand")
    assert not play.pool.recycle_one(serving, "by hand")
    busy.serve()
    await play.stage.settle()
    assert play.pool.environments == [second]


@in_loop
async def test_recycling_during_a_reset_waits_for_its_end_and_not_for_a_freeze() -> None:
    """It counts as serving until it is parked; then it goes, without being put to rest."""
    play = Play(sandbox_class=SlowReset)
    runtime, watched = await play.cold()
    runtime.die(1)
    await play.stage.settle()
    now, later = play.pool.recycle("by hand")
    assert (now, [environment.state for environment in later]) == ([], ["resetting"])
    await play.stage.settle()
    assert play.states == ["resetting"]
    assert isinstance(runtime.sandbox, SlowReset)
    runtime.sandbox.gate.set()
    await play.stage.settle()
    assert play.states == []
    assert watched.heard == ["answer", "report"]
    assert play.stage.reason("environment.shutting-down") == "by hand"
    assert "environment.freezing" not in play.stage.kinds()
    assert play.concurrency.in_use == 0


@in_loop
async def test_closing_does_not_wait_for_a_reset() -> None:
    """What hangs there is stopped with the sandbox."""
    play = Play(sandbox_class=SlowReset)
    runtime, watched = await play.cold()
    runtime.die(1)
    await play.stage.settle()
    async with asyncio.timeout(30):
        await play.pool.close("the emulator stops")
    assert play.states == []
    assert runtime.sandbox.stopped
    assert watched.heard == ["answer", "report"]
    assert (play.concurrency.in_use, play.stage.working) == (0, 0)


@in_loop
async def test_a_failed_invocation_counts_for_the_policy() -> None:
    """Who has had its share goes after the reset instead of being parked."""
    play = Play(Policy("test", (MaxInvocations(2),)))
    runtime, _ = await play.cold()
    runtime.die(1)
    await play.stage.settle()
    assert play.states == ["frozen"]
    play.submit()
    await play.stage.settle()
    runtime.die(1)
    await play.stage.settle()
    assert play.states == []
    assert play.stage.reason("environment.shutting-down") == "2 invocations >= 2"


@in_loop
async def test_recycling_does_not_wait_for_a_slow_freeze() -> None:
    """The end overtakes the freeze; its late word is not heard."""
    play = Play()
    runtime, _ = await play.cold()
    runtime.sandbox.freezer.slow = True
    runtime.serve()
    assert play.states == ["freezing"]
    play.pool.recycle("by hand")
    await play.stage.settle()
    runtime.sandbox.freezer.confirm()
    assert play.states == []


@in_loop
async def test_an_update_serves_new_events_with_the_new_function() -> None:
    """What runs finishes on the old one; no environment of the old one serves again."""
    play = Play()
    busy, _ = await play.cold()
    await play.warm()
    play.pool.update(dataclasses.replace(play.stage.function, memory=256), "deployed again")
    await play.cold()
    assert play.stage.provider.sandboxes[-1].spec.function.memory == 256
    busy.serve()
    await play.stage.settle()
    assert [environment.function.memory for environment in play.pool.environments] == [256]


@in_loop
async def test_closing_ends_everything() -> None:
    """Frozen, serving and starting alike; afterwards nothing is taken."""
    play = Play(limit=3)
    _, serving = await play.cold()
    runtime, _ = await play.cold()
    starting = play.submit()
    runtime.serve()
    assert sorted(play.states) == ["frozen", "invoking", "starting"]
    async with asyncio.timeout(30):
        await play.pool.close("the emulator stops")
    assert [watched.heard for watched in (serving, starting)] == [["failure"]] * 2
    assert isinstance(serving.outcome.failure, ServiceError)
    assert play.states == []
    assert all(sandbox.stopped for sandbox in play.stage.provider.sandboxes)
    assert play.concurrency.in_use == 0
    with pytest.raises(ServiceError, match="stopping"):
        play.submit()
    await play.stage.settle()


class WithWatcher(FakeSandbox):
    """A sandbox with an external extension, the end of which takes time."""

    extensions = ("watcher",)


@in_loop
async def test_who_has_an_extension_is_not_waited_for() -> None:
    """It may work on for as long as it likes, and on AWS another environment serves meanwhile."""
    play = Play(sandbox_class=WithWatcher)
    play.submit()
    await play.stage.settle()
    runtime, sandbox = play.stage.runtime(), play.stage.provider.sandboxes[0]
    sessions = play.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
    assert sessions is not None
    registered = dict(sessions.extensions.register("watcher", b'{"events":["INVOKE"]}', None).headers)
    sessions.extensions.next(registered["Lambda-Extension-Identifier"], lambda _body: None)
    runtime.park()
    await play.stage.settle()
    runtime.respond()
    play.submit()
    assert len(play.stage.provider.sandboxes) == 2
    skip_time(3.0)
    await play.pool.close("over")


@in_loop
async def test_an_environment_that_ends_takes_no_slot_however_long_that_lasts() -> None:
    """It has failed while it served, and its extension is given time to end."""
    play = Play(limit=1, sandbox_class=WithWatcher)
    failed = play.submit()
    await play.stage.settle()
    sandbox = play.stage.provider.sandboxes[0]
    sessions = play.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
    assert sessions is not None
    sessions.extensions.register("watcher", b'{"events":["SHUTDOWN"]}', None)
    await play.stage.settle()
    queued = play.submit(asynchronous=True)
    play.pool.environments[0].end("its sandbox failed")
    await play.stage.settle()
    assert failed.heard == ["failure"]
    assert sorted(play.states) == ["init", "shutting-down"]
    assert queued.outcome.environment_id is not None
    assert play.concurrency.in_use == 1
    skip_time(3.0)
    await play.stage.settle()
    assert "shutting-down" not in play.states


class Impossible(FakeSandbox):
    """A sandbox that cannot be made."""

    def __init__(self, *_: object) -> None:
        raise SandboxError("no room for one more")


@in_loop
async def test_hundreds_who_wait_for_what_cannot_be_had_are_told_one_after_the_other() -> None:
    """A slot that none of them can use goes from one to the next, and is free in the end."""
    play = Play(limit=1)
    runtime, _ = await play.cold()
    waiting = [play.submit(asynchronous=True) for _ in range(900)]
    play.stage.provider.sandbox_class = Impossible
    play.pool.recycle("by hand")
    runtime.serve()
    await play.stage.settle()
    assert {tuple(watched.heard) for watched in waiting} == {("failure",)}
    assert play.concurrency.in_use == 0


@in_loop
async def test_closing_an_empty_pool_is_nothing() -> None:
    """And it takes no part in the sharing of slots any more."""
    play = Play()
    await play.pool.close("the emulator stops")
    assert play.pool.environments == []


@in_loop
async def test_a_policy_may_know_an_environment() -> None:
    """What rules are written against is what environments have."""
    play = Play()
    await play.warm()
    (environment,) = play.pool.environments
    known: Reusable = environment
    assert isinstance(environment, Environment)
    assert (known.invocations, known.created_at, known.idle_since) == (1, 0.0, 0.0)


# -- more reasons to go ----------------------------------------------------------------------------------------


@in_loop
async def test_a_failed_invocation_recycles_where_that_is_the_policy() -> None:
    """By an error that the function reports as by its end; what went well stays."""
    play = Play(Policy("test", (AfterError(),)))
    (runtime,) = await play.warm()
    play.submit()
    runtime.report_error(b"{}", "Function.Wrong")
    runtime.park()
    await play.stage.settle()
    assert play.states == []
    crashed, watched = await play.cold()
    crashed.die(1)
    await play.stage.settle()
    assert play.states == []
    assert watched.heard == ["answer", "report"]
    assert play.endings == ["its invocation failed: Function.Wrong", "its invocation failed: Runtime.ExitError"]
    assert play.concurrency.in_use == 0


@in_loop
async def test_chance_recycles_some_and_the_seed_says_which() -> None:
    """The same calls with the same seed end with the same invocations; another seed has other luck."""

    async def lives(seed: int) -> list[int]:
        play = Play(Policy("test", (Chance(0.2),)), seed=seed)
        found = []
        for _ in range(6):
            runtime, _ = await play.cold()
            runtime.serve()
            while play.pool.idle:
                play.submit()
                runtime.serve()
            await play.stage.settle()
            found.append(len(runtime.events))
        assert all(" < chance 0.2" in reason for reason in play.endings)
        return found

    assert await lives(1) == await lives(1) != await lives(2)


@in_loop
async def test_a_queued_event_does_not_keep_what_chance_has_struck() -> None:
    """The rule is asked before the environment is handed on."""
    play = Play(Policy("test", (Chance(1),)), limit=1)
    runtime, _ = await play.cold()
    play.submit(asynchronous=True)
    runtime.serve()
    await play.stage.settle()
    assert len(runtime.events) == 1
    assert len(play.stage.provider.sandboxes) == 2


@in_loop
async def test_half_of_the_idle_ones_go_every_period() -> None:
    """From the moment at which the first was idle, until three are left; nothing goes in between."""
    play = Play(Policy("test", (HalfOfIdle("5m"),)), limit=20)
    await play.warm(13)
    left = []
    for _ in range(5):
        await play.skip(299.0)
        before = len(play.states)
        await play.skip(1.0)
        left.append((before, len(play.states)))
    assert left == [(13, 7), (7, 4), (4, 2), (2, 2), (2, 2)]
    assert play.endings[0] == "half of 13 idle ones go every 5 min, idle longest first"


@in_loop
async def test_periods_follow_each_other_through_one_skip() -> None:
    """An hour at once is twelve periods."""
    play = Play(Policy("test", (HalfOfIdle("5m"), IdleTimeout("27m"))), limit=20)
    await play.warm(8)
    await play.skip(1619.0)
    assert play.states == ["frozen"] * 2
    await play.skip(1.0)
    assert play.states == []


@in_loop
async def test_what_serves_is_not_among_the_idle_half() -> None:
    """A period looks at what is idle at its end."""
    play = Play(Policy("test", (HalfOfIdle("5m", leave=0),)), limit=20)
    first, second = await play.warm(2)
    play.submit()
    await play.skip(300.0)
    assert play.states == ["frozen", "invoking"]
    second.serve()
    await play.skip(300.0)
    assert len(play.states) == 1
    assert len(first.events) + len(second.events) == 3


@in_loop
async def test_the_keep_alive_is_learnt_from_the_pattern() -> None:
    """Called every five minutes and a half, it is waited for for six minutes and a tenth; before that, for an hour."""
    play = Play(Policy("test", (Histogram("1h"),)))
    (runtime,) = await play.warm()
    for _ in range(10):
        await play.skip(330.0)
        play.submit()
        runtime.serve()
    await play.skip(395.0)
    assert play.states == ["frozen"]
    await play.skip(1.1)
    assert play.states == []
    assert play.endings == ["idle 6 min 36 s >= 6 min 36 s, learnt from 10 idle times"]


@in_loop
async def test_what_is_learnt_holds_for_those_that_are_idle_already() -> None:
    """A surplus environment whose hour shrinks to minutes goes at once, not at the end of its hour."""
    play = Play(Policy("test", (Histogram("1h"),)))
    first, second = await play.warm(2)
    for _ in range(10):
        await play.skip(330.0)
        play.submit()
        second.serve()
    await play.stage.settle()
    assert len(play.states) == 1
    assert len(first.events) == 1
    assert play.endings == ["idle 55 min >= 6 min 36 s, learnt from 10 idle times"]


@in_loop
async def test_an_event_beside_a_running_one_is_no_idle_time() -> None:
    """Idle is a function, not one of its environments."""
    play = Play(Policy("test", (Histogram("1h"),)))
    first, second = await play.warm(2)
    for _ in range(10):
        await play.skip(30.0)
        play.submit()
        await play.skip(300.0)
        play.submit()
        first.serve()
        second.serve()
    play.pool.follow(Policy("test", (Histogram("1h"),)))
    await play.skip(67.0)
    assert play.endings == ["idle 1 min 6 s >= 1 min 6 s, learnt from 10 idle times"] * 2


@in_loop
async def test_memory_pressure_looks_at_all_functions() -> None:
    """One function's environment is put to rest, and another's that is idle longest goes."""
    play = Play()
    play.memory.follow(MemoryPressure(256))
    other = Pool(play.stage.function, play.stage.surroundings, KEEP_WARM, play.concurrency, play.memory)
    other.submit(play.stage.invocation().invocation)
    await play.stage.settle()
    runtime = play.stage.runtime()
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    await play.skip(1.0)
    await play.warm(2)
    await play.stage.settle()
    assert other.environments == []
    assert play.states == ["frozen", "frozen"]
    assert play.endings == ["memory: 384 MiB idle > 256 MiB, idle longest of 3"]
    await play.pool.close("stop")
    assert play.memory._holders == [other]
    assert play.memory._used_at == {}


# -- another policy at run time --------------------------------------------------------------------------------


@in_loop
async def test_a_change_ends_what_is_over_its_limit_and_nothing_else() -> None:
    """At once and with its reason; the others live on, by the new limit."""
    play = Play()
    _, used = await play.warm(2)
    await play.skip(100.0)
    play.submit()
    used.serve()
    play.pool.follow(Policy("test", (IdleTimeout(60.0),)))
    await play.stage.settle()
    assert play.states == ["frozen"]
    assert play.endings == ["idle 1 min 40 s >= 1 min"]
    await play.skip(60.0)
    assert play.states == []


@in_loop
async def test_a_change_sets_timers_anew_in_both_directions() -> None:
    """An earlier end is not missed, and a later one is not brought forward by a timer of the old policy."""
    play = Play(Policy("test", (IdleTimeout(600.0),)))
    await play.warm()
    play.pool.follow(Policy("test", (IdleTimeout(60.0),)))
    await play.skip(59.0)
    assert play.states == ["frozen"]
    play.pool.follow(Policy("test", (IdleTimeout(3600.0),)))
    await play.skip(3000.0)
    assert play.states == ["frozen"]
    play.pool.follow(KEEP_WARM)
    await play.skip(1e6)
    assert play.states == ["frozen"]


@in_loop
async def test_a_change_while_one_serves_is_felt_when_it_is_parked() -> None:
    """Its invocation is finished first; also where the old policy had a timer for it that would come too late."""
    play = Play(Policy("test", (MaxLifetime("2h"),)))
    (runtime,) = await play.warm()
    watched = play.submit()
    await play.skip(100.0)
    play.pool.follow(Policy("test", (MaxLifetime(60.0),)))
    await play.stage.settle()
    assert play.states == ["invoking"]
    runtime.serve()
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]
    assert play.endings == ["age 1 min 40 s >= 1 min"]


@in_loop
async def test_a_serving_one_is_watched_by_the_new_policy_afterwards() -> None:
    """The timer that was set before the change does not stand in the way of the one that is needed now."""
    play = Play(Policy("test", (IdleTimeout("2h"),)))
    (runtime,) = await play.warm()
    play.submit()
    play.pool.follow(Policy("test", (IdleTimeout(60.0),)))
    runtime.serve()
    await play.skip(60.0)
    assert play.states == []


@in_loop
async def test_what_was_learnt_outlives_a_change() -> None:
    """A histogram that comes back knows what it knew."""
    play = Play(Policy("test", (Histogram("1h"),)))
    (runtime,) = await play.warm()
    for _ in range(10):
        await play.skip(30.0)
        play.submit()
        runtime.serve()
    play.pool.follow(KEEP_WARM)
    play.pool.follow(Policy("test", (Histogram("1h"),)))
    await play.skip(67.0)
    assert play.states == []
    assert play.endings == ["idle 1 min 6 s >= 1 min 6 s, learnt from 10 idle times"]


class Wild:
    """A rule of a user's that fails in every way there is."""

    def verdict(self, environment: object, now: float) -> str | None:
        raise RuntimeError("no idea")

    def after_invocation(self, environment: object, outcome: Outcome) -> str | None:
        raise RuntimeError("no idea either")


class Restless:
    """A rule that wants to be asked at a moment, and then has nothing to say."""

    asked = 0

    def verdict(self, environment: object, now: float) -> str | None:
        self.asked += 1
        return None

    def due(self, environment: Reusable) -> float:
        return environment.idle_since + 30.0


@in_loop
async def test_a_rule_that_raises_harms_no_environment_and_is_told_once() -> None:
    """The event is answered, the environment rests, the rules beside it hold."""
    play = Play(Wild() | IdleTimeout(60.0))
    runtime, watched = await play.cold()
    runtime.serve()
    play.submit()
    runtime.serve()
    assert watched.heard == ["answer", "report"]
    assert play.states == ["frozen"]
    assert play.stage.kinds().count("policy.trouble") == 1
    assert "Wild.verdict raised RuntimeError: no idea" in play.stage.reason("policy.trouble")
    await play.skip(60.0)
    assert play.endings == ["idle 1 min >= 1 min"]


@in_loop
async def test_a_rule_that_promises_and_says_nothing_does_not_keep_the_clock_busy() -> None:
    """It is asked at its moment, once; the skip comes to an end."""
    rule = Restless()
    play = Play(Policy("test", (rule,)))
    await play.warm()
    asked = rule.asked
    assert play.stage.clock.fast_forward(8 * 3600.0) == 1
    assert rule.asked == asked + 1
    assert play.states == ["frozen"]


# -- the same again --------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(st.just("event"), st.just("two at once"), st.sampled_from([1.0, 45.0, 600.0, 7000.0]), st.just("change")),
    max_size=25,
)
LUCKY = Chance(0.2) | IdleTimeout("30s..10m") | MaxLifetime("10m..1h")


@given(seed=st.integers(0, 2**64), steps=STEPS)
@settings(max_examples=30, deadline=None)
def test_the_same_seed_calls_and_skips_give_the_same_decisions(seed: int, steps: list[str | float]) -> None:
    """Who serves, who goes, when, and why: two runs cannot be told apart."""

    def decisions() -> list[tuple[float, str, str | None, str]]:
        found: list[tuple[float, str, str | None, str]] = []

        async def play_it() -> None:
            play = Play(dataclasses.replace(LUCKY, selection=Selection.RANDOM), seed=seed)
            crew: dict[FakeSandbox, PlayedRuntime] = {}
            for step in steps:
                if isinstance(step, float):
                    await play.skip(step)
                elif step == "change":
                    play.pool.follow(LUCKY | MaxInvocations(3))
                else:
                    await serve(play, crew, 2 if step == "two at once" else 1)
            await play.pool.close("the emulator stops")
            kinds = ("environment.shutting-down", "policy.selected")
            found.extend((e.at, e.kind, e.environment, e.reason) for e in play.stage.events() if e.kind in kinds)

        run(play_it())
        return found

    async def serve(play: Play, crew: dict[FakeSandbox, PlayedRuntime], count: int) -> None:
        for _ in range(count):
            play.submit()
        await play.stage.settle()
        for number, sandbox in enumerate(play.stage.provider.sandboxes):
            if sandbox not in crew:
                crew[sandbox] = play.stage.runtime(number)
                crew[sandbox].park()
        await play.stage.settle()
        serving = {environment.id for environment in play.pool.environments if environment.state == "invoking"}
        for sandbox, runtime in crew.items():
            if sandbox.spec.environment_id in serving:
                runtime.serve()
        await play.stage.settle()

    assert decisions() == decisions()


@in_loop
async def test_who_is_wanted_at_once_is_not_frozen_in_between() -> None:
    """An event that has arrived in the same round of the loop finds the environment as it stands; then it freezes."""
    play = Play(end_of_round=asyncio.get_running_loop().call_soon)
    runtime, _ = await play.cold()
    runtime.serve()
    play.submit()
    assert len(runtime.events) == 2
    await play.stage.settle()
    assert "environment.freezing" not in play.stage.kinds()
    assert play.states == ["invoking"]
    runtime.serve()
    assert play.states == ["idle"]
    await play.stage.settle()
    assert play.states == ["frozen"]


@in_loop
async def test_a_retired_pool_serves_nothing_more_and_lets_what_runs_finish() -> None:
    """What is idle ends at once, what serves when it is done; a new invocation is refused, a place is given back."""
    stage, account = Stage(), Concurrency(10)
    reserving = dataclasses.replace(stage.function, reserved_concurrency=3)
    pool = Pool(reserving, stage.surroundings, Policy("keep-warm"), account)
    first, second = stage.invocation(), stage.invocation()
    pool.submit(first.invocation)
    await stage.settle()
    idle = stage.runtime(0)
    idle.park()
    await stage.settle()
    pool.submit(second.invocation)
    await stage.settle()
    busy = stage.runtime(1)
    busy.park()
    await stage.settle()
    idle.serve()
    await stage.settle()
    retired = asyncio.ensure_future(pool.retire("deleted"))
    await stage.settle()
    assert [environment.state for environment in pool.environments] == ["invoking"]
    assert (account.reserved, retired.done()) == (0, False)
    with pytest.raises(ServiceError):
        pool.submit(stage.invocation().invocation)
    busy.serve(b'"done"')
    await retired
    assert second.outcome.answer is not None
    assert second.outcome.answer.payload == b'"done"'
    assert (pool.environments, account.in_use) == ([], 0)


@in_loop
async def test_versions_share_what_their_function_has_reserved() -> None:
    """One place for all of them; an update of one reserves nothing anew."""
    stage, account = Stage(), Concurrency(10)
    reserving = dataclasses.replace(stage.function, reserved_concurrency=1)
    latest = Pool(reserving, stage.surroundings, Policy("keep-warm"), account)
    function = dataclasses.replace(stage.function, version="1", reserved_concurrency=1)
    version = Pool(function, stage.surroundings, Policy("keep-warm"), account, share=latest.share)
    latest.submit(stage.invocation().invocation)
    with pytest.raises(ThrottledError):
        version.submit(stage.invocation().invocation)
    version.update(dataclasses.replace(function, reserved_concurrency=None), "changed")
    assert (account.reserved, latest.share.reserved) == (1, 1)
    assert version.concurrency.function == "orders:1"
    await latest.close("over")
    await version.close("over")
