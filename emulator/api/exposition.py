"""Figures for Prometheus: those of CloudWatch under the names that people know, and the emulator's own.

The library that writes the format gets a registry of its own for each answer: nothing is kept in it, for the figures
are those of :mod:`emulator.metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from emulator.lifecycle import State
from emulator.metrics import Histogram
from emulator.model import ConnectionsSummary, Session
from emulator.service import Service

__all__ = ["CONTENT_TYPE", "Sessions", "write_metrics"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Sessions = tuple[Sequence[Session], ConnectionsSummary]

_FUNCTION = ["function"]
_BUSY = {State.STARTING, State.INIT, State.THAWING, State.INVOKING, State.RESETTING}


def write_metrics(service: Service, sessions: Sessions | None) -> bytes:
    """All figures of this moment in Prometheus' text format; ``sessions`` where there is a database that answers."""
    registry = CollectorRegistry()
    registry.register(_Figures(service, sessions))
    return bytes(generate_latest(registry))


class _Figures(Collector):
    """What there is to tell at one moment."""

    def __init__(self, service: Service, sessions: Sessions | None) -> None:
        self._service, self._sessions = service, sessions
        self._names = [function.name for function in service.functions]
        self._environments = service.environments.views()

    def collect(self) -> Iterator[Metric]:
        yield from self._of_cloudwatch()
        yield from self._of_environments()
        if self._sessions is not None:
            yield from self._of_sessions(*self._sessions)
        yield from self._of_the_emulator()

    def _of_cloudwatch(self) -> Iterator[Metric]:
        counted = self._service.metrics()
        told = "Invocations whose function ran, failed ones included; CloudWatch's Invocations."
        yield self._counter("lambda_invocations", told, counted.invocations)
        yield self._counter("lambda_errors", "Invocations that the function failed; Errors.", counted.errors)
        told = "Invocations, and attempts of asynchronous events, for which no place was free; Throttles."
        yield self._counter("lambda_throttles", told, counted.throttles)
        told = "From the hand-out of an event until everybody was parked again; Duration."
        yield _histogram(
            "lambda_duration_seconds", told, {n: counted.durations[n] for n in self._all(counted.durations)}
        )
        told = "What extensions took when the runtime was done; PostRuntimeExtensionsDuration."
        yield _histogram("lambda_post_runtime_extensions_duration_seconds", told, counted.extensions)
        told = "Environments that serve an invocation, its cold start included; ConcurrentExecutions."
        busy = Counter(view.function for view in self._environments if view.last_request_id and view.state in _BUSY)
        gauge = GaugeMetricFamily("lambda_concurrent_executions", told, labels=_FUNCTION)
        for name in self._names:
            gauge.add_metric([name], busy[name])
        yield gauge

    def _of_environments(self) -> Iterator[Metric]:
        counted = self._service.metrics()
        counts = Counter((view.function, view.state) for view in self._environments)
        told = "Execution environments that are there, by what they do."
        gauge = GaugeMetricFamily("lambda_freezer_environments", told, labels=["function", "state"])
        for name in self._names:
            for state in State:
                if state is not State.GONE:
                    gauge.add_metric([name, str(state)], counts[name, str(state)])
        yield gauge
        told = "Environments that a request had to wait for."
        yield self._counter("lambda_freezer_cold_starts", told, counted.cold_starts)
        told = "From the order to freeze until every process stood still."
        yield _histogram("lambda_freezer_freeze_lag_seconds", told, counted.freezes)

    def _of_sessions(self, sessions: Sequence[Session], summary: ConnectionsSummary) -> Iterator[Metric]:
        asleep = Counter(session.command == "Sleep" for session in sessions if not session.zombie)
        kinds = {"active": asleep[False], "asleep": asleep[True], "zombie": summary.zombies}
        told = "Sessions that functions hold on the database server; a zombie's environment is gone."
        gauge = GaugeMetricFamily("lambda_freezer_sessions", told, labels=["kind"])
        for kind, count in kinds.items():
            gauge.add_metric([kind], count)
        yield gauge
        limits = (
            ("zombies", "Sessions of environments that are gone.", summary.zombies),
            ("max_connections", "Sessions that functions can hold at once.", summary.max_connections),
            ("wait_timeout_seconds", "After which the server drops a silent one.", summary.wait_timeout),
        )
        for name, told, value in limits:
            yield GaugeMetricFamily(f"lambda_freezer_{name}", told, value=value)

    def _of_the_emulator(self) -> Iterator[Metric]:
        counted, status = self._service.metrics(), self._service.status()
        told = "What happened to connections on their way to the database."
        counter = CounterMetricFamily("lambda_freezer_connections", told, labels=["event"])
        for event in sorted({"opened", "closed", "stale", "zombie", "failed", "refused"} | counted.connections.keys()):
            counter.add_metric([event], counted.connections[event])
        yield counter
        told = "Events that were recorded on the timeline."
        yield CounterMetricFamily("lambda_freezer_timeline_events", told, value=status.events)
        told = "Of them, those that fell out at its old end."
        yield CounterMetricFamily("lambda_freezer_timeline_dropped", told, value=status.events_dropped)
        told = "Of them, those that fell out before they were counted here."
        yield CounterMetricFamily("lambda_freezer_uncounted_events", told, value=counted.missed)
        how = {
            "version": status.version,
            "sandbox": status.sandbox,
            "freezer": status.freezer.name,
            "network_fidelity": status.network_fidelity,
        }
        yield InfoMetricFamily("lambda_freezer", "How this emulator runs.", value=how)

    def _counter(self, name: str, told: str, counts: Mapping[str, int]) -> Metric:
        counter = CounterMetricFamily(name, told, labels=_FUNCTION)
        for function in self._all(counts):
            counter.add_metric([function], counts.get(function, 0))
        return counter

    def _all(self, known: Mapping[str, object]) -> list[str]:
        """The functions that there are, which begin with zeros, and those that there were."""
        return sorted({*self._names, *known})


def _histogram(name: str, told: str, found: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, told, labels=_FUNCTION)
    for function, histogram in sorted(found.items()):
        buckets = [(f"{bound:g}" if bound < float("inf") else "+Inf", count) for bound, count in histogram.cumulative]
        family.add_metric([function], buckets, histogram.total)
    return family
