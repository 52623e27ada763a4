"""One function's environments: who serves an invocation, how many may run, and when each is recycled."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections import deque
from typing import Protocol

from emulator.clock import Clock, Timer
from emulator.environment import Environment
from emulator.errors import EmulatorError, ServiceError, ThrottledError
from emulator.invocation import Invocation
from emulator.lifecycle import State
from emulator.model import EnvironmentId, Function, Reclaim
from emulator.policy import Policy
from emulator.surroundings import Surroundings

__all__ = ["Concurrency", "Pool"]


_FILES = "If it is for want of open files, raise the limit: ulimit -n."


class _Waiter(Protocol):
    def slot_free(self) -> bool:
        """Use a free slot, if there is use for one."""
        ...


class Concurrency:
    """How many invocations may run at once in the whole account.

    An environment counts while it serves, its cold start included; an idle or frozen one does not.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self._waiters: deque[_Waiter] = deque()
        self._is_handing_on = False

    def acquire(self) -> bool:
        if self.in_use >= self.limit:
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        """Give a slot back; whoever waits gets it.

        One who cannot use it after all gives it back in the middle of this, and so may hundreds behind him: the
        call that is at it goes on with them, or each would stand on the shoulders of the one before.
        """
        self.in_use -= 1
        if self._is_handing_on:
            return
        self._is_handing_on = True
        try:
            while self.in_use < self.limit and self._hand_on():
                pass
        finally:
            self._is_handing_on = False

    def _hand_on(self) -> bool:
        """Offer a slot to each who waits, in turn; whether somebody took it."""
        for _ in range(len(self._waiters)):
            self._waiters.rotate(-1)
            if self._waiters[-1].slot_free():
                return True
        return False

    def add_waiter(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)

    def remove_waiter(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)


class Pool:
    """The environments of one function.

    Every environment is in exactly one place: idle, or serving (its cold start included), or ending.
    """

    def __init__(
        self, function: Function, surroundings: Surroundings, policy: Policy, concurrency: Concurrency
    ) -> None:
        self.function = function
        self.policy = policy
        self._around = surroundings
        self._clock: Clock = surroundings.clock
        self._concurrency = concurrency
        self._idle: list[Environment] = []
        self._serving: set[Environment] = set()
        self._ending: set[Environment] = set()
        self._queue: deque[Invocation] = deque()
        self._timers: dict[EnvironmentId, Timer] = {}
        self._closed = False
        concurrency.add_waiter(self)

    @property
    def environments(self) -> list[Environment]:
        """All that are not gone, oldest first."""
        return sorted([*self._idle, *self._serving, *self._ending], key=lambda e: e.created_at)

    @property
    def queued(self) -> int:
        """Asynchronous invocations that wait for a free slot."""
        return len(self._queue)

    def submit(self, invocation: Invocation) -> None:
        """Have an idle environment serve, else a new one.

        Raises:
            ThrottledError: the account's limit is reached. Asynchronous ones wait instead.
            ServiceError: the emulator is stopping.
        """
        if self._closed:
            raise ServiceError("the emulator is stopping")
        if (self._queue and invocation.asynchronous) or not self._concurrency.acquire():
            if not invocation.asynchronous:
                raise ThrottledError("ConcurrentInvocationLimitExceeded")
            self._queue.append(invocation)
        else:
            self._serve(invocation)

    def slot_free(self) -> bool:
        """A slot of the account has become free: the oldest queued invocation takes it."""
        if not self._queue or self._closed or not self._concurrency.acquire():
            return False
        self._serve(self._queue.popleft())
        return True

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
        return now, later

    def recycle_one(self, environment: Environment, reason: str, how: Reclaim | None = None) -> bool:
        """End one environment; ``False`` when that has to wait until it is parked again."""
        if environment in self._idle:
            self._end(environment, reason, how)
            return True
        environment.end_when_parked, environment.reclaim_when_parked = reason, how
        return False

    def update(self, function: Function, reason: str) -> None:
        """New code or configuration: what runs finishes on the old, whatever begins is on the new."""
        self.function = function
        self.recycle(reason)

    async def close(self, reason: str) -> None:
        """End everything, running invocations included, and wait until it is gone."""
        if not self._closed:
            self._closed = True
            self._concurrency.remove_waiter(self)
        while self._queue:
            self._queue.popleft().fail(ServiceError("the emulator is stopping"))
        everything = self.environments
        for environment in everything:
            environment.end(reason)
        await asyncio.gather(*(environment.gone.wait() for environment in everything))

    # -- what environments tell --------------------------------------------------------------------------

    def environment_parked(self, environment: Environment) -> None:
        reason = environment.end_when_parked or self.policy.verdict(environment, self._clock.monotonic())
        if reason is None and self._queue:
            # The slot is handed on with the environment: no freeze in between.
            environment.invoke(self._queue.popleft())
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
        self._concurrency.release()

    def environment_ending(self, environment: Environment) -> None:
        if environment in self._ending:
            return  # it was ended here
        self._ending.add(environment)
        if environment in self._serving:
            self._serving.discard(environment)
            self._concurrency.release()
        else:
            self._idle.remove(environment)

    def environment_gone(self, environment: Environment) -> None:
        self._ending.discard(environment)
        if (timer := self._timers.pop(environment.id, None)) is not None:
            timer.cancel()

    # -- inside ------------------------------------------------------------------------------------------

    def _serve(self, invocation: Invocation) -> None:
        """With a slot in hand: the policy's choice of the idle ones, else a new environment."""
        live = [e for e in self._idle if e.state is not State.SHUTTING_DOWN] if self._idle else []
        if live:
            environment = live[-1] if len(live) == 1 else self.policy.select(live)
            self._idle.remove(environment)
            self._serving.add(environment)
            environment.invoke(invocation)
            return
        try:
            environment = Environment(EnvironmentId(secrets.token_hex(16)), self.function, self._around, owner=self)
        except (OSError, EmulatorError) as error:
            self._concurrency.release()
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
