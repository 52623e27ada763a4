"""Queues and places of several functions when things happen in any order: what must hold, holds after every step."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.concurrency import Concurrency
from emulator.errors import SandboxError, ThrottledError
from emulator.event_queue import EventQueue, Office
from emulator.event_settings import Asynchronous
from emulator.lifecycle import State
from emulator.policies import PRESETS, Policy
from emulator.pool import Pool
from emulator.runtime_api.runtime import InvocationEvent
from emulator.timeline import TimelineEvent
from tests.unit.any_order import StandingLoop
from tests.unit.stage import PlayedRuntime, Stage, Watched

SERVING = (State.STARTING, State.INIT, State.THAWING, State.INVOKING, State.RESETTING)
NUMBER = st.integers(0, 7)
RESERVED = st.sampled_from([None, None, 0, 1, 2])
FUNCTIONS = ("a", "b", "c")
MAX_AGE = 600.0


class Runtime(PlayedRuntime):
    """A runtime that knows which event it has not answered yet."""

    open: str | None = None

    def _receive(self, event: InvocationEvent) -> None:
        self.open = event.request_id
        super()._receive(event)


class EventsInAnyOrder(RuleBasedStateMachine):
    """Clients, functions, sandboxes and clocks, each doing what they can at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = StandingLoop()
        self.stage = Stage()
        self.runtimes: dict[int, Runtime] = {}
        self.accepted: list[Watched] = []
        self.sync: list[Watched] = []
        self.told: Counter[str] = Counter()
        self.before: dict[str, int] = {}

    @initialize(
        limit=st.integers(1, 4),
        reserved=st.lists(RESERVED, min_size=3, max_size=3),
        provisioned=st.sampled_from([0, 0, 1]),
        retries=st.integers(0, 2),
        cold=st.booleans(),
        scaling=st.sampled_from([1, 2, 1000]),
    )
    def begin(
        self, limit: int, reserved: list[int | None], provisioned: int, retries: int, cold: bool, scaling: int
    ) -> None:
        self.retries = retries
        self.account = Concurrency(limit, scaling=scaling)
        policy = Policy("always-cold", PRESETS["always-cold"]) if cold else Policy("keep-warm")
        self.pools: dict[str, Pool] = {}
        self.queues: dict[str, EventQueue] = {}
        office = Office(
            self.stage.clock,
            self.stage.timeline,
            send=lambda _name, request_id, _destination, _record, _hops: self.told.update([request_id]),
            changed=lambda _environment: None,
        )
        settings_ = Asynchronous(
            retries=retries, max_age=MAX_AGE, on_failure="function:told", on_success="function:told"
        )
        left = limit

        def deploy() -> None:
            nonlocal left
            for name, wanted in zip(FUNCTIONS, reserved, strict=True):
                share = wanted if wanted is not None and wanted <= left else None
                left -= share or 0
                ahead = provisioned if name == "a" and share != 0 else 0
                function = dataclasses.replace(
                    self.stage.function,
                    name=name,
                    asynchronous=settings_,
                    reserved_concurrency=share,
                    provisioned_concurrency=ahead,
                )
                self.pools[name] = Pool(function, self.stage.surroundings, policy, self.account)
                self.queues[name] = EventQueue(self.pools[name], office, f"arn:{name}:$LATEST")

        self._do(deploy)
        self.before = self._in_use()

    # -- what can happen ---------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(FUNCTIONS), count=st.integers(1, 4))
    def events_are_sent(self, name: str, count: int) -> None:
        for _ in range(count):
            watched = self.stage.invocation(asynchronous=True)
            self.accepted.append(watched)
            self._do(lambda watched=watched: self.queues[name].accept(watched.invocation))  # type: ignore[misc]

    @rule(name=st.sampled_from(FUNCTIONS))
    def a_client_calls(self, name: str) -> None:
        watched = self.stage.invocation()

        def submit() -> None:
            waited = self.queues[name].has_ready
            with contextlib.suppress(ThrottledError):
                self.pools[name].submit(watched.invocation)
                self.sync.append(watched)
                assert not waited, "a synchronous call overtook an event that waits for a place"

        self._do(submit)

    @precondition(lambda self: self._living())
    @rule(number=NUMBER)
    def a_runtime_parks(self, number: int) -> None:
        living = self._living()
        self._do(living[number % len(living)].park)

    @precondition(lambda self: self._busy())
    @rule(number=NUMBER, error=st.booleans())
    def a_function_answers(self, number: int, error: bool) -> None:
        busy = self._busy()
        self._do(lambda: _answer(busy[number % len(busy)], error))

    @precondition(lambda self: self._living())
    @rule(number=NUMBER)
    def a_runtime_dies(self, number: int) -> None:
        living = self._living()
        self._do(lambda: living[number % len(living)].die(1))

    @rule(waits=st.lists(st.sampled_from([59.0, 60.0, 61.0, 119.0, 120.0]), min_size=1, max_size=3))
    def everything_fails_for_a_while(self, waits: list[float]) -> None:
        """Whatever runs answers with an error, and some time later again."""
        for seconds in waits:
            for _ in range(3):
                self._do(lambda: self._do_duty(error=True))
            self._do(lambda seconds=seconds: self.stage.clock.fast_forward(seconds))  # type: ignore[misc]

    @rule(fails=st.booleans())
    def sandboxes_cannot_be_started_or_can_again(self, fails: bool) -> None:
        self.stage.provider.fail_start_with = SandboxError("no process left") if fails else None

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0, 60.0, 120.0, 300.0, 700.0, 8000.0]))
    def time_passes(self, seconds: float) -> None:
        self._do(lambda: self.stage.clock.fast_forward(seconds))

    @rule(name=st.sampled_from(FUNCTIONS), reserved=RESERVED)
    def a_function_is_deployed_again(self, name: str, reserved: int | None) -> None:
        pool = self.pools[name]
        others = self.account.reserved - (pool.share.reserved or 0)
        if others + (reserved or 0) > self.account.limit:
            reserved = None
        ahead = 0 if reserved == 0 else pool.function.provisioned_concurrency
        function = dataclasses.replace(pool.function, reserved_concurrency=reserved, provisioned_concurrency=ahead)

        def deploy() -> None:
            pool.update(function, "deployed again")
            self.queues[name].settings_changed()

        self._do(deploy)
        self.before |= {key: count for key, count in self._in_use().items() if key != "account"}  # its places moved

    @rule(name=st.sampled_from(FUNCTIONS))
    def a_function_is_recycled(self, name: str) -> None:
        self._do(lambda: self.pools[name].recycle("by hand"))

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def no_limit_is_crossed(self) -> None:
        """What is over one because it was lowered gets no more."""
        limits = {"account": self.account.limit, "unreserved": self.account.unreserved}
        for name, pool in self.pools.items():
            limits[name] = pool.share.reserved if pool.share.reserved is not None else self.account.limit
        in_use = self._in_use()
        for name, limit in limits.items():
            assert in_use[name] <= max(limit, self.before[name]), name
        self.before = in_use

    @invariant()
    def every_place_is_accounted_for(self) -> None:
        for pool in self.pools.values():
            ahead = pool.provisioned.environments
            serving = [e for e in pool.environments if e not in ahead and e.state in SERVING]
            held = [e for e in ahead if e.state is not State.SHUTTING_DOWN]
            assert pool.share.in_use == len(serving) + len(held)
            assert len(held) <= max(pool.provisioned.view.requested, pool.provisioned.view.allocated)
        assert self.account.in_use == sum(pool.share.in_use for pool in self.pools.values())

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        kept = {view.request_id for queue in self.queues.values() for view in queue.events}
        for watched in self.accepted:
            request_id = watched.invocation.request_id
            assert (request_id in kept) != (self.told[request_id] == 1), request_id
        assert all(count == 1 for count in self.told.values())

    @invariant()
    def events_wait_only_for_want_of_a_place(self) -> None:
        for name, queue in self.queues.items():
            if not queue.has_ready:
                continue
            pool = self.pools[name]
            assert pool.share.reserved != 0
            assert queue.next_due is not None, "nobody comes by again"
            if pool.share.has_room:  # then it is for want of the right to start one
                assert [e for e in pool.environments if e.state in (State.IDLE, State.FROZEN)] == []
                assert self.account.scaling < 1000

    def teardown(self) -> None:
        """Everybody does their duty: everything comes to its end, in its order and at its time."""
        try:
            if hasattr(self, "queues"):
                self._end_in_order()
        finally:
            self.loop.close()

    def _end_in_order(self) -> None:
        self.stage.provider.fail_start_with = None
        for _ in range(400):
            self._do(self._do_duty)
            if not any(queue.events for queue in self.queues.values()):
                break
            self._do(lambda: self.stage.clock.fast_forward(5.0))
        self.nothing_accepted_is_lost()
        assert not any(queue.events for queue in self.queues.values())
        self._events_kept_their_order_and_their_times()
        for pool in self.pools.values():
            self.loop.run_until_complete(pool.close("the emulator stops"))
        self._do(lambda: None)
        assert self.account.in_use == 0
        assert all(watched.heard for watched in self.sync)

    def _events_kept_their_order_and_their_times(self) -> None:
        by_event: dict[str, list[TimelineEvent]] = {}
        firsts: dict[str, list[str]] = {name: [] for name in FUNCTIONS}
        for event in self.stage.events():
            if event.kind.startswith("event."):
                assert event.request_id is not None
                steps = by_event.setdefault(event.request_id, [])
                if event.kind == "event.attempt" and not any(step.kind == "event.attempt" for step in steps):
                    firsts[str(event.function)].append(event.request_id)
                steps.append(event)
        for ids in firsts.values():  # among those that were not sent back for want of a sandbox before
            clean = [i for i in ids if not any(step.reason.startswith("not served") for step in by_event[i])]
            assert clean == sorted(clean, key=lambda request_id: int(request_id.partition("-")[2]))
        for steps in by_event.values():
            for before, after in itertools.pairwise(steps):
                if match := re.match(r"attempt (\d) of", before.reason) if before.kind == "event.retry" else None:
                    assert after.at >= before.at + 60.0 * int(match[1])
                if after.kind == "event.attempt":
                    assert after.at < steps[0].at + MAX_AGE
            attempts = [step for step in steps if step.kind == "event.attempt"]
            sent_back = [step for step in steps if step.reason.startswith("not served")]
            assert len(attempts) <= self.retries + 1 + len(sent_back)
            if steps[-1].reason.startswith("RetriesExhausted"):
                assert len(attempts) >= self.retries + 1

    # -- inside ------------------------------------------------------------------------------------------------

    def _in_use(self) -> dict[str, int]:
        found = {name: pool.share.in_use for name, pool in self.pools.items()}
        return found | {"account": self.account.in_use, "unreserved": self.account.unreserved_in_use}

    def _do_duty(self, *, error: bool = False) -> None:
        for runtime in self._living():
            if runtime.open is not None:
                _answer(runtime, error)
            runtime.park()

    def _do(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()
            seen = -1
            while seen != self.stage.timeline.last_seq:  # what fails makes room for the next, which fails as well
                seen = self.stage.timeline.last_seq
                await self.stage.settle()

        self.loop.run_until_complete(act())

    def _living(self) -> list[Runtime]:
        living = []
        for number, sandbox in enumerate(self.stage.provider.sandboxes):
            sessions = self.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))
            if sandbox.stopped or sessions is None:
                continue
            known = self.runtimes.get(number)
            if known is None or known.session is not sessions.runtime:
                known = self.runtimes[number] = Runtime(sessions.runtime, sandbox)
            living.append(known)
        return living

    def _busy(self) -> list[Runtime]:
        return [runtime for runtime in self._living() if runtime.open is not None]


def _answer(runtime: Runtime, error: bool) -> None:
    reply = runtime.report_error(b"{}", "Function.Wrong") if error else runtime.respond()
    if reply.status == 202:
        runtime.open = None


TestEventsInAnyOrder = EventsInAnyOrder.TestCase
TestEventsInAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)
