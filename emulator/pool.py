"""One function's environments: who serves an invocation, how many may run, and when each is recycled."""

from __future__ import annotations

import asyncio
import functools
import secrets
from dataclasses import dataclass
from typing import Protocol

from emulator.clock import Clock, Timer
from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import EmulatorError, ServiceError, ThrottledError
from emulator.invocation import Invocation
from emulator.lifecycle import State
from emulator.model import PROVISIONED_LIFETIME, EnvironmentId, Function, Reclaim
from emulator.policy import Policy
from emulator.provisioned import Provisioned, ProvisionedView
from emulator.surroundings import Surroundings

__all__ = ["Backlog", "ConcurrencyView", "Pool"]


_FILES = "If it is for want of open files, raise the limit: ulimit -n."


class Backlog(Protocol):
    """The asynchronous events of a function that wait to be served."""

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
        provisioned_lifetime: seconds after which what was initialised ahead is renewed.

    Raises:
        ConfigurationError: what the function reserves is more than the account has left.
    """

    def __init__(
        self,
        function: Function,
        surroundings: Surroundings,
        policy: Policy,
        concurrency: Concurrency,
        *,
        provisioned_lifetime: float = PROVISIONED_LIFETIME,
    ) -> None:
        self.function = function
        self.policy = policy
        self.backlog: Backlog | None = None
        self._around = surroundings
        self._clock: Clock = surroundings.clock
        self.share = concurrency.share(self._clock, function.reserved_concurrency)
        self._idle: list[Environment] = []
        self._serving: set[Environment] = set()
        self._ending: set[Environment] = set()
        self._timers: dict[EnvironmentId, Timer] = {}
        self._closed = False
        self.provisioned = Provisioned(
            function,
            surroundings,
            self.share,
            next_event=lambda: self.backlog.next_event(shared_place=False) if self.backlog is not None else None,
            reclaim=lambda: self.policy.reclaim,
            lifetime=provisioned_lifetime,
        )
        self.provisioned.fill()

    @property
    def environments(self) -> list[Environment]:
        """All that are not gone, oldest first."""
        ahead = self.provisioned.environments
        return sorted([*self._idle, *self._serving, *self._ending, *ahead], key=lambda e: e.created_at)

    @property
    def concurrency(self) -> ConcurrencyView:
        """What it may take of the account's places, and what it has."""
        ahead = self.provisioned.view
        return ConcurrencyView(
            self.function.name, self.share.reserved, self.share.in_use, ahead if ahead.requested else None
        )

    def submit(self, invocation: Invocation) -> None:
        """Have an environment serve that was initialised ahead, else an idle one, else a new one.

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
        if not self.share.acquire():
            raise self.share.refusal()
        self._serve(invocation)

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
        return [*now, *ahead_now], [*later, *ahead_later]

    def recycle_one(self, environment: Environment, reason: str, how: Reclaim | None = None) -> bool:
        """End one environment; ``False`` when that has to wait until it is parked again."""
        if environment in self.provisioned.environments:
            return self.provisioned.recycle_one(environment, reason, how)
        if environment in self._idle:
            self._end(environment, reason, how)
            return True
        environment.end_when_parked, environment.reclaim_when_parked = reason, how
        return False

    def update(self, function: Function, reason: str) -> None:
        """New code or configuration: what runs finishes on the old, whatever begins is on the new.

        Raises:
            ConfigurationError: what it reserves is more than the account has left; nothing has changed.
        """
        self.share.reserve(function.reserved_concurrency)
        self.function = function
        self.provisioned.update(function)
        self.recycle(reason)

    async def close(self, reason: str) -> None:
        """End everything, running invocations included, and wait until it is gone."""
        self._closed = True
        everything = self.environments
        self.provisioned.close()
        for environment in everything:
            environment.end(reason)
        await asyncio.gather(*(environment.gone.wait() for environment in everything))

    # -- what environments tell --------------------------------------------------------------------------

    def environment_parked(self, environment: Environment) -> None:
        reason = environment.end_when_parked or self.policy.verdict(environment, self._clock.monotonic())
        if (
            reason is None
            and self.backlog is not None
            and (invocation := self.backlog.next_event(shared_place=True)) is not None
        ):
            environment.invoke(invocation)  # the place is handed on with the environment: no freeze in between
            return
        self._serving.discard(environment)
        if reason is not None:
            self._ending.add(environment)
            environment.end(reason, environment.reclaim_when_parked or self.policy.reclaim)
        else:
            self._idle.append(environment)
            environment.freeze()
            if environment.id not in self._timers:
                self._watch(environment)
        self.share.release()

    def environment_gone(self, environment: Environment) -> None:
        if environment in self._serving:
            self._serving.discard(environment)
            self.share.release()
        elif environment in self._idle:
            self._idle.remove(environment)
        self._ending.discard(environment)
        if (timer := self._timers.pop(environment.id, None)) is not None:
            timer.cancel()

    # -- inside ------------------------------------------------------------------------------------------

    def _serve(self, invocation: Invocation) -> None:
        """With a place in hand: the policy's choice of the idle ones, else a new environment."""
        live = [e for e in self._idle if e.state is not State.SHUTTING_DOWN] if self._idle else []
        if live:
            environment = live[-1] if len(live) == 1 else self.policy.select(live)
            self._idle.remove(environment)
            self._serving.add(environment)
            environment.invoke(invocation)
            return
        try:
            self.share.count_start()
        except ThrottledError:
            self.share.release()
            raise
        try:
            environment = Environment(EnvironmentId(secrets.token_hex(16)), self.function, self._around, owner=self)
        except (OSError, EmulatorError) as error:
            self.share.release()
            invocation.fail(ServiceError(f"no environment can be made: {error}", cure=_FILES))
            return
        self._serving.add(environment)
        environment.start(invocation)

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
