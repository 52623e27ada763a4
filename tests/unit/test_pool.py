"""One function's environments: who serves, how many may run, and when each goes."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import SandboxError, ServiceError, ThrottledError
from emulator.policy import PRESETS, IdleTimeout, MaxInvocations, MaxLifetime, Policy, Reusable
from emulator.pool import Pool
from emulator.sandbox.base import FakeSandbox
from tests.support import in_loop, skip_time
from tests.unit.stage import Broken, Line, PlayedRuntime, SlowReset, Stage, Watched

KEEP_WARM = Policy("keep-warm")


class Play:
    """A stage with one pool on it."""

    def __init__(
        self, policy: Policy = KEEP_WARM, *, limit: int = 10, sandbox_class: type[FakeSandbox] = FakeSandbox
    ) -> None:
        self.stage = Stage(sandbox_class=sandbox_class)
        self.concurrency = Concurrency(limit)
        self.pool = Pool(self.stage.function, self.stage.surroundings, policy, self.concurrency)
        self.line = Line(self.pool)

    @property
    def states(self) -> list[str]:
        return [str(environment.state) for environment in self.pool.environments]

    def submit(self, *, asynchronous: bool = False) -> Watched:
        watched = self.stage.invocation(asynchronous=asynchronous)
        (self.line if asynchronous else self.pool).submit(watched.invocation)
        return watched

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

    class OldestFirst(Policy):
        def select(self, idle: Any) -> Any:
            return min(idle, key=lambda environment: environment.created_at)

    play = Play(OldestFirst("oldest first"))
    first, second = await play.warm(2)
    play.submit()
    assert [len(runtime.events) for runtime in (first, second)] == [2, 1]


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
    async with asyncio.timeout(1):
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
    async with asyncio.timeout(1):
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
    async with asyncio.timeout(5):
        await play.pool.close("the emulator stops")
    assert [watched.heard for watched in (serving, starting)] == [["failure"]] * 2
    assert isinstance(serving.outcome.failure, ServiceError)
    assert play.states == []
    assert all(sandbox.stopped for sandbox in play.stage.provider.sandboxes)
    assert play.concurrency.in_use == 0
    with pytest.raises(ServiceError, match="stopping"):
        play.submit()
    await play.stage.settle()


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
