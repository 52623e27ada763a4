"""Environments of one function that are initialised ahead of requests: kept at their number, and renewed now and then.

They serve before any other environment does. No policy of idleness or age applies to them [D]: one goes when its
code changes, when it is recycled by hand, when it fails, and when its time is over, and another one takes its place.
Each holds a place of the account for life, busy or not.

DIFFERS: on AWS only versions and aliases can have them; here the configuration file gives them to ``$LATEST`` as well.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from emulator.clock import Clock, Timer
from emulator.concurrency import Share
from emulator.environment import Environment
from emulator.errors import EmulatorError
from emulator.invocation import Invocation
from emulator.model import EnvironmentId, Function, InitializationType, Reclaim
from emulator.spans import in_words
from emulator.surroundings import Surroundings

__all__ = ["Provisioned", "ProvisionedStatus", "ProvisionedView"]

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0  # seconds after a failed init, doubled with each [I]
_INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"  # [X] what AWS gives as the reason


class ProvisionedStatus(StrEnum):
    """Where it stands, in AWS's words."""

    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ProvisionedView:
    """What the inspection API shows.

    Attributes:
        requested: how many there are to be.
        allocated: how many are there, those that are being initialised included.
        available: how many are initialised, busy or not.
    """

    requested: int
    allocated: int
    available: int
    status: ProvisionedStatus
    reason: str | None


class Provisioned:
    """The environments of one function that were initialised ahead.

    Arguments:
        share: the function's part of the account's places.
        next_event: an asynchronous event that waits, for an environment that has become free.
        has_waiting: whether there is one.
        reclaim: what becomes of connections where nothing else is said.
        lifetime: seconds, on the emulator's clock, after which each is renewed.
    """

    def __init__(
        self,
        function: Function,
        surroundings: Surroundings,
        share: Share,
        *,
        next_event: Callable[[], Invocation | None],
        has_waiting: Callable[[], bool],
        reclaim: Callable[[], Reclaim],
        lifetime: float,
    ) -> None:
        self._function = function
        self._around = surroundings
        self._clock: Clock = surroundings.clock
        self._share = share
        self._next_event = next_event
        self._has_waiting = has_waiting
        self._reclaim = reclaim
        self._lifetime = lifetime
        self._wanted = function.provisioned_concurrency
        self._places = 0  # held of the share
        self._starting: set[Environment] = set()
        self._idle: list[Environment] = []
        self._serving: set[Environment] = set()
        self._ending: set[Environment] = set()
        self._by_id: dict[EnvironmentId, Environment] = {}
        self._renewals: dict[EnvironmentId, Timer] = {}
        self._waiter = share.waiter(self._place_free)
        self._failures = 0
        self._reason: str | None = None
        self._again: Timer | None = None
        self._told_ready = True
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def environments(self) -> list[Environment]:
        """All that are not gone."""
        return [*self._starting, *self._idle, *self._serving, *self._ending]

    def find(self, environment_id: EnvironmentId) -> Environment | None:
        """The one of this id; nothing where it is gone, or none of these."""
        return self._by_id.get(environment_id)

    @property
    def serving(self) -> Collection[Environment]:
        """Those that serve an event."""
        return self._serving

    @property
    def view(self) -> ProvisionedView:
        return ProvisionedView(self._wanted, self._alive, self._ready, self._status, self._reason)

    @property
    def next_due(self) -> float | None:
        """When the next one is to be renewed, on the emulator's clock."""
        return min((timer.when for timer in self._renewals.values()), default=None)

    async def finished(self) -> None:
        """Wait until none is being initialised: all are, or the last try has failed, or there is no place."""
        await self._settled.wait()

    def serve(self, invocation: Invocation) -> bool:
        """Have a free one serve; ``False`` when there is none, and somebody else has to [D]."""
        if not self._idle:
            return False
        environment = self._idle.pop()
        self._serving.add(environment)
        environment.invoke(invocation)
        return True

    # -- how many ----------------------------------------------------------------------------------------

    def update(self, function: Function) -> None:
        """New code, configuration or number, for whatever begins from now on; those of before are to be recycled."""
        self._function = function
        self._wanted = function.provisioned_concurrency
        self._failures, self._reason = 0, None
        self._cancel_again()

    def resize(self, function: Function) -> None:
        """Another number of them; the others stay as they are. Of too many the idle ones end now."""
        self.update(function)
        reason = f"{self._wanted} are to be initialised ahead"
        surplus = max(0, self._alive - self._wanted)
        now = self._idle[:surplus]
        for environment in now:
            self._end(environment, reason, None)
        for environment in [*self._starting, *self._serving][: surplus - len(now)]:
            environment.end_when_parked = reason
        self.fill()

    def fill(self) -> None:
        """Start what is missing: on the places of those that went, then on free ones, else when there are some."""
        while self._alive < self._wanted and self._again is None:
            if self._places <= self._alive and not self._take_place():
                self._wait_for_place()
                break
            self._start()
        else:
            self._waiter.leave()
        while self._places > self._alive:
            self._places -= 1
            self._share.release()
        self._watch_status()

    def recycle(self, reason: str, how: Reclaim | None) -> tuple[list[Environment], list[Environment]]:
        """End all: who ends now, and who when it is parked again. Others take their places."""
        now, later = list(self._idle), [*self._serving, *self._starting]
        for environment in now:
            self._end(environment, reason, how)
        for environment in later:
            environment.end_when_parked, environment.reclaim_when_parked = reason, how
        self.fill()
        return now, later

    def recycle_one(self, environment: Environment, reason: str, how: Reclaim | None) -> bool:
        """End one; ``False`` when that has to wait until it is parked again."""
        if environment in self._idle:
            self._end(environment, reason, how)
            self.fill()
            return True
        environment.end_when_parked, environment.reclaim_when_parked = reason, how
        return False

    def close(self) -> None:
        """None is to come any more; those that are there are their pool's to end."""
        self._wanted = 0
        self._cancel_again()
        self._waiter.leave()
        self._watch_status()

    # -- what environments ask and tell ------------------------------------------------------------------

    @property
    def has_waiting(self) -> bool:
        return self._has_waiting()

    def environment_parked(self, environment: Environment) -> None:
        if environment in self._starting:
            self._starting.discard(environment)
            self._failures, self._reason = 0, None
            when = self._clock.monotonic() + self._lifetime
            self._renewals[environment.id] = self._clock.call_at(when, functools.partial(self._renew, environment))
        self._serving.discard(environment)
        self._idle.append(environment)
        if (reason := environment.end_when_parked) is not None:
            self._end(environment, reason, environment.reclaim_when_parked)
            self.fill()
            return
        if (invocation := self._next_event()) is not None:
            self.serve(invocation)  # its place is its own: it takes nobody's turn
        else:
            self._around.end_of_round(environment.freeze)
        self._watch_status()

    def environment_ending(self, environment: Environment) -> None:
        if environment in self._ending:
            return  # it was ended here
        self._ending.add(environment)
        if environment in self._starting and self._wanted:
            self._failures += 1
            self._reason = _INIT_FAILURE
            self._try_again_later()
        for place in (self._starting, self._serving):
            place.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        self._forget_renewal(environment)
        self.fill()

    def environment_gone(self, environment: Environment) -> None:
        self._ending.discard(environment)
        self._by_id.pop(environment.id, None)

    # -- inside ------------------------------------------------------------------------------------------

    @property
    def _alive(self) -> int:
        return len(self._starting) + self._ready

    @property
    def _ready(self) -> int:
        return len(self._idle) + len(self._serving)

    @property
    def _status(self) -> ProvisionedStatus:
        if self._ready >= self._wanted:
            return ProvisionedStatus.READY
        return ProvisionedStatus.FAILED if self._reason is not None else ProvisionedStatus.IN_PROGRESS

    def _wait_for_place(self) -> None:
        if not self._waiter.waits:
            self._record("provisioned.waiting", f"{self._alive} of {self._wanted}: no place is free for more")
            self._waiter.wait(first=True)

    def _take_place(self) -> bool:
        if not self._share.acquire():
            return False
        self._places += 1
        return True

    def _place_free(self) -> bool:
        if self._alive >= self._wanted or self._again is not None or not self._take_place():
            return False
        self._start()
        self.fill()
        return True

    def _start(self) -> None:
        environment_id = EnvironmentId(self._around.chance.randbytes(16).hex())
        try:
            environment = Environment(
                environment_id,
                self._function,
                self._around,
                owner=self,
                initialization=InitializationType.PROVISIONED_CONCURRENCY,
            )
        except (OSError, EmulatorError) as error:
            self._failures += 1
            self._reason = str(error)
            self._try_again_later()
            return
        self._starting.add(environment)
        self._by_id[environment.id] = environment
        environment.start(None)

    def _try_again_later(self) -> None:
        """[I] It is tried on and on; the intervals are ours."""
        if self._again is not None:
            return
        delay = min(_FIRST_DELAY * 2 ** (self._failures - 1), _LONGEST_DELAY)
        self._again = self._clock.call_at(self._clock.monotonic() + delay, self._try_again)
        self._record("provisioned.failed", f"{self._reason}: again in {in_words(delay)}")

    def _try_again(self) -> None:
        self._again = None
        self.fill()

    def _cancel_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _renew(self, environment: Environment) -> None:
        self._renewals.pop(environment.id, None)
        self.recycle_one(environment, f"initialised {in_words(self._lifetime)} ago: renewed", None)

    def _end(self, environment: Environment, reason: str, how: Reclaim | None) -> None:
        self._idle.remove(environment)
        self._ending.add(environment)
        self._forget_renewal(environment)
        environment.end(reason, how or self._reclaim())

    def _forget_renewal(self, environment: Environment) -> None:
        if (timer := self._renewals.pop(environment.id, None)) is not None:
            timer.cancel()

    def _watch_status(self) -> None:
        if self._starting:
            self._settled.clear()
        else:
            self._settled.set()
        is_ready = self._status is ProvisionedStatus.READY
        if is_ready and not self._told_ready and self._wanted:
            self._record("provisioned.ready", f"{self._wanted} of {self._wanted} initialised ahead of requests")
        self._told_ready = is_ready

    def _record(self, kind: str, reason: str) -> None:
        self._around.timeline.record(kind, reason, function=self._function.name)
