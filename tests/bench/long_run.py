"""A million warm invocations: what grows."""

from __future__ import annotations

from array import array

from tests.bench.client import RawClient
from tests.bench.figures import Row, Spread, slope
from tests.bench.memory import pss
from tests.bench.part import Scale
from tests.bench.product import echo_settings, product

__all__ = ["deciles", "long_run"]

_PART = "long-run"
_INVOCATIONS, _SETTLED = 1_000_000, 100_000
_EVERY = 10_000
_MAX_GROWTH = 1.0  # bytes for an invocation, which is a MiB in a million
_MAX_DECILES = 1.1


def deciles(values: array[float]) -> list[float]:
    """The median of each tenth, in the order in which they came."""
    size = len(values) // 10
    return [Spread.of(values[index * size : (index + 1) * size]).median for index in range(10)]


def long_run(scale: Scale) -> list[Row]:
    """Memory of the control plane and of the environment over the invocations, and latency by tenths."""
    times = array("d")
    planes: list[tuple[float, float]] = []
    environments: list[tuple[float, float]] = []
    with product(echo_settings()) as ours, RawClient(ours.door()) as client:
        client.invoke()
        pid = ours.get("/environments")["environments"][0]["sandbox"]["pid"]
        for number in range(1, _INVOCATIONS + 1):
            times.append(client.invoke())
            if number % _EVERY == 0:
                planes.append((number, pss(ours.process.pid)))
                environments.append((number, pss(pid)))
                scale.tick()
    tenths = deciles(times)
    name = f"{_INVOCATIONS:,} warm invocations"
    flat = ", ".join(f"{value * 1e6:.0f}" for value in tenths)
    return [
        _grows(f"{name}: memory of the control plane", planes, _MAX_GROWTH),
        _grows(f"{name}: memory of the environment", environments, None),
        Row(
            part=_PART,
            name=f"{name}: latency, the slowest tenth to the fastest",
            measured=Spread.of(times),
            value=max(tenths) / min(tenths),
            limit=_MAX_DECILES,
            note=f"p50 by tenths, µs: {flat}",
        ),
    ]


def _grows(name: str, points: list[tuple[float, float]], limit: float | None) -> Row:
    settled = [point for point in points if point[0] > _SETTLED]
    growth = slope(settled)
    first, last = settled[0][1] / 2**20, settled[-1][1] / 2**20
    return Row(
        part=_PART,
        name=name,
        measured=Spread.of([size for _, size in settled]),
        unit="B",
        value=growth,
        value_unit="B/invocation",
        limit=limit,
        note=f"{first:.1f} MiB after {_SETTLED + _EVERY:,}, {last:.1f} MiB at the end",
    )
