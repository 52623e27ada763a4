"""What stands in for an environment: it has the surface that the pool uses, and its sandbox is a figure.

DIFFERS: freeze and thaw take no time, nothing fails, no invocation is cut at the function's timeout, and an end is over
at once; so the states in between are not passed through, and :mod:`emulator.lifecycle` is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import cast

from emulator.clock import Clock, Timer
from emulator.environment import Environment, Owner
from emulator.invocation import Invocation
from emulator.lifecycle import State
from emulator.model import Answer, EnvironmentId, Function, Reclaim, Report
from emulator.simulation.ledger import Ledger
from emulator.simulation.lengths import Lengths
from emulator.surroundings import Surroundings
from emulator.text import billed_milliseconds

__all__ = ["SimulatedInvocation", "StandIn", "World"]

_ANSWER = Answer(b"null")


@dataclass(slots=True)
class SimulatedInvocation(Invocation):
    """An event that takes ``duration`` seconds to serve."""

    duration: float = 0.0


@dataclass(slots=True)
class World:
    """What all environments of a simulation share.

    Arguments:
        init_time: of every cold start.
        sessions: how many connections each environment opens when its first event begins, and keeps.
        hold: seconds after which the server gives up a session of which nothing was heard.
        reports: whether a rule may look at them.
    """

    clock: Clock
    ledger: Ledger
    chance: Random
    init_time: Lengths
    sessions: int
    hold: float
    reports: bool = False
    started: int = 0
    recycled: int = 0
    served: int = 0
    latest: float = field(default=0.0)
    """When the last of what runs will be over, as far as is known."""

    def make(
        self, environment_id: EnvironmentId, function: Function, surroundings: Surroundings, owner: Owner
    ) -> Environment:
        """An environment, as far as the pool can tell."""
        return cast(Environment, StandIn(environment_id, function, self, owner))


class StandIn:
    """One environment; see :class:`emulator.environment.Environment` for what its attributes mean."""

    __slots__ = (
        "_granted",
        "_heard_at",
        "_invocation",
        "_owner",
        "_sessions",
        "_watch",
        "_world",
        "created_at",
        "end_when_parked",
        "function",
        "id",
        "idle_since",
        "init_ms",
        "invocations",
        "reclaim_when_parked",
        "state",
    )

    def __init__(self, environment_id: EnvironmentId, function: Function, world: World, owner: Owner) -> None:
        self.id = environment_id
        self.function = function
        self.state = State.STARTING
        self.invocations = 0
        self.init_ms: float | None = None
        self.created_at = self.idle_since = world.clock.monotonic()
        self.end_when_parked: str | None = None
        self.reclaim_when_parked: Reclaim | None = None
        self._world = world
        self._owner = owner
        self._invocation: SimulatedInvocation | None = None
        self._sessions = self._granted = 0
        self._heard_at = 0.0
        self._watch: Timer | None = None

    # -- what the pool asks of it ------------------------------------------------------------------------

    def start(self, invocation: SimulatedInvocation) -> None:
        """A cold start, and then this event."""
        world = self._world
        world.started += 1
        world.ledger.began()
        self._invocation = invocation
        seconds = world.init_time.draw(world.chance)
        self.init_ms = seconds * 1000
        world.latest = max(world.latest, self.created_at + seconds)
        if seconds:
            world.clock.call_at(self.created_at + seconds, self._serve)
        else:
            self._serve()

    def invoke(self, invocation: SimulatedInvocation) -> None:
        """One more event."""
        world = self._world
        world.ledger.resumed(self._sessions)
        self._invocation = invocation
        self._serve()

    def freeze(self) -> None:
        """It rests, and its sessions with it."""
        world = self._world
        self.state = State.FROZEN
        world.ledger.rested(self._sessions)
        if self._watch is None and self._sessions:
            self._watch = world.clock.call_at(self._heard_at + world.hold, self._look)

    def end(self, reason: str, how: Reclaim = Reclaim.FIN) -> None:
        """It is gone, and its sessions with it, or not."""
        if self.state in (State.SHUTTING_DOWN, State.GONE):
            return
        world = self._world
        silent = how is Reclaim.SILENT
        world.ledger.ended(self._sessions, was_idle=self.state is State.FROZEN, silent=silent)
        self.state = State.SHUTTING_DOWN
        world.recycled += 1
        if not silent:
            self._forget_sessions()
        elif self._watch is None and self._sessions:
            self._watch = world.clock.call_at(self._heard_at + world.hold, self._look)
        # The pool hears of it later, as it does of a real one.
        world.clock.call_at(world.clock.monotonic(), self._gone)

    # -- inside ------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        world, invocation = self._world, self._invocation
        assert invocation is not None, "whoever serves has an event"
        self.state = State.INVOKING
        self.invocations += 1
        if not self._sessions:
            self._sessions = world.sessions
            world.ledger.connected(world.sessions)
        if self._granted < world.sessions:
            self._granted += world.ledger.ask(world.sessions - self._granted)
        done = world.clock.monotonic() + invocation.duration
        if done > world.latest:
            world.latest = done
        world.clock.call_at(done, self._done)

    def _done(self) -> None:
        world, invocation = self._world, self._invocation
        assert invocation is not None, "what is done had been begun"
        self._invocation = None
        self.state = State.IDLE
        self.idle_since = self._heard_at = world.clock.monotonic()
        world.served += 1
        invocation.outcome.environment_id = self.id
        invocation.outcome.answer = _ANSWER
        if world.reports:
            invocation.outcome.report = self._report(invocation)
        self._owner.environment_parked(cast(Environment, self))

    def _look(self) -> None:
        """Whether the server gives its sessions up. One timer does, which is not moved by every use."""
        world = self._world
        self._watch = None
        if self.state in (State.FROZEN, State.SHUTTING_DOWN, State.GONE):
            due = self._heard_at + world.hold
            if world.clock.monotonic() < due:
                self._watch = world.clock.call_at(due, self._look)
            else:
                world.ledger.dropped(self._sessions, zombies=self.state is not State.FROZEN)
                self._forget_sessions()

    def _forget_sessions(self) -> None:
        self._world.ledger.granted -= self._granted
        self._sessions = self._granted = 0
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _gone(self) -> None:
        self.state = State.GONE
        self._owner.environment_gone(cast(Environment, self))

    def _report(self, invocation: SimulatedInvocation) -> Report:
        cold = self.invocations == 1
        milliseconds = invocation.duration * 1000
        return Report(
            request_id=invocation.request_id,
            environment_id=self.id,
            log_stream="",
            cold_start=cold,
            duration_ms=milliseconds,
            billed_ms=billed_milliseconds(milliseconds, self.init_ms if cold else None),
            memory_mb=self.function.memory,
            max_memory_mb=0,
            init_ms=self.init_ms if cold else None,
        )
