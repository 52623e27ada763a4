"""A function under a debugger: one environment at a time, which nothing stops while somebody is attached.

Whoever has stopped at a line must not be taken for slow, and has no use for an environment that stands still. So while
a debugger is attached there is no limit on init and no deadline, and nothing is frozen. All of it is beside the way of
other functions: these two classes take the places of :class:`~emulator.environment.Environment` and
:class:`~emulator.pool.Pool` for a function that has a debug port, and for no other.

DIFFERS: AWS has none of this. A second event waits for the first one, where AWS would start another environment; no
policy recycles such an environment, and none is initialised ahead.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from emulator.concurrency import Concurrency
from emulator.environment import Environment, Owner
from emulator.errors import EmulatorError, ServiceError, ThrottledError
from emulator.invocation import Invocation
from emulator.lifecycle import Event, State
from emulator.model import EnvironmentId, Function, InitializationType
from emulator.policies.policy import Policy
from emulator.pool import Pool
from emulator.surroundings import Surroundings

__all__ = ["Attachment", "DebuggedEnvironment", "DebuggedPool"]

_LEAST_INIT_LIMIT = 10.0  # seconds for an init inside an invocation: the debugger itself takes its time to start


@dataclass(slots=True)
class Attachment:
    """How many connections of debuggers there are to a function, and how many of them wait for its runtime."""

    connections: int = 0
    waiting: int = 0

    @property
    def is_attached(self) -> bool:
        return self.connections > 0

    @property
    def is_awaited(self) -> bool:
        return self.waiting > 0


class DebuggedEnvironment(Environment):
    """An environment whose runtime a debugger may hold up."""

    def __init__(
        self,
        environment_id: EnvironmentId,
        function: Function,
        surroundings: Surroundings,
        owner: Owner,
        *,
        attachment: Attachment,
    ) -> None:
        self._attachment = attachment
        self.is_outdated = False
        """There is newer code: whoever debugs it wants to see that one."""
        super().__init__(
            environment_id,
            function,
            surroundings,
            owner,
            InitializationType.ON_DEMAND,
            awaits_debugger=lambda: attachment.is_awaited,
        )

    @property
    def has_runtime(self) -> bool:
        """Whether there is one, or will be: after a reset there is none before the next event."""
        return self._generation is not None or self.state is State.STARTING

    @property
    def is_kept(self) -> bool:
        """It would be frozen by now, were it not for a debugger."""
        return self.state is State.IDLE and self._attachment.is_attached

    @property
    def debugger_end(self) -> tuple[str, int] | None:
        """Where its runtime listens for a debugger; nobody knows yet while the sandbox is made."""
        return self._sandbox.debugger_end

    def start(self, invocation: Invocation | None) -> None:
        if invocation is not None:
            super().start(invocation)
            return
        self._record("started for a debugger")
        self._begin(self._start)

    def debugger_came(self) -> None:
        """Somebody is attached, or about to be: nothing limits it, and it runs."""
        if self.state in (State.FREEZING, State.FROZEN):
            self._fire(Event.THAW, "a debugger came")
            self._connectivity.thaw(functools.partial(self._network_is_back, self._next_epoch()))
        if self._generation is not None:
            self._generation.limit_init(None)
        self._suspend_deadline()

    def debugger_went(self) -> None:
        """Nobody is any more: limits begin anew, and what is idle is frozen."""
        if self._generation is not None:
            self._generation.limit_init(max(self._init_again_limit or 0.0, _LEAST_INIT_LIMIT))
        if self.state is State.INVOKING and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(self.function.timeout, self._timed_out)
        self.freeze()

    def freeze(self) -> None:
        if not self._attachment.is_attached:
            super().freeze()

    def _stop_early(self) -> None:
        """It is not: a debugger may be there, and nobody measures what is debugged."""

    def invoke(self, invocation: Invocation) -> None:
        if self.state is State.THAWING:  # for a debugger; it is served when that is done
            self._take(invocation)
        else:
            super().invoke(invocation)

    def _serve(self) -> None:
        if self._invocation is not None:
            super()._serve()
        else:  # it was thawed for a debugger, who may have gone meanwhile
            self.freeze()

    def _deliver(self, spent: float = 0.0) -> None:
        super()._deliver()  # what init took was the debugger's time, too
        self._suspend_deadline()

    def _suspend_deadline(self) -> None:
        if self._attachment.is_attached and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _init_limit(self) -> float | None:
        return None if self._attachment.is_attached else super()._init_limit

    @property
    def _init_again_limit(self) -> float | None:
        return None if self._attachment.is_attached else max(self.function.timeout, _LEAST_INIT_LIMIT)


class DebuggedPool(Pool):
    """The one environment of a function with a debug port; synchronous events wait for it in their order.

    Arguments:
        policy: only what it says of connections counts.
    """

    def __init__(
        self,
        function: Function,
        surroundings: Surroundings,
        policy: Policy,
        concurrency: Concurrency,
        *,
        attachment: Attachment,
    ) -> None:
        self.attachment = attachment
        self._line: deque[Invocation] = deque()
        make: Any = functools.partial(DebuggedEnvironment, attachment=attachment)
        # Events have their own line here, so nobody need wait for an environment that returns.
        super().__init__(_alone(function), surroundings, policy, concurrency, make=make, answers_early=False)

    def submit(self, invocation: Invocation) -> None:
        try:
            super().submit(invocation)
        except ThrottledError:
            if invocation.asynchronous or not self.share.in_use:
                raise
            self._line.append(invocation)
            self._around.timeline.record(
                "invocation.waiting",
                "a function with a debug port serves one event at a time",
                function=self.function.name,
                request_id=invocation.request_id,
            )

    def follow(self, policy: Policy) -> None:
        super().follow(replace(policy, rules=()))

    def update(self, function: Function, reason: str) -> None:
        for environment in self._debugged:
            environment.is_outdated = True
        super().update(_alone(function), reason)

    async def retire(self, reason: str) -> None:
        self._send_away()
        await super().retire(reason)

    async def close(self, reason: str) -> None:
        await super().close(reason)
        self._send_away()

    def _send_away(self) -> None:
        while self._line:
            self._line.popleft().fail(ServiceError("the function was deleted, or the emulator is stopping"))

    def environment_to_debug(self) -> DebuggedEnvironment | None:
        """The one that has a runtime, or a new one; nothing where there can be none at this moment."""
        for environment in (*self._serving, *self._idle):
            assert isinstance(environment, DebuggedEnvironment), "this pool makes no others"
            if environment.has_runtime and environment.end_when_parked is None:
                return environment
            if environment in self._idle:
                self._end(environment, "there is no runtime in it to debug")
        if self._closed or not self.share.acquire():
            return None
        environment_id = EnvironmentId(self._around.chance.randbytes(16).hex())
        try:
            environment = DebuggedEnvironment(
                environment_id, self.function, self._around, self, attachment=self.attachment
            )
        except (OSError, EmulatorError):
            self.share.release()
            return None
        self._take_in(environment, None)
        environment.start(None)
        return environment

    def debugger_came(self) -> None:
        """The first connection of a debugger is there."""
        for environment in self._debugged:
            environment.debugger_came()

    def debugger_went(self) -> None:
        """The last one is not any more."""
        for environment in self._debugged:
            environment.debugger_went()

    @property
    def _debugged(self) -> list[DebuggedEnvironment]:
        return [environment for environment in self.environments if isinstance(environment, DebuggedEnvironment)]

    def environment_parked(self, environment: Environment) -> None:
        super().environment_parked(environment)
        self._serve_line()

    def environment_ending(self, environment: Environment) -> None:
        super().environment_ending(environment)
        self._serve_line()

    def _serve_line(self) -> None:
        if self._line:
            self._around.end_of_round(self._serve_next)

    def _serve_next(self) -> None:
        if self._line and not self._closed and self.share.acquire():
            self._serve(self._line.popleft())

    def _next_event(self, *, shared_place: bool) -> Invocation | None:
        if self._line and not self._closed:
            return self._line.popleft()
        return super()._next_event(shared_place=shared_place)

    @staticmethod
    def _reserved(function: Function) -> int | None:
        return 1 if function.reserved_concurrency is None else min(1, function.reserved_concurrency)


def _alone(function: Function) -> Function:
    return replace(function, provisioned_concurrency=0) if function.provisioned_concurrency else function
