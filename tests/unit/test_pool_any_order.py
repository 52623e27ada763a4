"""Pool and environments when things happen in any order: what must hold, holds after every single step."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import FreezeError, SandboxError, ThrottledError
from emulator.lifecycle import TABLE, State
from emulator.model import Reclaim
from emulator.policies import (
    AfterError,
    Chance,
    EvictionOrder,
    HalfOfIdle,
    Histogram,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
    Selection,
)
from emulator.policies.memory import IdleMemory
from emulator.pool import Pool
from emulator.runtime_api.runtime import InvocationEvent
from emulator.sandbox.base import ExitStatus, SandboxEvents, SandboxSpec
from tests.support import skip_time
from tests.unit.any_order import StandingLoop
from tests.unit.stage import Broken, Line, PlayedRuntime, SlowReset, Stage, Watched

AT_REST = (State.IDLE, State.FREEZING, State.FROZEN)
SERVING = (State.STARTING, State.INIT, State.THAWING, State.INVOKING, State.RESETTING)
SHARE = MaxInvocations(3)
RULES = (
    SHARE,
    IdleTimeout(60.0),
    IdleTimeout("30s..90s"),
    MaxLifetime(300.0),
    MaxLifetime("1m..8h"),
    Chance(0.3),
    AfterError(),
    HalfOfIdle("1m", leave=1),
    Histogram("59s"),
)
RULE_SETS = st.sets(st.sampled_from(RULES))
PRESSURES = st.sampled_from([None, MemoryPressure(256), MemoryPressure(128, EvictionOrder.GREEDY_DUAL)])
OF_A_POLICY = re.compile(r"idle |age |\d+ invocations|drew |its invocation failed|half of |memory: ")
NUMBER = st.integers(0, 7)


class Moody(Broken, SlowReset):
    """A sandbox whose resets take their time or fail, and whose runtimes may refuse to start again."""

    def __init__(self, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        super().__init__(spec, address, events)
        self.gate.set()

    @property
    def has_runtime(self) -> bool:
        """Whether one was started that no reset has ended."""
        return self.started and self.runtime_starts == self.resets


class Runtime(PlayedRuntime):
    """A runtime that notices when it is given a second event before it answered the first."""

    open: str | None = None
    dead = False
    given_two = False

    def _receive(self, event: InvocationEvent) -> None:
        self.given_two |= self.open not in (None, event.request_id)
        self.open = event.request_id
        super()._receive(event)


class AnyOrder(RuleBasedStateMachine):
    """Clients, runtimes, freezers, clocks and people, each doing what they can at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = StandingLoop()
        self.patch = pytest.MonkeyPatch()
        # Measured in real time, and what is evicted first would depend on it: no run would go as the one before.
        self.patch.setattr(Environment, "init_ms", 10.0)
        self.runtimes: dict[int, Runtime] = {}
        """By the number of the sandbox; the newest generation."""
        self.generations: list[Runtime] = []
        self.environments: dict[str, Environment] = {}
        self.accepted: list[Watched] = []
        self.recycled: set[str] = set()
        self.slow = False

    @initialize(
        limit=st.integers(1, 3),
        rules=RULE_SETS,
        selection=st.sampled_from(Selection),
        reclaim=st.sampled_from(Reclaim),
        pressure=PRESSURES,
        slow=st.booleans(),
        quiet=st.sampled_from([0.0, 1.0]),
        seed=st.integers(0, 9),
    )
    def begin(
        self,
        limit: int,
        rules: set[object],
        selection: Selection,
        reclaim: Reclaim,
        pressure: MemoryPressure | None,
        slow: bool,
        quiet: float,
        seed: int,
    ) -> None:
        self.stage = Stage(quiet=quiet, sandbox_class=Moody, seed=seed)
        self.concurrency = Concurrency(limit)
        self.memory = IdleMemory()
        self.memory.follow(pressure)
        policy = Policy("test", tuple(rules), reclaim, selection)
        self.pool = Pool(self.stage.function, self.stage.surroundings, policy, self.concurrency, self.memory)
        self.line = Line(self.pool)
        self.slow = slow
        self.same_policy = True

    # -- what can happen ---------------------------------------------------------------------------------------

    @rule(asynchronous=st.booleans())
    def a_client_invokes(self, asynchronous: bool) -> None:
        watched = self.stage.invocation(asynchronous=asynchronous)
        full = self.concurrency.in_use >= self.concurrency.limit

        def submit() -> None:
            try:
                (self.line if asynchronous else self.pool).submit(watched.invocation)
            except ThrottledError:
                assert full, "throttled though a slot was free"
                assert not asynchronous, "an asynchronous event waits"
            else:
                self.accepted.append(watched)

        self._do(submit)

    @precondition(lambda self: self.concurrency.in_use < self.concurrency.limit)
    @rule()
    def an_event_goes_all_the_way(self) -> None:
        watched = self.stage.invocation()
        self._do(lambda: self.pool.submit(watched.invocation))
        self.accepted.append(watched)
        for _ in range(5):
            self._do(lambda: self._do_duty(watched.outcome.environment_id))
        assert watched.heard

    @precondition(lambda self: self._living())
    @rule(number=NUMBER)
    def a_runtime_parks(self, number: int) -> None:
        runtime = self._runtime(number)
        self._do(runtime.park)

    @precondition(lambda self: self._busy())
    @rule(number=NUMBER, error=st.booleans(), parks=st.booleans())
    def a_runtime_answers(self, number: int, error: bool, parks: bool) -> None:
        busy = self._busy()
        runtime = busy[number % len(busy)]

        def answer() -> None:
            reply = runtime.report_error(b"{}", "Function.Wrong") if error else runtime.respond()
            if reply.status == 202:
                runtime.open = None
            if parks:
                runtime.park()

        self._do(answer)

    @precondition(lambda self: self._living())
    @rule(number=NUMBER)
    def a_runtime_fails_its_init(self, number: int) -> None:
        runtime = self._runtime(number)
        self._do(lambda: runtime.session.init_error(b"{}", "Runtime.ImportModuleError"))

    @precondition(lambda self: self._living())
    @rule(number=NUMBER, code=st.sampled_from([0, 1]), also_parks=st.booleans())
    def a_runtime_dies(self, number: int, code: int, also_parks: bool) -> None:
        runtime = self._runtime(number)
        runtime.dead = True

        def die() -> None:
            if also_parks:
                runtime.park()
            runtime.die(code)

        self._do(die)

    @precondition(lambda self: self._without_a_runtime())
    @rule(number=NUMBER)
    def an_exit_is_told_late(self, number: int) -> None:
        bare = self._without_a_runtime()
        self._do(lambda: bare[number % len(bare)].on_exit(ExitStatus(signal=9)))

    @precondition(lambda self: self._sandboxes())
    @rule(number=NUMBER, lets_through=st.booleans())
    def a_reset_takes_its_time_or_is_done(self, number: int, lets_through: bool) -> None:
        sandboxes = self._sandboxes()
        gate = sandboxes[number % len(sandboxes)].gate
        self._do(gate.set if lets_through else gate.clear)

    @precondition(lambda self: self._sandboxes())
    @rule(number=NUMBER, what=st.sampled_from(["reset", "runtime", "nothing"]))
    def a_sandbox_changes_its_mood(self, number: int, what: str) -> None:
        sandboxes = self._sandboxes()
        sandbox = sandboxes[number % len(sandboxes)]
        sandbox.fail_reset_with = SandboxError("its processes do not end") if what == "reset" else None
        sandbox.fail_runtime_with = SandboxError("no process left") if what == "runtime" else None

    @precondition(lambda self: self.concurrency.in_use < self.concurrency.limit)
    @rule(way=st.sampled_from(["dies", "takes too long"]), again=st.booleans())
    def an_event_fails_and_the_next_is_served(self, way: str, again: bool) -> None:
        """A whole life after a failure: reset, parked, and init inside the next event."""
        watched = self.stage.invocation()
        self._do(lambda: self.pool.submit(watched.invocation))
        self.accepted.append(watched)
        for _ in range(5):
            environment_id = watched.outcome.environment_id
            busy = [r for r in self._busy() if r.sandbox.spec.environment_id == environment_id]
            if busy:
                if way == "dies":
                    busy[0].dead = True
                    self._do(functools.partial(busy[0].die, 1))
                else:
                    self._do(lambda: skip_time(3.0))
                break
            self._do(lambda: self._do_duty(watched.outcome.environment_id, answers=False))
        assert watched.heard
        if again and self.concurrency.in_use < self.concurrency.limit:
            self.an_event_goes_all_the_way()

    @precondition(lambda self: self._unconfirmed())
    @rule(number=NUMBER, fails=st.booleans())
    def a_freezer_confirms_whatever_waits_in_any_order(self, number: int, fails: bool) -> None:
        waiting = [(sandbox.freezer, index) for sandbox in self.stage.provider.sandboxes
                   for index in range(len(sandbox.freezer.waiting))]  # fmt: skip
        freezer, index = waiting[number % len(waiting)]
        self._do(lambda: freezer.waiting.pop(index)(FreezeError("the kernel said no") if fails else None))

    @precondition(lambda self: self.stage.provider.sandboxes)
    @rule(number=NUMBER)
    def a_network_confirms(self, number: int) -> None:
        sandboxes = self.stage.provider.sandboxes
        self._do(sandboxes[number % len(sandboxes)].cut.confirm)

    @precondition(lambda self: self.stage.provider.sandboxes)
    @rule(number=NUMBER, slow=st.booleans(), fails=st.booleans())
    def a_network_changes_its_mood(self, number: int, slow: bool, fails: bool) -> None:
        sandboxes = self.stage.provider.sandboxes
        cut = sandboxes[number % len(sandboxes)].cut
        cut.slow = slow
        cut.fail_with = SandboxError("the bridge is gone") if fails else None

    @precondition(lambda self: self.stage.provider.sandboxes)
    @rule(number=NUMBER, slow=st.booleans(), fails=st.booleans())
    def a_freezer_changes_its_mood(self, number: int, slow: bool, fails: bool) -> None:
        sandboxes = self.stage.provider.sandboxes
        freezer = sandboxes[number % len(sandboxes)].freezer
        freezer.slow = slow
        freezer.fail_with = FreezeError("the kernel said no") if fails else None

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def real_time_passes(self, seconds: float) -> None:
        self._do(lambda: skip_time(seconds))

    @rule(seconds=st.sampled_from([1.0, 59.5, 60.0, 299.9, 28_800.0]))
    def somebody_fast_forwards(self, seconds: float) -> None:
        self._do(lambda: self.stage.clock.fast_forward(seconds))

    @rule()
    def somebody_recycles_all(self) -> None:
        def recycle() -> None:
            now, later = self.pool.recycle("by hand")
            self.recycled |= {environment.id for environment in [*now, *later]}

        self._do(recycle)

    @precondition(lambda self: self.pool.environments)
    @rule(number=NUMBER)
    def somebody_recycles_one(self, number: int) -> None:
        environments = {environment.id: environment for environment in self.pool.environments}
        listed = [s.spec.environment_id for s in self.stage.provider.sandboxes if s.spec.environment_id in environments]
        environment = environments[listed[number % len(listed)]]
        self.recycled.add(environment.id)
        self._do(lambda: self.pool.recycle_one(environment, "by hand"))

    @rule()
    def somebody_deploys_again(self) -> None:
        self.recycled |= {environment.id for environment in self.pool.environments}
        self._do(lambda: self.pool.update(self.stage.function, "deployed again"))

    @rule(rules=RULE_SETS, selection=st.sampled_from(Selection))
    def somebody_changes_the_policy(self, rules: set[object], selection: Selection) -> None:
        self.same_policy = False
        self._do(lambda: self.pool.follow(Policy("changed", tuple(rules), selection=selection)))

    @rule(pressure=PRESSURES)
    def somebody_changes_the_memory_limit(self, pressure: MemoryPressure | None) -> None:
        self._do(lambda: self.memory.follow(pressure))

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def no_environment_is_given_two_events(self) -> None:
        assert not any(runtime.given_two for runtime in self.generations)

    @invariant()
    def a_runtime_is_started_only_where_a_reset_has_ended_one(self) -> None:
        for sandbox in self._sandboxes():
            assert 0 <= sandbox.resets - sandbox.runtime_starts <= 1
            served = self.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
            assert served is None or sandbox.has_runtime

    @invariant()
    def no_more_serve_than_the_limit_and_every_slot_is_accounted_for(self) -> None:
        serving = [environment for environment in self.pool.environments if environment.state in SERVING]
        assert self.concurrency.in_use == len(serving) <= self.concurrency.limit

    @invariant()
    def events_wait_only_while_there_is_no_slot(self) -> None:
        assert not self.line or self.concurrency.in_use == self.concurrency.limit

    @invariant()
    def events_wait_only_for_who_comes_back(self) -> None:
        assert len(self.pool._returning) <= sum(environment.is_returning for environment in self.pool.environments)

    @invariant()
    def nothing_at_rest_should_have_gone(self) -> None:
        now = self.stage.clock.monotonic()
        for environment in self.pool.environments:
            if environment.state in AT_REST:
                assert self.pool.policy.verdict(environment, now) is None
                assert environment.id not in self.recycled

    @invariant()
    def no_environment_serves_more_than_its_share(self) -> None:
        if SHARE in self.pool.policy.rules and self.same_policy:
            assert all(environment.invocations <= SHARE.count for environment in self.environments.values())

    @invariant()
    def nothing_that_failed_is_at_rest_where_that_is_the_policy(self) -> None:
        if AfterError() in self.pool.policy.rules and self.same_policy:
            failed = {
                w.invocation.request_id for w in self.accepted if w.outcome.answer and w.outcome.answer.error_type
            }
            resting = [environment for environment in self.pool.environments if environment.state in AT_REST]
            assert not [environment for environment in resting if environment.last_request_id in failed]

    @invariant()
    def a_period_runs_while_anything_is_idle(self) -> None:
        if self.pool.idle:
            now = self.stage.clock.monotonic()
            running = [timer for timer in self.pool._periods.values() if now < timer.when and not timer.cancelled]
            assert len(running) == len(self.pool.policy.periodic)

    @invariant()
    def idle_environments_take_no_more_memory_than_they_may(self) -> None:
        if self.memory.rule is not None:
            assert sum(environment.function.memory for environment in self.pool.idle) <= self.memory.rule.limit

    @invariant()
    def every_client_hears_one_thing_and_every_report_is_behind_it(self) -> None:
        for watched in self.accepted:
            assert watched.heard in ([], ["answer"], ["answer", "report"], ["failure"])

    @invariant()
    def what_is_not_listed_is_gone_and_what_is_gone_left_nothing(self) -> None:
        listed = {environment.id for environment in self.pool.environments}
        for key, environment in self.environments.items():
            assert (key in listed) != environment.gone.is_set()
        for sandbox in self.stage.provider.sandboxes:
            assert sandbox.stopped != (sandbox.spec.environment_id in listed)
            served = self.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
            assert served is None or not sandbox.stopped

    def teardown(self) -> None:
        """Everybody does their duty; then nothing accepted is unanswered, and closing leaves nothing."""
        try:
            if hasattr(self, "pool"):
                self._end_in_order()
        finally:
            self.patch.undo()
            self.loop.close()

    def _end_in_order(self) -> None:
        for _ in range(100):
            self._do(self._do_duty)
            if not self.line and all(e.state in AT_REST for e in self.pool.environments):
                break
        assert not [watched for watched in self.accepted if not watched.heard]
        self.loop.run_until_complete(self.pool.close("the emulator stops"))
        self._do(lambda: None)
        assert self.pool.environments == []
        assert self.concurrency.in_use == 0
        self.what_is_not_listed_is_gone_and_what_is_gone_left_nothing()
        self._every_life_was_a_legal_one()

    # -- inside ------------------------------------------------------------------------------------------------

    def _do_duty(self, environment_id: str | None = None, *, answers: bool = True) -> None:
        """What a healthy machine and a healthy function do, for one environment or for all."""
        skip_time(1.0 if answers else 0.0)
        for runtime in self.runtimes.values():
            sandbox = runtime.sandbox
            if environment_id not in (None, sandbox.spec.environment_id):
                continue
            sandbox.freezer.slow = sandbox.cut.slow = False
            sandbox.freezer.fail_with = sandbox.cut.fail_with = None
            assert isinstance(sandbox, Moody)
            sandbox.fail_reset_with = sandbox.fail_runtime_with = None
            sandbox.gate.set()
            sandbox.cut.confirm()
            sandbox.freezer.confirm()
            if not runtime.dead and not sandbox.stopped:
                if runtime.open is not None:
                    if not answers:
                        continue
                    runtime.respond()
                    runtime.open = None
                runtime.park()

    def _every_life_was_a_legal_one(self) -> None:
        for key in self.environments:
            words = [kind.partition(".")[2] for kind in self.stage.kinds(key) if kind.startswith("environment.")]
            lived = [State(word) for word in words if word != "trouble"]
            assert lived[0] is State.STARTING
            assert lived[-1] is State.GONE
            for before, after in itertools.pairwise(lived):
                assert after in TABLE[before].values()
            lived_with_reasons = [event for event in self.stage.events(key) if event.kind.startswith("environment.")]
            for event, ended in itertools.pairwise(lived_with_reasons):
                if ended.kind == "environment.shutting-down" and OF_A_POLICY.match(ended.reason):
                    assert event.kind.partition(".")[2] in (*AT_REST, "trouble"), "recycled while it served"

    def _do(self, action: Callable[[], object]) -> None:
        """One thing happens, and then everything that comes of it."""

        async def act() -> None:
            action()
            await self.stage.settle()

        self.loop.run_until_complete(act())
        for environment in self.pool.environments:
            self.environments[environment.id] = environment
        for number, sandbox in enumerate(self._sandboxes()):
            if not sandbox.stopped:
                self._meet_the_runtime(number, sandbox)

    def _meet_the_runtime(self, number: int, sandbox: Moody) -> None:
        known = self.runtimes.get(number)
        if known is None:
            sandbox.freezer.slow = self.slow
        sessions = self.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
        if sessions is None:  # what becomes of it: a reset has ended its connections, or is about to end it
            assert known is not None, "an environment without a runtime was never served"
            known.dead = True
        elif known is None or known.session is not sessions.runtime:
            self.runtimes[number] = Runtime(sessions.runtime, sandbox)
            self.generations.append(self.runtimes[number])

    def _sandboxes(self) -> list[Moody]:
        return [sandbox for sandbox in self.stage.provider.sandboxes if isinstance(sandbox, Moody)]

    def _without_a_runtime(self) -> list[Moody]:
        """Those that a reset has left without one, or is about to."""
        return [r.sandbox for r in self.runtimes.values() if r.dead and isinstance(r.sandbox, Moody)]

    def _living(self) -> list[Runtime]:
        return [r for r in self.runtimes.values() if not r.dead and not r.sandbox.stopped]

    def _busy(self) -> list[Runtime]:
        return [runtime for runtime in self._living() if runtime.open is not None]

    def _unconfirmed(self) -> list[object]:
        return [done for sandbox in self.stage.provider.sandboxes for done in sandbox.freezer.waiting]

    def _runtime(self, number: int) -> Runtime:
        living = self._living()
        return living[number % len(living)]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=40)
