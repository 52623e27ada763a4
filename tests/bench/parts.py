"""All parts of the bench, in the order of the table."""

from __future__ import annotations

from tests.bench.part import Part
from tests.bench.throughput import throughput
from tests.bench.warm import warm_container, warm_process

__all__ = ["PARTS"]

PARTS = (
    Part(name="warm-process", about="warm invocations of a process, RIE and the floor", run=warm_process),
    Part(name="warm-container", about="warm invocations of a container, RIE in one, and SAM", run=warm_container),
    Part(name="throughput", about="eight clients at once", run=throughput),
)
