"""Environments that are initialised ahead of requests: who serves, how many there are, and when one is renewed."""

from __future__ import annotations

import dataclasses

import pytest

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import ConfigurationError, SandboxError, ThrottledError
from emulator.model import Reclaim
from emulator.policies import PRESETS, Policy
from emulator.pool import Pool
from emulator.provisioned import ProvisionedView
from emulator.sandbox.base import FakeSandbox
from tests.support import in_loop
from tests.unit.stage import Line, PlayedRuntime, SlowReset, Stage, Watched

TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"
HOUR = 3600.0


class Play:
    """A stage with one pool on it that has some environments ahead."""

    def __init__(
        self,
        count: int = 1,
        *,
        limit: int = 10,
        reserved: int | None = None,
        policy: Policy | None = None,
        sandbox_class: type[FakeSandbox] = FakeSandbox,
    ) -> None:
        self.stage = Stage(sandbox_class=sandbox_class)
        self.account = Concurrency(limit)
        self.function = dataclasses.replace(
            self.stage.function, provisioned_concurrency=count, reserved_concurrency=reserved
        )
        self.pool = Pool(
            self.function,
            self.stage.surroundings,
            policy if policy is not None else Policy("keep-warm"),
            self.account,
            provisioned_lifetime=2 * HOUR,
        )
        self.ahead = self.pool.provisioned

    def view(self) -> tuple[int, int, str, str | None]:
        """Allocated, available, status and reason."""
        view = self.ahead.view
        return view.allocated, view.available, str(view.status), view.reason

    @property
    def types(self) -> list[str]:
        """Why each environment that is there was initialised, and its state."""
        types = {s.spec.environment_id: s.spec.variables[TYPE] for s in self.stage.provider.sandboxes}
        return sorted(f"{types[environment.id]} {environment.state}" for environment in self.pool.environments)

    def submit(self) -> Watched:
        watched = self.stage.invocation()
        self.pool.submit(watched.invocation)
        return watched

    async def ready(self) -> list[PlayedRuntime]:
        """Let every sandbox that starts come up, and its runtime park."""
        await self.stage.settle()
        runtimes = []
        for number, sandbox in enumerate(self.stage.provider.sandboxes):
            if not sandbox.stopped:
                runtimes.append(self.stage.runtime(number))
                runtimes[-1].park()
        await self.stage.settle()
        return runtimes


@in_loop
async def test_they_are_initialised_without_any_request() -> None:
    """As what they are, and frozen; the status goes from IN_PROGRESS to READY."""
    play = Play(2)
    assert play.view() == (2, 0, "IN_PROGRESS", None)
    await play.ready()
    assert play.types == ["provisioned-concurrency frozen"] * 2
    assert play.view() == (2, 2, "READY", None)
    assert play.stage.reason("provisioned.ready") == "2 of 2 initialised ahead of requests"
    await play.ahead.finished()


@in_loop
async def test_a_request_prefers_them_and_spills_over() -> None:
    """The free one first, though another is warm; then what there is on demand; then a cold start."""
    play = Play(1)
    (runtime,) = await play.ready()
    first, second = play.submit(), play.submit()
    runtimes = await play.ready()
    assert play.types == ["on-demand invoking", "provisioned-concurrency invoking"]
    runtimes[0].serve()
    runtimes[1].serve()
    assert first.outcome.environment_id == runtime.sandbox.spec.environment_id
    for _ in range(3):
        again = play.submit()
        runtimes[0].serve()
        assert again.outcome.environment_id == first.outcome.environment_id
    both = [play.submit(), play.submit()]
    assert [watched.outcome.environment_id for watched in both] == [
        first.outcome.environment_id,
        second.outcome.environment_id,
    ]


@in_loop
async def test_before_they_are_initialised_requests_are_served_on_demand() -> None:
    """Nobody waits for them."""
    play = Play(1)
    await play.stage.settle()
    play.submit()
    await play.stage.settle()
    assert play.types == ["on-demand init", "provisioned-concurrency init"]


@in_loop
async def test_they_hold_places_of_the_account_busy_or_not() -> None:
    """What is left is for everybody, and an invocation on one of them takes no more."""
    play = Play(2, limit=3)
    (first, _) = await play.ready()
    assert (play.account.in_use, play.pool.share.in_use) == (2, 2)
    play.submit()
    play.submit()
    assert play.account.in_use == 2
    play.submit()
    with pytest.raises(ThrottledError):
        play.submit()
    first.serve()
    assert play.account.in_use == 3
    play.submit()
    assert first.sandbox.freezer.calls[-2:] == ["freeze", "thaw"]


@in_loop
async def test_they_take_of_what_is_reserved() -> None:
    """With as many reserved as initialised ahead, nothing is left to spill over to."""
    play = Play(1, reserved=1)
    await play.ready()
    play.submit()
    with pytest.raises(ThrottledError) as caught:
        play.submit()
    assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_less_reserved_than_initialised_ahead_is_refused() -> None:
    """Both numbers are named."""
    with pytest.raises(ConfigurationError, match="reserved_concurrency 1 is lower than its provisioned_concurrency 2"):
        Play(2, reserved=1)


@in_loop
async def test_they_wait_for_places_and_come_before_others_that_wait() -> None:
    """What is busy when the function is deployed is let finish; its place is theirs then."""
    play = Play(0, limit=1)
    line = Line(play.pool)
    play.submit()
    (runtime,) = await play.ready()
    watched = play.stage.invocation(asynchronous=True)
    line.submit(watched.invocation)
    play.pool.update(dataclasses.replace(play.function, provisioned_concurrency=1), "deployed again")
    assert play.view() == (0, 0, "IN_PROGRESS", None)
    assert play.stage.reason("provisioned.waiting") == "0 of 1: no place is free for more"
    await play.ahead.finished()  # whoever waits for that would wait for others
    runtime.serve()
    assert play.view() == (1, 0, "IN_PROGRESS", None)
    ahead = (await play.ready())[-1]
    ahead.serve()
    assert watched.heard == ["answer", "report"]
    assert play.types[-1:] == ["provisioned-concurrency frozen"]


@in_loop
async def test_one_that_is_free_serves_an_event_that_waits() -> None:
    """Without a freeze in between, and whoever's turn it is: its place is its own."""
    play = Play(1, limit=1)
    other = Line(Pool(play.stage.function, play.stage.surroundings, Policy("keep-warm"), play.account))
    line = Line(play.pool)
    (runtime,) = await play.ready()
    play.submit()
    others, own = play.stage.invocation(asynchronous=True), play.stage.invocation(asynchronous=True)
    other.submit(others.invocation)
    line.submit(own.invocation)
    runtime.serve()
    runtime.serve()
    assert (own.heard, others.heard) == (["answer", "report"], [])
    assert runtime.sandbox.freezer.calls == ["freeze", "thaw", "freeze"]


@in_loop
async def test_no_policy_ends_them() -> None:
    """Neither idleness nor age nor the number of invocations; only what is on demand goes."""
    policy = Policy("test", (*PRESETS["aws"], *PRESETS["always-cold"]))
    play = Play(1, policy=policy)
    (runtime,) = await play.ready()
    play.submit()
    play.submit()
    for served in await play.ready():
        served.serve()
    play.stage.clock.fast_forward(2 * HOUR - 1)
    await play.stage.settle()
    assert play.types == ["provisioned-concurrency frozen"]
    assert not runtime.sandbox.stopped


@in_loop
async def test_each_is_renewed_when_its_time_is_over() -> None:
    """Another takes its place at once, with the same number of places held; the time begins anew."""
    play = Play(2, limit=2)
    await play.ready()
    for _ in range(3):
        assert play.ahead.next_due == play.stage.clock.monotonic() + 2 * HOUR
        play.stage.clock.fast_forward(2 * HOUR)
        assert play.account.in_use == 2
        assert play.view() == (2, 0, "IN_PROGRESS", None)
        await play.ready()
        assert play.types == ["provisioned-concurrency frozen"] * 2
        assert play.stage.reason("environment.shutting-down") == "initialised 2 h ago: renewed"
    assert len(play.stage.provider.sandboxes) == 8


@in_loop
async def test_a_busy_one_is_renewed_when_it_is_parked_again() -> None:
    """Its invocation is finished first, and the connections end as the policy says."""
    play = Play(1, policy=Policy("test", (), Reclaim.FIN))
    (runtime,) = await play.ready()
    watched = play.submit()
    play.stage.clock.fast_forward(2 * HOUR)
    assert play.types == ["provisioned-concurrency invoking"]
    runtime.serve()
    await play.ready()
    assert watched.heard == ["answer", "report"]
    assert runtime.sandbox.stopped
    assert play.types == ["provisioned-concurrency frozen"]
    assert "hold sockets" not in runtime.sandbox.calls


@in_loop
async def test_what_is_recycled_by_hand_is_replaced() -> None:
    """All of a function, or one; the answer lists them with the others."""
    play = Play(1)
    (runtime,) = await play.ready()
    (environment,) = play.pool.environments
    now, later = play.pool.recycle("by hand")
    assert (now, later) == ([environment], [])
    assert play.view() == (1, 0, "IN_PROGRESS", None)
    (fresh,) = await play.ready()
    assert fresh.sandbox is not runtime.sandbox
    (environment,) = play.pool.environments
    play.submit()
    assert not play.pool.recycle_one(environment, "by hand")
    fresh.serve()
    await play.ready()
    assert environment.gone.is_set()
    (environment,) = play.pool.environments
    assert play.pool.recycle_one(environment, "by hand")
    await play.ready()
    assert play.view() == (1, 1, "READY", None)


@in_loop
async def test_another_number_takes_effect_with_the_next_deployment() -> None:
    """More are started, fewer are not replaced, and places follow."""
    play = Play(1)
    await play.ready()
    for count in (3, 2, 0):
        play.pool.update(dataclasses.replace(play.function, provisioned_concurrency=count), "deployed again")
        await play.ready()
        assert play.types == ["provisioned-concurrency frozen"] * count
        assert play.account.in_use == count
    assert play.pool.concurrency.provisioned is None


@in_loop
async def test_an_update_while_they_start_ends_with_the_new_function() -> None:
    """What was being initialised on the old code never serves."""
    play = Play(1)
    await play.stage.settle()
    play.pool.update(dataclasses.replace(play.function, memory=256), "deployed again")
    await play.ready()
    await play.ready()
    assert [environment.function.memory for environment in play.pool.environments] == [256]
    assert play.view() == (1, 1, "READY", None)


@in_loop
async def test_a_failing_init_is_tried_again_later() -> None:
    """After 1 s, 2 s, 4 s ...; the status says why, and meanwhile the place is everybody's."""
    play = Play(1, limit=1)
    for delay in (1.0, 2.0, 4.0):
        await play.stage.settle()
        play.stage.runtime().die(1)
        await play.stage.settle()
        assert play.view() == (0, 0, "FAILED", "FUNCTION_ERROR_INIT_FAILURE")
        assert play.account.in_use == 0
        assert play.stage.reason("provisioned.failed") == f"FUNCTION_ERROR_INIT_FAILURE: again in {delay:g} s"
        await play.ahead.finished()
        started = len(play.stage.provider.sandboxes)
        play.stage.clock.fast_forward(delay - 0.1)
        assert len(play.stage.provider.sandboxes) == started
        play.stage.clock.fast_forward(0.1)
        assert len(play.stage.provider.sandboxes) == started + 1
    await play.ready()
    assert play.view() == (1, 1, "READY", None)
    assert play.stage.kinds().count("provisioned.ready") == 1


@in_loop
async def test_the_intervals_of_failures_end_at_five_minutes() -> None:
    """However often it fails; and a new deployment is tried at once."""
    play = Play(1)
    play.stage.provider.fail_start_with = SandboxError("no")
    for _ in range(12):
        await play.stage.settle()
        if play.stage.provider.sandboxes[-1].started:
            play.stage.runtime().die(1)
            await play.stage.settle()
        play.stage.clock.fast_forward(300.0)
    await play.stage.settle()
    assert play.stage.reason("provisioned.failed").endswith("again in 5 min")
    play.stage.provider.fail_start_with = None
    play.pool.update(play.function, "deployed again")
    await play.ready()
    assert play.view() == (1, 1, "READY", None)


@in_loop
async def test_one_that_cannot_even_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of open files, say; the reason is the system's own."""
    play = Play(0)

    def fail(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(play.stage.provider, "create", fail)
        play.pool.update(dataclasses.replace(play.function, provisioned_concurrency=1), "deployed again")
    assert play.view() == (0, 0, "FAILED", "too many open files")
    assert play.account.in_use == 0
    play.stage.clock.fast_forward(1.0)
    await play.ready()
    assert play.view() == (1, 1, "READY", None)


@in_loop
async def test_one_that_dies_is_replaced() -> None:
    """Idle or not; one that was reset after a failure stays."""
    play = Play(1, sandbox_class=SlowReset)
    (runtime,) = await play.ready()
    runtime.die(signal=9)
    watched = play.submit()  # in the moment between its death and its removal
    await play.stage.settle()
    assert watched.heard == []
    assert play.types == ["on-demand init", "provisioned-concurrency init"]
    await play.ready()
    play.submit()
    ahead = next(e for e in play.ahead.environments if e.state == "invoking")
    number = [s.spec.environment_id for s in play.stage.provider.sandboxes].index(ahead.id)
    sandbox = play.stage.provider.sandboxes[number]
    assert isinstance(sandbox, SlowReset)
    sandbox.gate.set()
    play.stage.runtime(number).die(1)
    await play.stage.settle()
    assert (ahead.state, ahead in play.ahead.environments) == ("frozen", True)


@in_loop
async def test_closing_ends_them_and_none_comes_again() -> None:
    """Idle, busy and starting ones; every place is given back."""
    play = Play(3)
    await play.stage.settle()
    for number in (0, 1):
        play.stage.runtime(number).park()
    await play.stage.settle()
    play.submit()
    assert sorted(e.state for e in play.pool.environments) == ["frozen", "init", "invoking"]
    await play.pool.close("the emulator stops")
    await play.stage.settle()
    play.stage.clock.fast_forward(10 * HOUR)
    await play.stage.settle()
    assert play.pool.environments == []
    assert (len(play.stage.provider.sandboxes), play.account.in_use) == (3, 0)
    assert "provisioned.ready" not in play.stage.kinds()


@in_loop
async def test_the_view_is_in_awss_words() -> None:
    """Requested, allocated, available, and the status."""
    play = Play(2)
    view = play.pool.concurrency
    assert view.provisioned == ProvisionedView(2, 2, 0, play.ahead.view.status, None)
    assert (view.function, view.reserved, view.in_use) == ("orders", None, 2)
    assert all(isinstance(environment, Environment) for environment in play.ahead.environments)


@in_loop
async def test_another_number_leaves_the_others_as_they_are() -> None:
    """More are started beside those that are there; of too many the idle ones end, and give their places back."""
    play = Play(1)
    (first,) = await play.ready()
    play.pool.adjust(dataclasses.replace(play.function, provisioned_concurrency=3))
    assert play.view() == (3, 1, "IN_PROGRESS", None)
    runtimes = await play.ready()
    assert play.view() == (3, 3, "READY", None)
    assert not first.sandbox.stopped
    served = play.submit()
    play.pool.adjust(dataclasses.replace(play.function, provisioned_concurrency=1))
    await play.stage.settle()
    assert play.types == ["provisioned-concurrency invoking"]
    assert (play.view(), play.account.in_use) == ((1, 1, "READY", None), 1)
    play.pool.adjust(dataclasses.replace(play.function, provisioned_concurrency=0))
    next(one for one in runtimes if one.sandbox.spec.environment_id == served.outcome.environment_id).serve()
    await play.stage.settle()
    assert (play.types, play.account.in_use) == ([], 0)


@in_loop
async def test_other_places_and_other_settings_of_events_recycle_nobody() -> None:
    """What an environment does not see changes beside it; what cannot be had changes nothing."""
    play = Play(1, limit=3)
    (runtime,) = await play.ready()
    changed = dataclasses.replace(play.function, reserved_concurrency=2)
    play.pool.adjust(changed)
    assert (play.pool.share.reserved, play.pool.function) == (2, changed)
    with pytest.raises(ConfigurationError, match="4 places cannot be reserved"):
        play.pool.adjust(dataclasses.replace(play.function, reserved_concurrency=4))
    assert (play.pool.share.reserved, play.pool.function) == (2, changed)
    assert not runtime.sandbox.stopped


@in_loop
async def test_one_that_has_answered_serves_the_next_event_when_it_is_back() -> None:
    """Nothing spills over for a runtime that is a moment later than its client."""
    play = Play(1)
    (runtime,) = await play.ready()
    play.submit()
    runtime.respond()
    play.submit()
    runtime.park()
    assert len(runtime.events) == 2
    assert len(play.stage.provider.sandboxes) == 1
