"""All parts of the bench, in the order of the table."""

from __future__ import annotations

from tests.bench.cold import cold_container, cold_process
from tests.bench.density import density_containers, density_forked, density_process
from tests.bench.frames import frames
from tests.bench.lag import freeze_lag
from tests.bench.long_run import long_run
from tests.bench.network import cuts, queries, reclaims
from tests.bench.part import Part
from tests.bench.payload import large_payload
from tests.bench.plugin import plugin
from tests.bench.price import after_cut, price_of_freezing
from tests.bench.startup import startup
from tests.bench.throughput import throughput
from tests.bench.warm import warm_container, warm_process

__all__ = ["PARTS"]

PARTS = (
    Part(name="warm-process", about="warm invocations of a process, RIE and the floor", run=warm_process),
    Part(name="warm-container", about="warm invocations of a container, RIE in one, and SAM", run=warm_container),
    Part(name="after-cut", about="warm invocations of containers whose network was cut", run=after_cut),
    Part(name="price-of-freezing", about="frozen in between, and never", run=price_of_freezing),
    Part(name="throughput", about="eight clients at once", run=throughput),
    Part(name="freeze-lag", about="how soon everything stands still", run=freeze_lag),
    Part(name="payload", about="a large event", run=large_payload),
    Part(name="cold-process", about="cold starts of processes", run=cold_process),
    Part(name="cold-container", about="cold starts of containers", run=cold_container),
    Part(name="density-process", about="many processes with a session each", run=density_process),
    Part(name="density-forked", about="many forked processes", run=density_forked),
    Part(name="density-containers", about="many containers", run=density_containers),
    Part(name="startup", about="the start of the emulator", run=startup),
    Part(name="plugin", about="tests with the pytest plugin", run=plugin),
    Part(name="frames", about="the dashboard with a thousand environments", run=frames, run_in="full"),
    Part(name="long-run", about="a million invocations", run=long_run, run_in="long"),
    Part(name="network-cuts", about="cuts of networks in themselves", run=cuts, run_in="full"),
    Part(name="queries", about="queries through the relay", run=queries, run_in="full"),
    Part(name="reclaims", about="silent ends", run=reclaims, run_in="full"),
)
