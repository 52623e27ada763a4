"""What a command line asks for, checked, and run under one policy after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from emulator.config import Settings, parse_duration
from emulator.errors import ConfigurationError
from emulator.model import Function, Reclaim
from emulator.simulation.arrivals import Rate, poisson
from emulator.simulation.lengths import Lengths
from emulator.simulation.results import Result
from emulator.simulation.run import Assumptions, candidate, simulate
from emulator.simulation.trace import read_trace
from emulator.simulation.workload import Workload

__all__ = ["Study", "Wish"]

_MYSQL_LIMIT = 151  # what MySQL and MariaDB ship as max_connections
_DEFAULT_SPAN = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options of ``lambda-freezer simulate``, as they were written.

    Arguments:
        functions: of a trace only these; of Poisson arrivals one process for each.
        duration: how much of a trace, or how long a Poisson process.
    """

    trace: Path | None = None
    poisson: str | None = None
    duration: str | None = None
    burst: int = 1
    functions: Sequence[str] = ()
    policies: Sequence[str] = ()
    service_time: str = "100ms"
    init_time: str = "400ms"
    connections_per_environment: int = 1
    max_connections: int | None = None
    wait_timeout: str = "8h"
    reclaim: str | None = None
    seed: int | None = None


class Study:
    """A workload, what is assumed, and the policies to be compared.

    Arguments:
        settings: of the configuration: its functions, limits, and the policy where none is named.
        base: its folder.

    Raises:
        ConfigurationError: an option, a trace or a policy that cannot be used.
    """

    def __init__(self, wish: Wish, settings: Settings, base: Path) -> None:
        configured = settings.emulator.seed
        self.seed = wish.seed if wish.seed is not None else configured if configured is not None else 0
        self._base = base
        limit = wish.max_connections or settings.database.max_connections or _MYSQL_LIMIT
        self._assumptions = Assumptions(
            service_time=Lengths.of(wish.service_time),
            init_time=Lengths.of(wish.init_time),
            connections_per_environment=wish.connections_per_environment,
            max_connections=limit,
            wait_timeout=parse_duration(wish.wait_timeout),
            keepalive=settings.database.keepalive,
        )
        reclaim = _reclaim(wish.reclaim)
        wanted: Sequence[str | None] = wish.policies or (None,)
        self._candidates = [candidate(settings, policy, reclaim=reclaim, seed=self.seed) for policy in wanted]
        self.workload = _workload(wish, settings, base, Random(f"{self.seed}/arrivals"))  # noqa: S311 (it draws moments, and keeps no secret)
        self.assumptions = self._assumptions.in_words(self.workload, settings)

    @property
    def events(self) -> int:
        """How many will have to be served, under all policies together."""
        return len(self.workload) * len(self._candidates)

    def run(self, on_progress: Callable[[int], None] = lambda _events: None) -> list[Result]:
        """One policy after the other.

        Arguments:
            on_progress: is told now and then how many events have been served, of :attr:`events`.

        Raises:
            ConfigurationError: a policy that cannot be made.
        """
        return [
            simulate(
                self.workload,
                one,
                self._assumptions,
                base=self._base,
                on_progress=functools.partial(self._progress, number, on_progress),
            )
            for number, one in enumerate(self._candidates)
        ]

    def _progress(self, policies: int, tell: Callable[[int], None], events: int) -> None:
        tell(policies * len(self.workload) + events)


def _workload(wish: Wish, settings: Settings, base: Path, chance: Random) -> Workload:
    if (wish.trace is None) is (wish.poisson is None):
        raise ConfigurationError(
            "there are two workloads" if wish.trace is not None else "there is no workload",
            cure="Give either --trace FILE, or --poisson RATE such as 2, 30/m or 100/h.",
        )
    until = parse_duration(wish.duration) if wish.duration is not None else None
    if wish.trace is not None:
        if wish.burst != 1:
            raise ConfigurationError("a trace has its own bursts", cure="Leave --burst, or take --poisson.")
        return read_trace(wish.trace, chance, functions=wish.functions, until=until)
    functions = wish.functions or [function.name for function in settings.make_functions(base)[:1]] or ["function"]
    for name in functions:
        Function(name=name, code=Path())  # is it a name?
    span = until if until is not None else _DEFAULT_SPAN
    return poisson(Rate.of(wish.poisson or ""), span, functions, chance, wish.burst)


def _reclaim(value: str | None) -> Reclaim | None:
    try:
        return Reclaim(value) if value is not None else None
    except ValueError as error:
        raise ConfigurationError(f"--reclaim is {value!r}", cure=f"It is one of {', '.join(Reclaim)}.") from error
