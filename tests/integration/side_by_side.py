"""One trace, twice: by the simulator, and by real sandboxes in front of a real database server.

The emulator's clock runs fast, so that a trace of half an hour takes half a minute. Processes cannot be hurried: their
durations are measured, and the simulator is told them, in seconds of that clock, as a trace would tell it. So are their
cold starts, each in its turn: on a busy machine one takes several times as long as the next, and what comes meanwhile
needs environments of its own.

``python -m tests.integration.side_by_side`` prints both for a trace of some hundred events.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from emulator import Emulator, Function
from emulator.config import Settings
from emulator.embedded import DeployedFunction, InvocationResult
from emulator.screen import plain_table
from emulator.simulation.arrivals import Rate, poisson
from emulator.simulation.lengths import Lengths, Shape
from emulator.simulation.results import Result
from emulator.simulation.run import Assumptions, candidate, simulate
from emulator.simulation.workload import Workload, WorkloadBuilder
from emulator.timeline import TimelineEvent

__all__ = ["Real", "bursts", "play", "print_both", "same_in_simulation"]

SAMPLES = Path(__file__).parent.parent.parent / "sample_functions"
KEEPALIVE = 300.0  # seconds of the clock, so that zombies come and go within the trace
BUSY = 0.05  # real seconds that an event sleeps
LIMIT = 6  # connections; the server itself has more, so that nothing is refused


@dataclass(frozen=True, slots=True)
class Real:
    """What real sandboxes did, read off the timeline. Seconds are the emulator's."""

    events: int
    cold_starts: int
    environments: int
    peak_environments: int
    peak_connections: int
    peak_zombies: int
    mean_connections: float
    share_above: float
    init_times: list[float]
    """Of the cold starts, in their order."""
    workload: Workload
    """The same events, each at the moment at which it came, with the duration that it had."""


@dataclass(frozen=True, slots=True)
class _Measured(Lengths):
    """What was measured, one after the other; then ``first``."""

    turns: Iterator[float] = field(kw_only=True)

    def draw(self, chance: Random) -> float:
        return next(self.turns, self.first)


def bursts(seconds: float, rate: float, *, seed: int) -> Workload:
    """Single events at random, and now and then three at once."""
    single = poisson(Rate("test", rate), seconds, ["orders"], Random(seed))
    triple = poisson(Rate("test", rate / 20), seconds, ["orders"], Random(seed + 1), burst=3)
    builder = WorkloadBuilder("the trace")
    for workload in (single, triple):
        for at, _, _ in workload:
            builder.add(at, "orders")
    return builder.build(begin=0.0, span=seconds)


def play(workload: Workload, policy: dict[str, Any], *, speed: float) -> Real:
    """The trace, event by event, each in a thread that waits for its answer, as clients do."""
    settings: dict[str, dict[str, Any]] = {
        "emulator": {"sandbox": "process", "speed": speed, "seed": 1},
        "database": {"keepalive": KEEPALIVE},
        "policy": policy,
    }
    with Emulator(settings) as emulator:
        orders = emulator.add(Function(name="orders", code=SAMPLES / "connect_once", timeout=10, memory=1769))
        begin = emulator.timeline()[-1].seq
        began = emulator.fast_forward(seconds=0).now
        calls = _call_all(orders, workload, speed)
        rest = workload.span - (emulator.fast_forward(seconds=0).now - began)
        emulator.fast_forward(seconds=max(0.0, rest))
        return _read(emulator.timeline(begin), calls, began, workload.span, speed)


def _call_all(orders: DeployedFunction, workload: Workload, speed: float) -> list[tuple[float, InvocationResult]]:
    """Moments of the clock, since the first, and results."""
    results: list[tuple[float, InvocationResult]] = []
    begin = time.monotonic()

    def call() -> None:
        # When it came, and not when it should have: a busy machine begins a thread late.
        at = min((time.monotonic() - begin) * speed, workload.span)
        results.append((at, orders.invoke({"seconds": BUSY})))

    threads = [threading.Thread(target=call) for _ in workload.at]
    for at, thread in zip(workload.at, threads, strict=True):
        time.sleep(max(0.0, begin + at / speed - time.monotonic()))
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(results, key=lambda result: result[0])


def _read(
    events: Sequence[TimelineEvent],
    calls: Sequence[tuple[float, InvocationResult]],
    began: float,
    span: float,
    speed: float,
) -> Real:
    counts = {"environments": 0, "connections": 0, "zombies": 0}
    most = dict.fromkeys(counts, 0)
    area = above = 0.0
    last, end, started = began, began + span, 0
    zombies: set[str | None] = set()
    starting: dict[str | None, float] = {}
    inits: dict[str | None, float] = {}
    for event in events:
        moment = min(event.at, end)
        area += counts["connections"] * (moment - last)
        above += (moment - last) * (counts["connections"] > LIMIT)
        last = moment
        match event.kind:
            case "environment.starting":
                started += 1
                counts["environments"] += 1
                starting[event.environment] = event.at
                inits[event.environment] = 0.0
            case "environment.invoking" if event.environment in starting:
                inits[event.environment] = event.at - starting.pop(event.environment)
            case "environment.gone":
                counts["environments"] -= 1
            case "connection.opened":
                counts["connections"] += 1
            case "connection.zombie":
                counts["zombies"] += 1
                zombies.add(event.environment)
            case "connection.closed":
                counts["connections"] -= 1
                counts["zombies"] -= event.environment in zombies
        most = {name: max(most[name], count) for name, count in counts.items()}
    area += counts["connections"] * (end - last)
    builder = WorkloadBuilder("as it was measured")
    for at, result in calls:
        builder.add(at, "orders", result.report.duration_ms / 1000 * speed)
    return Real(
        events=len(calls),
        cold_starts=sum(result.cold_start for _, result in calls),
        environments=started,
        peak_environments=most["environments"],
        peak_connections=most["connections"],
        peak_zombies=most["zombies"],
        mean_connections=area / span,
        share_above=above / span,
        init_times=list(inits.values()),
        workload=builder.build(begin=0.0, span=span),
    )


def same_in_simulation(real: Real, policy: dict[str, Any]) -> Result:
    """The simulator's answer to the very same events, told what they took and what each cold start took."""
    settings = Settings.model_validate({"policy": policy})
    assumptions = Assumptions(
        service_time=Lengths(Shape.FIXED, 0.0),
        init_time=_Measured(Shape.FIXED, statistics.fmean(real.init_times), turns=iter(real.init_times)),
        max_connections=LIMIT,
        keepalive=KEEPALIVE,
    )
    return simulate(real.workload, candidate(settings, seed=1), assumptions)


def print_both(pairs: Sequence[tuple[str, Real, Result]]) -> None:
    """Real and simulated figures beside each other, for each policy."""
    table = plain_table("", *(f"{name}\n{kind}" for name, _, _ in pairs for kind in ("real", "simulated")))
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    rows: tuple[tuple[str, str, str], ...] = (
        ("events", "events", "events"),
        ("cold starts", "cold_starts", "cold_starts"),
        ("most environments", "peak_environments", "peak_environments"),
        ("most connections", "peak_connections", "peak_connections"),
        ("most zombies", "peak_zombies", "peak_zombies"),
        ("average connections", "mean_connections", "mean_connections"),
        (f"share of time above {LIMIT}", "share_above", "share_above"),
    )
    for words, of_real, of_simulation in rows:
        cells = [
            f"{figure:.2f}" if isinstance(figure, float) else str(figure)
            for _, real, result in pairs
            for figure in (getattr(real, of_real), getattr(result, of_simulation))
        ]
        table.add_row(words, *cells)
    Console(width=120).print(table)


def main() -> None:
    """Some hundred events under three policies."""
    workload = bursts(1800.0, 0.12, seed=11)
    sys.stdout.write(f"{len(workload)} events in half an hour of the clock, at 60 times real speed\n")
    pairs = []
    for policy in (
        {"name": "keep-warm", "idle_timeout": "1m"},
        {"name": "keep-warm", "max_invocations": 5},
        {"name": "aws"},
    ):
        real = play(workload, policy, speed=60)
        name = ", ".join(f"{key}={value}" for key, value in policy.items() if value != "keep-warm")
        pairs.append((name, real, same_in_simulation(real, policy)))
        sys.stdout.write(f"{name}: a cold start took {statistics.fmean(real.init_times) / 60:.2f} s\n")
    print_both(pairs)


if __name__ == "__main__":
    main()
