"""All parts of the bench, in the order of the table."""

from __future__ import annotations

from tests.bench.part import Part
from tests.bench.throughput import throughput
from tests.bench.warm import warm_process

__all__ = ["PARTS"]

PARTS = (
    Part(name="warm-process", about="warm invocations of a process, RIE and the floor", run=warm_process),
    Part(name="throughput", about="eight clients at once", run=throughput),
)
