"""A function under a debugger: nothing stops it while somebody is attached, and it serves one event at a time."""

from __future__ import annotations

import dataclasses

import pytest

from emulator.concurrency import Concurrency
from emulator.debugged import Attachment, DebuggedEnvironment, DebuggedPool
from emulator.errors import ServiceError, ThrottledError
from emulator.policies import IdleTimeout, MaxInvocations, Policy
from emulator.sandbox.freezer import FakeFreezer
from tests.support import in_loop, skip_time
from tests.unit.stage import Line, PlayedRuntime, Stage, Watched


class Play:
    """A stage with the pool of one function that has a debug port, and a debugger that comes and goes."""

    def __init__(self, policy: Policy | None = None, **function: object) -> None:
        self.stage = Stage()
        self.attachment = Attachment()
        self.concurrency = Concurrency(10)
        self.pool = DebuggedPool(
            dataclasses.replace(self.stage.function, debug_port=5678, **function),  # type: ignore[arg-type]
            self.stage.surroundings,
            policy or Policy("keep-warm"),
            self.concurrency,
            attachment=self.attachment,
        )

    @property
    def states(self) -> list[str]:
        return [str(environment.state) for environment in self.pool.environments]

    def attach(self) -> None:
        self.attachment.connections += 1
        self.pool.debugger_came()

    def detach(self) -> None:
        self.attachment.connections -= 1
        self.pool.debugger_went()

    def submit(self, *, asynchronous: bool = False) -> Watched:
        watched = self.stage.invocation(asynchronous=asynchronous)
        self.pool.submit(watched.invocation)
        return watched

    async def serving(self) -> tuple[PlayedRuntime, Watched]:
        """A cold start, and its event handed out."""
        watched = self.submit()
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        return runtime, watched

    async def frozen(self) -> PlayedRuntime:
        runtime, _ = await self.serving()
        runtime.serve()
        assert self.states == ["frozen"]
        return runtime

    @property
    def freezer(self) -> FakeFreezer:
        return self.stage.provider.sandboxes[-1].freezer


# -- freezing --------------------------------------------------------------------------------------------------


@in_loop
async def test_who_attaches_thaws_it_and_keeps_it_from_freezing() -> None:
    """A debugger could not talk to what stands still; when it has gone, freezing goes on."""
    play = Play()
    runtime = await play.frozen()
    play.attach()
    assert play.states == ["idle"]
    assert play.stage.reason("environment.thawing") == "a debugger came"
    play.submit()
    runtime.serve()
    assert play.states == ["idle"]
    play.detach()
    assert play.states == ["frozen"]


@in_loop
async def test_an_event_that_comes_while_it_is_thawed_for_a_debugger_is_served_by_it() -> None:
    """It belongs to nobody yet, and the debugger wants to see the event."""
    play = Play()
    runtime = await play.frozen()
    play.freezer.slow = True
    play.attach()
    watched = play.submit()
    assert play.states == ["thawing"]
    play.freezer.confirm()
    runtime.serve(b'"seen"')
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == b'"seen"'


@in_loop
async def test_who_has_gone_before_it_was_thawed_leaves_it_frozen() -> None:
    """As it was."""
    play = Play()
    await play.frozen()
    play.freezer.slow = True
    play.attach()
    play.detach()
    play.freezer.slow = False
    play.freezer.confirm()
    assert play.states == ["frozen"]


# -- limits ----------------------------------------------------------------------------------------------------


@in_loop
async def test_an_invocation_has_no_deadline_while_somebody_is_attached() -> None:
    """Attached before it or in its middle; afterwards it has its whole timeout once more, and no more."""
    play = Play()
    runtime = await play.frozen()
    play.attach()
    watched = play.submit()
    skip_time(1000.0)
    await play.stage.settle()
    assert play.states == ["invoking"]
    play.detach()
    skip_time(2.9)
    await play.stage.settle()
    play.attach()  # in the middle, once more
    skip_time(1000.0)
    await play.stage.settle()
    play.detach()
    skip_time(2.9)
    await play.stage.settle()
    assert watched.heard == []
    skip_time(0.2)
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]
    assert watched.outcome.answer is not None
    assert b"timed out" in watched.outcome.answer.payload
    assert runtime.events


@in_loop
async def test_without_a_debugger_the_deadline_is_what_it_was() -> None:
    """A debug port alone changes nothing of it."""
    play = Play()
    _, watched = await play.serving()
    skip_time(3.1)
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]


@in_loop
async def test_init_has_no_limit_while_somebody_is_attached() -> None:
    """Whoever stops in the code of the module takes his time; when he has gone it has ten seconds."""
    play = Play()
    play.submit()
    await play.stage.settle()
    play.attach()
    skip_time(1000.0)
    await play.stage.settle()
    assert play.states == ["init"]
    play.detach()
    skip_time(9.9)
    await play.stage.settle()
    assert play.states == ["init"]
    skip_time(0.2)
    await play.stage.settle()
    assert "environment.resetting" in play.stage.kinds()


@in_loop
async def test_an_init_inside_an_invocation_has_time_for_the_debugger() -> None:
    """It is on the function's time, and a debugger takes longer to start than many a timeout."""
    play = Play()
    runtime, _ = await play.serving()
    runtime.die(code=1)
    await play.stage.settle()
    watched = play.submit()
    await play.stage.settle()
    skip_time(9.0)
    await play.stage.settle()
    again = play.stage.runtime()
    again.park()
    await play.stage.settle()
    again.serve(b'"late"')
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == b'"late"'


# -- one at a time ---------------------------------------------------------------------------------------------


@in_loop
async def test_a_second_event_waits_for_the_first() -> None:
    """In their order, in the one environment that a debugger can be attached to."""
    play = Play()
    runtime, first = await play.serving()
    others = [play.submit(), play.submit()]
    assert [other.heard for other in others] == [[], []]
    for number, watched in enumerate([first, *others]):
        runtime.serve(f"{number}".encode())
        assert watched.outcome.answer is not None
        assert watched.outcome.answer.payload == f"{number}".encode()
    assert len(play.stage.provider.sandboxes) == 1
    assert play.stage.kinds().count("invocation.waiting") == 2
    assert play.states == ["frozen"]


@in_loop
async def test_who_waits_is_served_when_the_first_one_fails_or_its_environment_goes() -> None:
    """A crash, and a recycling by hand in the middle."""
    play = Play()
    runtime, _ = await play.serving()
    second, third = play.submit(), play.submit()
    runtime.die(code=1)
    await play.stage.settle()
    again = play.stage.runtime()
    again.park()
    await play.stage.settle()
    play.pool.recycle("recycled by hand")
    again.serve()
    await play.stage.settle()
    assert second.heard == ["answer", "report"]
    fresh = play.stage.runtime()
    fresh.park()
    await play.stage.settle()
    fresh.serve()
    assert third.heard == ["answer", "report"]
    assert len(play.stage.provider.sandboxes) == 2


@in_loop
async def test_an_asynchronous_event_is_throttled_as_ever() -> None:
    """Its queue waits for it; and what waits there has its turn."""
    play = Play()
    line = Line(play.pool)
    runtime, _ = await play.serving()
    with pytest.raises(ThrottledError):
        play.submit(asynchronous=True)
    queued = play.stage.invocation(asynchronous=True)
    line.submit(queued.invocation)
    runtime.serve()
    runtime.serve(b'"queued"')
    assert queued.outcome.answer is not None
    assert queued.outcome.answer.payload == b'"queued"'


@in_loop
async def test_a_function_that_is_switched_off_stays_so() -> None:
    """Nobody waits for a place that there will never be."""
    play = Play(reserved_concurrency=0)
    with pytest.raises(ThrottledError):
        play.submit()


@in_loop
async def test_who_waits_at_the_end_is_told() -> None:
    """As everybody whose invocation cannot be served any more."""
    play = Play()
    await play.serving()
    waiting = play.submit()
    await play.pool.close("the emulator stops")
    assert isinstance(waiting.outcome.failure, ServiceError)
    assert play.concurrency.in_use == 0


@in_loop
async def test_it_is_recycled_for_new_code_and_for_no_policy() -> None:
    """Nothing is taken away under a debugger's feet; and nothing is initialised ahead, for there is one port."""
    play = Play(IdleTimeout("1m") | MaxInvocations(1), provisioned_concurrency=2)
    await play.frozen()
    play.stage.clock.fast_forward(3600)
    await play.stage.settle()
    assert play.states == ["frozen"]
    play.pool.follow(IdleTimeout("1m") | MaxInvocations(1))
    play.stage.clock.fast_forward(3600)
    await play.stage.settle()
    assert play.states == ["frozen"]
    (outdated,) = play.pool.environments
    play.pool.update(play.pool.function, "its code changed")
    await play.stage.settle()
    assert play.states == []
    assert isinstance(outdated, DebuggedEnvironment)
    assert outdated.is_outdated
    assert play.concurrency.reserved == 1


# -- whom a debugger gets --------------------------------------------------------------------------------------


@in_loop
async def test_a_debugger_gets_the_environment_there_is() -> None:
    """Frozen or not."""
    play = Play()
    await play.frozen()
    assert play.pool.environment_to_debug() is play.pool.environments[0]
    assert len(play.stage.provider.sandboxes) == 1


@in_loop
async def test_a_debugger_gets_a_new_environment_where_there_is_none() -> None:
    """Its runtime waits for it; and serves the first event that comes, which waits in turn."""
    play = Play()
    play.attach()
    play.attachment.waiting += 1
    environment = play.pool.environment_to_debug()
    assert environment is not None
    awaits = play.stage.provider.sandboxes[0].spec.awaits_debugger
    assert awaits is not None
    assert awaits()
    play.attachment.waiting -= 1
    assert not awaits()
    assert play.pool.environment_to_debug() is environment
    watched = play.submit()
    await play.stage.settle()
    runtime = play.stage.runtime()
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    assert watched.heard == ["answer", "report"]
    assert play.stage.reason("environment.starting") == "started for a debugger"
    assert play.concurrency.in_use == 0


@in_loop
async def test_an_environment_without_a_runtime_is_replaced_for_a_debugger() -> None:
    """After a reset there is nobody in it to attach to before the next event."""
    play = Play()
    runtime, _ = await play.serving()
    runtime.die(code=1)
    await play.stage.settle()
    (old,) = play.pool.environments
    assert play.pool.environment_to_debug() not in (None, old)
    await play.stage.settle()
    assert old.gone.is_set()


@in_loop
async def test_a_debugger_waits_while_an_old_environment_finishes() -> None:
    """It runs the old code, and there is no place for a second one."""
    play = Play()
    runtime, _ = await play.serving()
    play.pool.update(play.pool.function, "its code changed")
    assert play.pool.environment_to_debug() is None
    runtime.serve()
    assert play.pool.environment_to_debug() is not None


@in_loop
async def test_an_init_that_fails_under_a_debugger_ends_its_environment() -> None:
    """Nobody waits for it, and the place is free again."""
    play = Play()
    play.attach()
    environment = play.pool.environment_to_debug()
    assert environment is not None
    await play.stage.settle()
    play.stage.runtime().die(code=1)
    await play.stage.settle()
    assert environment.gone.is_set()
    assert play.concurrency.in_use == 0
