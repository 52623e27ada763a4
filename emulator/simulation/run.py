"""One workload under one policy: the real pool, policies and limits, on a clock that does not wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from emulator.clock import FakeClock
from emulator.config import Settings, policy_settings
from emulator.errors import ConfigurationError, ThrottledError
from emulator.model import KEEPALIVE, Function, Reclaim, RequestId
from emulator.pool import Pool
from emulator.rulebook import PolicyView, Rulebook
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import FakeProvider
from emulator.simulation.ledger import Ledger
from emulator.simulation.lengths import Lengths
from emulator.simulation.results import OverTime, Result
from emulator.simulation.standin import SimulatedInvocation, World
from emulator.simulation.workload import Workload
from emulator.spans import in_words
from emulator.surroundings import Surroundings
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["Assumptions", "Candidate", "candidate", "simulate"]

_TELL_EVERY = 8192  # events


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is taken for granted of functions and their database server.

    Arguments:
        service_time: of events whose duration the workload does not say.
        init_time: from the start of an environment until it serves.
        connections_per_environment: opened when its first event begins, and kept.
        max_connections: of the server, for these functions alone.
        wait_timeout, keepalive: seconds, whichever is less, after which the server gives up a session of which
            nothing was heard.
    """

    service_time: Lengths
    init_time: Lengths
    connections_per_environment: int = 1
    max_connections: int = 151
    wait_timeout: float = 28_800.0
    keepalive: float = KEEPALIVE

    @property
    def hold(self) -> float:
        return min(self.wait_timeout, self.keepalive)

    def in_words(self, workload: Workload, settings: Settings) -> list[str]:
        """All of them, as sentences for who has to believe the answer."""
        service = "as the trace says" if workload.says_durations else str(self.service_time)
        count = self.connections_per_environment
        opens = f"{count} connection{'' if count == 1 else 's'}"
        hold, waits, probes = (in_words(seconds) for seconds in (self.hold, self.wait_timeout, self.keepalive))
        most = settings.emulator.concurrency
        return [
            f"An event takes {service}, and a cold start {self.init_time} before that.",
            "Nothing fails, and no timeout of a function is applied. Freeze, thaw and an end take no time.",
            f"Events are synchronous: beyond {most:,} at once they are refused (429) and do not come again.",
            f"An environment opens {opens} when its first event begins, and keeps what it has.",
            f"The server drops a session after {hold} of silence (wait_timeout {waits}, keepalive {probes}).",
            "What it dropped of a living environment is opened anew with its next event.",
            "A refused connect (1040) is tried again with the environment's next event. Nobody else uses the server.",
        ]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy to be tried: settings in which it is the one of all functions, and what to call it."""

    name: str
    settings: Settings
    reclaim: Reclaim | None = None


def candidate(
    settings: Settings, wish: str | None = None, *, reclaim: Reclaim | None = None, seed: int = 0
) -> Candidate:
    """A policy by what stands on a command line.

    Arguments:
        settings: of the configuration; what functions have of their own stays.
        wish: a name, and keys of ``[policy]``: ``aws``, ``aws,idle_timeout=20m``, ``my_rules:Nightly``; ``None`` for
            the ``[policy]`` of the settings.
        reclaim: instead of what any of them says.

    Raises:
        ConfigurationError: it is none.
    """
    emulator = settings.emulator.model_copy(update={"seed": seed})
    settings = settings.model_copy(update={"emulator": emulator})
    if wish is None:
        return Candidate(settings.policy.name, settings, reclaim)
    first, *pairs = (part.strip() for part in wish.split(","))
    if "=" in first:
        pairs.insert(0, first)
        values: dict[str, Any] = {}
    else:
        values = {"name": first}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"--policy {wish}: {pair!r} is no setting", cure="Write aws,idle_timeout=20m.")
        values[key.strip()] = _value(value.strip())
    policy = policy_settings(values, f"--policy {wish}")
    return Candidate(wish, settings.model_copy(update={"policy": policy}), reclaim)


def _value(text: str) -> object:
    """As TOML would have it; whatever is no number and no truth is text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def simulate(
    workload: Workload,
    candidate: Candidate,
    assumptions: Assumptions,
    *,
    base: Path | None = None,
    on_progress: Callable[[int], None] = lambda _events: None,
) -> Result:
    """Run the workload under one policy.

    Arguments:
        workload: its events have durations, or get those of the assumptions.
        base: the folder of the configuration, where a ``module:Class`` is looked for.
        on_progress: is told now and then how many events have come.

    Raises:
        ConfigurationError: a policy that cannot be made.
    """
    begin = time.perf_counter()
    seed = candidate.settings.emulator.seed
    if not workload.says_durations:
        workload = workload.with_durations(assumptions.service_time, _chance(seed, "durations"))
    clock = FakeClock()
    world = World(
        clock,
        Ledger(clock, workload.span, assumptions.max_connections),
        _chance(seed, "inits"),
        assumptions.init_time,
        assumptions.connections_per_environment,
        assumptions.hold,
    )
    notes: list[str] = []
    rulebook = Rulebook(candidate.settings, base or Path.cwd())
    pools = _pools(workload, candidate, world, rulebook, base or Path.cwd(), notes)
    refused = _play(workload, world, pools, on_progress)
    world.ledger.close()
    policy = rulebook.view(pools[0] if len(pools) == 1 else None)
    return _result(candidate, policy, world, len(workload), refused, notes, time.perf_counter() - begin)


def _chance(seed: int | None, purpose: str) -> Random:
    """A source for each purpose, so that one policy's draws do not move another's."""
    return Random(f"{seed}/{purpose}")  # noqa: S311 (it draws durations, and keeps no secret)


def _pools(
    workload: Workload, candidate: Candidate, world: World, rulebook: Rulebook, base: Path, notes: list[str]
) -> list[Pool]:
    """The pool of each function, all of them under one limit. All that is known here of how they are made."""
    settings = candidate.settings
    timeline = Timeline(world.clock, limit=1)
    surroundings = Surroundings(
        provider=FakeProvider(),
        runtime_api=RuntimeApiServer("127.0.0.1"),
        timeline=timeline,
        clock=world.clock,
        spawn=_nothing_runs,
        region=settings.emulator.region,
        account=settings.emulator.account,
        quiet=0.0,
        chance=rulebook.chance,
    )

    def hear(event: TimelineEvent) -> None:
        if event.kind == "policy.trouble":
            notes.append(event.reason)

    timeline.listen(hear)
    known = {function.name: function for function in settings.make_functions(base)}
    concurrency = settings.make_concurrency()
    pools = []
    for name in workload.functions:
        function = known.get(name) or Function(name=name, code=Path())
        if function.provisioned_concurrency:
            notes.append(f"{name}: provisioned concurrency is not simulated: all its environments are made on demand")
            function = replace(function, provisioned_concurrency=0)
        policy = rulebook.policy_of(function)
        if candidate.reclaim is not None:
            policy = replace(policy, reclaim=candidate.reclaim)
        world.reports |= bool(policy.after)
        pool = Pool(function, surroundings, policy, concurrency, rulebook.memory, make=world.make, answers_early=False)
        pools.append(pool)
    return pools


def _nothing_runs(_coroutine: Coroutine[Any, Any, None]) -> Any:
    raise AssertionError("a simulated environment has no work of its own")


def _play(workload: Workload, world: World, pools: list[Pool], on_progress: Callable[[int], None]) -> int:
    """Every event at its moment, then whatever still runs; answers how many were refused."""
    clock = world.clock
    assert isinstance(clock, FakeClock), "time passes only when it is told to"
    refused = 0
    for number, (at, which, duration) in enumerate(workload):
        clock.advance_to(at)
        pool = pools[which]
        try:
            pool.submit(SimulatedInvocation(RequestId(str(number)), b"", pool.function.name, "", duration=duration))
        except ThrottledError:
            refused += 1
        if not number % _TELL_EVERY:
            on_progress(number)
    clock.advance_to(max(workload.span, world.latest))
    clock.advance_to(max(workload.span, world.latest))  # a cold start that was the last is only now known to its end
    on_progress(len(workload))
    return refused


def _result(
    candidate: Candidate,
    policy: PolicyView,
    world: World,
    events: int,
    refused: int,
    notes: list[str],
    took: float,
) -> Result:
    ledger, seconds = world.ledger, world.clock.monotonic()
    columns = ledger.columns
    rest = seconds - (len(columns.busy) - 1) * ledger.width if columns.busy else 0.0

    def mean(column: Any) -> float:
        return (sum(column[:-1]) * ledger.width + column[-1] * rest) / seconds if seconds else 0.0

    in_use, resting, zombies = mean(columns.in_use), mean(columns.resting), mean(columns.zombies)
    total = in_use + resting + zombies
    busy, idle = mean(columns.busy), mean(columns.idle)
    return Result(
        policy=candidate.name,
        rules=policy.rules,
        reclaim=str(candidate.reclaim or policy.reclaim),
        seconds=seconds,
        events=events,
        served=world.served,
        refused=refused,
        cold_starts=world.started,
        recycled=world.recycled,
        peak_environments=ledger.most_environments,
        peak_busy=ledger.most_busy,
        peak_idle=ledger.most_idle,
        mean_environments=busy + idle,
        mean_busy=busy,
        mean_idle=idle,
        max_connections=ledger.limit,
        peak_connections=ledger.most,
        mean_connections=total,
        peak_idle_connections=ledger.most_resting,
        mean_idle_connections=resting,
        peak_zombies=ledger.most_zombies,
        mean_zombies=zombies,
        wasted=(resting + zombies) / total if total else 0.0,
        seconds_above=ledger.above,
        refused_connects=ledger.refused,
        refused_connect_events=ledger.refused_events,
        over_time=OverTime(ledger.width, *(tuple(column) for column in columns.all())),
        notes=tuple(notes),
        took=took,
    )
