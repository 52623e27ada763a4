"""One function's environments: who serves an invocation, how many may run, and when each is recycled.

The room is long because all of that is decided on one list, which nobody else may change.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emulator.clock import Clock, Timer
from emulator.concurrency import Concurrency, Share
from emulator.environment import Environment, Owner
from emulator.errors import EmulatorError, RequestError, ServiceError, ThrottledError
from emulator.invocation import Invocation
from emulator.lifecycle import State
from emulator.model import PROVISIONED_LIFETIME, EnvironmentId, Function, Reclaim
from emulator.policies.idle_times import IdleTimes
from emulator.policies.memory import IdleMemory
from emulator.policies.own import in_force
from emulator.policies.policy import PeriodicRule, Policy
from emulator.provisioned import Provisioned, ProvisionedView
from emulator.returning import Returning
from emulator.surroundings import Surroundings

__all__ = ["Backlog", "ConcurrencyView", "Make", "Pool"]

Make = Callable[[EnvironmentId, Function, Surroundings, Owner], Environment]
"""Makes an environment."""

_FILES = "If it is for want of open files, raise the limit: ulimit -n."


class Backlog(Protocol):
    """The asynchronous events of a function that wait to be served."""

    @property
    def has_ready(self) -> bool:
        """Some wait for nothing but a place."""
        ...

    def next_event(self, *, shared_place: bool) -> Invocation | None:
        """The next one, for an environment that has become free; nothing where its place is another function's turn."""
        ...

    def go_first(self) -> None:
        """A synchronous invocation has come: those that wait, and could be served by now, are served before it."""
        ...


@dataclass(frozen=True, slots=True)
class ConcurrencyView:
    """A function's part of the account's places as the inspection API shows it.

    ``in_use`` counts every place that it holds: those that serve, and what was initialised ahead, busy or not.
    """

    function: str
    reserved: int | None
    in_use: int
    provisioned: ProvisionedView | None


class Pool:
    """The environments of one function.

    Every environment is in exactly one place: idle, or serving (its cold start included), or ending; or it is one of
    those that were initialised ahead, of which :mod:`emulator.provisioned` knows.

    Arguments:
        memory: what the idle environments of all functions may take; it may end one of these.
        provisioned_lifetime: seconds after which what was initialised ahead is renewed.
        share: of a published version the places that all versions of its function have together.
        make: makes an environment, or what stands in for one.
        answers_early: environments answer before they are free again; what stands in for them does both at once.

    Raises:
        ConfigurationError: what the function reserves is more than the account has left.
    """

    def __init__(
        self,
        function: Function,
        surroundings: Surroundings,
        policy: Policy,
        concurrency: Concurrency,
        memory: IdleMemory | None = None,
        *,
        provisioned_lifetime: float = PROVISIONED_LIFETIME,
        share: Share | None = None,
        make: Make = Environment,
        answers_early: bool = True,
    ) -> None:
        self.function = function
        self.backlog: Backlog | None = None
        self._around = surroundings
        self._clock: Clock = surroundings.clock
        self._shares = share is not None
        self.share = share or concurrency.share(self._clock, self._reserved(function))
        self._make, self._answers_early = make, answers_early
        self._memory = memory if memory is not None else IdleMemory()
        self._idle: list[Environment] = []
        self._serving: dict[Environment, Invocation | None] = {}
        self._ending: set[Environment] = set()
        self._by_id: dict[EnvironmentId, Environment] = {}
        self._timers: dict[EnvironmentId, Timer] = {}
        self._periods: dict[int, Timer] = {}
        self._idle_times = IdleTimes()
        self._quiet_since: float | None = None
        self._learns = False
        self._closed = False
        self._returning = Returning(self._serve_otherwise)
        self.follow(policy)
        self._memory.add(self)
        self.provisioned = Provisioned(
            function,
            surroundings,
            self.share,
            next_event=lambda: self._next_event(shared_place=False),
            has_waiting=lambda: self.has_waiting,
            reclaim=lambda: self.policy.reclaim,
            lifetime=provisioned_lifetime,
        )
        self.provisioned.fill()

    @property
    def environments(self) -> list[Environment]:
        """All that are not gone, oldest first."""
        ahead = self.provisioned.environments
        return sorted([*self._idle, *self._serving, *self._ending, *ahead], key=lambda e: e.created_at)

    def find(self, environment_id: EnvironmentId) -> Environment | None:
        """The environment of this id; nothing where it is gone, or another pool's."""
        return self._by_id.get(environment_id) or self.provisioned.find(environment_id)

    @property
    def idle(self) -> Sequence[Environment]:
        """Those that wait for an event, in the order in which they began to."""
        return self._idle

    @property
    def uses(self) -> int:
        """How often the environments that are not gone have served, all together."""
        return sum(environment.invocations for environment in (*self._idle, *self._serving))

    @property
    def concurrency(self) -> ConcurrencyView:
        """What it may take of the account's places, and what it has."""
        ahead = self.provisioned.view
        return ConcurrencyView(
            self.function.key, self.share.reserved, self.share.in_use, ahead if ahead.requested else None
        )

    def submit(self, invocation: Invocation) -> None:
        """Have an environment serve that was initialised ahead, else an idle one, else a new one.

        Who has answered and is only not parked yet is waited for, see :mod:`emulator.returning`.

        Raises:
            ThrottledError: no place is free for it, or too many environments were started lately.
            ServiceError: the emulator is stopping.
        """
        if self._closed:
            raise ServiceError("the emulator is stopping")
        if not invocation.asynchronous:
            if self.share.limits_requests:
                self.share.count_request()
            if self.backlog is not None:
                self.backlog.go_first()
        if self.provisioned.serve(invocation):
            return
        if not self._idle and self._is_worth_waiting(invocation):
            self._returning.wait(invocation)
        else:
            self._serve_at_once(invocation)

    def recycle(self, reason: str, how: Reclaim | None = None) -> tuple[list[Environment], list[Environment]]:
        """End every environment: the idle ones now, the others when they are parked again.

        Answers both lists. A freeze or a running invocation is never waited for here. What becomes of their
        connections says ``how``, else the policy.
        """
        now, later = list(self._idle), list(self._serving)
        for environment in now:
            self._end(environment, reason, how)
        for environment in later:
            environment.end_when_parked, environment.reclaim_when_parked = reason, how
        ahead_now, ahead_later = self.provisioned.recycle(reason, how)
        self._look_who_returns()
        return [*now, *ahead_now], [*later, *ahead_later]

    def recycle_one(self, environment: Environment, reason: str, how: Reclaim | None = None) -> bool:
        """End one environment; ``False`` when that has to wait until it is parked again."""
        if environment in self.provisioned.environments:
            return self.provisioned.recycle_one(environment, reason, how)
        if environment in self._idle:
            self._end(environment, reason, how)
            return True
        environment.end_when_parked, environment.reclaim_when_parked = reason, how
        self._look_who_returns()
        return False

    def evict(self, environment: EnvironmentId, reason: str) -> None:
        """End an idle environment for the sake of the others."""
        for idle in self._idle:
            if idle.id == environment:
                self._end(idle, reason)
                return

    def follow(self, policy: Policy) -> None:
        """Another policy, from now on: what is idle and over its limits goes, what serves is judged when it is parked.

        Nothing else is lost: timers are set anew, and what was learnt of the function's idle times stays.
        """
        learnt = self._learns
        self.policy = in_force(policy, self._idle_times, self._tell)
        self._learns = self.policy.learns
        if self._learns and not learnt:
            self._quiet_since = self._idle[-1].idle_since if self._idle and not self._serving else None
        for timer in (*self._timers.values(), *self._periods.values()):
            timer.cancel()
        self._timers.clear()
        self._periods.clear()
        self._settle()

    def update(self, function: Function, reason: str) -> None:
        """New code or configuration: what runs finishes on the old, whatever begins is on the new.

        Raises:
            ConfigurationError: what it reserves is more than the account has left; nothing has changed.
        """
        if not self._shares:
            self.share.reserve(self._reserved(function))
        self.function = function
        self.provisioned.update(function)
        self.recycle(reason)

    def adjust(self, function: Function) -> None:
        """Another number of places or of environments ahead, other settings of events; no environment is recycled.

        Raises:
            ConfigurationError: what it reserves is more than the account has left; nothing has changed.
        """
        if not self._shares:
            self.share.reserve(self._reserved(function))
        self.function = function
        self.provisioned.resize(function)

    async def retire(self, reason: str) -> None:
        """Serve nothing any more: what is idle ends now, what runs when it is done; wait until all are gone."""
        self._stop()
        self.provisioned.close()
        self.recycle(reason)
        if not self._shares:
            self.share.reserve(None)
        await asyncio.gather(*(environment.gone.wait() for environment in self.environments))

    async def close(self, reason: str) -> None:
        """End everything, running invocations included, and wait until it is gone."""
        self._stop()
        everything = self.environments
        self.provisioned.close()
        for environment in everything:
            environment.end(reason)
        await asyncio.gather(*(environment.gone.wait() for environment in everything))

    def _stop(self) -> None:
        if not self._closed:
            self._closed = True
            self._memory.remove(self)
            for timer in self._periods.values():
                timer.cancel()
            self._returning.serve_all_but(0)  # which says to each that it cannot be served

    # -- what environments ask and tell ------------------------------------------------------------------

    @property
    def has_waiting(self) -> bool:
        return len(self._returning) > 0 or (self.backlog is not None and self.backlog.has_ready)

    def environment_parked(self, environment: Environment) -> None:
        policy = self.policy
        reason = environment.end_when_parked or policy.verdict(environment, self._clock.monotonic())
        if policy.after and reason is None and (invocation := self._serving[environment]) is not None:
            reason = policy.after_invocation(environment, invocation.outcome)
        if reason is None and (invocation := self._next_event(shared_place=True)) is not None:
            self._serving[environment] = invocation
            environment.invoke(invocation)  # the place is handed on with the environment: no freeze in between
            return
        del self._serving[environment]
        if self._learns and not self._serving:
            self._quiet_since = environment.idle_since
        if reason is not None:
            self._ending.add(environment)
            environment.end(reason, environment.reclaim_when_parked or policy.reclaim)
        else:
            self._rest(environment)
        self.share.release()
        self._look_who_returns()

    def environment_ending(self, environment: Environment) -> None:
        if environment in self._ending:
            return  # it was ended here
        self._ending.add(environment)
        if environment in self._serving:
            del self._serving[environment]
            if self._learns and not self._serving:
                self._quiet_since = self._clock.monotonic()
            self.share.release()
            self._look_who_returns()
        else:
            self._idle.remove(environment)

    def environment_gone(self, environment: Environment) -> None:
        self._ending.discard(environment)
        self._by_id.pop(environment.id, None)
        self._memory.gone(environment)
        if (timer := self._timers.pop(environment.id, None)) is not None:
            timer.cancel()

    # -- inside ------------------------------------------------------------------------------------------

    @staticmethod
    def _reserved(function: Function) -> int | None:
        return function.reserved_concurrency

    def _serve(self, invocation: Invocation) -> None:
        """With a slot in hand: the policy's choice of the idle ones, else a new environment."""
        learnt = self._learns and self._learn()
        environment = self._choose(invocation)
        if environment is not None:
            # Of a thousand the one used last is nearly always meant, and to compare it with each misses the caches.
            if self._idle[-1] is environment:
                self._idle.pop()
            else:
                self._idle.remove(environment)
            self._serving[environment] = invocation
            environment.invoke(invocation)
        else:
            self._start(invocation)
        if learnt:
            self._settle()  # the others may have to go sooner, or later, by what is known now

    def _start(self, invocation: Invocation) -> None:
        environment_id = EnvironmentId(self._around.chance.randbytes(16).hex())
        try:
            self.share.count_start()
        except ThrottledError:
            self.share.release()
            raise
        try:
            environment = self._make(environment_id, self.function, self._around, self)
        except (OSError, EmulatorError) as error:
            self.share.release()
            invocation.fail(ServiceError(f"no environment can be made: {error}", cure=_FILES))
            return
        self._take_in(environment, invocation)
        environment.start(invocation)

    def _take_in(self, environment: Environment, invocation: Invocation | None) -> None:
        self._serving[environment] = invocation
        self._by_id[environment.id] = environment

    def _choose(self, invocation: Invocation) -> Environment | None:
        live: Sequence[Environment] = self._idle
        while live:
            environment, reason = (live[-1], "") if len(live) == 1 else self.policy.select(live, self._around.chance)
            if environment.state is State.SHUTTING_DOWN:  # it is being ended, and stands on the list for a moment more
                live = [one for one in live if one.state is not State.SHUTTING_DOWN]
                continue
            if reason:
                self._around.timeline.record(
                    "policy.selected",
                    reason,
                    function=self.function.name,
                    environment=environment.id,
                    request_id=invocation.request_id,
                )
            return environment
        return None

    def _rest(self, environment: Environment) -> None:
        self._idle.append(environment)
        self._around.end_of_round(environment.freeze)
        if environment.id not in self._timers:
            self._watch(environment)
        if self.policy.periodic:
            self._count_periods()
        if self._memory.rule is not None:
            self._memory.rested(environment)

    def _serve_at_once(self, invocation: Invocation) -> None:
        if not self.share.acquire():
            raise self.share.refusal()
        self._serve(invocation)

    def _serve_otherwise(self, invocation: Invocation) -> None:
        """Nobody came back for it, and its client waits."""
        try:
            if self._closed:
                raise ServiceError("the emulator is stopping")
            if not self.provisioned.serve(invocation):
                self._serve_at_once(invocation)
        except RequestError as error:
            invocation.fail(error)

    def _is_worth_waiting(self, invocation: Invocation) -> bool:
        if invocation.asynchronous or not self._answers_early:
            return False
        return len(self._returning) < self._on_their_way_back

    @property
    def _on_their_way_back(self) -> int:
        everybody = itertools.chain(self._serving, self.provisioned.serving)
        return sum(environment.is_returning for environment in everybody)

    def _look_who_returns(self) -> None:
        if self._returning:
            self._returning.serve_all_but(self._on_their_way_back)

    def _next_event(self, *, shared_place: bool) -> Invocation | None:
        if self._returning:
            return self._returning.take()
        if self.backlog is None or self._closed:
            return None
        return self.backlog.next_event(shared_place=shared_place)

    def _end(self, environment: Environment, reason: str, how: Reclaim | None = None) -> None:
        self._idle.remove(environment)
        self._ending.add(environment)
        environment.end(reason, how or self.policy.reclaim)

    def _watch(self, environment: Environment) -> None:
        """Look again when the policy may have something to say.

        One timer an environment, which is not moved by every use: when it comes too early it is set anew.
        """
        due = self.policy.due(environment)
        if due is not None:
            self._timers[environment.id] = self._clock.call_at(due, functools.partial(self._look, environment))

    def _look(self, environment: Environment) -> None:
        self._timers.pop(environment.id, None)
        if environment not in self._idle:
            return  # it serves; when it is parked again it is looked at, and watched anew
        reason = self.policy.verdict(environment, self._clock.monotonic())
        if reason is not None:
            self._end(environment, reason)
        else:
            self._watch(environment)

    def _settle(self) -> None:
        """Judge every idle environment, and set its timer anew."""
        now = self._clock.monotonic()
        for environment in tuple(self._idle):
            if (timer := self._timers.pop(environment.id, None)) is not None:
                timer.cancel()
            if (reason := self.policy.verdict(environment, now)) is not None:
                self._end(environment, reason)
            else:
                self._watch(environment)
        self._count_periods()

    def _count_periods(self) -> None:
        """A period begins when something is idle, and the next one with its end while anything is."""
        for number, rule in enumerate(self.policy.periodic if self._idle else ()):
            if number not in self._periods:
                when = self._clock.monotonic() + rule.every
                self._periods[number] = self._clock.call_at(when, functools.partial(self._period_over, number, rule))

    def _period_over(self, number: int, rule: PeriodicRule) -> None:
        del self._periods[number]
        for environment, reason in rule.pick(tuple(self._idle)):
            self._end(environment, reason)
        self._count_periods()

    def _learn(self) -> bool:
        """An event comes: note how long the function had nothing to do. ``False`` where it had."""
        if self._serving or self._quiet_since is None:
            return False
        self._idle_times.note(self._clock.monotonic() - self._quiet_since)
        return True

    def _tell(self, trouble: str) -> None:
        self._around.timeline.record("policy.trouble", trouble, function=self.function.name)
