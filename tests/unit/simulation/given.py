"""Workloads and runs that tests of the simulator share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.config import Settings
from emulator.model import Reclaim
from emulator.simulation.lengths import Lengths, Shape
from emulator.simulation.results import Result
from emulator.simulation.run import Assumptions, Candidate, simulate
from emulator.simulation.workload import Workload, WorkloadBuilder

__all__ = ["assumed", "fixed", "of", "run", "under"]


def fixed(seconds: float) -> Lengths:
    return Lengths(Shape.FIXED, seconds)


def of(events: Iterable[tuple[float, float]], *, function: str = "orders", span: float | None = None) -> Workload:
    """Events of one function, each a moment and a duration; the clock begins at 0."""
    builder = WorkloadBuilder("a test")
    for at, duration in events:
        builder.add(at, function, duration)
    return builder.build(begin=0.0, span=span)


def assumed(**different: Any) -> Assumptions:
    """Nothing takes any time, and the server never gives a session up."""
    given: dict[str, Any] = {
        "service_time": fixed(0),
        "init_time": fixed(0),
        "wait_timeout": 1e12,
        "keepalive": 1e12,
        "max_connections": 1_000_000,
    }
    return Assumptions(**{**given, **different})


def under(
    policy: dict[str, Any], *, concurrency: int = 1_000_000, seed: int = 0, reclaim: Reclaim | None = None
) -> Candidate:
    """A policy with a limit that is out of reach, unless it is given."""
    settings = Settings.model_validate(
        {"policy": {"name": "keep-warm"} | policy, "emulator": {"concurrency": concurrency, "seed": seed}}
    )
    return Candidate("tried", settings, reclaim)


def run(workload: Workload, policy: dict[str, Any] | None = None, **different: Any) -> Result:
    """One run with :func:`assumed`, under a policy that changes ``keep-warm``."""
    return simulate(workload, under(policy or {}), assumed(**different))
